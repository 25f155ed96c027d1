package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"kiln/internal/registry"
)

// checkManifest returns the rule that a manifest breaks. Registries do not agree
// on what they read first, the media type or the members, so both must say
// that this is an image and nothing else. A subject would attach the manifest
// to another image.
func checkManifest(body []byte, mediaType string) string {
	members, reason := readObject(body, "the manifest", "schemaVersion", "mediaType", "config", "layers", "annotations")
	if reason != "" {
		return reason
	}
	var manifest struct {
		SchemaVersion int    `json:"schemaVersion"`
		MediaType     string `json:"mediaType"`
		Annotations   texts  `json:"annotations"`
	}
	switch err := json.Unmarshal(body, &manifest); {
	case err != nil, manifest.SchemaVersion != 2, members["config"] == nil:
		return "the manifest is not one of an image"
	case manifest.MediaType != mediaType && manifest.MediaType != "":
		return "the manifest's media type is not the request's"
	}
	if _, reason := checkDescriptor(members["config"], "the config"); reason != "" {
		return reason
	}
	return checkLayers(members["layers"])
}

// checkLayers returns the rule that the layers break. It reads one at a time
// and ends at the first that breaks one: there may be a million of them.
func checkLayers(layers json.RawMessage) string {
	const noArray = "the manifest's layers are not an array"
	if layers == nil {
		return ""
	}
	decoder := json.NewDecoder(bytes.NewReader(layers))
	opening, err := decoder.Token()
	switch {
	case err == nil && opening == nil: // null
		return ""
	case err != nil || opening != json.Delim('['):
		return noArray
	}
	for n := 1; decoder.More(); n++ {
		var layer json.RawMessage
		if err := decoder.Decode(&layer); err != nil {
			return noArray
		}
		what := fmt.Sprintf("layer %d", n)
		mediaType, reason := checkDescriptor(layer, what)
		if reason != "" {
			return reason
		}
		if !slices.Contains(registry.LayerTypes(), mediaType) {
			return fmt.Sprintf("%s has the media type %q, which is not one of layers that the registry itself holds", what, clip(mediaType, 80))
		}
	}
	return ""
}

// checkDescriptor returns the media type of the blob that a descriptor names,
// or the rule that it breaks. It must not say where else the blob is, as urls
// do, nor carry it in data.
func checkDescriptor(body json.RawMessage, what string) (mediaType, reason string) {
	_, reason = readObject(body, what, "mediaType", "digest", "size", "annotations")
	if reason != "" {
		return "", reason
	}
	var descriptor struct {
		MediaType   string `json:"mediaType"`
		Digest      string `json:"digest"`
		Size        *int64 `json:"size"`
		Annotations texts  `json:"annotations"`
	}
	err := json.Unmarshal(body, &descriptor)
	if err != nil || descriptor.MediaType == "" || !digestForm.MatchString(descriptor.Digest) || descriptor.Size == nil || *descriptor.Size < 0 {
		return "", what + " does not name a blob by its media type, digest and size"
	}
	return descriptor.MediaType, ""
}

// texts is a JSON object of strings, or null. It keeps none of them: a manifest
// has room for more than the gate has memory for.
type texts struct{}

// UnmarshalJSON reports what is not an object of strings.
func (*texts) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	opening, err := decoder.Token()
	if err != nil || opening == nil {
		return err
	}
	if opening != json.Delim('{') {
		return fmt.Errorf("%v is no object", opening)
	}
	for decoder.More() {
		if _, err := decoder.Token(); err != nil { // the name
			return err
		}
		value, err := decoder.Token()
		if err != nil {
			return err
		}
		if _, ok := value.(string); !ok {
			return fmt.Errorf("%v is no string", value)
		}
	}
	return nil
}

// readObject returns the members of the one JSON object in body, or the rule
// that it breaks: it has the known members only, and each once. Readers differ
// in which of two they take, and in whether they take a name in another case.
func readObject(body []byte, what string, known ...string) (members map[string]json.RawMessage, reason string) {
	noObject := what + " is not one JSON object with each member once"
	decoder := json.NewDecoder(bytes.NewReader(body))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return nil, noObject
	}
	members = map[string]json.RawMessage{}
	for decoder.More() {
		key, err := decoder.Token()
		member, ok := key.(string)
		if _, twice := members[member]; err != nil || !ok || twice {
			return nil, noObject
		}
		if !slices.Contains(known, member) {
			return nil, fmt.Sprintf("%s may not have the member %q", what, clip(member, 40))
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, noObject
		}
		members[member] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, noObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, noObject
	}
	return members, ""
}
