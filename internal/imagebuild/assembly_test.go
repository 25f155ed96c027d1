package imagebuild_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kiln/internal/imagebuild"
	"kiln/internal/podtest"
	"kiln/internal/spool"
	"kiln/internal/steplog"
	"kiln/internal/treestore"
)

// baseEnv is the environment of the base image and of all that is built on it.
const baseEnv = "PATH=/bin"

// tarOf is an archive of files, by name and content; a name that ends in a slash is a
// directory's.
func tarOf(t *testing.T, files ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(files[i+1]))}
		if strings.HasSuffix(h.Name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// baseFiles is the layer of the base image.
func baseFiles(t *testing.T) []byte {
	t.Helper()
	return tarOf(t, "bin/", "", "bin/sh", "sh", "bin/chmod", "chmod", "etc/", "", "etc/passwd", "app:x:7:8::/:/bin/sh\n")
}

// newSplitWorld is a world in which images are put together. Its base is a week old.
func newSplitWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.splits(t)
	return w
}

// splits lets images be put together.
func (w *world) splits(t *testing.T) {
	t.Helper()
	w.settings.Assemble = true
	files := baseFiles(t)
	config := v1.Config{Env: []string{baseEnv}, Cmd: []string{"sh"}}
	w.registry.Put("base.example.com/base:1", podtest.Image{Layers: [][]byte{files}, Config: config, Created: time.Now().Add(-7 * 24 * time.Hour)})
	w.made = podtest.Image{Layers: [][]byte{files, tarOf(t, "made", "x")}, Config: config}
}

// order has the image of the world's source made.
func (r *runner) order(ctx context.Context) (imagebuild.Image, error) {
	r.log.Reset()
	source := r.world.source
	return r.builder.Image(ctx, &source, imagebuild.Asker{
		ID: spool.NewID(), Runner: r.self, Owner: r.self.Owner(),
		Log: steplog.New(&r.log, "", false), Times: steplog.NewTimes(nil), Logger: zap.NewNop(),
	})
}

// must is order where nothing may go wrong.
func (r *runner) must(t *testing.T) imagebuild.Image {
	t.Helper()
	image, err := r.order(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, r.log.String())
	}
	return image
}

// podsMade is how many build pods there were.
func (w *world) podsMade() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pods
}

// files are those of an image, layer by layer, and its configuration.
func (w *world) files(t *testing.T, image imagebuild.Image) (layers []string, config v1.ConfigFile) {
	t.Helper()
	client := w.registry.Client(nil)
	found, err := client.Pushed(t.Context(), image.Pushed, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(found.Config, &config); err != nil {
		t.Fatal(err)
	}
	for _, blob := range found.Layers {
		content, err := client.Open(t.Context(), &found, blob)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, namesIn(t, content))
		_ = content.Close()
	}
	return layers, config
}

// namesIn are the names in a layer.
func namesIn(t *testing.T, content io.Reader) string {
	t.Helper()
	all, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	if gz, err := gzip.NewReader(bytes.NewReader(all)); err == nil {
		if all, err = io.ReadAll(gz); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(all)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(names, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

// wantLog wants texts in the author's log.
func (r *runner) wantLog(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.log.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, r.log.String())
		}
	}
}

