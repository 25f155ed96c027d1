package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"kiln/internal/registry"
)

// maxRetryAfter is how long the gate waits at most because a registry asks for
// it. Quotas that last for hours are told to the client at once.
const maxRetryAfter = time.Minute

// backoff are the pauses before a registry is asked again.
type backoff []time.Duration

// defaultBackoff has room for a registry that is being replaced.
func defaultBackoff() backoff { return backoff{time.Second, 3 * time.Second, 9 * time.Second} }

// do calls send until its answer is one that asking again does not change, or
// the pauses are used up. What send sends must mean the same when it is sent
// twice.
func (b backoff) do(ctx context.Context, send func() (*http.Response, error)) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		response, err := send()
		delay, again := b.next(attempt, response, err)
		if !again {
			return response, err
		}
		if err == nil {
			discard(response)
		}
		if err := sleep(ctx, delay); err != nil {
			return nil, err
		}
	}
}

// next returns how long to wait before the next attempt, if there is to be one.
func (b backoff) next(attempt int, response *http.Response, err error) (time.Duration, bool) {
	if attempt >= len(b) || err != nil && !temporary(err) || err == nil && !busy(response.StatusCode) {
		return 0, false
	}
	// Builds that start together do not ask again together.
	delay := b[attempt] + rand.N(b[attempt]/4+1)
	if err != nil {
		return delay, true
	}
	after := retryAfter(response.Header)
	return max(delay, after), after <= maxRetryAfter
}

// busy reports whether a status asks for patience.
func busy(status int) bool {
	return slices.Contains([]int{
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}, status)
}

// retryAfter reads the field Retry-After
// (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after).
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 1<<20)) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return time.Until(date)
	}
	return 0
}

// sleep waits, or returns why the client's request ended.
func sleep(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// temporary reports whether a registry may answer if it is asked again.
func temporary(err error) bool {
	if errors.Is(err, errSpent) || errors.Is(err, context.Canceled) {
		return false
	}
	if _, ok := errors.AsType[*registry.SettingsError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*contentError](err); ok {
		return false
	}
	if answered, ok := errors.AsType[*transport.Error](err); ok {
		return answered.Temporary()
	}
	return true
}
