package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// subject is what the test's token says.
const subject = `{"iss":"https://oidc.example.com","sub":"system:serviceaccount:runners:kiln","aud":["the-cloud"],"exp":4102444800}`

// jwt returns a token with a content and no signature.
func jwt(content string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(content)) + ".sig"
}

// tokenFile writes the projected token.
func tokenFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(jwt(subject)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answer is what an endpoint of a fake says.
type answer struct {
	status int
	kind   string
	body   string
}

// fake answers for all hosts, by host and path, and keeps what it was asked.
type fake struct {
	answers map[string]answer
	asked   []string // URL, then the body
}

func (f *fake) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		body, _ = io.ReadAll(request.Body)
	}
	f.asked = append(f.asked, request.URL.String()+" "+string(body))
	a, found := f.answers[request.URL.Host+request.URL.Path]
	if !found {
		return nil, fmt.Errorf("the test has no host for %s", request.URL)
	}
	recorder := &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {a.kind}}, Request: request,
		Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body)),
	}
	return recorder, nil
}

const (
	stsHost = "sts.eu-central-1.amazonaws.com/"
	ecrAPI  = "api.ecr.eu-central-1.amazonaws.com/"
	entra   = "login.microsoftonline.com/11111111-2222-3333-4444-555555555555/"
	acr     = "acme.azurecr.io/oauth2/exchange"
	google  = "sts.googleapis.com/v1/token"
	iam     = "iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/kiln@acme.iam.gserviceaccount.com:generateAccessToken"
)

// clouds are answers as the clouds' documents show them.
func clouds() map[string]answer {
	return map[string]answer{
		stsHost: {200, "text/xml", `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><SessionToken>session</SessionToken><SecretAccessKey>secret</SecretAccessKey><Expiration>2030-01-01T00:00:00Z</Expiration><AccessKeyId>ASIAX</AccessKeyId></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`},
		ecrAPI: {200, "application/x-amz-json-1.1", `{"authorizationData":[{"authorizationToken":"` + base64.StdEncoding.EncodeToString([]byte("AWS:ecr:password")) +
			`","expiresAt":1893499200,"proxyEndpoint":"https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"}]}`},
		entra + "v2.0/.well-known/openid-configuration": {200, "application/json", `{"token_endpoint":"https://` + entra + `oauth2/v2.0/token","authorization_endpoint":"https://` + entra + `oauth2/v2.0/authorize","issuer":"https://` + entra + `v2.0"}`},
		entra + "oauth2/v2.0/token":                     {200, "application/json", `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"entra-token"}`},
		acr:                                             {200, "application/json", `{"refresh_token":"` + jwt(`{"exp":1893499200}`) + `"}`},
		google:                                          {200, "application/json", `{"access_token":"federated","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`},
		iam:                                             {200, "application/json", `{"accessToken":"impersonated","expireTime":"2030-01-01T12:00:00Z"}`},
	}
}

// requests are one for each cloud.
func requests(t *testing.T) map[string]Request {
	file := tokenFile(t)
	pool := "projects/42/locations/global/workloadIdentityPools/runners/providers/cluster"
	return map[string]Request{
		"aws":          {Cloud: "aws", Registry: "123456789012.dkr.ecr.eu-central-1.amazonaws.com", TokenFile: file, RoleARN: "arn:aws:iam::123456789012:role/kiln"},
		"azure":        {Cloud: "azure", Registry: "acme.azurecr.io", TokenFile: file, TenantID: "11111111-2222-3333-4444-555555555555", ClientID: "66666666-7777-8888-9999-000000000000"},
		"gcp":          {Cloud: "gcp", Registry: "europe-docker.pkg.dev", TokenFile: file, Provider: pool},
		"impersonated": {Cloud: "gcp", Registry: "europe-docker.pkg.dev", TokenFile: file, Provider: pool, ServiceAccount: "kiln@acme.iam.gserviceaccount.com"},
	}
}

