// Package candidate builds Dockerfiles as kiln does, without a cluster: the
// same packages stage the context, check the Dockerfile and make the build
// pod's specification; the executor runs in runc with the arguments and the
// security context of that specification, beside kiln's gate.
//
// It differs from a build pod in that no seccomp profile and no memory limit
// are applied.
package candidate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"kiln/internal/buildcontext"
	"kiln/internal/executor"
	"kiln/internal/gate"
	"kiln/internal/kaniko"
	"kiln/internal/preflight"
	"kiln/internal/registry"
)

// Kiln is what the builds have in common.
type Kiln struct {
	// Executor is the image of the Kaniko executor.
	Executor v1.Image
	// Flavor is which Kaniko that is.
	Flavor executor.Flavor
	// Init is the executor's first process, the program kiln-init.
	Init string
	// Dir is an empty directory for all that builds write.
	Dir string
	// Cgroup is the control group of the executor.
	Cgroup string
	// Registry is the one registry, plain HTTP, that takes pushes and stands
	// for all of Mirrored.
	Registry string
	// Mirrored are the registries that Dockerfiles name.
	Mirrored []string
	// Unchecked builds what kiln refuses for what the executor would make of
	// it.
	Unchecked bool
}

// Refusal says that kiln does not begin to build a Dockerfile.
type Refusal struct{ Err error }

// Error is the message for the author.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns what refused.
func (r *Refusal) Unwrap() error { return r.Err }

// BuildError says that the executor failed.
type BuildError struct {
	// Reason is its last line.
	Reason string
	// Output is all that it and the gate wrote.
	Output string
}

// Error is the reason.
func (e *BuildError) Error() string { return e.Reason }

// Build builds a Dockerfile and pushes the image to a reference of the
// registry. The error is a *Refusal or a *BuildError when the Dockerfile is
// at fault. One build runs at a time: the gate has a fixed address.
func (k *Kiln) Build(ctx context.Context, dockerfile, push string) (err error) {
	work, err := os.MkdirTemp(k.Dir, "source-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	source, err := Stage(dockerfile, filepath.Join(work, "context.tar.gz"))
	if err != nil {
		return err
	}
	return k.BuildSource(ctx, source, push)
}

// BuildSource is [Kiln.Build] of what is staged.
func (k *Kiln) BuildSource(ctx context.Context, source *Source, push string) (err error) {
	work, err := os.MkdirTemp(k.Dir, "build-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	build, head, err := k.accept(ctx, source, push)
	if err != nil {
		return err
	}
	pod, err := kaniko.Pod(build)
	if err != nil {
		return fmt.Errorf("make the build pod: %w", err)
	}
	bundle := filepath.Join(work, "bundle")
	at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == kaniko.ContainerKaniko })
	if err := k.bundle(bundle, pod.Spec.Containers[at]); err != nil {
		return err
	}
	defer func() { err = errors.Join(unix.Unmount(filepath.Join(bundle, "rootfs"), 0), err) }()
	return k.execute(ctx, build, bundle, head, source.Path)
}

// accept checks a Dockerfile and makes the build of it, and what is sent before the
// context.
func (k *Kiln) accept(ctx context.Context, source *Source, push string) (kaniko.Build, *bytes.Buffer, error) {
	parsed, err := preflight.Parse(source.Name, source.Text)
	if err != nil {
		return kaniko.Build{}, nil, &Refusal{err}
	}
	ignore, err := source.Ignore()
	if err != nil {
		return kaniko.Build{}, nil, &Refusal{err}
	}
	looked, err := parsed.Context(ctx, source.Tree, source.Open)
	if err != nil {
		return kaniko.Build{}, nil, &Refusal{err}
	}
	mirrors, err := k.mirrors()
	if err != nil {
		return kaniko.Build{}, nil, err
	}
	var pulls []string
	for _, image := range parsed.Images {
		pulls = append(pulls, image.Reference)
	}
	head, err := k.head(ctx, dockerfileIn{file: parsed, context: looked, ignore: ignore}, mirrors)
	var inspect []string
	if err == nil {
		inspect, err = k.inspections(ctx, parsed, mirrors)
	}
	if err == nil {
		pulls, err = k.pins(ctx, pulls, mirrors)
	}
	return kaniko.Build{
		Name: "parity", Namespace: "parity",
		KanikoImage: "kaniko", GateImage: "kiln",
		Flavor: k.Flavor, Rights: executor.RightsDocker, SnapshotMode: executor.SnapshotFull,
		OwnArgs: parsed.OwnArgs, Push: push, Pulls: pulls, Inspect: inspect,
		Mirrors: mirrors, Insecure: []string{k.Registry},
		Arch: runtime.GOARCH, Deadline: time.Hour, Memory: "2Gi", EphemeralStorage: "10Gi",
	}, head, err
}

// inspections are the layers that the gate looks through, as the daemon has it.
func (k *Kiln) inspections(ctx context.Context, parsed *preflight.File, mirrors registry.Mirrors) ([]string, error) {
	bases, err := k.bases(ctx, parsed, mirrors)
	if err != nil {
		return nil, err
	}
	unpacked, err := parsed.Unpacked(bases)
	if err != nil {
		return nil, &Refusal{err}
	}
	var all []string
	for _, image := range unpacked {
		if k.Unchecked {
			image.Workdir, image.User = "", ""
		}
		all = append(all, gate.Inspection{
			Image: image.Image, Paths: image.Paths, Whiteouts: image.Copied, Workdir: image.Workdir, User: image.User,
		}.String())
	}
	return all, nil
}

