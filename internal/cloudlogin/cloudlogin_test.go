package cloudlogin

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

const uuid = "11111111-2222-3333-4444-555555555555"

func TestValidate(t *testing.T) {
	const arn = "arn:aws:iam::123456789012:role/kiln"
	const ecr = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	const pool = "projects/42/locations/global/workloadIdentityPools/runners/providers/cluster"
	for name, tc := range map[string]struct {
		identity Identity
		want     string // of the error; none if empty
	}{
		"none":               {Identity{}, ""},
		"ECR":                {Identity{Cloud: AWS, Registry: ecr, RoleARN: arn}, ""},
		"ECR of China":       {Identity{Cloud: AWS, Registry: "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", RoleARN: "arn:aws-cn:iam::123456789012:role/a/b"}, ""},
		"ECR by FIPS":        {Identity{Cloud: AWS, Registry: "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", RoleARN: arn}, ""},
		"ECR, dual stack":    {Identity{Cloud: AWS, Registry: "123456789012.dkr-ecr.eu-central-1.on.aws", RoleARN: arn}, ""},
		"ACR":                {Identity{Cloud: Azure, Registry: "acme.azurecr.io", TenantID: uuid, ClientID: uuid}, ""},
		"Google":             {Identity{Cloud: GCP, Registry: "europe-docker.pkg.dev", Provider: pool}, ""},
		"Google, as account": {Identity{Cloud: GCP, Registry: "eu.gcr.io", Provider: pool, ServiceAccount: "kiln@acme.iam.gserviceaccount.com"}, ""},

		"no such cloud":     {Identity{Cloud: "ibm"}, `KILN_IDENTITY is "ibm": write aws, azure or gcp`},
		"a public registry": {Identity{Cloud: AWS, Registry: "public.ecr.aws", RoleARN: arn}, `KILN_IDENTITY is aws, and the registry is "public.ecr.aws"`},
		"a likeness":        {Identity{Cloud: AWS, Registry: ecr + ".evil.example.com", RoleARN: arn}, "write a registry such as ACCOUNT.dkr.ecr"},
		"another cloud's":   {Identity{Cloud: Azure, Registry: ecr, TenantID: uuid, ClientID: uuid}, "write a registry such as NAME.azurecr.io"},
		"no role":           {Identity{Cloud: AWS, Registry: ecr}, `KILN_IDENTITY_AWS_ROLE_ARN is "": write arn:aws:iam::`},
		"no tenant":         {Identity{Cloud: Azure, Registry: "acme.azurecr.io", ClientID: uuid}, `KILN_IDENTITY_AZURE_TENANT_ID is "": write the tenant's UUID`},
		"a provider's URL":  {Identity{Cloud: GCP, Registry: "europe-docker.pkg.dev", Provider: "https://iam.googleapis.com/" + pool}, "KILN_IDENTITY_GCP_PROVIDER is"},
		"a path as account": {Identity{Cloud: GCP, Registry: "europe-docker.pkg.dev", Provider: pool, ServiceAccount: "a/b"}, "KILN_IDENTITY_GCP_SERVICE_ACCOUNT is"},
		"two clouds":        {Identity{Cloud: AWS, Registry: ecr, RoleARN: arn, ClientID: uuid}, "KILN_IDENTITY_AZURE_CLIENT_ID is set, and KILN_IDENTITY is aws"},
		"a cloud forgotten": {Identity{RoleARN: arn}, "KILN_IDENTITY_AWS_ROLE_ARN is set, and KILN_IDENTITY is not"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.identity.Validate()
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}

// TestRequest holds the request to what kiln-login reads, which is another
// module: its test reads the same file.
func TestRequest(t *testing.T) {
	want, err := os.ReadFile("../../login/testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(Identity{
		Cloud: "c", Registry: "r", TokenFile: "t", CAFile: "f",
		RoleARN: "a", TenantID: "i", ClientID: "l", Provider: "p", ServiceAccount: "s",
	})
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// cloud counts logins; each is good for an hour of its clock.
type cloud struct {
	mu    sync.Mutex
	now   time.Time
	asked int
	err   error
}

func (c *cloud) exchange(context.Context, Identity) (Login, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return Login{Username: "u", Password: string(rune('a' + c.asked - 1)), Expires: c.now.Add(time.Hour)}, c.err
}

// password asks for the credentials of a repository.
func password(t *testing.T, k authn.Keychain, repository string) (string, error) {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := authn.Resolve(t.Context(), k, repo)
	if err != nil {
		return "", err
	}
	config, err := authn.Authorization(t.Context(), auth)
	if err != nil {
		t.Fatal(err)
	}
	return config.Password, nil
}

// files stands for the Secret.
type files struct{}

func (files) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: "u", Password: "of the Secret"}), nil
}

