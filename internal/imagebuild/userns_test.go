package imagebuild

import (
	"errors"
	"testing"

	"kiln/internal/config"
	"kiln/internal/failure"
	"kiln/internal/kaniko"
	"kiln/internal/kube/kubetest"
	"kiln/internal/podwait"
	"kiln/internal/preflight"
	"kiln/internal/steplog"
)

func usersOrder(t *testing.T, mode, dockerfile string) *order {
	t.Helper()
	o, _ := anOrder(kubetest.New())
	o.builder.options.Settings.BuildUserns = mode
	file, err := preflight.Parse("Dockerfile", []byte(dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	o.plan.file = file
	return o
}

const (
	plainBuild  = "FROM a\nRUN make\n"
	deviceBuild = "FROM a\nRUN make\nRUN mknod /null c 1 3\n"
)

func TestOwnUsers(t *testing.T) {
	for name, tt := range map[string]struct {
		mode, dockerfile string
		cluster          bool
		want             bool
	}{
		"auto, a cluster that has them":    {config.UsernsAuto, plainBuild, true, true},
		"auto, another":                    {config.UsernsAuto, plainBuild, false, false},
		"auto, a Dockerfile makes devices": {config.UsernsAuto, deviceBuild, true, false},
		"on":                               {config.UsernsOn, plainBuild, false, true},
		"off":                              {config.UsernsOff, plainBuild, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := usersOrder(t, tt.mode, tt.dockerfile)
			o.builder.users.known, o.builder.users.have = true, tt.cluster
			if got, err := o.ownUsers(); got != tt.want || err != nil {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
	o := usersOrder(t, config.UsernsOn, deviceBuild)
	_, err := o.ownUsers()
	if placed, ok := errors.AsType[*steplog.PlacedError](err); !ok || placed.Place.Line != 3 || failure.Of(err) != failure.UnsupportedInstruction {
		t.Errorf("a device where all builds have one: %v", err)
	}
}

// A probe that fails is repeated; a node that refuses settles it.
func TestUsersMemo(t *testing.T) {
	var m usersMemo
	asked := 0
	answer := func(have bool, err error) func() (bool, error) {
		return func() (bool, error) { asked++; return have, err }
	}
	if m.ask(answer(false, errors.New("away"))) || !m.ask(answer(true, nil)) || !m.ask(answer(false, nil)) || asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	if m.refuse(); m.ask(answer(true, nil)) {
		t.Error("a refusal is forgotten")
	}
}

func TestWithoutUsers(t *testing.T) {
	for name, tt := range map[string]struct {
		mode  string
		own   bool // the settings gave the pod one, not the operator's template
		again bool
	}{
		"auto": {config.UsernsAuto, true, true}, "of the template": {config.UsernsAuto, false, false}, "on": {config.UsernsOn, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := usersOrder(t, tt.mode, plainBuild)
			o.plan.users = tt.own
			pod := buildSpec()
			pod.Spec.HostUsers = new(false)
			err := failure.New(failure.NotStarted, "%w: no", podwait.ErrNoUsers)
			again, renamed := o.withoutUsers(pod, err)
			if again != tt.again || renamed != nil {
				t.Fatalf("again %v, %v", again, renamed)
			}
			if name, err := kaniko.Name(pod); again && (pod.Spec.HostUsers != nil || pod.Name != name || o.plan.users || o.builder.users.ask(nil)) {
				t.Errorf("the next pod is %s, %v", pod.Name, err)
			}
		})
	}
	o := usersOrder(t, config.UsernsOn, plainBuild)
	o.plan.users = true
	if err := o.usersDropped(buildSpec()); failure.Of(err) != failure.Misconfigured {
		t.Errorf("an API server that drops the field: %v", err)
	}
}