// dockerfileIn is a Dockerfile in its context.
type dockerfileIn struct {
	file    *preflight.File
	context *preflight.Context
	ignore  []byte
}

// head packs what stands beside the context. Unchecked, a Dockerfile that is refused
// is sent as it is.
func (k *Kiln) head(ctx context.Context, d dockerfileIn, mirrors registry.Mirrors) (*bytes.Buffer, error) {
	report, err := d.file.Report(k.Flavor.Name, d.context)
	if err != nil && !k.Unchecked {
		return nil, &Refusal{err}
	}
	files := d.file.AsIs(d.ignore)
	if err == nil {
		if files, err = k.send(ctx, d, report, mirrors); err != nil {
			return nil, err
		}
	}
	head := &bytes.Buffer{}
	return head, buildcontext.Head(head, files)
}

// send returns what is sent of a Dockerfile that has a report.
func (k *Kiln) send(ctx context.Context, d dockerfileIn, report *preflight.Report, mirrors registry.Mirrors) ([]buildcontext.File, error) {
	bases, err := k.bases(ctx, d.file, mirrors)
	if err != nil {
		return nil, err
	}
	sent, err := report.Send(bases, d.ignore)
	if err != nil {
		return nil, &Refusal{err}
	}
	if _, err := d.file.Above(k.Flavor.Name, d.context, bases); err != nil && !k.Unchecked {
		return nil, &Refusal{err}
	}
	return sent.Files, nil
}

// bases reads the configuration of base images. One that is not there is refused.
func (k *Kiln) bases(ctx context.Context, parsed *preflight.File, mirrors registry.Mirrors) (map[string]preflight.Base, error) {
	insecure, err := registry.ParseInsecure([]string{k.Registry})
	if err != nil {
		return nil, err
	}
	client := registry.NewClient(registry.ClientConfig{Mirrors: mirrors, Insecure: insecure})
	bases := map[string]preflight.Base{}
	for _, image := range parsed.Images {
		digest, err := client.Resolve(ctx, image.Reference)
		if err != nil {
			return nil, &Refusal{err}
		}
		base, err := client.Base(ctx, image.Reference, digest, runtime.GOARCH)
		if err != nil {
			return nil, &Refusal{err}
		}
		of := preflight.Base{
			Shell: base.Shell, Triggers: base.Triggers, User: base.Start.User,
			Environment: preflight.BaseEnvironment(base.Environment), Env: base.Env,
		}
		bases[image.Reference] = of
		if _, err := parsed.Base(image.Reference, of); err != nil && !k.Unchecked {
			return nil, &Refusal{err}
		}
	}
	return bases, nil
}

// pins names the images as the gate answers for them. Unchecked, what cannot be
// looked up is left to the executor.
func (k *Kiln) pins(ctx context.Context, references []string, mirrors registry.Mirrors) ([]string, error) {
	insecure, err := registry.ParseInsecure([]string{k.Registry})
	if err != nil {
		return nil, err
	}
	client := registry.NewClient(registry.ClientConfig{Mirrors: mirrors, Insecure: insecure})
	pins := slices.Clone(references)
	for i, reference := range references {
		digest, err := client.Resolve(ctx, reference)
		if err != nil {
			continue
		}
		base, err := client.Base(ctx, reference, digest, runtime.GOARCH)
		if err != nil {
			continue
		}
		pinned, same, err := base.Pin(reference)
		if err != nil || !same && !k.Unchecked {
			return nil, &Refusal{errors.Join(err, fmt.Errorf("%s: Kaniko takes another image of the index", reference))}
		}
		pins[i] = pinned
	}
	return pins, nil
}

func (k *Kiln) mirrors() (registry.Mirrors, error) {
	var pairs []string
	for _, host := range k.Mirrored {
		pairs = append(pairs, host+"="+k.Registry)
	}
	return registry.ParseMirrors(pairs)
}

// execute runs the executor beside a gate.
func (k *Kiln) execute(ctx context.Context, build kaniko.Build, bundle string, head *bytes.Buffer, context string) (err error) {
	stop, gateLog, err := startGate(ctx, build)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	in, err := os.Open(context)
	if err != nil {
		return fmt.Errorf("open the context: %w", err)
	}
	defer in.Close()
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "runc", "--root", filepath.Join(k.Dir, "runc"), "run", "--bundle", bundle, "kaniko")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = io.MultiReader(head, in), &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if _, unfit, found := strings.Cut(gateLog(), "\nunfit "); found {
		unfit, _, _ = strings.Cut(unfit, "\n")
		if strings.Contains(unfit, " "+gate.Lacks) {
			return &Refusal{fmt.Errorf("the image %s", unfit)}
		}
		return &Refusal{fmt.Errorf("a layer of the image %s", unfit)}
	}
	if _, failed := errors.AsType[*exec.ExitError](err); failed && ctx.Err() == nil {
		return &BuildError{Reason: lastLine(output.String()), Output: output.String() + gateLog()}
	}
	if err != nil {
		return fmt.Errorf("run the executor: %w", err)
	}
	if !strings.Contains(gateLog(), "\npushed sha256:") {
		return &BuildError{Reason: "the gate saw no push", Output: output.String() + gateLog()}
	}
	return nil
}

// lastLine is what the executor says in the end.
func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}
