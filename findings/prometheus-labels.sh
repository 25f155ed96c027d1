#!/usr/bin/env bash
# A histogram and a summary with labels, as most are exported, in Prometheus' text format, by
# prom2json and by a package for Node.js whose documentation aims at the same output:
#
#   prometheus/prom2json v1.5.0: a metric for each set of labels
#   parse-prometheus-text-format 1.1.1: one metric, without labels, sum and count; its buckets
#     and quantiles are those of the last set. With no more than sum and count, or for a
#     counter or a gauge, each set is there
#
# A check of the API server's latencies reads those of the last verb and takes them for all.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >metrics <<'METRICS'
# TYPE latency histogram
latency_bucket{verb="GET",le="0.1"} 90
latency_bucket{verb="GET",le="+Inf"} 100
latency_sum{verb="GET"} 7
latency_count{verb="GET"} 100
latency_bucket{verb="PUT",le="0.1"} 1
latency_bucket{verb="PUT",le="+Inf"} 2
latency_sum{verb="PUT"} 3
latency_count{verb="PUT"} 2
# TYPE size summary
size{verb="GET",quantile="0.5"} 10
size_sum{verb="GET"} 40
size_count{verb="GET"} 4
size{verb="PUT",quantile="0.5"} 20
size_sum{verb="PUT"} 60
size_count{verb="PUT"} 3
# TYPE wait summary
wait_sum{verb="GET"} 8
wait_count{verb="GET"} 4
wait_sum{verb="PUT"} 9
wait_count{verb="PUT"} 3
METRICS
npm install --silent --no-audit --no-fund parse-prometheus-text-format@1.1.1
cat >probe.mjs <<'JS'
import fs from 'node:fs'
import parse from 'parse-prometheus-text-format'

console.log('parse-prometheus-text-format')
for (const family of parse(fs.readFileSync('metrics', 'utf8'))) {
  for (const { labels, buckets, quantiles, sum, count } of family.metrics) {
    console.log(' ', family.name, JSON.stringify({ labels, buckets, quantiles, sum, count }))
  }
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/prometheus/prom2json v1.5.0
MOD
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	model "github.com/prometheus/client_model/go"
	"github.com/prometheus/prom2json"
)

func main() {
	file, err := os.Open("metrics")
	check(err)
	parsed := make(chan *model.MetricFamily, 3)
	check(prom2json.ParseReader(file, parsed))
	lines := []string{}
	for family := range parsed {
		converted := prom2json.NewFamily(family)
		for _, metric := range converted.Metrics {
			text, err := json.Marshal(metric)
			check(err)
			lines = append(lines, fmt.Sprintln(" ", converted.Name, string(text)))
		}
	}
	slices.Sort(lines)
	fmt.Println("prom2json")
	for _, line := range lines {
		fmt.Print(line)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . && node probe.mjs) <<'SEEN' && echo 'as described'
prom2json
  latency {"labels":{"verb":"GET"},"buckets":{"+Inf":"100","0.1":"90"},"count":"100","sum":"7"}
  latency {"labels":{"verb":"PUT"},"buckets":{"+Inf":"2","0.1":"1"},"count":"2","sum":"3"}
  size {"labels":{"verb":"GET"},"quantiles":{"0.5":"10"},"count":"4","sum":"40"}
  size {"labels":{"verb":"PUT"},"quantiles":{"0.5":"20"},"count":"3","sum":"60"}
  wait {"labels":{"verb":"GET"},"count":"4","sum":"8"}
  wait {"labels":{"verb":"PUT"},"count":"3","sum":"9"}
parse-prometheus-text-format
  latency {"buckets":{"0.1":"1","+Inf":"2"}}
  size {"quantiles":{"0.5":"20"}}
  wait {"labels":{"verb":"GET"},"sum":"8","count":"4"}
  wait {"labels":{"verb":"PUT"},"sum":"9","count":"3"}
SEEN
