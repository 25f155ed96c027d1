package jobrun

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"kiln/internal/action"
	"kiln/internal/createoptions"
	"kiln/internal/hook"
)

// Files reads files of an image, as [registry.Client] does.
type Files interface {
	FilesWith(ctx context.Context, reference, arch string, login *authn.AuthConfig, files ...string) (map[string]string, error)
}

// namesTimeout bounds the look at an image's users. It reads layers from the top, and
// without an answer a job does not begin, or has another group: so it has the time that
// a registry has for one answer, which is more than what a job can go without has.
const namesTimeout = 15 * time.Second

// Login is that of a container, nil for none of its own.
func Login(of *hook.Registry) *authn.AuthConfig {
	if of == nil {
		return nil
	}
	return &authn.AuthConfig{Username: of.Username, Password: of.Password}
}

// UserNumbers looks the names of --user up in the image of a container, within ctx.
// Without a group there is no number of it: the runtime knows the user's own.
func UserNumbers(ctx context.Context, files Files, of hook.JobContainer, arch string) func(createoptions.User) (uid, gid *int64, err error) {
	return func(asked createoptions.User) (uid, gid *int64, err error) {
		user := action.User{Name: asked.Name, Group: cmp.Or(asked.Group, "0")}
		ctx, cancel := context.WithTimeout(ctx, namesTimeout)
		defer cancel()
		found, err := files.FilesWith(ctx, of.Container.Image, arch, Login(of.Registry), action.PasswdFile, action.GroupFile)
		if err != nil {
			return nil, nil, fmt.Errorf("the image's names of users cannot be read; give the number: %w", err)
		}
		made, err := user.Numbers(found[action.PasswdFile], found[action.GroupFile])
		switch {
		case err != nil:
			return nil, nil, err
		case asked.Group == "":
			return &made.User, nil, nil
		}
		return &made.User, &made.Group, nil
	}
}
