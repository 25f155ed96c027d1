package kaniko_test

import (
	"testing"

	"kiln/internal/kaniko"
)

func TestProxyFromEnvironment(t *testing.T) {
	env := map[string]string{"HTTP_PROXY": "http://big:1", "http_proxy": "http://small:1", "https_proxy": "http://small:2", "no_proxy": "a,b"}
	got := kaniko.ProxyFromEnvironment(func(name string) string { return env[name] })
	if want := (kaniko.Proxy{HTTP: "http://big:1", HTTPS: "http://small:2", No: "a,b"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
