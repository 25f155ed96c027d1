// Command distribution is the CNCF registry for tests, on a free port of the
// loopback address, with plain HTTP and everything in memory. Its first line of
// output is its address. It asks for the user "robot" with the password
// "hunter2", by basic auth or with a token server of its own below /token, and
// gives the addresses of uploads as absolute or as relative URLs. It is not fit
// for anything but tests.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/bcrypt"
)

const user, password = "robot", "hunter2"

func main() {
	tokens := flag.Bool("tokens", false, "ask for tokens instead of basic auth")
	relative := flag.Bool("relative", false, "give relative URLs")
	dir := flag.String("dir", ".", "directory for what the registry reads")
	flag.Parse()
	logrus.SetOutput(io.Discard)
	if err := serve(*tokens, *relative, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "distribution:", err)
		os.Exit(1)
	}
}

func serve(tokens, relative bool, dir string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := http.NewServeMux()
	config := &configuration.Configuration{Storage: configuration.Storage{"inmemory": nil}}
	config.HTTP.RelativeURLs = relative
	config.Catalog.MaxEntries = 100
	if tokens {
		err = withTokens(config, handler, listener.Addr().String(), dir)
	} else {
		err = withPassword(config, dir)
	}
	if err != nil {
		return err
	}
	handler.Handle("/v2/", handlers.NewApp(context.Background(), config))
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}

// withPassword sets basic auth up.
func withPassword(config *configuration.Configuration, dir string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(file, []byte(user+":"+string(hash)+"\n"), 0o600); err != nil {
		return err
	}
	config.Auth = configuration.Auth{"htpasswd": {"realm": "kiln test registry", "path": file}}
	return nil
}

// withTokens sets a token server up and lets the registry trust its tokens.
func withTokens(config *configuration.Configuration, handler *http.ServeMux, host, dir string) error {
	issuer, err := newIssuer()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "authorities.pem")
	if err := os.WriteFile(file, issuer.authority(), 0o600); err != nil {
		return err
	}
	handler.Handle("/token", issuer)
	config.Auth = configuration.Auth{"token": {
		"realm": "http://" + host + "/token", "service": host, "issuer": issuerName, "rootcertbundle": file,
	}}
	return nil
}
