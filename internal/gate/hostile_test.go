package gate_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"kiln/internal/gate"
	names "kiln/internal/registry"
)

const (
	ociType    = "application/vnd.oci.image.manifest.v1+json"
	dockerType = "application/vnd.docker.distribution.manifest.v2+json"
	indexType  = "application/vnd.oci.image.index.v1+json"
)

const (
	layerType   = "application/vnd.oci.image.layer.v1.tar+gzip"
	foreignType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

var someDigest = "sha256:" + strings.Repeat("a", 64)

// manifest returns a manifest with further members before the usual ones.
func manifest(extra string) string {
	return `{"schemaVersion":2,` + extra + `"config":{"mediaType":"x","size":2,"digest":"` + someDigest + `"},"layers":[]}`
}

// descriptor returns a descriptor with further members before the usual ones.
func descriptor(mediaType, extra string) string {
	return `{` + extra + `"mediaType":"` + mediaType + `","size":2,"digest":"` + someDigest + `"}`
}

// imageOf returns a manifest with the given config and layers.
func imageOf(config string, layers ...string) string {
	return `{"schemaVersion":2,"config":` + config + `,"layers":[` + strings.Join(layers, ",") + `]}`
}

// Nothing that the client may not do reaches the registry, and each attempt is
// answered and reported with the rule that it breaks.
func TestHostileRequests(t *testing.T) {
	target := newUpstream(t, nil)
	target.write(t, "acme/app:other")
	g := start(t, gate.Config{
		Push:         target.host + "/acme/app:k1-0",
		Pull:         []string{target.host + "/base/tagged:1", target.host + "/base/digest@" + someDigest},
		Insecure:     []string{target.host},
		DockerConfig: dockerConfig(t, target.host),
	})
	element, err := names.Element(target.host)
	if err != nil {
		t.Fatal(err)
	}
	root := "/v2/" + element
	app := root + "/acme/app"
	const need, onePush = "not a request that a build needs", "a build pushes to one repository only"
	tests := []struct{ method, path, contentType, body, reason string }{
		{"GET", "/", "", "", need},
		{"GET", "/v2/_catalog", "", "", need},
		{"GET", root + "/_catalog", "", "", need},
		{"GET", app + "/tags/list", "", "", need},
		{"GET", app + "/referrers/" + someDigest, "", "", need},
		{"GET", root + "/base/tagged/tags/list", "", "", need},
		{"DELETE", app + "/manifests/k1-0", "", "", need},
		{"DELETE", app + "/manifests/" + someDigest, "", "", need},
		{"DELETE", app + "/blobs/" + someDigest, "", "", need},
		{"DELETE", app + "/blobs/uploads/1", "", "", need},
		{"POST", app + "/manifests/k1-0", "", "", need},
		{"PATCH", app + "/blobs/uploads/", "", "x", need},
		{"POST", app + "/blobs/uploads/1", "", "", need},
		{"OPTIONS", app + "/blobs/uploads/", "", "", need},
		{"GET", app + "/manifests/other", "", "", "the Dockerfile names no image of this repository"},
		{"GET", app + "/manifests/" + someDigest, "", "", "the Dockerfile names no image of this repository"},
		{"GET", app + "/blobs/" + someDigest, "", "", "the Dockerfile names no image of this repository"},
		{"GET", root + "/secret/image/manifests/1", "", "", "the Dockerfile names no image of this repository"},
		{"HEAD", root + "/secret/image/blobs/" + someDigest, "", "", "the Dockerfile names no image of this repository"},
		{"GET", "/v2/base/tagged/manifests/1", "", "", "the Dockerfile names no image of this repository"},
		{"GET", "/v2/ghcr.io/base/tagged/manifests/1", "", "", "the Dockerfile names no image of this repository"},
		{"GET", root + "/base/tagged/manifests/2", "", "", "the Dockerfile does not name this tag"},
		{"GET", root + "/base/digest/manifests/latest", "", "", "the Dockerfile does not name this tag"},
		{"GET", root + "/base/tagged/blobs/1", "", "", "the Dockerfile does not name this tag"},
		{"GET", root + "/base/tagged/blobs/sha256:abc", "", "", "the Dockerfile does not name this tag"},
		{"GET", root + "/base/tagged/../../secret/image/manifests/1", "", "", "the Dockerfile names no image of this repository"},
		{"GET", root + "/base%2Ftagged/manifests/1", "", "", "the Dockerfile names no image of this repository"},
		{"GET", root + "/base/tagged/manifests/..%2f..%2fsecret", "", "", need},
		{"GET", root + "/base/tagged/manifests/1?%zz", "", "", "the query cannot be read"},
		{"PUT", root + "/acme/other/manifests/k1-0", ociType, manifest(""), onePush},
		{"PUT", root + "/base/tagged/manifests/1", ociType, manifest(""), onePush},
		{"PUT", app + "/manifests/latest", ociType, manifest(""), "a build pushes one tag only"},
		{"PUT", app + "/manifests/kiln-index-v1-" + strings.Repeat("a", 64), ociType, manifest(""), "a build pushes one tag only"},
		{"PUT", app + "/manifests/" + someDigest, ociType, manifest(""), "a build pushes one tag only"},
		{"PUT", app + "/manifests/k1-0?tag=latest", ociType, manifest(""), "a manifest is pushed without a query"},
		{"PUT", app + "/blobs/" + someDigest, "", "x", need},
		{"POST", root + "/acme/other/blobs/uploads/", "", "", need},
		{"POST", root + "/base/tagged/blobs/uploads/", "", "", need},
		{"POST", app + "/blobs/uploads/?digest=" + someDigest, "", "x", "the query is not one of an upload"},
		{"POST", app + "/blobs/uploads/?from=a&from=b", "", "", "the query is not one of an upload"},
		{"PUT", app + "/blobs/uploads/1", "", "", "an upload ends with a digest"},
		{"PUT", app + "/blobs/uploads/1?digest=x", "", "", "an upload ends with a digest"},
		{"PUT", app + "/blobs/uploads/1?digest=" + someDigest + "&x=y", "", "", "the query is not one of an upload"},
		{"PATCH", app + "/blobs/uploads/1?x=y", "", "", "the query is not one of an upload"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			before := len(g.log.String())
			status, body := g.do(t, tt.method, tt.path, tt.contentType, tt.body)
			if status != http.StatusForbidden {
				t.Errorf("status = %d, want 403", status)
			}
			if tt.method != "HEAD" && (!strings.Contains(body, `"DENIED"`) || !strings.Contains(body, tt.reason)) {
				t.Errorf("body = %s, want DENIED and %q", body, tt.reason)
			}
			path, _, _ := strings.Cut(tt.path, "?")
			want := fmt.Sprintf("denied %s %s: %s\n", tt.method, path, tt.reason)
			if got := g.log.String()[before:]; got != want {
				t.Errorf("log = %q, want %q", got, want)
			}
		})
	}
	if lines := target.requests(""); len(lines) > 0 {
		t.Errorf("the registry was asked %q", lines)
	}
}

