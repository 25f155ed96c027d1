package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
)

const (
	// acrScope is what an access token for a registry is asked for
	// (https://learn.microsoft.com/en-us/azure/container-registry/container-registry-authentication).
	acrScope = "https://containerregistry.azure.net/.default"
	// acrUser is the user of a refresh token, as in the output of
	// `az acr login --expose-token`.
	acrUser = "00000000-0000-0000-0000-000000000000"
)

// azureClouds are the authorities of registries by the end of their names.
var azureClouds = map[string]cloud.Configuration{
	".azurecr.io": cloud.AzurePublic,
	".azurecr.cn": cloud.AzureChina,
	".azurecr.us": cloud.AzureGovernment,
}

// azure logs in to a registry of Azure: federated credentials of Entra ID, then
// the registry's own exchange.
func azure(ctx context.Context, request Request, client *http.Client) (*Login, error) {
	options := azcore.ClientOptions{Transport: client}
	known := false
	for suffix, authority := range azureClouds {
		if strings.HasSuffix(request.Registry, suffix) {
			options.Cloud, known = authority, true
		}
	}
	if !known {
		return nil, fmt.Errorf("%s is no registry of Azure: write NAME.azurecr.io", request.Registry)
	}
	credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: options, TenantID: request.TenantID, ClientID: request.ClientID, TokenFilePath: request.TokenFile,
		DisableInstanceDiscovery: true, // the authority is one of those above
	})
	if err != nil {
		return nil, fmt.Errorf("log in to Entra ID as %s: %w", request.ClientID, err)
	}
	access, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{acrScope}})
	if err != nil {
		return nil, fmt.Errorf("log in to Entra ID as %s: %w: check that it has a federated credential with the issuer, the subject and the audience of the token", request.ClientID, reply(err))
	}
	registry, err := azcontainerregistry.NewAuthenticationClient("https://"+request.Registry, &azcontainerregistry.AuthenticationClientOptions{ClientOptions: options})
	if err != nil {
		return nil, fmt.Errorf("exchange the token at %s: %w", request.Registry, err)
	}
	answer, err := registry.ExchangeAADAccessTokenForACRRefreshToken(ctx, azcontainerregistry.PostContentSchemaGrantTypeAccessToken, request.Registry,
		&azcontainerregistry.AuthenticationClientExchangeAADAccessTokenForACRRefreshTokenOptions{AccessToken: &access.Token, Tenant: &request.TenantID})
	if err != nil {
		return nil, fmt.Errorf("exchange the token at %s: %w: check the registry's name, and that %s has the role AcrPush there", request.Registry, reply(err), request.ClientID)
	}
	if answer.RefreshToken == nil {
		return nil, fmt.Errorf("exchange the token at %s: the answer has no token", request.Registry)
	}
	return &Login{Username: acrUser, Password: *answer.RefreshToken, Expires: expiry(*answer.RefreshToken)}, nil
}

// reply returns an error of the libraries in one line, without the frames of
// dashes and the requests that they print, from the line with the code on.
func reply(err error) error {
	var kept []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		line = strings.TrimSpace(line)
		if line != "" && strings.Trim(line, "-") != "" && !strings.HasPrefix(line, "To troubleshoot") {
			kept = append(kept, line)
		}
	}
	return errors.New(strings.Join(kept, " "))
}
