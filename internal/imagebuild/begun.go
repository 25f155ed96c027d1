package imagebuild

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kiln/internal/kaniko"
	"kiln/internal/label"
	"kiln/internal/podrun"
)

// Begun is how far an order is: what a daemon has to know that goes on with it after a
// restart. The rest follows from the source, and from the build pod.
type Begun struct {
	// Tag is the image's, where that does not follow from the source.
	Tag string `json:"tag,omitempty"`
	// Since is when the first build pod was asked for, and Failures how often a build
	// has failed that is tried again.
	Since    time.Time `json:"since,omitzero"`
	Failures int       `json:"failures,omitempty"`
	// Part is the base part that the build pod makes, where it is pushed to; empty where
	// the pod makes the image itself.
	Part string `json:"part,omitempty"`
	// Pod is the name of the build pod, noted before it is made.
	Pod string `json:"pod,omitempty"`
	// Given is the UID of the pod that gets the context, since Sent. It is noted before
	// the first byte; Whole says that the last one has arrived.
	Given types.UID `json:"given,omitempty"`
	Sent  time.Time `json:"sent,omitzero"`
	Whole bool      `json:"whole,omitempty"`
	// Followed is the UID of another step's pod whose build is followed, noted before it is.
	Followed types.UID `json:"followed,omitempty"`
	// Built is what was built, noted before the pod is given up.
	Built *Built `json:"built,omitempty"`
}

// Built is an image that was built.
type Built struct {
	Digest   string `json:"digest"`
	Note     string `json:"note"`
	Kept     bool   `json:"kept,omitempty"`
	Followed bool   `json:"followed,omitempty"`
	// Steps is how many were shown.
	Steps int `json:"steps,omitempty"`
}

// result is how the image came about.
func (b *Built) result() result {
	return result{digest: b.Digest, note: b.Note, kept: b.Kept, followed: b.Followed}
}

// note changes what is known to be begun, and has it remembered.
func (o *order) note(change func(*Begun)) {
	change(&o.begun)
	if o.who.Note != nil {
		o.who.Note(o.begun)
	}
}

// noteAs has what is begun of a base part remembered as the order's whose part it is.
// It goes on with what an earlier run of the daemon began of it.
func (o *order) noteAs(whole *order) {
	part := o.plan.push
	o.begun = Begun{}
	if whole.begun.Part == part {
		o.begun = whole.begun
	}
	o.who.Note = func(b Begun) {
		b.Part = part
		whole.note(func(begun *Begun) { *begun = b })
	}
}

// noteBuilt remembers what was built.
func (o *order) noteBuilt(built result) {
	o.note(func(b *Begun) {
		b.Built = &Built{Digest: built.digest, Note: built.note, Kept: built.kept, Followed: built.followed, Steps: o.steps}
	})
}

// heirOf reports whether the pod is known from an earlier run of the daemon, and has got
// the whole context: from this order, or with it. Who owns a pod beside its creator does so
// from then on, and Kaniko builds nothing of a part.
func (o *order) heirOf(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	if pod.UID == o.begun.Given && (o.begun.Whole || len(pod.OwnerReferences) > 1) {
		return true
	}
	end, ended := podrun.Terminated(pod, kaniko.ContainerKaniko)
	return ended && end.ExitCode == 0 && (pod.UID == o.begun.Given || pod.UID == o.begun.Followed)
}

// decided reports whether an earlier run of the daemon came as far as a build pod that the
// order needs, or farther: whether to build is no question any more.
func (b *Begun) decided() bool { return b.Given != "" || b.Followed != "" || b.Built != nil }

// mine reports whether this order made the pod, in an earlier run of the daemon or with
// an answer that was lost. Nobody else sends it the context.
func (o *order) mine(pod *corev1.Pod) bool {
	return pod.Labels[label.Request] == o.who.ID && podrun.Owned(pod, o.owner.UID)
}

// resume goes on with a pod that this order has made, or followed, in an earlier run of
// the daemon. One whose context broke off with that is of no use.
func (o *order) resume(ctx context.Context, pod *corev1.Pod, as role) (result, error) {
	if as == creator && pod.UID == o.begun.Given {
		return result{}, o.remove(ctx, pod)
	}
	o.builder.shares.take(pod.UID)
	defer o.letGo(pod.Name, pod.UID)
	return o.outcome(ctx, pod, as)
}

// abandon gives up the pod of an earlier run of the daemon that this one has not seen
// through: the order's image was there, or is built in another pod, since a tag of a base
// image means another image now.
func (o *order) abandon() {
	left := o.who.Begun
	if left.Pod == "" {
		return
	}
	o.cleanup("build pod", func(ctx context.Context) error {
		pod, err := o.builder.options.Pods.Pod(ctx, left.Pod)
		if errors.Is(err, podrun.ErrGone) {
			return nil
		}
		if err != nil || pod.UID != left.Given && !o.mine(pod) || o.builder.shares.needed(pod.UID) {
			return err
		}
		return o.builder.options.Pods.Release(ctx, pod.Name, pod.UID, o.owner.UID)
	})
}
