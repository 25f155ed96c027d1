package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	issuerName = "kiln tests"
	lifetime   = time.Minute
)

// issuer is a token server as
// https://distribution.github.io/distribution/spec/auth/jwt/ describes it. Who
// knows the password gets every scope that is asked for.
type issuer struct {
	certificate []byte
	signer      jose.Signer
}

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5c", [][]byte{certificate})
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	return &issuer{certificate, signer}, err
}

// authority is the certificate that the registry trusts.
func (i *issuer) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate})
}

// ServeHTTP implements http.Handler.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, secret, given := r.BasicAuth()
	if given && (name != user || secret != password) {
		http.Error(w, "wrong user or password", http.StatusUnauthorized)
		return
	}
	now := time.Now()
	claims := token.ClaimSet{
		Issuer: issuerName, Subject: name, Audience: token.AudienceList{r.URL.Query().Get("service")}, JWTID: rand.Text(),
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expiration: now.Add(lifetime).Unix(),
	}
	if given {
		claims.Access = access(r.URL.Query()["scope"])
	}
	signed, err := jwt.Signed(i.signer).Claims(claims).Serialize()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": signed, "expires_in": int(lifetime.Seconds())})
}

// access reads scopes such as "repository:acme/app:push,pull".
func access(scopes []string) []*token.ResourceActions {
	var all []*token.ResourceActions
	for _, scope := range scopes {
		parts := strings.Split(scope, ":")
		if len(parts) < 3 {
			continue
		}
		all = append(all, &token.ResourceActions{
			Type: parts[0], Name: strings.Join(parts[1:len(parts)-1], ":"), Actions: strings.Split(parts[len(parts)-1], ","),
		})
	}
	return all
}
