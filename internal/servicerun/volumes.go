package servicerun

import (
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/podoptions"
)

// checkVolumes refuses a named volume that two pods would have, each an empty one of its
// own, where the author shares one.
func (b *begun) checkVolumes() error {
	type holder struct{ pod, title string }
	holders := map[string]holder{}
	take := func(volumes []corev1.Volume, of holder) error {
		for _, v := range volumes {
			if !podoptions.Named(v) {
				continue
			}
			if other, held := holders[v.Name]; held && other.pod != of.pod {
				return failure.New(failure.BadRequest, "%s and %s have a named volume in common, and run in pods of their own, which cannot share it: mount a path of the work folder in both, or give them volumes of different names", other.title, of.title)
			}
			holders[v.Name] = of
		}
		return nil
	}
	if b.of.Beside {
		if err := take(b.of.Spec.Settings.Volumes, holder{b.of.Spec.Name, "the job container"}); err != nil {
			return err
		}
	}
	for _, s := range b.list {
		if err := take(s.parts.Volumes, holder{s.pod, "the service " + s.Title}); err != nil {
			return err
		}
	}
	return nil
}
