package config

import (
	"cmp"
	"strings"

	"kiln/internal/cloudlogin"
)

// CloudIdentity returns who logs in to the registry in place of a password, as
// this container sees its files; the zero value without KILN_IDENTITY and what
// belongs to it.
func (s *Settings) CloudIdentity() cloudlogin.Identity {
	host, _, _ := strings.Cut(cmp.Or(s.RegistryPush, s.RegistryHost), "/")
	id := cloudlogin.Identity{
		Cloud: s.Identity, RoleARN: s.IdentityRoleARN, TenantID: s.IdentityTenantID, ClientID: s.IdentityClientID,
		Provider: s.IdentityProvider, ServiceAccount: s.IdentityServiceAccount,
	}
	if id.Set() {
		id.Registry, id.TokenFile, id.CAFile = host, s.IdentityToken, s.CAFile
	}
	return id
}
