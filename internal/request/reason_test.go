package request

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/failure"
	"kiln/internal/steplog"
)

// Who ended a build decides whether it is tried again, and which line of the
// Dockerfile is told.
func TestReasons(t *testing.T) {
	stage, run := says("Building stage 'base:1' [idx: '0', base-idx: '-1']"), says("RUN make")
	for name, tt := range map[string]struct {
		end    corev1.ContainerStateTerminated
		log    []string
		adjust func(*build)
		failed func(*build) error
		reason failure.Reason
		says   string
	}{
		"evicted for the node": {
			adjust: status("Evicted", "The node was low on resource: memory."),
			failed: func(b *build) error { return b.taken("Evicted: The node was low on resource: memory.") },
			reason: failure.Evicted, says: "::error::the build was ended by the cluster: Evicted: The node was low",
		},
		"over its own limit": {
			log:    []string{stage, run},
			adjust: status("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."),
			failed: func(b *build) error { return b.taken("Evicted: over") },
			reason: failure.DiskFull, says: "::error file=ci/Dockerfile,line=2::ci/Dockerfile:2: the build wrote more than it may (Evicted: over): raise KILN_BUILD_STORAGE",
		},
		"killed while the context was on its way": {
			end:    corev1.ContainerStateTerminated{ExitCode: exitKilled, Reason: "Error"},
			adjust: func(b *build) { b.cut = failure.New(failure.ContextTransport, "cut after 3 bytes") },
			failed: (*build).failure, reason: failure.ContextTransport, says: "::error::cut after 3 bytes",
		},
		"a broken stream, and a reason of its own": {
			end:    corev1.ContainerStateTerminated{ExitCode: exitKilled, Reason: "OOMKilled"},
			adjust: func(b *build) { b.cut = failure.New(failure.ContextTransport, "cut after 3 bytes") },
			failed: (*build).failure, reason: failure.OutOfMemory, says: "KILN_BUILD_MEMORY",
		},
		"what the gate knows of the registry": {
			end:    corev1.ContainerStateTerminated{ExitCode: 1},
			log:    []string{"error pushing image: failed to push to destination 127.0.0.1:5001/a/b:t: HEAD http://127.0.0.1:5001/v2/x: unexpected status code 502 Bad Gateway\n"},
			adjust: func(b *build) { b.hear(t.Context(), "# registry r.example.com: connection refused") },
			failed: (*build).failure, reason: failure.RegistryUnreachable, says: "502 Bad Gateway (registry r.example.com: connection refused)",
		},
		"files left out": {
			log:    []string{stage, run, `{"level":"error","msg":"Couldn't eval /x with link /x","time":"t"}` + "\n", says("COPY a b")},
			failed: (*build).incomplete, reason: failure.UnsupportedInstruction, says: "line=2::ci/Dockerfile:2: the image would lack files",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := failedBuild(t, tt.end, tt.log...)
			if tt.adjust != nil {
				tt.adjust(b)
			}
			err := tt.failed(b)
			var out strings.Builder
			steplog.New(&out, "", false).Error(err)
			if got := strings.TrimSuffix(out.String(), "\n"); failure.Of(err) != tt.reason || !strings.Contains(got, tt.says) || !strings.HasSuffix(got, " "+tt.reason.Mark()) {
				t.Errorf("got  %s\nwant …%s… %s", got, tt.says, tt.reason.Mark())
			}
		})
	}
}

// status is how the kubelet marks a pod that it ended.
func status(reason, message string) func(*build) {
	return func(b *build) {
		b.pod.Status.Phase, b.pod.Status.Reason, b.pod.Status.Message = corev1.PodFailed, reason, message
	}
}

// The log of a build is told to be incomplete as soon as Kaniko says so, and
// once.
func TestIncompleteIsHeard(t *testing.T) {
	b := failedBuild(t, corev1.ContainerStateTerminated{})
	line := []byte(`{"level":"error","msg":"Couldn't eval /x with link /x","time":"t"}` + "\n")
	select {
	case <-b.output.incomplete:
		t.Error("incomplete before anything was said")
	default:
	}
	if err := errors.Join(b.output.sink(line), b.output.sink(line)); err != nil {
		t.Fatal(err)
	}
	<-b.output.incomplete
}
