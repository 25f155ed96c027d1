#!/usr/bin/env bash
# Texts as a ConfigMap or a label has them, written as YAML by two packages for Node.js and read
# by the library with which kubectl and Helm read:
#
#   yaml 2.9.1 writes for YAML 1.2, where all of these but 1e3 are texts without quotes
#   js-yaml 5.5.0 quotes what YAML 1.1 could take for something else, but neither a number whose
#     sign of its base is a large letter, nor one with _ behind 0o or e
#   sigs.k8s.io/yaml v1.6.0: what has no quotes here is a number or a boolean
#
# The API server refuses a ConfigMap with such a value; where any type is taken, as in the values of
# a chart, the short commit 0b11010 is 26. With version: '1.1' yaml quotes what js-yaml quotes.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund js-yaml@5.5.0 yaml@2.9.1
cat >probe.mjs <<'JS'
import { writeFileSync } from 'node:fs'
import { dump } from 'js-yaml'
import { stringify } from 'yaml'
const texts = ['1e3', '0b11010', '1_000', '-0x1F', 'n', '0X1F', '0B11', '0o1_0', '1e_3']
writeFileSync('js-yaml.yaml', dump(texts))
writeFileSync('yaml.yaml', stringify(texts))
writeFileSync('yaml11.yaml', stringify(texts, { version: '1.1' }))
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require sigs.k8s.io/yaml v1.6.0
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	for _, writer := range []string{"yaml", "yaml11", "js-yaml"} {
		text, err := os.ReadFile(writer + ".yaml")
		check(err)
		var values []any
		check(yaml.Unmarshal(text, &values))
		for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			fmt.Printf("%s: %s is %T %v\n", writer, line, values[i], values[i])
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(node probe.mjs; GOFLAGS=-mod=mod CGO_ENABLED=0 go run .) <<'SEEN' && echo 'as described'
yaml: - "1e3" is string 1e3
yaml: - 0b11010 is float64 26
yaml: - 1_000 is float64 1000
yaml: - -0x1F is float64 -31
yaml: - n is bool false
yaml: - 0X1F is float64 31
yaml: - 0B11 is float64 3
yaml: - 0o1_0 is float64 8
yaml: - 1e_3 is float64 1000
yaml11: - "1e3" is string 1e3
yaml11: - "0b11010" is string 0b11010
yaml11: - "1_000" is string 1_000
yaml11: - "-0x1F" is string -0x1F
yaml11: - "n" is string n
yaml11: - 0X1F is float64 31
yaml11: - 0B11 is float64 3
yaml11: - 0o1_0 is float64 8
yaml11: - 1e_3 is float64 1000
js-yaml: - '1e3' is string 1e3
js-yaml: - '0b11010' is string 0b11010
js-yaml: - '1_000' is string 1_000
js-yaml: - '-0x1F' is string -0x1F
js-yaml: - 'n' is string n
js-yaml: - 0X1F is float64 31
js-yaml: - 0B11 is float64 3
js-yaml: - 0o1_0 is float64 8
js-yaml: - 1e_3 is float64 1000
SEEN
