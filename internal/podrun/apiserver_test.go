package podrun

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// apiServer is an HTTP server that speaks enough of the Kubernetes API for one
// pod in namespace "ns": list, watch, log and attach.
type apiServer struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	pod     *corev1.Pod // nil: there is none
	version int
	events  []metav1.WatchEvent
	wake    chan struct{}

	// Each takes a request before the server's own answer; it returns true
	// when it has answered.
	onList, onWatch, onLog, onAttach func(w http.ResponseWriter, r *http.Request) bool
}

// newAPIServer starts a server and returns a real client of it.
func newAPIServer(t *testing.T, pod *corev1.Pod) (*apiServer, Client) {
	t.Helper()
	s := &apiServer{t: t, pod: pod, version: 1, wake: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/ns/pods", s.pods)
	mux.HandleFunc("GET /api/v1/namespaces/ns/pods/{name}/log", func(w http.ResponseWriter, r *http.Request) { s.take(s.onLog, w, r) })
	mux.HandleFunc("/api/v1/namespaces/ns/pods/{name}/attach", func(w http.ResponseWriter, r *http.Request) { s.take(s.onAttach, w, r) })
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	client, err := NewClient(&rest.Config{Host: s.server.URL}, "ns")
	if err != nil {
		t.Fatal(err)
	}
	return s, client
}

func (s *apiServer) take(on func(http.ResponseWriter, *http.Request) bool, w http.ResponseWriter, r *http.Request) bool {
	return on != nil && on(w, r)
}

// pods answers lists and watches.
func (s *apiServer) pods(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("watch") == "" {
		if !s.take(s.onList, w, r) {
			s.list(w)
		}
		return
	}
	if !s.take(s.onWatch, w, r) {
		s.watch(w, r)
	}
}

func (s *apiServer) list(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := corev1.PodList{
		TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"},
		ListMeta: metav1.ListMeta{ResourceVersion: fmt.Sprint(s.version)},
	}
	if s.pod != nil {
		list.Items = append(list.Items, *s.pod)
	}
	s.encode(w, list)
}

// watch streams the events after the resource version asked for.
func (s *apiServer) watch(w http.ResponseWriter, r *http.Request) {
	var from int
	_, _ = fmt.Sscan(r.URL.Query().Get("resourceVersion"), &from)
	next := from - 1
	for {
		s.mu.Lock()
		events, wake := s.events[min(next, len(s.events)):], s.wake
		s.mu.Unlock()
		for _, event := range events {
			s.encode(w, event)
			next++
		}
		w.(http.Flusher).Flush()
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		}
	}
}

func (s *apiServer) encode(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.t.Logf("answer: %v", err)
	}
}

// change alters the pod and tells the watches.
func (s *apiServer) change(alter func(*corev1.Pod)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.pod.DeepCopy()
	alter(next)
	s.pod = next
	s.publish("MODIFIED", next)
}

// add creates the pod.
func (s *apiServer) add(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pod = pod
	s.publish("ADDED", pod)
}

// remove deletes the pod.
func (s *apiServer) remove() {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.pod
	s.pod = nil
	s.publish("DELETED", last)
}

// publish records an event; mu is held.
func (s *apiServer) publish(kind string, pod *corev1.Pod) {
	s.version++
	event := metav1.WatchEvent{Type: kind}
	event.Object.Object = pod.DeepCopy()
	s.events = append(s.events, event)
	close(s.wake)
	s.wake = make(chan struct{})
}

// refuse answers with a Status as the API server does.
func refuse(w http.ResponseWriter, code int32, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(code))
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	})
}

// abort breaks the connection in the middle of a response.
func abort() { panic(http.ErrAbortHandler) }

// aPod is a pending pod with one container "job".
func aPod(uid types.UID) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: uid},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "job", Image: "img"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodPending},
	}
}

// runs puts the container into its running state.
func runs(p *corev1.Pod) {
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "job", ContainerID: "containerd://1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
}

// exits puts the container into a terminated state.
func exits(code int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		runs(p)
		p.Status.Phase = corev1.PodSucceeded
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, ContainerID: "containerd://1",
		}}
	}
}

// with applies changes to a pod.
func with(p *corev1.Pod, changes ...func(*corev1.Pod)) *corev1.Pod {
	for _, change := range changes {
		change(p)
	}
	return p
}

// contains fails the test unless err's text has every part.
func contains(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error = %v, want one with %q", err, part)
		}
	}
}