func TestKeychain(t *testing.T) {
	c := &cloud{now: time.Unix(1e9, 0)}
	k := newKeychain(Identity{Cloud: AWS, Registry: "r.example.com"}, c.exchange, files{}, func() time.Time { return c.now })
	for _, step := range []struct {
		after      time.Duration
		err        error
		repository string
		want       string
		asked      int
	}{
		{0, nil, "other.example.com/x", "of the Secret", 0},
		{0, nil, "r.example.com.evil.example.com/x", "of the Secret", 0},
		{0, nil, "r.example.com/x", "a", 1},
		{44 * time.Minute, nil, "r.example.com/y", "a", 1},
		{2 * time.Minute, errors.New("busy"), "r.example.com/x", "a", 2},   // renewing fails: the old one still counts
		{5 * time.Second, errors.New("busy"), "r.example.com/x", "a", 2},   // and is not tried at once again
		{6 * time.Second, nil, "r.example.com/x", "c", 3},                  // but soon
		{2 * time.Hour, errors.New("denied"), "r.example.com/x", "", 4},    // ended
		{5 * time.Second, errors.New("denied"), "r.example.com/x", "", 4},  // remembered
		{10 * time.Second, errors.New("denied"), "r.example.com/x", "", 5}, // asked anew
		{10 * time.Second, nil, "r.example.com/x", "f", 6},
	} {
		c.now, c.err = c.now.Add(step.after), step.err
		got, err := password(t, k, step.repository)
		if got != step.want || c.asked != step.asked || (err == nil) != (step.want != "") {
			t.Errorf("%+v: password %q after %d logins, error %v", step, got, c.asked, err)
		}
	}
}

func TestKeychainAsksOnce(t *testing.T) {
	c := &cloud{now: time.Now()}
	k := Keychain(Identity{Cloud: AWS, Registry: "r.example.com"}, c.exchange, files{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := password(t, k, "r.example.com/x"); got != "a" || err != nil {
				t.Errorf("password %q, error %v", got, err)
			}
		})
	}
	all.Wait()
	if c.asked != 1 {
		t.Errorf("asked %d times", c.asked)
	}
}

func TestNoIdentity(t *testing.T) {
	if got, _ := password(t, Keychain(Identity{}, nil, files{}), "r.example.com/x"); got != "of the Secret" {
		t.Errorf("password %q", got)
	}
}

// program writes a shell script in the place of kiln-login.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), Program)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	seen := filepath.Join(t.TempDir(), "seen")
	path := program(t, `{ cat; echo; echo "$# $HTTPS_PROXY $SECRET"; } > `+seen+`
echo '{"username":"AWS","password":"pw","expires":"2030-01-01T00:00:00Z"}'`)
	exchange := Run(path, func(name string) string {
		return map[string]string{"HTTPS_PROXY": "http://proxy.example.com:3128", "SECRET": "kept"}[name]
	})
	login, err := exchange(t.Context(), Identity{Cloud: AWS, Registry: "r", TokenFile: "/t"})
	if err != nil || login.Username != "AWS" || login.Password != "pw" || login.Expires.Year() != 2030 {
		t.Errorf("login %+v, error %v", login, err)
	}
	got, err := os.ReadFile(seen)
	want := `{"cloud":"aws","registry":"r","tokenFile":"/t"}` + "\n0 http://proxy.example.com:3128 \n"
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestRunFails(t *testing.T) {
	for script, want := range map[string]string{
		"echo 'AccessDenied: no' >&2; exit 1": "log in to r as the cloud's identity: AccessDenied: no",
		"exit 3":                              "exit status 3",
		"echo '{}'":                           "something that is no login",
		"echo hello":                          "something that is no login",
		"head -c 999999 /dev/zero":            "something that is no login",
		"head -c 9999 /dev/zero | tr '\\0' x >&2; false": strings.Repeat("x", maxReason),
	} {
		_, err := Run(program(t, script), os.Getenv)(t.Context(), Identity{Registry: "r"})
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > maxReason+100 {
			t.Errorf("%s: error = %.200v", script, err)
		}
	}
	_, err := Run("/nowhere/"+Program, os.Getenv)(t.Context(), Identity{Registry: "r"})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/kiln-login") {
		t.Errorf("error = %v", err)
	}
}
