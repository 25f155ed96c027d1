#!/usr/bin/env bash
# A pod with fields that its client does not know yet, on its way to the API server:
#
#   @kubernetes/client-node 1.4.0 (of Kubernetes 1.34): a typed call writes the fields of
#     its own models alone; any other is left out without a word, be it newer than the
#     client or mistyped, so that the server's check for unknown fields sees nothing
#   k8s.io/api v0.37.2 and sigs.k8s.io/yaml v1.6.0: the newer field is known, a mistyped
#     one is an error
#
# A template that kubectl applies in full loses a part when a program for Node.js creates
# the pod, as GitHub's container hooks do; the pod runs, without what was asked for.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >pods.json <<'JSON'
[{"spec": {"containers": [{"name": "a"}], "schedulingGroup": {"podGroupName": "g"}}},
 {"spec": {"containers": [{"name": "a"}], "hostNetwrk": true}}]
JSON
npm install --silent --no-audit --no-fund @kubernetes/client-node@1.4.0
cat >probe.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { CoreV1Api, ServerConfiguration, createConfiguration } from '@kubernetes/client-node'

// The transport prints what would go to a server.
const httpApi = { send(request) { console.log(request.getBody()); throw new Error('not sent') } }
const api = new CoreV1Api(createConfiguration({
  baseServer: new ServerConfiguration('http://127.0.0.1', {}), httpApi,
}))
for (const body of JSON.parse(readFileSync('pods.json', 'utf8'))) {
  await api.createNamespacedPod({ namespace: 'n', body }).catch(() => {})
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26.0

require (
	k8s.io/api v0.37.2
	sigs.k8s.io/yaml v1.6.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	text, err := os.ReadFile("pods.json")
	if err != nil {
		log.Fatal(err)
	}
	var pods []json.RawMessage
	if err := json.Unmarshal(text, &pods); err != nil {
		log.Fatal(err)
	}
	for _, text := range pods {
		var pod corev1.Pod
		err := yaml.UnmarshalStrict(text, &pod)
		fmt.Println("group:", pod.Spec.SchedulingGroup != nil, "error:", err != nil)
	}
}
GO
GOFLAGS=-mod=mod go build -o typed . 2>/dev/null
diff - <(node probe.mjs; ./typed) <<'SEEN' && echo 'as described'
{"spec":{"containers":[{"name":"a"}]}}
{"spec":{"containers":[{"name":"a"}]}}
group: true error: false
group: false error: true
SEEN
