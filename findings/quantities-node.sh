#!/usr/bin/env bash
# Memory that a pod requests, as a quantity with a fraction ("1.5Gi"), which the grammar in the
# documentation of Kubernetes' resource.Quantity has:
#
#   k8s.io/apimachinery v0.37.2: a number
#   @kubernetes/client-node 1.4.0, topPods: with a fraction before k, M, G, Ki, Mi or Gi an
#     error of BigInt, and no numbers for any pod; one before nothing or m is a number
#
# A single pod with 1.5Gi makes topPods fail for all pods that it is asked for.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @kubernetes/client-node@1.4.0
cat >probe.mjs <<'JS'
import { topPods } from '@kubernetes/client-node'
const requested = async memory => {
  const metadata = { name: 'probe', namespace: 'default' }
  const pod = { metadata, spec: { containers: [{ name: 'main', resources: { requests: { memory } } }] } }
  const usage = { metadata, containers: [{ name: 'main', usage: { cpu: '1m', memory: '1Mi' } }] }
  const pods = { listPodForAllNamespaces: async () => ({ items: [pod] }) }
  const metrics = { getPodMetrics: async () => ({ items: [usage] }) }
  try {
    const [status] = await topPods(pods, metrics)
    return status.Memory.RequestTotal
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}
for (const quantity of process.argv.slice(2)) console.log(`${quantity}: client-node ${await requested(quantity)}`)
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require k8s.io/apimachinery v0.37.2
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/api/resource"
)

func main() {
	for _, text := range os.Args[1:] {
		quantity, err := resource.ParseQuantity(text)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: apimachinery %v\n", text, quantity.AsApproximateFloat64())
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
quantities=(1536Mi 1.5Gi 0.5G 1.5 1500m 2e3)
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . "${quantities[@]}"; node probe.mjs "${quantities[@]}") <<'SEEN' && echo 'as described'
1536Mi: apimachinery 1.610612736e+09
1.5Gi: apimachinery 1.610612736e+09
0.5G: apimachinery 5e+08
1.5: apimachinery 1.5
1500m: apimachinery 1.5
2e3: apimachinery 2000
1536Mi: client-node 1610612736
1.5Gi: client-node SyntaxError: Cannot convert 1.5 to a BigInt
0.5G: client-node SyntaxError: Cannot convert 0.5 to a BigInt
1.5: client-node 1.5
1500m: client-node 1.5
2e3: client-node 2000
SEEN
