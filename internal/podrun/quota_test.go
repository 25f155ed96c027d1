package podrun

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestQuotaFull(t *testing.T) {
	forbidden := func(text string) error {
		return fmt.Errorf("create: %w", apierrors.NewForbidden(podsResource, "p", errors.New(text)))
	}
	for name, tt := range map[string]struct {
		err    error
		reason string
		never  bool
	}{
		"full":          {forbidden("exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3"), "the cluster refuses the pod: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3; raise the ResourceQuota of namespace ci", false},
		"full of two":   {forbidden("exceeded quota: q, requested: limits.memory=2Gi,pods=1, used: limits.memory=3Gi,pods=3, limited: limits.memory=4Gi,pods=3"), "exceeded quota: q", false},
		"never enough":  {forbidden("exceeded quota: q, requested: limits.memory=2112Mi, used: limits.memory=0, limited: limits.memory=1Gi"), "exceeded quota: q", true},
		"never by one":  {forbidden("exceeded quota: q, requested: limits.memory=2112Mi,pods=1, used: limits.memory=0,pods=1, limited: limits.memory=1Gi,pods=9"), "exceeded quota: q", true},
		"none at all":   {forbidden("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"), "exceeded quota: q", true},
		"other words":   {forbidden("exceeded quota: q"), "exceeded quota: q", false},
		"values unset":  {forbidden("failed quota: q: must specify limits.memory for: kaniko"), "", false},
		"no right":      {forbidden(`User "x" cannot create resource "pods"`), "", false},
		"another error": {io.ErrUnexpectedEOF, "", false},
		"none":          {nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			reason, never := Client{Namespace: "ci"}.QuotaFull(tt.err)
			if !strings.Contains(reason, tt.reason) || (tt.reason == "") != (reason == "") || never != tt.never {
				t.Errorf("got %q, %v; want %q, %v", reason, never, tt.reason, tt.never)
			}
		})
	}
}