// wantNothing wants nothing in the cluster, and no files but the context beside it.
func (w *world) wantNothing(t *testing.T) {
	t.Helper()
	time.Sleep(time.Minute)
	if left := w.cluster.Names(); len(left) > 0 {
		t.Errorf("left in the cluster: %q", left)
	}
	entries, err := os.ReadDir(filepath.Dir(w.source.Context.Path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside the context: %v, %v", entries, err)
	}
}

// TestNoRun: an image for which nothing runs takes no pod, and does not age.
func TestNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		w.stage("FROM base.example.com/base:1\nCOPY main.c /src/\nUSER app\nENTRYPOINT [\"/src/main.c\"]\n", "main.c", "one")
		r := w.runner("a", nil, nil)
		first := r.must(t)
		r.wantLog(t, "kiln: not built yet\n", "#1 FROM base.example.com/base:1\n", "#2 looking through the layers", "#3 COPY main.c /src/ 0.0s\n", "#4 USER app 0.0s\n", "kiln: built ")
		layers, config := w.files(t, first)
		want := []string{"bin/ bin/sh bin/chmod etc/ etc/passwd", "src/ src/main.c"}
		if diff := gocmp.Diff(want, layers); diff != "" || config.Config.User != "app" {
			t.Errorf("USER %q, layers (-want +got):\n%s", config.Config.User, diff)
		}
		if first.Start == nil || first.Start.User != "app" || first.Start.Entrypoint[0] != "/src/main.c" {
			t.Errorf("it starts as %+v", first.Start)
		}
		again := r.must(t)
		r.wantLog(t, "kiln: reused (nothing in it was run) ")
		if again.Reference != first.Reference || again.Reused == "" {
			t.Errorf("again it is %+v, want %s reused", again, first.Reference)
		}
		// Another runner knows nothing of the base, and its registry lets nobody read it.
		other := w.runner("b", nil, func(c podtest.Call) podtest.Fault {
			if strings.HasPrefix(c.Op, "get ") && strings.HasPrefix(c.Name, "base:") {
				return podtest.Answers(http.StatusTooManyRequests)
			}
			return podtest.Fault{}
		})
		if again := other.must(t); again.Reference != first.Reference || again.Reused == "" {
			t.Errorf("on another runner it is %+v, want %s reused", again, first.Reference)
		}
		_, before := w.files(t, first)
		w.stage("FROM base.example.com/base:1\nCOPY main.c /src/\nUSER app\nENTRYPOINT [\"/src/main.c\"]\n", "main.c", "two")
		if changed := r.must(t); changed.Reference == first.Reference {
			t.Error("a changed file makes the same image")
		} else if _, config := w.files(t, changed); last(config) == last(before) {
			t.Errorf("the mark of nothing run is another image's: %q", last(config))
		}
		if strings.Contains(r.log.String(), "looking through") {
			t.Errorf("the index is made twice:\n%s", r.log.String())
		}
		if n := w.podsMade(); n != 0 {
			t.Errorf("%d build pods", n)
		}
		w.wantNothing(t)
	})
}

// TestBasePart: what runs is built once, and what follows it is put on top.
func TestBasePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		const dockerfile = "FROM base.example.com/base:1\nCOPY list /\nRUN make\nCOPY . /src/\n"
		w.stage(dockerfile, "list", "x", "main.c", "one")
		r := w.runner("a", nil, nil)
		first := r.must(t)
		r.wantLog(t, "RUN make", " COPY . /src/ 0.0s\n")
		layers, config := w.files(t, first)
		want := []string{"bin/ bin/sh bin/chmod etc/ etc/passwd", "made", "src/ src/Dockerfile src/list src/main.c"}
		if diff := gocmp.Diff(want, layers); diff != "" || time.Since(config.Created.Time) > time.Minute {
			t.Errorf("created %s, layers (-want +got):\n%s", config.Created, diff)
		}
		if sent := namesIn(t, bytes.NewReader(w.contexts[0])); sent != "Dockerfile Dockerfile.dockerignore context/ context/list" {
			t.Errorf("the build pod was sent %q", sent)
		}
		for _, step := range []struct {
			list, main string
			after      time.Duration
			pods       int
			says       string
		}{
			{"x", "one", 0, 1, "kiln: reused (built 1m ago)"},
			{"x", "two", 0, 1, "#1 CACHED (base part built 2m ago)\n#2 COPY . /src/ 0.0s\n"},
			{"y", "two", 0, 2, "RUN make"},
			{"y", "two", 2 * time.Hour, 3, "kiln: older than 1h"},
		} {
			time.Sleep(time.Minute + step.after)
			w.stage(dockerfile, "list", step.list, "main.c", step.main)
			r.must(t)
			r.wantLog(t, step.says)
			if n := w.podsMade(); n != step.pods {
				t.Errorf("%+v: %d build pods", step, n)
			}
		}
		w.wantNothing(t)
	})
}

// TestAssembleOff builds as ever.
func TestAssembleOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		w.settings.Assemble = false
		w.stage("FROM base.example.com/base:1\nCOPY main.c /src/\n", "main.c", "one")
		r := w.runner("a", nil, nil)
		r.must(t)
		if n := w.podsMade(); n != 1 {
			t.Errorf("%d build pods, want one", n)
		}
	})
}

// TestSame: two runners that put an image together at once make the same.
func TestSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		w.stage("FROM base.example.com/base:1\nRUN make\nCOPY main.c /\n", "main.c", "one")
		images := make(chan string, 4)
		for _, name := range []string{"a", "b", "c", "d"} {
			r := w.runner(name, nil, nil)
			go func() {
				image, err := r.order(t.Context())
				if err != nil {
					t.Errorf("%v\n%s", err, r.log.String())
				}
				images <- image.Reference
			}()
		}
		first := <-images
		for range 3 {
			if other := <-images; other != first {
				t.Errorf("%s and %s", first, other)
			}
		}
		if n := w.podsMade(); n != 1 {
			t.Errorf("%d build pods, want one", n)
		}
		w.wantNothing(t)
	})
}

