package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"
)

// gcpUser is the user of an access token
// (https://docs.cloud.google.com/artifact-registry/docs/docker/authentication#token).
const gcpUser = "oauth2accesstoken"

// gcp logs in to Artifact Registry: Workload Identity Federation, and the
// impersonation of a service account where one is named.
func gcp(ctx context.Context, request Request, client *http.Client) (*Login, error) {
	if !strings.HasSuffix(request.Registry, ".pkg.dev") && request.Registry != "gcr.io" && !strings.HasSuffix(request.Registry, ".gcr.io") {
		return nil, fmt.Errorf("%s is no registry of Google: write LOCATION-docker.pkg.dev", request.Registry)
	}
	config := externalaccount.Config{
		Audience:         "//iam.googleapis.com/" + request.Provider,
		SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt",
		TokenURL:         "https://sts.googleapis.com/v1/token",
		Scopes:           []string{"https://www.googleapis.com/auth/cloud-platform"},
		CredentialSource: &externalaccount.CredentialSource{File: request.TokenFile},
	}
	hint := "check that the provider exists, that its issuer and allowed audiences are those of the token, and that the subject may use the repository"
	if request.ServiceAccount != "" {
		config.ServiceAccountImpersonationURL = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" +
			url.PathEscape(request.ServiceAccount) + ":generateAccessToken"
		hint = "check that the provider exists, that its issuer and allowed audiences are those of the token, and that the subject has roles/iam.workloadIdentityUser on " + request.ServiceAccount
	}
	source, err := externalaccount.NewTokenSource(context.WithValue(ctx, oauth2.HTTPClient, client), config)
	if err != nil {
		return nil, fmt.Errorf("exchange the token at %s: %w", request.Provider, err)
	}
	token, err := source.Token()
	if err != nil {
		return nil, fmt.Errorf("exchange the token at %s: %w: %s", request.Provider, oneLine(err), hint)
	}
	return &Login{Username: gcpUser, Password: token.AccessToken, Expires: token.Expiry}, nil
}

// oneLine returns an error whose text, which may hold a whole answer, has one
// line.
func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
