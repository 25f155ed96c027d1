package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kiln/internal/spool"
)

// onlyInside is why something was not looked at from outside.
func (e *examination) onlyInside() string {
	if len(e.pods) == 0 {
		return noPod
	}
	return fmt.Sprintf("kubectl exec -n %s %s -c kiln -- /kilnd doctor looks from inside", e.Namespace, e.self.Name)
}

// exchange looks at the directory that the runner and kiln share.
func (e *examination) exchange(context.Context) []Finding {
	findings := perPod(e.pods, func(pod *corev1.Pod) []Finding { return exchangeFindings(pod, e.settings.Exchange) })
	switch {
	case worst(findings) == Fail:
		return findings
	case len(e.pods) == 0:
		return skip(noPod)
	case !e.inSidecar():
		return orOK(findings, "both containers mount it; "+e.onlyInside())
	}
	seen, err := e.tryExchange()
	if err != nil {
		return append(findings, fail(err.Error(), "mount an emptyDir at "+e.settings.Exchange+" in both containers, without readOnly; /readyz and the log of the container kiln say what the daemon finds")...)
	}
	return orOK(findings, seen)
}

// tryExchange uses the exchange as the daemon does.
func (e *examination) tryExchange() (seen string, err error) {
	exchange, err := spool.Open(e.settings.Exchange)
	if err != nil {
		return "", err
	}
	defer exchange.Close()
	if err := exchange.Writable(); err != nil {
		return "", fmt.Errorf("the exchange cannot be written: %w", err)
	}
	if !exchange.Served() || !exchange.DaemonAlive() {
		return "", fmt.Errorf("no daemon serves the exchange %s", e.settings.Exchange)
	}
	if _, at, err := exchange.Greeting(); err == nil {
		return "shared and served; the runner called the hook last at " + at.UTC().Format(time.RFC3339), nil
	}
	return "mounted by both and served; the runner has not called the hook so far", nil
}

// state looks at the daemon's own directory.
func (e *examination) state(context.Context) []Finding {
	findings := perPod(e.pods, func(pod *corev1.Pod) []Finding { return stateFindings(pod, e.settings.State) })
	switch {
	case len(findings) > 0:
		return findings
	case len(e.pods) == 0:
		return skip(noPod)
	case !e.inSidecar():
		return ok("mounted in the kiln container alone")
	}
	file, err := os.CreateTemp(e.settings.State, ".doctor-*")
	if err != nil {
		return fail("the state cannot be written: "+err.Error(), "mount an emptyDir at "+e.settings.State+" in the container kiln")
	}
	if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
		return fail("the state cannot be written: "+err.Error(), "mount an emptyDir at "+e.settings.State+" in the container kiln")
	}
	return ok("writable, in the kiln container alone")
}

// daemon asks the daemon what it finds wrong itself.
func (e *examination) daemon(ctx context.Context) []Finding {
	if !e.inSidecar() {
		return skip(e.onlyInside())
	}
	_, port, err := net.SplitHostPort(e.settings.Listen)
	if err != nil {
		return skip("KILN_LISTEN is no address")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("127.0.0.1", port)+"/readyz", http.NoBody)
	if err != nil {
		return skip(err.Error())
	}
	// The daemon is in this pod, whatever proxy there is.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fail("the daemon does not answer: "+err.Error(), "read the log of the container kiln; KILN_LISTEN has to be an address of this pod")
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxText))
	text := strings.TrimSpace(string(body))
	if err != nil || text != "ok" {
		return fail("the daemon says: "+text, "do what it says; the log of the container kiln has more")
	}
	return ok("the daemon says ok")
}

// delegate looks at the hook that gets what kiln does not serve.
func (e *examination) delegate(context.Context) []Finding {
	if len(e.pods) == 0 {
		return skip(noPod)
	}
	if e.inSidecar() {
		if exchange, err := spool.Open(e.settings.Exchange); err == nil {
			defer exchange.Close()
			if hello, at, err := exchange.Greeting(); err == nil {
				return greetingFindings(hello, at)
			}
		}
	}
	findings := perPod(e.pods, delegateFindings)
	if worst(findings) != OK {
		return findings
	}
	runner, _ := container(&e.pods[0], containerRunner)
	if _, delegated := variable(runner, envDelegate); !delegated {
		return ok("none: sealed mode")
	}
	if !e.inSidecar() {
		return skip("whether it is there the hook tells once the runner calls it; " + e.onlyInside())
	}
	return skip("whether it is there the hook tells once the runner calls it, and it has not so far")
}

const envDelegate = "KILN_DELEGATE"

// greetingFindings judges what the shim left of the delegate.
func greetingFindings(hello spool.Hello, at time.Time) []Finding {
	when := " (the hook at " + at.UTC().Format(time.RFC3339) + ")"
	switch {
	case hello.Problem != "":
		return fail(hello.Problem+when, "name the stock hook of the runner's image in "+envDelegate+" on the runner container, or unset it for sealed mode")
	case hello.Delegate == "":
		return ok("none: sealed mode" + when)
	}
	return ok(hello.Delegate + " is there" + when)
}

// delegateFindings looks at what a runner pod sets.
func delegateFindings(pod *corev1.Pod) []Finding {
	runner, _ := container(pod, containerRunner)
	value, set := variable(runner, envDelegate)
	switch {
	case set && !path.IsAbs(value):
		return fail(fmt.Sprintf("%s is %q", envDelegate, value), "write the absolute path of the stock hook, such as /home/runner/k8s/index.js")
	case set && path.Ext(value) != ".js" && path.Ext(value) != ".sh":
		return fail(fmt.Sprintf("%s is %q: kiln runs .js and .sh hooks", envDelegate, value), "name the stock hook, such as /home/runner/k8s/index.js")
	}
	return nil
}
