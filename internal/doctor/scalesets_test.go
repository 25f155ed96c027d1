package doctor

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kiln/internal/kube"
	"kiln/internal/podrun"
	"kiln/internal/scaleset"
)

// Lists of the API of the namespace "runners".
const (
	listSets     = "/apis/actions.github.com/v1alpha1/namespaces/runners/autoscalingrunnersets"
	listRunners  = "/apis/actions.github.com/v1alpha1/namespaces/runners/ephemeralrunners"
	listAccounts = "/api/v1/namespaces/runners/serviceaccounts"
	listRoles    = "/apis/rbac.authorization.k8s.io/v1/namespaces/runners/roles"
	listBindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/runners/rolebindings"
)

// outsideOf returns an examination from outside of a cluster that has just these lists.
func outsideOf(t *testing.T, lists map[string]any) *examination {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		items, found := lists[r.URL.Path]
		if code, refused := items.(int); refused || !found {
			if !refused {
				code = http.StatusNotFound
			}
			w.WriteHeader(code)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items})
	}))
	t.Cleanup(server.Close)
	client, err := kube.New(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return &examination{
		Options: Options{Place: Outside, Namespace: "runners"},
		client:  podrun.Client{Kube: client, Namespace: "runners"},
	}
}

// aSet is a scale set of the chart gha-runner-scale-set.
func aSet(name string, kiln bool) scaleSet {
	var s scaleSet
	s.Metadata.Name = name
	s.Metadata.Annotations = map[string]string{
		annotationManagerRole: name + "-gha-rs-manager",
		"actions.github.com/cleanup-no-permission-service-account-name": name + "-gha-rs-no-permission",
	}
	s.Spec.Template.Spec.ServiceAccountName = name + "-gha-rs-no-permission"
	if kiln {
		s.Spec.Template.Spec.ServiceAccountName = "kiln"
		s.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "kiln"}}
	}
	return s
}

// anExperimental is a scale set of the other chart.
func anExperimental(name string, kiln bool) scaleSet {
	s := aSet(name, kiln)
	s.Metadata.Annotations = map[string]string{annotationManagerRole: name + "-manager-role"}
	return s
}

// going marks an object as being deleted, but for the finalizer.
func going(meta metav1.ObjectMeta) metav1.ObjectMeta {
	meta.DeletionTimestamp = new(metav1.NewTime(time.Unix(1e9, 0)))
	meta.Finalizers = []string{cleanupFinalizer}
	return meta
}

// aRunner is a runner with kiln.
func aRunner(phase, message string) runner {
	var r runner
	r.Metadata.Name, r.Metadata.Namespace = "my-set-x-runner-y", "runners"
	r.Spec.Spec = corev1.PodSpec{ServiceAccountName: "kiln", InitContainers: []corev1.Container{{Name: "kiln"}}}
	r.Status.Phase, r.Status.Message = phase, message
	return r
}

func TestScaleSets(t *testing.T) {
	account := func(meta metav1.ObjectMeta) corev1.ServiceAccount { return corev1.ServiceAccount{ObjectMeta: meta} }
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	leaving := aSet("my-set", false)
	leaving.Metadata.DeletionTimestamp = new(metav1.Now())
	without := aRunner("Failed", "no matter")
	without.Spec.Spec.InitContainers = nil
	const lost = `Failed to create the pod: pods "x" is forbidden: error looking up service account runners/kiln: serviceaccount "kiln" not found`
	for name, tt := range map[string]struct {
		lists      map[string]any
		status     Status
		seen, mend string
	}{
		"sound":        {map[string]any{listSets: []scaleSet{aSet("a", true), aSet("b", false)}, listRunners: []runner{aRunner("Running", ""), without}}, OK, "2, of which 1 with kiln", ""},
		"no ARC":       {nil, Skip, "the namespace has no runner scale set", ""},
		"none":         {map[string]any{listSets: []scaleSet{}}, Skip, "the namespace has no runner scale set", ""},
		"not allowed":  {map[string]any{listSets: 403}, Skip, "the runner scale sets cannot be read", ""},
		"runners":      {map[string]any{listSets: []scaleSet{aSet("a", true)}, listRunners: 403}, Skip, "the runners of the scale sets cannot be read", ""},
		"experimental": {map[string]any{listSets: []scaleSet{anExperimental("a", false)}, listRunners: []runner{}}, Fail, "the scale set a is of the chart gha-runner-scale-set-experimental, which ignores the overlay", "with the chart gha-runner-scale-set"},
		"experimental all the same": {
			map[string]any{listSets: []scaleSet{anExperimental("a", true), aSet("b", true)}, listRunners: []runner{}}, Fail, "which kiln does not support", "",
		},
		"experimental beside":   {map[string]any{listSets: []scaleSet{anExperimental("a", false), aSet("b", true)}, listRunners: []runner{}}, Warn, "gha-runner-scale-set-experimental", ""},
		"a runner given up":     {map[string]any{listSets: []scaleSet{aSet("a", true)}, listRunners: []runner{aRunner("Failed", "invalid: x")}}, Fail, "has given the runner my-set-x-runner-y up: invalid: x", "mend what it names; then kubectl delete ephemeralrunner my-set-x-runner-y -n runners"},
		"without its account":   {map[string]any{listSets: []scaleSet{aSet("a", true)}, listRunners: []runner{aRunner("Failed", lost)}}, Fail, `serviceaccount "kiln" not found`, "install kiln's chart, or apply manifests/, which create the service account kiln; then kubectl delete ephemeralrunner"},
		"left behind":           {map[string]any{listAccounts: []corev1.ServiceAccount{account(going(named("my-set-gha-rs-no-permission"))), account(named("kiln"))}}, Fail, "held for ever by the finalizer of Actions Runner Controller, as is the namespace when it is deleted: serviceaccount/my-set-gha-rs-no-permission", "kubectl patch serviceaccount/my-set-gha-rs-no-permission -n runners --type=merge"},
		"left by an upgrade":    {map[string]any{listSets: []scaleSet{aSet("my-set", true)}, listRunners: []runner{}, listAccounts: []corev1.ServiceAccount{account(going(named("my-set-gha-rs-no-permission")))}}, Fail, "my-set-gha-rs-no-permission", "finalizers"},
		"waits for its set":     {map[string]any{listSets: []scaleSet{leaving}, listRunners: []runner{}, listAccounts: []corev1.ServiceAccount{account(going(named("my-set-gha-rs-no-permission")))}}, OK, "1, of which 0 with kiln", ""},
		"of kubernetes mode":    {map[string]any{listRoles: []rbacv1.Role{{ObjectMeta: going(named("a"))}}, listBindings: []rbacv1.RoleBinding{{ObjectMeta: going(named("b"))}}}, Fail, "role/a rolebinding/b", "kubectl patch role/a rolebinding/b -n runners"},
		"of somebody else's":    {map[string]any{listRoles: []rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Name: "a", Finalizers: []string{cleanupFinalizer}}}}}, Skip, "no runner scale set", ""},
		"goes by itself anyway": {map[string]any{listRoles: []rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Name: "a", DeletionTimestamp: new(metav1.Now())}}}}, Skip, "no runner scale set", ""},
	} {
		t.Run(name, func(t *testing.T) {
			findings := outsideOf(t, tt.lists).scaleSets(t.Context())
			wantFinding(t, findings, tt.status, tt.seen, tt.mend)
			if len(findings) != 1 {
				t.Errorf("findings = %+v", findings)
			}
		})
	}
	inside := &examination{Options: Options{Place: Sidecar, Namespace: "runners"}}
	wantFinding(t, inside.scaleSets(t.Context()), Skip, "kilnd doctor --namespace runners from elsewhere does", "")
}

