package servicerun

import (
	"cmp"
	"context"
	"fmt"

	"kiln/internal/action"
	"kiln/internal/createoptions"
)

// numbers looks the names of --user up in an image, nil where no registry is asked.
func (b *begun) numbers(ctx context.Context, image string) func(createoptions.User) (uid, gid *int64, err error) {
	client := b.runner.options.Registry
	if client == nil {
		return nil
	}
	return func(asked createoptions.User) (uid, gid *int64, err error) {
		user := action.User{Name: asked.Name, Group: cmp.Or(asked.Group, "0")}
		ctx, cancel := context.WithTimeout(ctx, imageTime)
		defer cancel()
		found, err := client.Files(ctx, image, b.of.Spec.Arch, false, action.PasswdFile, action.GroupFile)
		if err != nil {
			return nil, nil, fmt.Errorf("the image's names of users cannot be read; give the number: %w", err)
		}
		made, err := user.Numbers(found[action.PasswdFile], found[action.GroupFile])
		switch {
		case err != nil:
			return nil, nil, err
		case asked.Group == "":
			return &made.User, nil, nil // the runtime knows the user's own group
		}
		return &made.User, &made.Group, nil
	}
}
