#!/usr/bin/env bash
# KUBECONFIG with two files, which Kubernetes documents how to merge ("Organizing Cluster
# Access Using kubeconfig Files"): the first file to set a value wins, current-context among
# them, and a file that does not exist is passed over.
#
#   k8s.io/client-go v0.37.2 (kubectl): as documented
#   @kubernetes/client-node 1.4.0: the current context is the last file's; a cluster, user or
#     context that both files name is an error, and so is a missing file
#
# With the same variable kubectl and a program for Node.js work on two clusters.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

for name in first second; do
  cat >$name <<YAML
apiVersion: v1
kind: Config
current-context: $name
clusters: [{name: $name, cluster: {server: "https://$name.example.com"}}]
users: [{name: $name, user: {token: unused}}]
contexts: [{name: $name, context: {cluster: $name, user: $name}}]
YAML
done
npm install --silent --no-audit --no-fund @kubernetes/client-node@1.4.0
cat >probe.mjs <<'JS'
import { KubeConfig } from '@kubernetes/client-node'
const config = new KubeConfig()
let server
try {
  config.loadFromDefault()
  server = config.getCurrentCluster().server
} catch (error) {
  server = error.message.split(',')[0]
}
console.log(`${process.env.KUBECONFIG}: client-node ${server}`)
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require k8s.io/client-go v0.37.2
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s: client-go %s\n", os.Getenv("KUBECONFIG"), config.Host)
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o probe .
seen() {
  for files in first:second second:first first:first missing:first; do
    KUBECONFIG=$files ./probe 2>/dev/null
    KUBECONFIG=$files node probe.mjs
  done
}
diff - <(seen) <<'SEEN' && echo 'as described'
first:second: client-go https://first.example.com
first:second: client-node https://second.example.com
second:first: client-go https://second.example.com
second:first: client-node https://first.example.com
first:first: client-go https://first.example.com
first:first: client-node Duplicate cluster: first
missing:first: client-go https://first.example.com
missing:first: client-node ENOENT: no such file or directory
SEEN