// TestPutTogetherFaults has something go wrong: Kaniko builds the whole, or there is one
// clear error, and nothing is left.
func TestPutTogetherFaults(t *testing.T) {
	const top, withRun = "FROM base.example.com/base:1\nCOPY main.c /\n", "FROM base.example.com/base:1\nRUN make\nCOPY main.c /\n"
	index := "registry.example.com/ci/app:" + treestore.Tag(fmt.Sprintf("sha256:%x", sha256.Sum256(baseFiles(t))))
	for name, tt := range map[string]struct {
		dockerfile string
		before     func(w *world)
		faults     podtest.Faults
		pods       int
		says       string // in the log
		fails      string // the error
	}{
		"the upload fails":         {top, nil, podtest.Always("post blobs", podtest.Answers(403)), 1, "kiln: Kaniko builds the whole image: upload the blob", ""},
		"the upload breaks":        {top, nil, podtest.Always("put blobs", podtest.Lost()), 1, "kiln: Kaniko builds the whole image: ", ""},
		"the upload breaks once":   {top, nil, podtest.Once("put blobs", podtest.Lost()), 0, "", ""},
		"the manifest is refused":  {top, nil, podtest.Always("put manifests", podtest.Answers(403)), 1, "kiln: Kaniko builds the whole image: push ", ""},
		"the base cannot be read":  {top, nil, fromThe(2, "get manifests", "base@", podtest.Answers(404)), 1, "kiln: Kaniko builds the whole image: ", ""},
		"the index is none":        {top, func(w *world) { w.registry.Put(index, podtest.Image{Layers: [][]byte{[]byte("x")}}) }, nil, 0, "looking through", ""},
		"the index is not kept":    {top, nil, fromThe(1, "put manifests", "kiln-index", podtest.Answers(403)), 0, "", ""},
		"the layer is odd":         {"FROM base.example.com/odd:1\nCOPY main.c /\n", nil, nil, 1, `kiln: Kaniko builds the whole image: "../x": a name with ..`, ""},
		"the base part has gone":   {withRun, nil, fromThe(1, "get manifests", "ci/app@", podtest.Answers(404)), 2, "kiln: Kaniko builds the whole image: read the base part", ""},
		"the environment is other": {withRun, func(w *world) { w.made.Config.Env = []string{"PATH=/forged"} }, nil, 2, "", ""},
		"the base part fails":      {withRun, func(w *world) { w.at = failing }, nil, 1, "", "RUN make failed with exit code 2"},
		"no layer is there":        {top, nil, podtest.Always("head blobs", podtest.Answers(404)), 0, "looking through", ""},
		"a layer does not pass":    {top, nil, both(podtest.Always("head blobs", podtest.Answers(404)), podtest.Always("get blobs", podtest.Fault{Cut: 1700})), 1, "kiln: Kaniko builds the whole image: ", ""},
		"of nothing":               {"FROM scratch\nCOPY main.c /\n", nil, podtest.Always("head blobs", podtest.Answers(500)), 0, "#1 COPY main.c / 0.0s\n", ""},
		"of the same registry":     {"FROM registry.example.com/ci/base:1\nCOPY main.c /\n", nil, nil, 0, "looking through", ""},
		"a mount is refused":       {"FROM registry.example.com/ci/base:1\nCOPY main.c /\n", nil, podtest.Once("post blobs", podtest.Answers(405)), 0, "looking through", ""},
		"the tag must not change":  {top, nil, fromThe(1, "put manifests", "app:k1-", immutable(true)), 0, "kiln: built ", ""},
		"the tag is kept, hidden":  {top, nil, fromThe(1, "put manifests", "app:k1-", immutable(false)), 0, "", "does not show it"},
		"a COPY goes nowhere":      {"FROM base.example.com/base:1\nCOPY nothing /\n", nil, nil, 0, "", "nothing is not in the build context"},
		"Kaniko cannot, and kiln neither": {
			"FROM base.example.com/odd:1\nCOPY --parents main.c /\n", nil, nil, 0, "", "Kaniko ignores --parents",
		},
		"Kaniko cannot, kiln can": {"FROM base.example.com/base:1\nCOPY --parents main.c /\n", nil, nil, 0, "COPY --parents main.c / 0.0s", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newSplitWorld(t)
				w.registry.Put("base.example.com/odd:1", podtest.Image{Layers: [][]byte{tarOf(t, "../x", "x")}, Config: v1.Config{Env: []string{baseEnv}}})
				w.registry.Put("registry.example.com/ci/base:1", podtest.Image{Layers: [][]byte{baseFiles(t)}, Config: v1.Config{Env: []string{baseEnv}}})
				if tt.before != nil {
					tt.before(w)
				}
				w.stage(tt.dockerfile, "main.c", "one")
				r := w.runner("a", nil, tt.faults)
				_, err := r.order(t.Context())
				if (err != nil) != (tt.fails != "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("the error is %v, want %q\n%s", err, tt.fails, r.log.String())
				}
				r.wantLog(t, tt.says)
				if n := w.podsMade(); n != tt.pods {
					t.Errorf("%d build pods, want %d\n%s", n, tt.pods, r.log.String())
				}
				w.wantNothing(t)
			})
		})
	}
}

