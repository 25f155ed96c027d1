package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// readToken reads the projected token.
func readToken(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the service account token: %w: the overlay mounts it in the kiln container", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// claim is what of a token's content is told or used.
type claim struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience any    `json:"aud"`
	Expires  int64  `json:"exp"`
}

// decode reads a JSON web token, whose signature is for others to check.
func decode(token string) (claim, bool) {
	var c claim
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, false
	}
	return c, json.Unmarshal(data, &c) == nil
}

// claims tells what a trust policy has to name; none of it is secret.
func claims(token string) string {
	c, ok := decode(token)
	if !ok {
		return "nothing that can be read: it is no JSON web token"
	}
	return fmt.Sprintf("issuer %s, subject %s, audience %v", c.Issuer, c.Subject, c.Audience)
}

// expiry returns when a token ends, or a short time from now if it does not say.
func expiry(token string) time.Time {
	c, ok := decode(token)
	if !ok || c.Expires == 0 {
		return time.Now().Add(10 * time.Minute)
	}
	return time.Unix(c.Expires, 0)
}