func TestManifestsRefused(t *testing.T) {
	target := newUpstream(t, nil)
	g, path := startPush(t, target)
	tests := []struct{ name, contentType, body, reason string }{
		{"index by media type", indexType, `{}`, "only an image manifest may be pushed"},
		{"list by media type", "application/vnd.docker.distribution.manifest.list.v2+json", `{}`, "only an image manifest"},
		{"signed schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{}`, "only an image manifest"},
		{"no media type", "", manifest(""), "only an image manifest may be pushed"},
		{"index by member", ociType, `{"schemaVersion":2,"manifests":[]}`, `may not have the member \"manifests\"`},
		{"both", ociType, manifest(`"manifests":[],`), `may not have the member \"manifests\"`},
		{"other case", ociType, manifest(`"Manifests":[],`), `may not have the member \"Manifests\"`},
		{"subject", ociType, manifest(`"subject":{"digest":"` + someDigest + `"},`), `may not have the member \"subject\"`},
		{"index in the body's media type", ociType, manifest(`"mediaType":"` + indexType + `",`), "the request's"},
		{"media types differ", ociType, manifest(`"mediaType":"` + dockerType + `",`), "the request's"},
		{"member twice", ociType, manifest(`"config":{},`), "each member once"},
		{"array", ociType, `[]`, "one JSON object"},
		{"empty", ociType, ``, "one JSON object"},
		{"two values", ociType, manifest("") + "{}", "one JSON object"},
		{"cut off", ociType, manifest("")[:60], "one JSON object"},
		{"no config", ociType, `{"schemaVersion":2,"layers":[]}`, "not one of an image"},
		{"schema 1", ociType, `{"schemaVersion":1,"layers":[]}`, "not one of an image"},
		{"too large", ociType, manifest(`"annotations":{"x":"` + strings.Repeat("x", 4<<20) + `"},`), "larger than 4194304 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := g.do(t, "PUT", path, tt.contentType, tt.body)
			if status != http.StatusForbidden || !strings.Contains(body, tt.reason) {
				t.Errorf("answer %d %s, want 403 with %q", status, body, tt.reason)
			}
		})
	}
	if lines := target.requests("PUT"); len(lines) > 0 {
		t.Errorf("the registry was asked %q", lines)
	}
	if status, body := g.do(t, "PUT", path, ociType, manifest("")); status != http.StatusCreated {
		t.Errorf("a good manifest is answered %d %s", status, body)
	}
}

