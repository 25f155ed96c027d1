package servicerun

import (
	"context"

	"kiln/internal/createoptions"
	"kiln/internal/jobrun"
)

// numbers looks the names of --user up in an image, nil where no registry is asked.
func (b *begun) numbers(ctx context.Context, image string) func(createoptions.User) (uid, gid *int64, err error) {
	client := b.runner.options.Registry
	if client == nil {
		return nil
	}
	return jobrun.UserNumbers(ctx, client, image, b.of.Spec.Arch)
}
