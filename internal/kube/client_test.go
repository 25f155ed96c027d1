package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kiln/internal/kube"
)

// server notes each request and answers it with an object, or with what it was sent.
type server struct {
	decoder runtime.Decoder
	answer  any // the object; nil is what was sent

	mu    sync.Mutex
	asked string
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = r.Method + " " + r.URL.RequestURI()
	answer := s.answer
	if r.Method == http.MethodPatch {
		s.asked += " " + r.Header.Get("Content-Type") + " " + string(body)
	} else if err == nil && len(body) > 0 {
		var sent runtime.Object
		var kind *schema.GroupVersionKind
		if sent, kind, err = s.decoder.Decode(body, nil, nil); err == nil {
			s.asked += " " + kind.String()
		}
		if answer == nil {
			answer = sent
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if line, ok := answer.(string); ok {
		_, _ = io.WriteString(w, line)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// serve returns a server and its client.
func serve(t *testing.T, answer any) (*server, kube.Interface) {
	t.Helper()
	s := &server{decoder: serializer.NewCodecFactory(kube.NewScheme()).UniversalDeserializer(), answer: answer}
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	client, err := kube.New(&rest.Config{Host: listening.URL})
	if err != nil {
		t.Fatal(err)
	}
	return s, client
}

// named is the metadata of an object.
func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

// getOf gets o of a resource and tells its name.
func getOf[T any, L any, P interface {
	*T
	metav1.Object
}](ctx context.Context, of kube.Objects[T, L]) (string, error) {
	found, err := of.Get(ctx, "o", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return P(found).GetName(), nil
}

// TestResources asks for one object of each kind: its path, and that the answer is read.
func TestResources(t *testing.T) {
	tests := map[string]struct {
		get    func(context.Context, kube.Interface) (string, error)
		answer any
	}{
		"/api/v1/namespaces/ns/pods/o":        {func(ctx context.Context, k kube.Interface) (string, error) { return getOf(ctx, k.Pods("ns")) }, &corev1.Pod{ObjectMeta: named("o")}},
		"/apis/batch/v1/namespaces/ns/jobs/o": {func(ctx context.Context, k kube.Interface) (string, error) { return getOf(ctx, k.Jobs("ns")) }, &batchv1.Job{ObjectMeta: named("o")}},
		"/api/v1/namespaces/ns/secrets/o":     {func(ctx context.Context, k kube.Interface) (string, error) { return getOf(ctx, k.Secrets("ns")) }, &corev1.Secret{ObjectMeta: named("o")}},
		"/api/v1/namespaces/ns/configmaps/o":  {func(ctx context.Context, k kube.Interface) (string, error) { return getOf(ctx, k.ConfigMaps("ns")) }, &corev1.ConfigMap{ObjectMeta: named("o")}},
		"/api/v1/namespaces/ns/events/o":      {func(ctx context.Context, k kube.Interface) (string, error) { return getOf(ctx, k.Events("ns")) }, &corev1.Event{ObjectMeta: named("o")}},
		"/api/v1/namespaces/ns/serviceaccounts/o": {func(ctx context.Context, k kube.Interface) (string, error) {
			return getOf(ctx, k.ServiceAccounts("ns"))
		}, &corev1.ServiceAccount{ObjectMeta: named("o")}},
		"/apis/rbac.authorization.k8s.io/v1/namespaces/ns/roles/o":        {func(ctx context.Context, k kube.Interface) (string, error) { return getOf(ctx, k.Roles("ns")) }, &rbacv1.Role{ObjectMeta: named("o")}},
		"/apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings/o": {func(ctx context.Context, k kube.Interface) (string, error) { return getOf(ctx, k.RoleBindings("ns")) }, &rbacv1.RoleBinding{ObjectMeta: named("o")}},
		"/api/v1/nodes/o": {func(ctx context.Context, k kube.Interface) (string, error) { return getOf(ctx, k.Nodes()) }, &corev1.Node{ObjectMeta: named("o")}},
	}
	for path, tt := range tests {
		t.Run(path, func(t *testing.T) {
			s, client := serve(t, tt.answer)
			name, err := tt.get(t.Context(), client)
			if err != nil || name != "o" || s.asked != "GET "+path {
				t.Errorf("asked %s, got %q, %v", s.asked, name, err)
			}
		})
	}
}

// TestVerbs holds each call to the request that the API server knows.
func TestVerbs(t *testing.T) {
	wait := int64(7)
	tests := map[string]struct {
		call func(context.Context, kube.Interface) error
		want string
	}{
		"create": {func(ctx context.Context, k kube.Interface) error {
			_, err := k.Pods("ns").Create(ctx, &corev1.Pod{ObjectMeta: named("p")}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}, "POST /api/v1/namespaces/ns/pods?dryRun=All /v1, Kind=Pod"},
		"create a Job": {func(ctx context.Context, k kube.Interface) error {
			_, err := k.Jobs("ns").Create(ctx, &batchv1.Job{ObjectMeta: named("j")}, metav1.CreateOptions{})
			return err
		}, "POST /apis/batch/v1/namespaces/ns/jobs batch/v1, Kind=Job"},
		"review": {func(ctx context.Context, k kube.Interface) error {
			_, err := k.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{}, metav1.CreateOptions{})
			return err
		}, "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews authorization.k8s.io/v1, Kind=SelfSubjectAccessReview"},
		"review of another": {func(ctx context.Context, k kube.Interface) error {
			_, err := k.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{}, metav1.CreateOptions{})
			return err
		}, "POST /apis/authorization.k8s.io/v1/subjectaccessreviews authorization.k8s.io/v1, Kind=SubjectAccessReview"},
		"list": {func(ctx context.Context, k kube.Interface) error {
			_, err := k.Pods("ns").List(ctx, metav1.ListOptions{LabelSelector: "a=b", TimeoutSeconds: &wait})
			return err
		}, "GET /api/v1/namespaces/ns/pods?labelSelector=a%3Db&timeout=7s&timeoutSeconds=7"},
		"patch": {func(ctx context.Context, k kube.Interface) error {
			_, err := k.Pods("ns").Patch(ctx, "p", types.StrategicMergePatchType, []byte("{}"), metav1.PatchOptions{})
			return err
		}, "PATCH /api/v1/namespaces/ns/pods/p application/strategic-merge-patch+json {}"},
		"delete": {func(ctx context.Context, k kube.Interface) error {
			return k.Jobs("ns").Delete(ctx, "j", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{}})
		}, "DELETE /apis/batch/v1/namespaces/ns/jobs/j batch/v1, Kind=DeleteOptions"},
		"log": {func(ctx context.Context, k kube.Interface) error {
			log, err := k.PodLog(ctx, "ns", "p", &corev1.PodLogOptions{Container: "c", Follow: true})
			if err == nil {
				err = log.Close()
			}
			return err
		}, "GET /api/v1/namespaces/ns/pods/p/log?container=c&follow=true"},
		"raw": {func(ctx context.Context, k kube.Interface) error {
			_, err := k.Raw(ctx, "/apis/g/v1/namespaces/ns/things")
			return err
		}, "GET /apis/g/v1/namespaces/ns/things"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, client := serve(t, nil)
			if strings.HasPrefix(tt.want, "GET") || strings.HasPrefix(tt.want, "PATCH") {
				s.answer = &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}}
			}
			if name == "list" {
				s.answer = &corev1.PodList{}
			}
			if name == "delete" {
				s.answer = &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}}
			}
			if err := tt.call(t.Context(), client); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, s.asked); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWatch reads the events of a watch.
func TestWatch(t *testing.T) {
	s, client := serve(t, `{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"}}}`)
	events, err := client.Pods("ns").Watch(t.Context(), metav1.ListOptions{ResourceVersion: "5"})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	event := <-events.ResultChan()
	pod, ok := event.Object.(*corev1.Pod)
	if !ok || pod.Name != "p" || s.asked != "GET /api/v1/namespaces/ns/pods?resourceVersion=5&watch=true" {
		t.Errorf("asked %s, event %v", s.asked, event)
	}
}

// TestRefused keeps the API server's answer as it came.
func TestRefused(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods is forbidden: quota","reason":"Forbidden","code":403}`)
	}))
	defer refusing.Close()
	client, err := kube.New(&rest.Config{Host: refusing.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Pods("ns").Create(t.Context(), &corev1.Pod{}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || err.Error() != "pods is forbidden: quota" {
		t.Errorf("refused with %v", err)
	}
}

// TestServerVersion reads the release, and says what it could not read.
func TestServerVersion(t *testing.T) {
	s, client := serve(t, `{"gitVersion":"v1.33.1"}`)
	release, err := client.ServerVersion()
	if err != nil || release != "v1.33.1" || s.asked != "GET /version" {
		t.Errorf("asked %s, release %q, %v", s.asked, release, err)
	}
	_, client = serve(t, `<html>`)
	if _, err := client.ServerVersion(); err == nil || !strings.Contains(err.Error(), "read the API server's release") {
		t.Errorf("no release: %v", err)
	}
}

// TestAttachURL names the container, and the one stream that kiln attaches.
func TestAttachURL(t *testing.T) {
	client, err := kube.New(&rest.Config{Host: "https://cluster:6443/prefix"})
	if err != nil {
		t.Fatal(err)
	}
	got := client.AttachURL("ns", "p", &corev1.PodAttachOptions{Container: "c", Stdin: true}).String()
	if want := "https://cluster:6443/prefix/api/v1/namespaces/ns/pods/p/attach?container=c&stdin=true"; got != want {
		t.Errorf("attach at %s, want %s", got, want)
	}
}

// TestNewRefusesConfig hands on what is wrong with a configuration.
func TestNewRefusesConfig(t *testing.T) {
	for name, config := range map[string]*rest.Config{
		"a certificate that is none": {Host: "https://cluster", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("x"), CertData: []byte("x"), KeyData: []byte("x")}},
		"an address that is none":    {Host: "https://%zz"},
	} {
		if _, err := kube.New(config); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
