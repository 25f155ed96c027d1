package podtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/apimachinery/pkg/watch"
)

// ServeHTTP answers as the API server does.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// routes are the requests that the cluster knows.
func (c *Cluster) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", c.release)
	for _, group := range []string{"/api/v1", "/apis/batch/v1"} {
		objects := group + "/namespaces/" + c.Namespace + "/{resource}"
		mux.HandleFunc("GET "+objects, c.list)
		mux.HandleFunc("POST "+objects, c.create)
		mux.HandleFunc("GET "+objects+"/{name}", c.get)
		mux.HandleFunc("PATCH "+objects+"/{name}", c.patch)
		mux.HandleFunc("DELETE "+objects+"/{name}", c.delete)
	}
	mux.HandleFunc("GET /api/v1/namespaces/"+c.Namespace+"/pods/{name}/log", c.log)
	mux.HandleFunc("GET /api/v1/namespaces/"+c.Namespace+"/pods/{name}/attach", c.stream)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, apierrors.NewGenericServerResponse(http.StatusNotFound, r.Method, group(""), r.URL.Path, "the cluster does not know it", 0, true))
	})
	return mux
}

// answer sends an object or a list.
func answer(w http.ResponseWriter, code int, o any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(o) // who asked may be gone
}

// refuse sends an error as the API server does: what is none of its own is an
// internal error.
func refuse(w http.ResponseWriter, err error) {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	answer(w, int(status.Code), status)
}

// badRequest is what the API server says of a request that makes no sense.
func badRequest(message string) error { return apierrors.NewBadRequest(message) }

// release answers the question for the release.
func (c *Cluster) release(w http.ResponseWriter, _ *http.Request) {
	release := c.Release
	if release == "" {
		release = "v1.36.0"
	}
	answer(w, http.StatusOK, version.Info{GitVersion: release})
}

// matching is the selection of a list or watch.
func matching(r *http.Request) (func(object) bool, error) {
	byLabel, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return nil, badRequest(err.Error())
	}
	byField, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		return nil, badRequest(err.Error())
	}
	return func(o object) bool {
		of := fields.Set{"metadata.name": o.GetName()}
		if event, ok := o.(*corev1.Event); ok {
			of["involvedObject.kind"], of["involvedObject.name"] = event.InvolvedObject.Kind, event.InvolvedObject.Name
		}
		return byLabel.Matches(labels.Set(o.GetLabels())) && byField.Matches(of)
	}, nil
}

// list answers lists and watches.
func (c *Cluster) list(w http.ResponseWriter, r *http.Request) {
	match, err := matching(r)
	if err != nil {
		refuse(w, err)
		return
	}
	resource := r.PathValue("resource")
	if r.URL.Query().Get("watch") == "true" {
		c.watch(w, r, match)
		return
	}
	c.mu.Lock()
	found, at := c.listLocked(resource, match), c.version
	c.mu.Unlock()
	kind := kinds()[resource]
	if found == nil {
		found = []object{}
	}
	answer(w, http.StatusOK, map[string]any{
		"kind": kind.Kind + "List", "apiVersion": kind.GroupVersion().String(),
		"metadata": metav1.ListMeta{ResourceVersion: strconv.Itoa(at)}, "items": found,
	})
}