// TestLongNames: layers that are within bounds one by one are not taken together.
func TestLongNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		var long []string
		for i := range 1500 {
			long = append(long, strings.Repeat(strings.Repeat("x", 255)+"/", 15)+fmt.Sprint(i), "")
		}
		layer := tarOf(t, long...)
		r := w.runner("a", nil, nil)
		for layers, says := range map[int]string{2: " COPY main.c / ", 9: "kiln: Kaniko builds the whole image: its layers have too many entries, or names that are too long\n"} {
			base := podtest.Image{Layers: [][]byte{baseFiles(t)}, Config: v1.Config{Env: []string{baseEnv}}}
			for range layers {
				base.Layers = append(base.Layers, layer)
			}
			w.registry.Put(fmt.Sprintf("base.example.com/long:%d", layers), base)
			w.stage(fmt.Sprintf("FROM base.example.com/long:%d\nCOPY main.c /\n", layers), "main.c", "one")
			r.must(t)
			r.wantLog(t, says)
		}
	})
}

// immutable is a registry that keeps what a tag has, which is what is pushed or nothing.
func immutable(there bool) podtest.Fault {
	says := "the tag already exists and is immutable"
	return podtest.Fault{Err: apierrors.NewGenericServerResponse(400, "", schema.GroupResource{}, "", says, 0, true), Happened: there}
}

// both has either of two faults.
func both(a, b podtest.Faults) podtest.Faults {
	return func(call podtest.Call) podtest.Fault {
		if fault := a(call); fault != (podtest.Fault{}) {
			return fault
		}
		return b(call)
	}
}

// failing has the RUN of a build fail.
func failing(life *podtest.Life, _ int, moment string) bool {
	if moment != running {
		return true
	}
	fails(2, runFails)(life)
	return false
}

// fromThe has calls fail whose name has a text, from a count of those on.
func fromThe(count int, op, text string, fault podtest.Fault) podtest.Faults {
	var seen atomic.Int64
	return func(call podtest.Call) podtest.Fault {
		if call.Op == op && strings.Contains(strings.Replace(call.Name, ":sha256:", "@", 1), text) && seen.Add(1) >= int64(count) {
			return fault
		}
		return podtest.Fault{}
	}
}

// TestPutTogetherCancelled cancels a step at each of the requests that its image takes.
func TestPutTogetherCancelled(t *testing.T) {
	for at := 1; ; at++ {
		over := false
		synctest.Test(t, func(t *testing.T) {
			w := newSplitWorld(t)
			w.stage("FROM base.example.com/base:1\nRUN make\nCOPY main.c /\n", "main.c", "one")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var calls atomic.Int64
			var cancelled time.Time
			r := w.runner("a", nil, func(podtest.Call) podtest.Fault {
				if calls.Add(1) == int64(at) {
					cancelled = time.Now()
					cancel(errCancelled)
				}
				return podtest.Fault{}
			})
			_, err := r.order(ctx)
			over = cancelled.IsZero()
			if !over && err != nil && (!errors.Is(err, errCancelled) && !errors.Is(context.Cause(ctx), errCancelled) || time.Since(cancelled) > 5*time.Second) {
				t.Errorf("at request %d: %v, %s later", at, err, time.Since(cancelled))
			}
			w.wantNothing(t)
		})
		if over {
			if at < 12 {
				t.Errorf("there were only %d requests", at)
			}
			return
		}
	}
}

