#!/usr/bin/env bash
# The images of a kustomization. Kustomize documents the name there as that of the image,
# without its tag. By kustomize/api v0.21.2 (kubectl apply -k):
#
#   it is a regular expression, whose dot is any character: tools/py3.1 is tools/py311, too,
#     and my.registry/app is my-registry/app of another host
#   it is compared as it is written: alpine is not docker.io/library/alpine, nor the reverse
#
# An image that the kustomization does not name gets its new name and tag, and loses its digest.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >pod.yaml <<YAML
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  containers:
  - {name: a, image: tools/py3.1:1}
  - {name: b, image: tools/py311:1}
  - {name: c, image: my-registry/app@sha256:$(printf '0%.0s' {1..64})}
  - {name: d, image: docker.io/library/alpine:1}
  - {name: e, image: alpine:1}
YAML
cat >kustomization.yaml <<'YAML'
resources: [pod.yaml]
images:
- {name: tools/py3.1, newTag: "2"}
- {name: my.registry/app, newTag: "2"}
- {name: alpine, newTag: "2"}
YAML
cat >go.mod <<'MOD'
module probe

go 1.26

require sigs.k8s.io/kustomize/api v0.21.2
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), ".")
	if err != nil {
		panic(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		panic(err)
	}
	fmt.Print(string(text))
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . | sed -n 's/^ *- image: //p') <<'SEEN' && echo 'as described'
tools/py3.1:2
tools/py311:2
my-registry/app:2
docker.io/library/alpine:1
alpine:2
SEEN
