#!/usr/bin/env bash
# Two numbers of a chart's values, from a file and from --set, in both majors of Helm
# (v3.22.0 and v4.3.1):
#
#   from a file a whole number is a float64, from --set an int64; a template that compares
#     the two with gt works while both come from one place and fails when one of them is set
#   printed as they are, 20000000 of a file is 2e+07, and of --set 20000000
#
# The chart gha-runner-scale-set compares minRunners with maxRunners in this way: with one
# of them in a values file and --set for the other one it does not render.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

mkdir -p chart/templates
printf '%s\n' 'apiVersion: v2' 'name: probe' 'version: 0.1.0' >chart/Chart.yaml
printf '%s\n' 'min: 1' 'max: 20000000' >chart/values.yaml
echo '{{ .Values.max }} is more: {{ gt .Values.max .Values.min }}' >chart/templates/probe.txt
cat >go.mod <<'MOD'
module probe

go 1.26.0

require (
	helm.sh/helm/v3 v3.22.0
	helm.sh/helm/v4 v4.3.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"log"
	"strings"

	three "helm.sh/helm/v3/pkg/chart/loader"
	threevalues "helm.sh/helm/v3/pkg/chartutil"
	threeengine "helm.sh/helm/v3/pkg/engine"
	threeset "helm.sh/helm/v3/pkg/strvals"
	"helm.sh/helm/v4/pkg/chart/common"
	fourvalues "helm.sh/helm/v4/pkg/chart/common/util"
	four "helm.sh/helm/v4/pkg/chart/v2/loader"
	fourengine "helm.sh/helm/v4/pkg/engine"
	fourset "helm.sh/helm/v4/pkg/strvals"
)

func main() {
	for _, set := range []string{"", "max=20000000,min=1", "max=20000000"} {
		show(renderThree(set))
		show(renderFour(set))
	}
}

func renderThree(set string) (map[string]string, error) {
	chart, err := three.Load("chart")
	check(err)
	values, err := threeset.Parse(set)
	check(err)
	all, err := threevalues.ToRenderValues(chart, values, threevalues.ReleaseOptions{}, nil)
	check(err)
	return threeengine.Render(chart, all)
}

func renderFour(set string) (map[string]string, error) {
	chart, err := four.Load("chart")
	check(err)
	values, err := fourset.Parse(set)
	check(err)
	all, err := fourvalues.ToRenderValues(chart, values, common.ReleaseOptions{}, nil)
	check(err)
	return fourengine.Render(chart, all)
}

func show(files map[string]string, err error) {
	if err != nil {
		fmt.Println("incompatible:", strings.Contains(err.Error(), "incompatible types for comparison"))
		return
	}
	fmt.Print(files["probe/templates/probe.txt"])
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(./probe) <<'SEEN' && echo 'as described'
2e+07 is more: true
2e+07 is more: true
20000000 is more: true
20000000 is more: true
incompatible: true
incompatible: true
SEEN
