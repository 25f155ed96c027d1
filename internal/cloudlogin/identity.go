// Package cloudlogin is the registry login of a cloud in place of a password: a
// projected service account token, exchanged for a login that lasts for hours.
//
// The token has the cloud's audience, so the API server does not take it. It is
// a file of the kiln container and of a build pod's gate alone. What exchanges
// it is a program of its own, kiln-login, which is linked from the clouds'
// libraries (directory login); nothing of them is in kilnd. Only the one
// registry that the operator names is logged in to in this way, whatever a
// Dockerfile names.
package cloudlogin

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Values of Identity.Cloud.
const (
	AWS   = "aws"
	Azure = "azure"
	GCP   = "gcp"
)

// TokenDir is where the token is mounted, as TokenKey, in the kiln container
// and in the gate.
const (
	TokenDir = "/var/run/kiln-identity"
	TokenKey = "token"
)

// TokenSeconds is how long a projected token is good for; the kubelet renews it
// when a fifth is left.
const TokenSeconds = 3600

// Identity is who logs in where. It holds nothing secret. The zero value is
// none. kiln-login has the same JSON keys.
type Identity struct {
	Cloud     string `json:"cloud"`
	Registry  string `json:"registry"` // the host, without path
	TokenFile string `json:"tokenFile"`
	CAFile    string `json:"caFile,omitempty"`

	RoleARN        string `json:"roleArn,omitempty"`        // AWS
	TenantID       string `json:"tenantId,omitempty"`       // Azure
	ClientID       string `json:"clientId,omitempty"`       // Azure
	Provider       string `json:"provider,omitempty"`       // Google: projects/…/providers/…
	ServiceAccount string `json:"serviceAccount,omitempty"` // Google: whom to impersonate, or empty
}

// Login is what a registry takes.
type Login struct {
	Username string    `json:"username"`
	Password string    `json:"password"`
	Expires  time.Time `json:"expires"`
}

// Set reports whether there is an identity.
func (i Identity) Set() bool { return i.Cloud != "" }

// Audience is what the token has to be for, as each cloud documents it
// (https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html,
// https://azure.github.io/azure-workload-identity/docs/topics/federated-identity-credential.html,
// https://docs.cloud.google.com/iam/docs/workload-identity-federation-with-kubernetes).
func (i Identity) Audience() string {
	switch i.Cloud {
	case AWS:
		return "sts.amazonaws.com"
	case Azure:
		return "api://AzureADTokenExchange"
	default:
		return "https://iam.googleapis.com/" + i.Provider
	}
}

var (
	roleARN  = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$`)
	guid     = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	provider = regexp.MustCompile(`^projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+$`)
	account  = regexp.MustCompile(`^[^@\s/]+@[^@\s/]+\.gserviceaccount\.com$`)
	ecrHost  = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.(aws|amazonwebservices\.com\.cn))$`)
	acrHost  = regexp.MustCompile(`^[a-z0-9-]+\.azurecr\.(io|cn|us)$`)
	garHost  = regexp.MustCompile(`^([a-z0-9-]+\.pkg\.dev|([a-z]+\.)?gcr\.io)$`)
)

// rule is what a cloud wants to be told, by the setting of each.
type rule struct {
	host    *regexp.Regexp
	example string
	values  []value
}

type value struct {
	setting, text, example string
	form                   *regexp.Regexp
	optional               bool
}

// rule returns what the identity's cloud wants; false for no such cloud.
func (i Identity) rule() (rule, bool) {
	rules := map[string]rule{
		AWS: {ecrHost, "ACCOUNT.dkr.ecr.REGION.amazonaws.com", []value{
			{"KILN_IDENTITY_AWS_ROLE_ARN", i.RoleARN, "arn:aws:iam::123456789012:role/kiln", roleARN, false},
		}},
		Azure: {acrHost, "NAME.azurecr.io", []value{
			{"KILN_IDENTITY_AZURE_TENANT_ID", i.TenantID, "the tenant's UUID", guid, false},
			{"KILN_IDENTITY_AZURE_CLIENT_ID", i.ClientID, "the UUID of the managed identity's or application's client", guid, false},
		}},
		GCP: {garHost, "LOCATION-docker.pkg.dev", []value{
			{"KILN_IDENTITY_GCP_PROVIDER", i.Provider, "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER", provider, false},
			{"KILN_IDENTITY_GCP_SERVICE_ACCOUNT", i.ServiceAccount, "NAME@PROJECT.iam.gserviceaccount.com, or leave it out", account, true},
		}},
	}
	found, known := rules[i.Cloud]
	return found, known
}

// Validate reports what is wrong with the settings, by their names, and the
// settings of another cloud than the chosen one.
func (i Identity) Validate() error {
	foreign := map[string]string{
		"KILN_IDENTITY_AWS_ROLE_ARN": i.RoleARN, "KILN_IDENTITY_AZURE_TENANT_ID": i.TenantID, "KILN_IDENTITY_AZURE_CLIENT_ID": i.ClientID,
		"KILN_IDENTITY_GCP_PROVIDER": i.Provider, "KILN_IDENTITY_GCP_SERVICE_ACCOUNT": i.ServiceAccount,
	}
	var errs []error
	chosen, known := i.rule()
	if i.Set() && !known {
		return fmt.Errorf("KILN_IDENTITY is %q: write %s, %s or %s", i.Cloud, AWS, Azure, GCP)
	}
	if known && !chosen.host.MatchString(i.Registry) {
		errs = append(errs, fmt.Errorf("KILN_IDENTITY is %s, and the registry is %q: write a registry such as %s, or take KILN_IDENTITY out", i.Cloud, i.Registry, chosen.example))
	}
	for _, v := range chosen.values {
		delete(foreign, v.setting)
		if (v.text != "" || !v.optional) && !v.form.MatchString(v.text) {
			errs = append(errs, fmt.Errorf("%s is %q: write %s", v.setting, v.text, v.example))
		}
	}
	for setting, text := range foreign {
		if text != "" {
			errs = append(errs, fmt.Errorf("%s is set, and KILN_IDENTITY is %s: take one of them out", setting, cmp.Or(i.Cloud, "not")))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