func TestExchange(t *testing.T) {
	for name, want := range map[string]struct {
		user, password string
		expires        time.Time // no time: about an hour from now
		sent           []string  // part of each request
	}{
		"aws": {"AWS", "ecr:password", time.Unix(1893499200, 0), []string{
			"Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fkiln&RoleSessionName=kiln", "https://" + ecrAPI,
		}},
		"azure": {acrUser, jwt(`{"exp":1893499200}`), time.Unix(1893499200, 0), []string{
			"openid-configuration", "client_id=66666666-7777-8888-9999-000000000000", "https://" + acr + "?api-version=2021-07-01 access_token=entra-token",
		}},
		"gcp":          {gcpUser, "federated", time.Time{}, []string{"subject_token="}},
		"impersonated": {gcpUser, "impersonated", time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC), []string{"subject_token=", "https://" + iam}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{answers: clouds()}
			login, err := exchange(t.Context(), requests(t)[name], &http.Client{Transport: onlyTLS{f}})
			if err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(f.asked, "\n"))
			}
			soon := time.Until(login.Expires).Round(10*time.Minute) == time.Hour
			if login.Username != want.user || login.Password != want.password || !login.Expires.Equal(want.expires) && (!want.expires.IsZero() || !soon) {
				t.Errorf("login = %+v", login)
			}
			if len(f.asked) != len(want.sent) {
				t.Fatalf("asked:\n%s", strings.Join(f.asked, "\n"))
			}
			for i, part := range want.sent {
				if !strings.Contains(f.asked[i], part) {
					t.Errorf("request %d is\n%s\nwant %s in it", i, f.asked[i], part)
				}
			}
			if token := jwt(subject); !strings.Contains(strings.Join(f.asked, "\n"), token) {
				t.Error("the token was not sent")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		request, endpoint string
		answer            answer
		want              []string
	}{
		"AWS trusts nobody": {
			"aws", stsHost,
			answer{
				403, "text/xml",
				`<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`,
			},
			[]string{"AssumeRoleWithWebIdentity of arn:aws:iam::123456789012:role/kiln: AccessDenied: Not authorized", "check that the role exists, and that its trust policy"},
		},
		"no right to ECR": {
			"aws", ecrAPI,
			answer{400, "application/x-amz-json-1.1", `{"__type":"AccessDeniedException","message":"User is not authorized"}`},
			[]string{"GetAuthorizationToken in eu-central-1: AccessDeniedException: User is not authorized", "ecr:GetAuthorizationToken"},
		},
		"Entra has no such subject": {
			"azure", entra + "oauth2/v2.0/token",
			answer{
				400, "application/json",
				`{"error":"invalid_request","error_description":"AADSTS70021: No matching federated identity record found","error_codes":[70021]}`,
			},
			[]string{"log in to Entra ID as 66666666-7777-8888-9999-000000000000", "AADSTS70021: No matching federated identity record found", "federated credential"},
		},
		"ACR refuses": {
			"azure", acr,
			answer{401, "application/json", `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`},
			[]string{"exchange the token at acme.azurecr.io", "authentication required", "role AcrPush"},
		},
		"Google has no such provider": {
			"gcp", google,
			answer{400, "application/json", `{"error":"invalid_target","error_description":"The target service indicated is invalid"}`},
			[]string{"exchange the token at projects/42/", "invalid_target", "check that the provider exists"},
		},
		"no impersonation": {
			"impersonated", iam,
			answer{403, "application/json", `{"error":{"code":403,"message":"Permission 'iam.serviceAccounts.getAccessToken' denied"}}`},
			[]string{"iam.serviceAccounts.getAccessToken", "roles/iam.workloadIdentityUser on kiln@acme"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{answers: clouds()}
			f.answers[tc.endpoint] = tc.answer
			login, err := exchange(t.Context(), requests(t)[tc.request], &http.Client{Transport: onlyTLS{f}})
			if err == nil {
				t.Fatalf("login = %+v", login)
			}
			for _, want := range append(tc.want, "issuer https://oidc.example.com, subject system:serviceaccount:runners:kiln, audience [the-cloud]") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v\nwant %q in it", err, want)
				}
			}
			for _, secret := range []string{jwt(subject), "entra-token", "session", "federated&"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells %q: %v", secret, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has lines: %v", err)
			}
		})
	}
}