func TestWithoutAPod(t *testing.T) {
	idle := aSet("idle", true)
	idle.Spec.MinRunners = 2
	for name, tt := range map[string]struct {
		sets       []scaleSet
		seen, mend string
	}{
		"nothing is known":  {nil, noPod, "start a job, or set minRunners of the scale set to 1"},
		"no overlay":        {[]scaleSet{aSet("a", false)}, "no scale set of the namespace has the overlay", "give a scale set the overlay"},
		"no runner wanted":  {[]scaleSet{aSet("a", true)}, noPod, "start a job, or set minRunners of the scale set to 1"},
		"a runner is owing": {[]scaleSet{aSet("a", true), idle}, "though minRunners of the scale set idle is 2", "kubectl get ephemeralrunners -n runners"},
	} {
		t.Run(name, func(t *testing.T) {
			e := &examination{Options: Options{Place: Outside, Namespace: "runners"}, sets: tt.sets}
			wantFinding(t, e.withoutPod(), Warn, tt.seen, tt.mend)
		})
	}
}

// TestMissingAccounts: no Role is of use to an account that is not there.
func TestMissingAccounts(t *testing.T) {
	e := outside([]corev1.Pod{*overlaid(t, scaleset.Sealed)}, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "runners"}},
		&corev1.ServiceAccount{ObjectMeta: going(metav1.ObjectMeta{Name: "old-gha-rs-kube-mode", Namespace: "runners"})})
	there, findings := e.present(t.Context(), []string{"kiln", "my-set-gha-rs-kube-mode", "old-gha-rs-kube-mode", "other"})
	if strings.Join(there, " ") != "other" || len(findings) != 3 {
		t.Errorf("there are %v, findings = %+v", there, findings)
	}
	wantFinding(t, findings, Fail, "there is no service account kiln in namespace runners", "install kiln's chart, or apply manifests/")
	wantFinding(t, findings, Fail, "there is no service account my-set-gha-rs-kube-mode", "the chart of the scale set does")
	wantFinding(t, findings, Fail, "the service account old-gha-rs-kube-mode is being deleted", "see what scale-sets says")
	// The fake answers no review with yes, which is of no account that is there.
	all := e.permissions(t.Context())
	wantFinding(t, all, Fail, "there is no service account kiln", "")
	for _, f := range all {
		if strings.Contains(f.Mend, "bind the Role") {
			t.Errorf("finding %+v", f)
		}
	}
}

// TestRefusedCredentials tells a token that is refused from a server that does not answer.
func TestRefusedCredentials(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer server.Close()
	e := &examination{Options: Options{Place: Sidecar, Namespace: "runners", PodName: "my-runner", Cluster: &rest.Config{Host: server.URL}}}
	wantFinding(t, e.kubernetes(t.Context()), Fail, "refuses the token of the kiln container", "kubectl delete ephemeralrunner my-runner -n runners")
	e.Place = Outside
	wantFinding(t, e.kubernetes(t.Context()), Fail, "refuses the credentials of the kubeconfig", "kubectl version")
	server.Close()
	wantFinding(t, e.kubernetes(t.Context()), Fail, "does not answer", "check the kubeconfig")
	e.Place = Sidecar
	wantFinding(t, e.kubernetes(t.Context()), Fail, "does not answer", "network policy")
}
