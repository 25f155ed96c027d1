package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// ecrHost is what private registries of ECR are called
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html).
var ecrHost = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.(aws|amazonwebservices\.com\.cn))$`)

// aws logs in to ECR: AssumeRoleWithWebIdentity, then GetAuthorizationToken. The
// clients are made without the libraries' default chain, which would ask the
// metadata server where this fails.
func aws(ctx context.Context, request Request, client *http.Client) (*Login, error) {
	found := ecrHost.FindStringSubmatch(request.Registry)
	if found == nil {
		return nil, fmt.Errorf("%s is no private registry of ECR: write ACCOUNT.dkr.ecr.REGION.amazonaws.com", request.Registry)
	}
	region := found[2]
	role := stscreds.NewWebIdentityRoleProvider(
		sts.New(sts.Options{Region: region, HTTPClient: client}),
		request.RoleARN, stscreds.IdentityTokenFile(request.TokenFile),
		func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = "kiln" })
	credentials, err := role.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("AssumeRoleWithWebIdentity of %s: %w: check that the role exists, and that its trust policy names the cluster's OIDC provider, the subject and the audience of the token", request.RoleARN, short(err))
	}
	registry := ecr.New(ecr.Options{
		Region: region, HTTPClient: client,
		Credentials: sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) { return credentials, nil }),
	})
	answer, err := registry.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return nil, fmt.Errorf("GetAuthorizationToken in %s: %w: check that the role's permissions have ecr:GetAuthorizationToken on the resource *", region, short(err))
	}
	if len(answer.AuthorizationData) == 0 {
		return nil, errors.New("GetAuthorizationToken: the answer has no token")
	}
	data := answer.AuthorizationData[0]
	decoded, err := base64.StdEncoding.DecodeString(sdk.ToString(data.AuthorizationToken))
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return nil, errors.New("GetAuthorizationToken: the token has not the form of a login")
	}
	return &Login{Username: user, Password: password, Expires: sdk.ToTime(data.ExpiresAt)}, nil
}

// short returns the API's own words where there are any.
func short(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	return err
}
