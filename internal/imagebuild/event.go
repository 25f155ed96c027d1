package imagebuild

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Events of a build.
type (
	// podChanged has a new state of the pod.
	podChanged struct{ pod *corev1.Pod }
	// watchEnded is the end of the watch.
	watchEnded struct{ err error }
	// gateSaid is a line of the gate's log.
	gateSaid struct{ line string }
	// gateUnread says that the gate's log cannot be read any further.
	gateUnread struct{ err error }
	// gateLooked has how the pod is of a gate whose log cannot be read.
	gateLooked struct{ over bool }
	// contextSent is the end of sending the context; the error is [podrun.ErrNotYet]
	// where Kaniko did not take it.
	contextSent struct{ err error }
	// knockTime has come to try whether Kaniko takes it.
	knockTime struct{}
	// kanikoSaid is something that Kaniko's log says once.
	kanikoSaid struct{ what saying }
	// joined is the outcome of becoming an owner.
	joined struct{ err error }
	// explained is the outcome of asking why the pod does not start.
	explained struct{ err error }
	// ticked comes every now and then, late once a phase took too long, and graceOver
	// once a finished build has had its time.
	ticked    struct{}
	late      struct{}
	graceOver struct{}
	// cancelled is the end of whoever waits for the build.
	cancelled struct{ cause error }
)

// act is something to be done.
type act int

const (
	followGate   act = iota // read the gate's log
	followKaniko            // show Kaniko's log
	sendContext
	knock       // send the context if Kaniko takes it
	setKnock    // the time for that
	forgetGiven // the pod has got nothing of the context
	joinOwners  // become an owner of the pod
	lookAtGate  // see how the pod is
	explain     // ask why the pod does not start
	beat        // say that a silent build goes on
	say         // a line in the author's log
	tellDenied  // of what the gate refused
	tellSent    // that the context was sent
	markWork    // the build goes on by itself from now on
	markBuilt
	setDeadline // of the phase
	setGrace
	removePod // it is in the way; that is how the build ends
	closeLog  // of Kaniko, whose build is done
)

// effect is an act with what it is done with.
type effect struct {
	act   act
	text  string
	after time.Duration
}
