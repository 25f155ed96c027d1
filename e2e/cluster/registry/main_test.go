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
		user, password string
		want           int
	}{
		"right":          {"user", "secret", http.StatusOK},
		"wrong password": {"user", "other", http.StatusUnauthorized},
		"wrong user":     {"other", "secret", http.StatusUnauthorized},
		"nothing":        {"", "", http.StatusUnauthorized},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, "/v2/", http.NoBody)
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
