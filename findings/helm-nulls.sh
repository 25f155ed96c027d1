#!/usr/bin/env bash
# A chart whose values.yaml takes a default of its subchart away with a null, in both majors
# of Helm:
#
#   helm.sh/helm/v3 v3.22.0: the default is gone
#   helm.sh/helm/v4 v4.3.1: the default is back; with --set of any other value of that
#     subchart it is gone again
#
# From one chart an upgrade of Helm brings back a securityContext or a limit that had been
# taken away, and an unrelated --set decides about it.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

mkdir -p chart/charts/sub
printf '%s\n' 'apiVersion: v2' 'name: chart' 'version: 0.1.0' >chart/Chart.yaml
printf '%s\n' 'apiVersion: v2' 'name: sub' 'version: 0.1.0' >chart/charts/sub/Chart.yaml
echo 'sub: {user: null}' >chart/values.yaml
echo 'user: 472' >chart/charts/sub/values.yaml
cat >go.mod <<'MOD'
module probe

go 1.26.0

require (
	helm.sh/helm/v3 v3.22.0
	helm.sh/helm/v4 v4.3.1
	sigs.k8s.io/yaml v1.6.0
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"

	three "helm.sh/helm/v3/pkg/chart/loader"
	threevalues "helm.sh/helm/v3/pkg/chartutil"
	fourvalues "helm.sh/helm/v4/pkg/chart/common/util"
	four "helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"
)

func main() {
	for _, set := range []string{"{}", "{sub: {other: 1}}"} {
		chart3, err := three.Load("chart")
		check(err)
		values3, err := threevalues.CoalesceValues(chart3, parse(set))
		check(err)
		chart4, err := four.Load("chart")
		check(err)
		values4, err := fourvalues.CoalesceValues(chart4, parse(set))
		check(err)
		for _, all := range []map[string]any{values3, values4} {
			user, there := all["sub"].(map[string]any)["user"]
			fmt.Println(set, "user:", user, there)
		}
	}
}

// parse gives each caller values of its own, for they are changed.
func parse(set string) (values map[string]any) {
	check(yaml.Unmarshal([]byte(set), &values))
	return values
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(./probe) <<'SEEN' && echo 'as described'
{} user: <nil> false
{} user: 472 true
{sub: {other: 1}} user: <nil> false
{sub: {other: 1}} user: <nil> false
SEEN
