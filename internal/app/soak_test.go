package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/app"
	"kiln/internal/kube/kubetest"
	"kiln/internal/podrun"
	"kiln/internal/request"
	"kiln/internal/runnerpod"
	"kiln/internal/spool"
)

// TestSoak has processes of a job do to the exchange what they can, for the time
// that KILN_SOAK says, while kilnd's own handler answers over a cluster in memory.
// The process, attackers included, stays below half of the memory limit that the
// chart gives kilnd, and a step of an honest shim is served in the end.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("KILN_SOAK"))
	if err != nil {
		t.Skip("KILN_SOAK is no duration; make soak sets it")
	}
	dir := t.TempDir()
	exchange := soaked(t, dir)
	eventually(t, exchange.Served)
	end := time.Now().Add(length)
	var most int64
	var attackers sync.WaitGroup
	for range 4 {
		attackers.Go(func() {
			for time.Now().Before(end) {
				attack(dir, exchange)
			}
		})
	}
	for time.Now().Before(end) {
		most = max(most, resident(t))
		time.Sleep(10 * time.Millisecond)
	}
	attackers.Wait()
	limit := chartLimit(t)
	t.Logf("resident at most: %d MiB, limit of the chart: %d MiB", most>>20, limit>>20)
	if most > limit/2 {
		t.Errorf("%d MiB were resident, more than half of %d MiB", most>>20, limit>>20)
	}
	honest, err := exchange.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	if err := honest.Drop(spool.Request{Args: json.RawMessage(`{}`)}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var log bytes.Buffer
		if _, done, err := honest.Result(&log); err != nil || done {
			if !strings.Contains(log.String(), "neither image nor dockerfile is set") {
				t.Errorf("the honest step: %v\n%s", err, log.String())
			}
			honest.Remove()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("an honest step is not answered")
		}
	}
}

// soaked starts kilnd with its own handler over a cluster in memory.
func soaked(t *testing.T, dir string) *spool.Exchange {
	t.Helper()
	s := settings(dir, t.TempDir())
	s.MaxInFlight, s.Prebuild, s.PendingTimeout = 10, 2, time.Second
	state, err := spool.OpenState(s.State)
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: s.PodName, Namespace: "ci", UID: "1"},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "kiln", Image: "kiln"}},
			Containers:     []corev1.Container{{Name: "runner", VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/w/_work"}}}},
			Volumes:        []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}}}},
		},
	}
	pods := podrun.Client{Kube: kubetest.New(pod), Namespace: "ci"}
	operator, err := request.Parse(s, request.Network{})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := request.New(request.Options{
		Operator: operator, State: state, Logger: zap.NewNop(), Pods: pods, Runner: &runnerpod.Reader{Pods: pods, PodName: s.PodName},
	})
	if err != nil {
		t.Fatal(err)
	}
	start(t, app.Options{Settings: s, Handler: handler, Log: zap.NewNop()})
	return open(t, dir)
}

// attack does one of the things that a process of a job can do.
func attack(dir string, exchange *spool.Exchange) {
	const size = 3 << 20
	fill := func(head, unit, tail string) string { return head + strings.Repeat(unit, size/len(unit)) + tail }
	requests := filepath.Join(dir, "requests")
	id := spool.NewID()
	switch rand.N(12) {
	case 0:
		hostile(exchange, fill(`{"systemMountVolumes":[{}`, `,{}`, `]}`))
	case 1:
		hostile(exchange, fill(`{"environmentVariables":{"":null`, `,"":null`, `}}`))
	case 2:
		hostile(exchange, fill(`{"image":"127.0.0.1:1/x","environmentVariables":{"A":"`, `x`, `"}}`))
	case 3:
		hostile(exchange, fill(`{"image":"127.0.0.1:1/x","entryPointArgs":["`, `,\u0022`, `"]}`))
	case 4:
		hostile(exchange, fill("", "[", ""))
	case 5: // a request without a lock, of what is no JSON
		_ = os.Mkdir(filepath.Join(requests, id), 0o700)
		_ = os.WriteFile(filepath.Join(requests, id, "request.json"), make([]byte, size), 0o600)
	case 6: // names that are none, and of what cannot be read
		_ = os.WriteFile(filepath.Join(requests, fmt.Sprint(rand.N(1000))), nil, 0o600)
		_ = syscall.Mkfifo(filepath.Join(requests, id), 0o600)
	case 7:
		_ = os.Chmod(filepath.Join(dir, "cancel"), 0)
	case 8:
		_ = os.Remove(requests) // where it is empty
	case 9:
		_ = os.RemoveAll(filepath.Join(dir, "responses"))
	case 10: // a wish, of a job of its own
		wishFor(exchange, bytes.Repeat([]byte("x"), size))
	case 11: // one that is none
		id = spool.WishID(spool.NewWishJob(), rand.N(spool.MaxWishes))
		_ = os.MkdirAll(filepath.Join(dir, "wishes", id, "nested", "deep"), 0o700)
		_ = os.WriteFile(filepath.Join(dir, "wishes", id, "wish.json"), make([]byte, size), 0o600)
	}
}

// wishFor drops a wish for what is no context.
func wishFor(exchange *spool.Exchange, context []byte) {
	draft, err := exchange.NewWish(spool.WishID(spool.NewWishJob(), rand.N(spool.MaxWishes)))
	if err != nil {
		return
	}
	defer draft.Remove()
	write := func(w io.Writer) error {
		_, err := w.Write(context)
		return err
	}
	if draft.WriteContext(write) == nil {
		_ = draft.Wish(spool.Wish{Dockerfile: "Dockerfile"})
	}
}

// hostile hands a request over and goes away, or waits for an answer a little.
func hostile(exchange *spool.Exchange, args string) {
	draft, err := exchange.NewDraft()
	if err != nil {
		return
	}
	defer draft.Remove()
	if draft.Drop(spool.Request{Args: json.RawMessage(args)}) == nil {
		time.Sleep(rand.N(200 * time.Millisecond))
	}
}

// resident is the memory that this process has, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// chartLimit is the memory limit of the container kiln in the chart, in bytes.
func chartLimit(t *testing.T) int64 {
	t.Helper()
	values, err := os.ReadFile("../../charts/kiln/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)limits:.*?\n +memory: (\d+)Mi`).FindSubmatch(values)
	if found == nil {
		t.Fatal("the chart has no memory limit")
	}
	mebibytes, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return mebibytes << 20
}
