package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAuthenticated(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	handler := authenticated(ok, "user", "secret")
	tests := map[string]struct {
		method, path   string
		user, password string
		want           int
	}{
		"right":          {"GET", "/v2/", "user", "secret", http.StatusOK},
		"wrong password": {"GET", "/v2/", "user", "other", http.StatusUnauthorized},
		"wrong user":     {"GET", "/v2/", "other", "secret", http.StatusUnauthorized},
		"nothing":        {"GET", "/v2/", "", "", http.StatusUnauthorized},

		"reader":                {"GET", "/v2/", "user@a/b", "secret", http.StatusOK},
		"reader's repository":   {"HEAD", "/v2/a/b/manifests/1", "user@a/b", "secret", http.StatusOK},
		"reader's password":     {"GET", "/v2/", "user@a/b", "other", http.StatusUnauthorized},
		"reader elsewhere":      {"GET", "/v2/a/bc/manifests/1", "user@a/b", "secret", http.StatusForbidden},
		"reader writes":         {"PUT", "/v2/a/b/manifests/1", "user@a/b", "secret", http.StatusForbidden},
		"reader of nobody else": {"GET", "/v2/", "other@a/b", "secret", http.StatusUnauthorized},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(tt.method, tt.path, http.NoBody)
			if tt.user != "" {
				request.SetBasicAuth(tt.user, tt.password)
			}
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, request)
			if response.Code != tt.want {
				t.Errorf("status %d, want %d", response.Code, tt.want)
			}
			challenge := response.Header().Get("WWW-Authenticate")
			if challenged := strings.HasPrefix(challenge, "Basic "); challenged != (tt.want == http.StatusUnauthorized) {
				t.Errorf("challenge is %q", challenge)
			}
		})
	}
}
