package request

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/fake"

	"kiln/internal/failure"
	"kiln/internal/preflight"
	"kiln/internal/steplog"
)

// TestTooManyImages: a Dockerfile that names more than a build may take is refused
// at the line of the first that is too many, and nobody is asked.
func TestTooManyImages(t *testing.T) {
	var text strings.Builder
	text.WriteString("FROM scratch\n")
	for i := range maxImages + 1 {
		fmt.Fprintf(&text, "COPY --from=image%d /a /a%d\n", i, i)
	}
	file, err := preflight.Parse("Dockerfile", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	s := aStep(t, hostileID, fake.NewClientset()) // without a registry client
	s.asked.Path = "/w/_actions/acme/app/v1/Dockerfile"
	err = s.resolve(t.Context(), &plan{file: file})
	placed, ok := errors.AsType[*steplog.PlacedError](err)
	if !ok || placed.Place.Line != maxImages+2 || failure.Of(err) != failure.UnsupportedInstruction {
		t.Errorf("error = %v", err)
	}
}
