package extension

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// ApplyToJob merges the template into a pod of a whole job as Apply does, but for the
// settings in which kiln has what an author's options ask for: the resources and the
// securityContext of a container, and the securityContext and dnsConfig of the pod. Of
// these each key by itself is the template's where that has it, and of two limits of
// one resource the lower one counts.
func (t *Template) ApplyToJob(spec *corev1.PodSpec, metas ...*metav1.ObjectMeta) (ignored []string, err error) {
	return t.apply(spec, rules{
		pod:       joins{"securityContext": overlaid, "dnsConfig": overlaid},
		container: joins{"resources": limited, "securityContext": secured},
		settle:    settleNames,
	}, metas)
}

// rules say what of a pod is merged that would be replaced otherwise, and what is put
// right once the keys of its spec are merged.
type rules struct {
	pod, container joins
	settle         func(spec, template map[string]any)
}

// joins say by their keys how the values of a pod and of the template are merged. Both
// are the function's to change.
type joins map[string]func(have, more map[string]any) map[string]any

// merge returns what a key is to be: the template's value, unless both are objects that
// are merged.
func (j joins) merge(key string, have, more any) any {
	more = runtime.DeepCopyJSONValue(more)
	haveKeys, had := have.(map[string]any)
	moreKeys, has := more.(map[string]any)
	if join, known := j[key]; known && had && has {
		return join(haveKeys, moreKeys)
	}
	return more
}

// overlaid has each key of more, and of have what more does not set.
func overlaid(have, more map[string]any) map[string]any {
	merged := maps.Clone(have)
	maps.Copy(merged, more)
	return merged
}

// secured is overlaid for the securityContext of a container. What belongs together is
// not mixed: a group without the user it was named with, and a pair that the API server
// refuses. Capabilities that one of both drops are dropped.
func secured(have, more map[string]any) map[string]any {
	if _, chosen := more["runAsUser"]; chosen {
		delete(have, "runAsGroup")
	}
	switch {
	case more["privileged"] == true:
		delete(have, "allowPrivilegeEscalation")
	case more["allowPrivilegeEscalation"] == false:
		delete(have, "privileged")
	}
	asked, _ := have["capabilities"].(map[string]any)
	if given, both := more["capabilities"].(map[string]any); both && asked != nil {
		dropped := list(given["drop"])
		for _, name := range list(asked["drop"]) {
			if !slices.Contains(dropped, name) {
				dropped = append(dropped, name)
			}
		}
		given["drop"] = dropped
	}
	return overlaid(have, more)
}

// limited is overlaid for the resources of a container, by resource and with the lower
// limit. No request is above its limit; where have has none but zero, by which a limit
// of the options reserves nothing, a limit of more reserves what it would alone.
func limited(have, more map[string]any) map[string]any {
	var asked, given corev1.ResourceRequirements
	convert := runtime.DefaultUnstructuredConverter
	if convert.FromUnstructured(have, &asked) != nil || convert.FromUnstructured(more, &given) != nil {
		return more // the whole pod is refused for it
	}
	for name, limit := range given.Limits {
		if own, both := asked.Limits[name]; both && own.Cmp(limit) < 0 {
			given.Limits[name] = own
		}
		if request := asked.Requests[name]; request.IsZero() {
			delete(asked.Requests, name)
		}
	}
	given.Limits = overlay(asked.Limits, given.Limits)
	given.Requests = overlay(asked.Requests, given.Requests)
	for name, request := range given.Requests {
		if limit, limits := given.Limits[name]; limits && request.Cmp(limit) > 0 {
			given.Requests[name] = limit
		}
	}
	merged, err := convert.ToUnstructured(&given)
	if err != nil {
		return more
	}
	return merged
}

// overlay has all of more, and of have what more does not have.
func overlay(have, more corev1.ResourceList) corev1.ResourceList {
	merged := maps.Clone(have)
	if merged == nil {
		return more
	}
	maps.Copy(merged, more)
	return merged
}

// settleNames has the cluster's name server asked again, as --dns does not, where the
// template replaces the servers of --dns and says nothing of the policy.
func settleNames(spec, template map[string]any) {
	_, policy := template["dnsPolicy"]
	given, replaces := template["dnsConfig"].(map[string]any)
	_, servers := given["nameservers"]
	if _, set := template["dnsConfig"]; set && !policy && (servers || !replaces) {
		delete(spec, "dnsPolicy")
	}
}
