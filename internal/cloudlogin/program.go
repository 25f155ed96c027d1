package cloudlogin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program is the name of what exchanges tokens; it lies beside kilnd.
const Program = "kiln-login"

const (
	// maxAnswer bounds what the program may write, in bytes.
	maxAnswer = 256 << 10
	// maxReason bounds what an error tells of it.
	maxReason = 1500
)

// Beside returns the program in the directory of this one.
func Beside() string {
	self, err := os.Executable()
	if err != nil {
		return "/" + Program
	}
	return filepath.Join(filepath.Dir(self), Program)
}

// Run returns an exchange by the program at path. The request goes by standard
// input, the login comes by standard output. Of the environment it gets the
// proxies and limits of memory.
func Run(path string, getenv func(string) string) Exchange {
	return func(ctx context.Context, identity Identity) (Login, error) {
		request, err := json.Marshal(identity)
		if err != nil {
			return Login{}, fmt.Errorf("write the request of a login: %w", err)
		}
		var out, reason limited
		out.left, reason.left = maxAnswer, maxReason
		cmd := exec.CommandContext(ctx, path)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &out, &reason
		cmd.Env = environment(getenv)
		cmd.WaitDelay = time.Second
		if err := cmd.Run(); err != nil {
			return Login{}, fmt.Errorf("log in to %s as the cloud's identity: %w", identity.Registry, because(err, reason.kept.String()))
		}
		var login Login
		if err := json.Unmarshal(out.kept.Bytes(), &login); err != nil || login.Password == "" || login.Expires.IsZero() {
			return Login{}, fmt.Errorf("log in to %s as the cloud's identity: %s answered with something that is no login", identity.Registry, Program)
		}
		return login, nil
	}
}

// because returns what the program said, or why there is nothing.
func because(err error, said string) error {
	if text := strings.TrimSpace(said); text != "" {
		return errors.New(text)
	}
	return err
}

// environment returns the variables that the program reads.
func environment(getenv func(string) string) []string {
	env := []string{"GOMEMLIMIT=24MiB", "GOMAXPROCS=1"}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
		for _, spelled := range []string{name, strings.ToLower(name)} {
			if value := getenv(spelled); value != "" {
				env = append(env, spelled+"="+value)
			}
		}
	}
	return env
}

// limited keeps the first bytes written to it.
type limited struct {
	kept bytes.Buffer
	left int
}

// Write implements [io.Writer].
func (l *limited) Write(data []byte) (int, error) {
	kept := data[:min(len(data), l.left)]
	l.left -= len(kept)
	l.kept.Write(kept)
	return len(data), nil
}
