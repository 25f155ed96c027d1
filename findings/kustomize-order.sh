#!/usr/bin/env bash
# One strategic merge patch of a pod, in which the order of containers, of init containers and
# of variables counts, applied by the two that templates for Kubernetes are patched with:
#
#   k8s.io/apimachinery v0.37.2, strategicpatch (API server, kubectl patch): what the patch
#     names stays in its place
#   kustomize/api v0.21.2 (kubectl apply -k): it moves to the front of its list
#
# A patch that changes the image of the second init container makes it run first; a variable
# that is changed stands before the one that its $(HOST) means, which then stays as it is
# written; and "kubectl logs" and "exec" without -c take the sidecar for the first container.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >pod.yaml <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  initContainers:
  - {name: fetch, image: fetch:1}
  - {name: unpack, image: unpack:1}
  containers:
  - name: main
    image: main:1
    env:
    - {name: HOST, value: example.com}
    - {name: URL, value: http://$(HOST)}
  - {name: sidecar, image: sidecar:1}
YAML
cat >variable.yaml <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  containers:
  - name: main
    env:
    - {name: URL, value: http://$(HOST)/v2}
YAML
cat >images.yaml <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  initContainers:
  - {name: unpack, image: unpack:2}
  containers:
  - {name: sidecar, image: sidecar:2}
YAML
echo '{resources: [pod.yaml], patches: [{path: variable.yaml}, {path: images.yaml}]}' >kustomization.yaml
cat >go.mod <<'MOD'
module probe

go 1.26

require (
	k8s.io/api v0.37.2
	k8s.io/apimachinery v0.37.2
	sigs.k8s.io/kustomize/api v0.21.2
	sigs.k8s.io/yaml v1.6.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	pod := read("pod.yaml")
	for _, name := range []string{"variable.yaml", "images.yaml"} {
		var err error
		pod, err = strategicpatch.StrategicMergePatch(pod, read(name), v1.Pod{})
		check(err)
	}
	show("strategicpatch", pod)

	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), ".")
	check(err)
	all, err := built.AsYaml()
	check(err)
	show("kustomize", all)
}

func read(name string) []byte {
	text, err := os.ReadFile(name)
	check(err)
	text, err = yaml.YAMLToJSON(text)
	check(err)
	return text
}

func show(what string, text []byte) {
	var pod v1.Pod
	check(yaml.Unmarshal(text, &pod))
	fmt.Println(what)
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		fmt.Print("  ", container.Image)
		for _, variable := range container.Env {
			fmt.Printf(" %s=%s", variable.Name, variable.Value)
		}
		fmt.Println()
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
strategicpatch
  fetch:1
  unpack:2
  main:1 HOST=example.com URL=http://$(HOST)/v2
  sidecar:2
kustomize
  unpack:2
  fetch:1
  sidecar:2
  main:1 URL=http://$(HOST)/v2 HOST=example.com
SEEN