// TestOnlyNamedRegistries: a token goes to the cloud that the registry's name
// belongs to, and to nobody else.
func TestOnlyNamedRegistries(t *testing.T) {
	for name, request := range requests(t) {
		for _, host := range []string{"registry.example.com", request.Registry + ".example.com", "169.254.169.254", ""} {
			request.Registry = host
			f := &fake{answers: clouds()}
			if login, err := exchange(t.Context(), request, &http.Client{Transport: f}); err == nil || len(f.asked) > 0 {
				t.Errorf("%s at %q: login %+v, asked %v", name, host, login, f.asked)
			}
		}
	}
}

// TestNoOtherSource sets what the clouds' libraries would look at by
// themselves; none of it is asked.
func TestNoOtherSource(t *testing.T) {
	for variable, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
		"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1", "IDENTITY_ENDPOINT": "http://127.0.0.1:1",
		"MSI_ENDPOINT": "http://127.0.0.1:1", "GCE_METADATA_HOST": "127.0.0.1:1", "AZURE_AUTHORITY_HOST": "http://127.0.0.1:1/",
	} {
		t.Setenv(variable, value)
	}
	for name, request := range requests(t) {
		f := &fake{answers: clouds()}
		if _, err := exchange(t.Context(), request, &http.Client{Transport: onlyTLS{f}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		request.TokenFile = "/nowhere/token"
		f = &fake{answers: clouds()}
		if _, err := exchange(t.Context(), request, &http.Client{Transport: f}); err == nil || len(f.asked) > 0 {
			t.Errorf("%s without a token: error %v, asked %v", name, err, f.asked)
		}
	}
}

func TestRun(t *testing.T) {
	text, err := os.ReadFile("testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		strings.Replace(string(text), `"f"`, `""`, 1): "read the service account token: open t:",
		string(text): "read the certificate authorities",
		`{"new":1}`:  `unknown field "new"`,
		"":           "read the request",
	} {
		var out bytes.Buffer
		if err := run(t.Context(), strings.NewReader(in), &out); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%s: error = %v, output %q", in, err, out.String())
		}
	}
}

func TestOnlyTLS(t *testing.T) {
	f := &fake{answers: clouds()}
	response, err := (&http.Client{Transport: onlyTLS{f}}).Get("http://" + google)
	if err == nil {
		response.Body.Close()
		t.Error("a plain request went out")
	}
}

func TestProxy(t *testing.T) {
	for url, want := range map[string]string{
		"http://proxy.example.com:3128":             "http://proxy.example.com:3128",
		"https://robot:hunter2@proxy.example.com":   "https://robot:hunter2@proxy.example.com",
		"http://robot:hunter2@proxy.example.com:80": "the proxy proxy.example.com:80 has a login and no TLS",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyOf$", "-test.v")
		cmd.Env = []string{"HTTPS_PROXY=" + url, "KILN_TEST_PROXY=1"} // read once by a process
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "proxy: "+want) || strings.Contains(want, "no TLS") && strings.Contains(string(out), "hunter2") {
			t.Errorf("%s: %v, %s", url, err, out)
		}
	}
}

// TestProxyOf is the process that TestProxy starts.
func TestProxyOf(t *testing.T) {
	if os.Getenv("KILN_TEST_PROXY") == "" {
		t.Skip("TestProxy starts it")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://sts.example.com", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := proxy(request); err != nil {
		fmt.Println("proxy:", err)
	} else {
		fmt.Println("proxy:", found)
	}
}
