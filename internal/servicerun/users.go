package servicerun

import (
	"context"

	"kiln/internal/createoptions"
	"kiln/internal/hook"
	"kiln/internal/jobrun"
)

// numbers looks the names of --user up in the image of a service, nil where no registry is asked.
func (b *begun) numbers(ctx context.Context, of hook.JobContainer) func(createoptions.User) (uid, gid *int64, err error) {
	client := b.runner.options.Registry
	if client == nil {
		return nil
	}
	return jobrun.UserNumbers(ctx, client, of, b.of.Spec.Arch)
}