// A refused or lost push may be tried again with the same bytes; other bytes
// are refused from the first attempt on.
func TestOneManifest(t *testing.T) {
	broken := 2 // the gate itself tries once more
	target := newUpstream(t, func(content http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if broken > 0 && r.Method == http.MethodPut {
				broken--
				http.Error(w, "try later", http.StatusServiceUnavailable)
				return
			}
			content.ServeHTTP(w, r)
		})
	})
	g, path := startPush(t, target)
	steps := []struct {
		name, body string
		status     int
	}{
		{"upstream fails", manifest(""), http.StatusServiceUnavailable},
		{"other bytes", manifest(" "), http.StatusForbidden},
		{"same bytes", manifest(""), http.StatusCreated},
		{"same bytes again", manifest(""), http.StatusCreated},
		{"other bytes after success", manifest(" "), http.StatusForbidden},
	}
	for _, step := range steps {
		if status, body := g.do(t, "PUT", path, ociType, step.body); status != step.status {
			t.Errorf("%s: answer %d %s, want %d", step.name, status, body, step.status)
		}
	}
	if got := strings.Count(g.log.String(), "pushed sha256:"); got != 1 {
		t.Errorf("%d lines of success in %q", got, g.log.String())
	}
	if got := strings.Count(g.log.String(), "a build pushes one manifest only"); got != 2 {
		t.Errorf("%d denials in %q", got, g.log.String())
	}
}

// What a registry already holds under the tag never keeps a builder from
// pushing, or no manifest would be reported.
func TestOwnTagIsNeverThere(t *testing.T) {
	target := newUpstream(t, nil)
	target.write(t, "acme/app:k1-0")
	g, path := startPush(t, target)
	if status, body := g.do(t, "GET", path, "", ""); status != http.StatusNotFound || !strings.Contains(body, "MANIFEST_UNKNOWN") {
		t.Errorf("answer %d %s", status, body)
	}
	if strings.Contains(g.log.String(), "denied") {
		t.Errorf("log = %q", g.log.String())
	}
}

// A client that asks for nonsense for ever neither fills the log nor writes
// what it wants into it.
func TestReportsAreBounded(t *testing.T) {
	g, _ := startPush(t, newUpstream(t, nil))
	for range 150 {
		g.do(t, "GET", "/%0A::error::%1b[31m\u00e9"+strings.Repeat("x", 1000), "", "")
	}
	lines := strings.Split(strings.TrimSuffix(g.log.String(), "\n"), "\n")
	if len(lines) != 102 || lines[101] != "# further denied requests are not reported" {
		t.Errorf("%d lines, the last one %q", len(lines), lines[len(lines)-1])
	}
	for _, line := range lines[1:101] {
		if !strings.HasPrefix(line, "denied GET /%0A::error::%1B%5B31m%C3%A9") || !strings.HasSuffix(line, ": not a request that a build needs") || len(line) > 400 {
			t.Fatalf("line %q", line)
		}
	}
}

// startPush starts a gate that pushes to acme/app:k1-0 and returns it with the
// path of that manifest.
func startPush(t *testing.T, target *upstream) (running, string) {
	t.Helper()
	g := start(t, gate.Config{
		Push:         target.host + "/acme/app:k1-0",
		Insecure:     []string{target.host},
		DockerConfig: dockerConfig(t, target.host),
	})
	element, err := names.Element(target.host)
	if err != nil {
		t.Fatal(err)
	}
	return g, "/v2/" + element + "/acme/app/manifests/k1-0"
}

