package jobrun_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kiln/internal/agent"
	"kiln/internal/job"
	"kiln/internal/podtest"
)

// late is a job container of which the node says after a minute that it runs.
func late(life *podtest.Life) {
	if life.Wait(time.Minute) {
		life.Start(job.ContainerName)
		<-life.Deleted()
	}
}

// TestEntered: a job is prepared as soon as the shim is in its container, which it
// proves by the mark of the agent there; that of another pod's proves nothing.
func TestEntered(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(secret []byte) []byte
		took    time.Duration
		address string
	}{
		"this pod":    {func(secret []byte) []byte { return secret }, 0, ""},
		"another pod": {func([]byte) []byte { return []byte("another secret") }, time.Minute, podtest.IP + ":8177"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, late, nil)
				call := s.call("request-1")
				call.Entered = func() string {
					pods := s.cluster.Pods()
					if len(pods) == 0 {
						return ""
					}
					secret, err := s.client.Kube.Secrets("ci").Get(t.Context(), pods[0].Name, metav1.GetOptions{})
					if err != nil {
						t.Error(err)
						return ""
					}
					return agent.MarkOf(tt.change(secret.Data["door"])).String()
				}
				began := time.Now()
				text, err := s.runner.Prepare(t.Context(), call, debian(), shim())
				if err != nil {
					t.Fatal(err)
				}
				var response job.Response
				if err := json.Unmarshal(text, &response); err != nil {
					t.Fatal(err)
				}
				if got := response.State.Kiln.Address; got != tt.address {
					t.Errorf("address %q, want %q", got, tt.address)
				}
				if took := time.Since(began); took < tt.took || took > tt.took+time.Second {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				s.runner.Cleanup(t.Context(), s.call("request-2"))
			})
		})
	}
}
