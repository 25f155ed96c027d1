package kaniko_test

import (
	"strings"
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

func TestProxyValidate(t *testing.T) {
	for value, sound := range map[string]bool{
		"": true, "http://proxy.example.com:3128": true, "proxy.example.com:3128": true, "proxy": true,
		"https://robot:hunter2%40@proxy:3128/": true, "http://[::1]:3128": true, "socks5://proxy:1080": true,
		"http://robot:hunter2%@proxy:3128": false, "http://proxy:port": false, "http://": false, "://hunter2": false,
	} {
		err := kaniko.Proxy{HTTPS: value}.Validate()
		if (err == nil) != sound {
			t.Errorf("%q: error = %v", value, err)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "HTTPS_PROXY is no URL") || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: error = %v", value, err)
		}
	}
	both := kaniko.Proxy{HTTP: "http://%", HTTPS: "http://%"}
	if err := both.Validate(); err == nil || !strings.Contains(err.Error(), "HTTP_PROXY") || !strings.Contains(err.Error(), "HTTPS_PROXY") {
		t.Errorf("error = %v", err)
	}
}
