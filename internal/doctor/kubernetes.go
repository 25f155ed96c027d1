package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/rest"
)

// OldestKubernetes is the oldest release that kiln supports: native sidecars are
// on by default from it on
// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
const OldestKubernetes = "1.29"

// clockReading is what another clock said, and when; At is zero where it said
// nothing.
type clockReading struct {
	Says, At time.Time
}

// behind is how much this machine's clock is behind the other; both are read to
// a second.
func (c clockReading) behind() time.Duration { return c.Says.Sub(c.At) }

// kubernetes reaches the API server and looks at its release.
func (e *examination) kubernetes(ctx context.Context) []Finding {
	release, server, err := ask(ctx, e.Cluster)
	e.server = server
	if err != nil {
		return e.unanswered(err)
	}
	findings := kubernetesFindings(release)
	if worst(findings) == OK && !e.inSidecar() {
		return append(findings, e.nodes(ctx)...)
	}
	return findings
}

// errUnauthorized is the answer to credentials that the API server does not take.
var errUnauthorized = errors.New("GET /version: 401 Unauthorized")

// unanswered says what to do where the API server does not tell its release.
func (e *examination) unanswered(err error) []Finding {
	refused := errors.Is(err, errUnauthorized)
	switch {
	case refused && e.inSidecar():
		return fail("the API server refuses the token of the kiln container: the service account of the runner pod was deleted, or made anew, after the pod had started",
			fmt.Sprintf("see that it is there (sealed mode: install kiln's chart), then kubectl delete ephemeralrunner %s -n %s, which makes room for a new runner; within an hour the kubelet brings a new token too", e.PodName, e.Namespace))
	case refused:
		return fail("the API server refuses the credentials of the kubeconfig", "log in to the cluster anew: kubectl version has to work")
	case e.inSidecar():
		return fail("the API server does not answer: "+err.Error(), "mount a service account token in the kiln container, as the overlay does; a network policy must let the runner pods reach the API server")
	}
	return fail("the API server does not answer: "+err.Error(), "check the kubeconfig and its context, with kubectl version")
}

// nodes looks for kubelets that are older than the API server may hide: they run
// the sidecar. Whoever may not list nodes is told nothing.
func (e *examination) nodes(ctx context.Context) []Finding {
	list, err := e.client.Kube.Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	return nodeFindings(list.Items)
}

func nodeFindings(nodes []corev1.Node) []Finding {
	var old []string
	for i := range nodes {
		kubelet := nodes[i].Status.NodeInfo.KubeletVersion
		have, err := version.ParseGeneric(kubelet)
		if err == nil && have.LessThan(version.MustParseGeneric(OldestKubernetes)) {
			old = append(old, nodes[i].Name+" ("+kubelet+")")
		}
	}
	if len(old) == 0 {
		return nil
	}
	return fail("these nodes are older than "+OldestKubernetes+" and run no native sidecars: "+strings.Join(old, ", "),
		"upgrade them to "+OldestKubernetes+" or newer, or keep runner pods off them with a nodeSelector of the scale set")
}

// Reach asks the API server for its release, and returns why there is no answer.
func Reach(ctx context.Context, cluster *rest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, shortLimit)
	defer cancel()
	_, _, err := ask(ctx, cluster)
	return err
}

// ask asks the API server for its release, and reads its clock.
func ask(ctx context.Context, cluster *rest.Config) (release string, server clockReading, err error) {
	client, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return "", server, err
	}
	base, _, err := rest.DefaultServerUrlFor(cluster)
	if err != nil {
		return "", server, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("version").String(), http.NoBody)
	if err != nil {
		return "", server, err
	}
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return "", server, err
	}
	defer response.Body.Close()
	server = reading(response.Header.Get("Date"), time.Since(began)/2)
	if response.StatusCode == http.StatusUnauthorized {
		return "", server, errUnauthorized
	}
	if response.StatusCode != http.StatusOK {
		return "", server, fmt.Errorf("GET /version: %s", response.Status)
	}
	var answer struct {
		GitVersion string `json:"gitVersion"`
	}
	err = json.NewDecoder(http.MaxBytesReader(nil, response.Body, 1<<20)).Decode(&answer)
	return answer.GitVersion, server, err
}

// reading takes the time from a header Date, of an answer that was trip on its
// way.
func reading(date string, trip time.Duration) clockReading {
	says, err := http.ParseTime(date)
	if err != nil {
		return clockReading{}
	}
	return clockReading{Says: says, At: time.Now().Add(-trip)}
}

// kubernetesFindings judges a release, such as "v1.34.1+k3s1".
func kubernetesFindings(release string) []Finding {
	have, err := version.ParseGeneric(release)
	if err != nil {
		return warn(fmt.Sprintf("Kubernetes calls its release %q", release), "kiln needs "+OldestKubernetes+" or newer: compare by hand")
	}
	if have.LessThan(version.MustParseGeneric(OldestKubernetes)) {
		return fail("Kubernetes is "+release+", and kiln is a native sidecar, which older clusters than "+OldestKubernetes+" do not run",
			"upgrade the cluster to "+OldestKubernetes+" or newer")
	}
	return ok("Kubernetes " + release)
}

// Differences of clocks from which on kiln warns, and from which on tokens and
// certificates are refused.
const (
	clockWarn = 30 * time.Second
	clockFail = 5 * time.Minute
)

// clocks compares this machine's clock with the API server's and the registry's.
func (e *examination) clocks(context.Context) []Finding {
	return clockFindings(e.server, e.clock)
}

func clockFindings(server, registry clockReading) []Finding {
	var findings []Finding
	compared := 0
	for _, other := range []struct {
		name    string
		reading clockReading
	}{{"the API server", server}, {"the registry", registry}} {
		if other.reading.At.IsZero() {
			continue
		}
		compared++
		findings = append(findings, clockFinding(other.name, other.reading.behind())...)
	}
	if compared == 0 {
		return skip("neither the API server nor the registry tells the time")
	}
	return orOK(findings, "within "+clockWarn.String()+" of what the other side says")
}

func clockFinding(name string, behind time.Duration) []Finding {
	word := "behind"
	off := behind
	if off < 0 {
		word, off = "ahead of", -off
	}
	if off < clockWarn {
		return nil
	}
	status := Warn
	if off >= clockFail {
		status = Fail
	}
	return one(status, fmt.Sprintf("this machine's clock is %s %s %s", off.Round(time.Second), word, name),
		"synchronize the clocks of the nodes and of the registry (NTP): tokens, certificates and the age of images depend on them")
}