func TestDescriptorsRefused(t *testing.T) {
	target := newUpstream(t, nil)
	g, path := startPush(t, target)
	config, layer := descriptor("x", ""), descriptor(layerType, "")
	const noBlob = "does not name a blob by its media type, digest and size"
	tests := []struct{ name, body, reason string }{
		{"urls of a layer", imageOf(config, layer, descriptor(layerType, `"urls":["https://example.com/"],`)), `layer 2 may not have the member \"urls\"`},
		{"no urls of a layer", imageOf(config, descriptor(layerType, `"urls":[],`)), `layer 1 may not have the member \"urls\"`},
		{"urls in another case", imageOf(config, descriptor(layerType, `"URLs":["https://example.com/"],`)), `layer 1 may not have the member \"URLs\"`},
		{"data of a layer", imageOf(config, descriptor(layerType, `"data":"eA==",`)), `layer 1 may not have the member \"data\"`},
		{"urls of the config", imageOf(descriptor("x", `"urls":["https://example.com/"],`)), `the config may not have the member \"urls\"`},
		{"data of the config", imageOf(descriptor("x", `"data":"eA==",`)), `the config may not have the member \"data\"`},
		{"digest in another case", imageOf(config, descriptor(layerType, `"Digest":"x",`)), `layer 1 may not have the member \"Digest\"`},
		{"digest twice", imageOf(config, descriptor(layerType, `"digest":"`+someDigest+`",`)), "layer 1 is not one JSON object with each member once"},
		{"digest twice, once escaped", imageOf(config, descriptor(layerType, `"d\u0069gest":"x",`)), "each member once"},
		{"foreign layer", imageOf(config, descriptor(foreignType, "")), `layer 1 has the media type \"` + foreignType + `\", which is not one of layers that the registry itself holds`},
		{"non-distributable layer", imageOf(config, descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "")), "layer 1 has the media type"},
		{"media type in another case", imageOf(config, descriptor(strings.ToUpper(layerType), "")), "layer 1 has the media type"},
		{"manifest as a layer", imageOf(config, descriptor(ociType, "")), "layer 1 has the media type"},
		{"no media type", imageOf(config, descriptor("", "")), "layer 1 " + noBlob},
		{"no digest", imageOf(config, `{"mediaType":"`+layerType+`","size":2}`), "layer 1 " + noBlob},
		{"no size", imageOf(config, `{"mediaType":"`+layerType+`","digest":"`+someDigest+`"}`), "layer 1 " + noBlob},
		{"negative size", imageOf(config, strings.Replace(layer, "2", "-2", 1)), "layer 1 " + noBlob},
		{"annotations are no texts", imageOf(config, descriptor(layerType, `"annotations":{"a":{}},`)), "layer 1 " + noBlob},
		{"digest of the config is a tag", imageOf(strings.Replace(config, someDigest, "latest", 1)), "the config " + noBlob},
		{"layer is null", imageOf(config, "null"), "layer 1 is not one JSON object"},
		{"config is null", imageOf("null"), "the config is not one JSON object"},
		{"config is an array", imageOf("[]"), "the config is not one JSON object"},
		{"layers are an object", `{"schemaVersion":2,"config":` + config + `,"layers":{}}`, "layers are not an array"},
		{"layers are a text", `{"schemaVersion":2,"config":` + config + `,"layers":"x"}`, "layers are not an array"},
		{"annotations are a list", manifest(`"annotations":[],`), "not one of an image"},
		{"an annotation is a number", manifest(`"annotations":{"a":"b","c":1},`), "not one of an image"},
		{"an annotation is null", manifest(`"annotations":{"a":null},`), "not one of an image"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := g.do(t, "PUT", path, ociType, tt.body)
			if status != http.StatusForbidden || !strings.Contains(body, tt.reason) {
				t.Errorf("answer %d %s, want 403 with %q", status, body, tt.reason)
			}
		})
	}
	if lines := target.requests("PUT"); len(lines) > 0 {
		t.Errorf("the registry was asked %q", lines)
	}
}

func TestDescriptorsAccepted(t *testing.T) {
	for name, body := range map[string]string{
		"no layers":   `{"schemaVersion":2,"config":` + descriptor("x", "") + `}`,
		"null layers": `{"schemaVersion":2,"config":` + descriptor("x", "") + `,"layers":null}`,
		"all types": imageOf(
			descriptor("application/vnd.oci.image.config.v1+json", `"annotations":{"a":"b"},`),
			descriptor("application/vnd.docker.image.rootfs.diff.tar", ""),
			descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", `"annotations":{},`),
			descriptor("application/vnd.docker.image.rootfs.diff.tar.zstd", ""),
			descriptor("application/vnd.oci.image.layer.v1.tar", `"annotations":null,`),
			descriptor(layerType, ""),
			descriptor("application/vnd.oci.image.layer.v1.tar+zstd", `"annotations":{"a":"b"},`),
		),
	} {
		t.Run(name, func(t *testing.T) {
			g, path := startPush(t, newUpstream(t, nil))
			if status, answer := g.do(t, "PUT", path, ociType, body); status != http.StatusCreated {
				t.Errorf("answer %d %s, want 201", status, answer)
			}
		})
	}
}