// TestSentIsKeyed builds contexts that differ in what a base part copies, and in what it
// does not: those with the same key of a base part send its pod the same bytes.
func TestSentIsKeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		w.settings.ReuseMaxAge = 0 // each is built
		r := w.runner("a", nil, nil)
		const head = "FROM base.example.com/base:1\nCOPY --chmod=755 list dir? /x/\nRUN tar -c / | archive\n"
		for _, tt := range []struct {
			dockerfile string
			files      []string
		}{
			{head + "COPY . /\n", []string{"dir1/a", "a", "list", "x", "main.c", "one"}},
			{head + "COPY . /\n", []string{"dir1/a", "a", "list", "x", "main.c", "two"}},
			{head + "COPY . /\nUSER app\n", []string{"dir1/a", "a", "list", "x"}},
			{head + "# a comment\nENV A=1\nCOPY list /\n", []string{"dir1/a", "a", "lisT", "x", "list", "x", "z", ""}},
			{head + "COPY . /\n", []string{"dir1/a", "a", "dir11/a", "a", "list", "x"}},
			{head + "COPY . /\n", []string{"Dockerfile.dockerignore", "main.c\n", "dir1/a", "a", "list", "x", "main.c", "one"}},
			{head + "COPY . /\n", []string{"dir1/a", "b", "list", "x"}},
			{head + "COPY . /\n", []string{"dir1/a", "a", "dir2/a", "a", "list", "x"}},
			{head + "COPY . /\n", []string{"dir1/b", "a", "list", "x"}},
			{head + "COPY . /\n", []string{"dir1/a", "a", "list", "y"}},
			{"# a comment\n" + head + "COPY . /\n", []string{"dir1/a", "a", "list", "y"}},
		} {
			w.stage(tt.dockerfile, withDirectories(tt.files)...)
			r.must(t)
		}
		for reference, streams := range w.streams {
			for _, other := range streams[1:] {
				if !bytes.Equal(streams[0], other) {
					t.Errorf("%s was made of %q and of %q", reference, namesIn(t, bytes.NewReader(streams[0])), namesIn(t, bytes.NewReader(other)))
				}
			}
		}
		if len(w.streams) != 6 || w.podsMade() != 11 {
			t.Errorf("%d base parts in %d pods, want 6 in 11", len(w.streams), w.podsMade())
		}
	})
}

// withDirectories puts the directories of files before them.
func withDirectories(files []string) []string {
	var all []string
	seen := map[string]bool{}
	for i := 0; i < len(files); i += 2 {
		if dir, _, below := strings.Cut(files[i], "/"); below && !seen[dir] {
			seen[dir] = true
			all = append(all, dir+"/", "")
		}
		all = append(all, files[i], files[i+1])
	}
	return all
}

// TestNoFiles puts together what touches no file: nobody looks into layers.
func TestNoFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		odd := podtest.Image{Layers: [][]byte{tarOf(t, "../x", "x")}, Config: v1.Config{Env: []string{baseEnv}}}
		w.registry.Put("base.example.com/odd:1", odd)
		w.made = odd
		r := w.runner("a", nil, nil)
		for i, dockerfile := range []string{"FROM base.example.com/odd:1\nENTRYPOINT [\"/x\"]\n", "FROM base.example.com/odd:1\nRUN make\nENTRYPOINT [\"/x\"]\n"} {
			w.stage(dockerfile)
			image := r.must(t)
			if strings.Contains(r.log.String(), "looking") || image.Start.Entrypoint[0] != "/x" || w.podsMade() != i {
				t.Errorf("%+v, %d pods:\n%s", image, w.podsMade(), r.log.String())
			}
		}
	})
}

// TestRefusedBasePart: what Kaniko would build otherwise counts in the base part, and is
// refused there in its line.
func TestRefusedBasePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSplitWorld(t)
		r := w.runner("a", nil, nil)
		w.stage("FROM base.example.com/base:1\nVOLUME /data\nRUN make\nCOPY --parents main.c /\n", "main.c", "one")
		r.must(t)
		r.wantLog(t, "::warning file=Dockerfile,line=3::", " COPY --parents main.c / ")
		w.stage("FROM base.example.com/base:1\nCOPY --parents main.c /\nRUN make\nCOPY --parents main.c /\n", "main.c", "one")
		if _, err := r.order(t.Context()); err == nil || !strings.Contains(err.Error(), "Dockerfile:2: Kaniko ignores --parents") || strings.Contains(r.log.String(), "4 |") {
			t.Errorf("the error is %v\n%s", err, r.log.String())
		}
		if n := w.podsMade(); n != 1 {
			t.Errorf("%d build pods, want one", n)
		}
	})
}

// last is the comment of an image's last instruction.
func last(config v1.ConfigFile) string { return config.History[len(config.History)-1].Comment }
