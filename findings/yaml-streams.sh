#!/usr/bin/env bash
# Valid streams of two YAML documents, as text, by the readers of k8s.io/apimachinery
# v0.37.2 and by the one that GitHub's container hooks and other Node.js programs use:
#
#   js-yaml 4.1.0: two documents each
#   NewYAMLOrJSONDecoder (kubectl): what follows a line of "..." without a --- is dropped,
#     and the end of the stream is reported as if there had been no more
#   NewDocumentDecoder (the framer of the serializers): "..." parts nothing, and what stands
#     on the line of --- is dropped, be it a document or the | of a text
#
# Of a file whose documents end with "..." kubectl applies the first and reports no error.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

printf 'kind: A\n...\nkind: B\n' >ended
printf 'kind: A\n--- {kind: B}\n' >inline
printf 'kind: A\n--- |\n  text\n' >text
npm install --silent --no-audit --no-fund js-yaml@4.1.0
cat >probe.js <<'JS'
const { readFileSync } = require('node:fs')
const { loadAll } = require('js-yaml')
for (const name of ['ended', 'inline', 'text']) {
  console.log('js-yaml', name, JSON.stringify(loadAll(readFileSync(name, 'utf8'))))
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26.0

require k8s.io/apimachinery v0.37.2
MOD
cat >main.go <<'GO'
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	decoder := yaml.NewYAMLOrJSONDecoder(open("ended"), 4096)
	show("decoder ended", func() (document any, err error) { return document, decoder.Decode(&document) })
	for _, name := range []string{"ended", "inline", "text"} {
		framer := yaml.NewDocumentDecoder(open(name))
		show("framer "+name, func() (any, error) {
			frame := make([]byte, 4096)
			n, err := framer.Read(frame)
			return string(frame[:n]), err
		})
	}
}

func open(name string) *os.File {
	file, err := os.Open(name)
	if err != nil {
		log.Fatal(err)
	}
	return file
}

// show prints what next gives until its stream has ended.
func show(name string, next func() (any, error)) {
	all := []any{}
	for {
		document, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		all = append(all, document)
	}
	text, err := json.Marshal(all)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(name, string(text))
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(node probe.js; ./probe) <<'SEEN' && echo 'as described'
js-yaml ended [{"kind":"A"},{"kind":"B"}]
js-yaml inline [{"kind":"A"},{"kind":"B"}]
js-yaml text [{"kind":"A"},"text\n"]
decoder ended [{"kind":"A"}]
framer ended ["kind: A\n...\nkind: B\n"]
framer inline ["kind: A"]
framer text ["kind: A","  text\n"]
SEEN