// watch streams what happens after the version asked for.
func (c *Cluster) watch(w http.ResponseWriter, r *http.Request, match func(object) bool) {
	from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion")) // none is the beginning
	c.mu.Lock()
	old := from < c.expired
	c.mu.Unlock()
	if old {
		refuse(w, expired())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	for {
		c.mu.Lock()
		events, wake := c.eventsLocked(r.PathValue("resource"), from, match), c.wake
		from = max(from, c.version)
		c.mu.Unlock()
		for _, event := range events {
			if err := json.NewEncoder(w).Encode(event); err != nil || event.Type == string(watch.Error) {
				return
			}
		}
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		select {
		case <-wake:
		case <-r.Context().Done():
			return
		}
	}
}

// expired is what a watch is told that is too old.
func expired() *apierrors.StatusError {
	return apierrors.NewResourceExpired("too old resource version")
}

// eventsLocked are those after a version; one of type ERROR where they are not known
// any more.
func (c *Cluster) eventsLocked(resource string, after int, match func(object) bool) []metav1.WatchEvent {
	if after < c.expired {
		status := expired().Status()
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		return []metav1.WatchEvent{{Type: string(watch.Error), Object: runtime.RawExtension{Object: &status}}}
	}
	var events []metav1.WatchEvent
	for _, change := range c.changes {
		if change.version > after && change.resource == resource && match(change.object) {
			events = append(events, metav1.WatchEvent{Type: string(change.kind), Object: runtime.RawExtension{Object: change.object}})
		}
	}
	return events
}

// get answers with one object.
func (c *Cluster) get(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	found, err := c.getLocked(r.PathValue("resource"), r.PathValue("name"))
	c.mu.Unlock()
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, found)
}

// decode reads the body of a request.
func (c *Cluster) decode(r *http.Request) (object, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	decoded, _, err := c.decoder.Decode(body, nil, nil)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	o, ok := decoded.(object)
	if !ok || resourceOf(o) != r.PathValue("resource") {
		return nil, badRequest(fmt.Sprintf("%T is none of the %s", decoded, r.PathValue("resource")))
	}
	return o, nil
}

// create makes an object, or only says what it would be.
func (c *Cluster) create(w http.ResponseWriter, r *http.Request) {
	o, err := c.decode(r)
	if err != nil {
		refuse(w, err)
		return
	}
	c.mu.Lock()
	made, err := c.createLocked(o, r.URL.Query().Get("dryRun") != "")
	c.mu.Unlock()
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusCreated, made)
}

// patch changes an object by a strategic merge patch.
func (c *Cluster) patch(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.Header.Get("Content-Type") != string(types.StrategicMergePatchType) {
		err = badRequest("the cluster knows strategic merge patches alone")
	}
	if err != nil {
		refuse(w, err)
		return
	}
	c.mu.Lock()
	patched, err := c.patchLocked(r.PathValue("resource"), r.PathValue("name"), body)
	c.mu.Unlock()
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, patched)
}

// patchLocked is patch. A UID in the patch is a precondition, and so is a resource
// version.
func (c *Cluster) patchLocked(resource, name string, body []byte) (object, error) {
	found, err := c.getLocked(resource, name)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	after, err := strategicpatch.StrategicMergePatch(before, body, found)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	patched, err := c.decodeAs(after, resource)
	if err != nil {
		return nil, err
	}
	if err := unmet(found, &metav1.Preconditions{UID: new(patched.GetUID()), ResourceVersion: new(patched.GetResourceVersion())}); err != nil {
		return nil, apierrors.NewConflict(group(resource), name, err)
	}
	c.storeLocked(watch.Modified, patched)
	return patched, nil
}

// decodeAs reads an object of a resource.
func (c *Cluster) decodeAs(data []byte, resource string) (object, error) {
	kind := kinds()[resource]
	decoded, _, err := c.decoder.Decode(data, &kind, nil)
	if err != nil {
		return nil, badRequest(err.Error())
	}
	o, ok := decoded.(object)
	if !ok {
		return nil, badRequest(fmt.Sprintf("%T is no object", decoded))
	}
	return o, nil
}

// delete removes an object.
func (c *Cluster) delete(w http.ResponseWriter, r *http.Request) {
	var options metav1.DeleteOptions
	body, err := io.ReadAll(r.Body)
	if err == nil && len(body) > 0 {
		_, _, err = c.decoder.Decode(body, nil, &options)
	}
	if err != nil {
		refuse(w, badRequest(err.Error()))
		return
	}
	c.mu.Lock()
	err = c.deleteLocked(r.PathValue("resource"), r.PathValue("name"), options)
	c.mu.Unlock()
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
}
