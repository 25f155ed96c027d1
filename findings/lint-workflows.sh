#!/usr/bin/env bash
# Lines of a workflow by GitHub's own parser and by the linter that checks workflows before they
# are pushed:
#
#   @actions/workflow-parser 0.3.61: takes a service's command and entrypoint, its port as
#     ports[5432], the numbers -.5 and NaN; refuses a schedule that begins with TZ=UTC and a
#     default "true" of a boolean input
#   rhysd/actionlint v1.7.12: the reverse in each
#
# A job with a database does not pass the check; a schedule does that GitHub's parser refuses.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

# workflow NAME ON JOB STEP: a workflow of these, each within its section
workflow() {
  printf 'on: %s\njobs:\n  test:\n    runs-on: ubuntu-latest\n    %s\n    steps: [%s]\n' "${@:2}" >"$1.yml"
}
services='services: {db: {image: postgres, ports: [5432]}}'
workflow plain push "$services" "{run: test}"
workflow command push 'services: {db: {image: postgres, command: -c fsync=off}}' '{run: test}'
workflow entrypoint push 'services: {db: {image: postgres, entrypoint: start}}' '{run: test}'
# shellcheck disable=SC2016 # the dollar signs are the workflow's
workflow port push "$services" '{run: "test ${{ job.services.db.ports[5432] }}"}'
# shellcheck disable=SC2016
workflow fraction push "$services" '{run: "test ${{ -.5 }}"}'
# shellcheck disable=SC2016
workflow nan push "$services" '{run: "test ${{ NaN }}"}'
workflow zone '{schedule: [{cron: "TZ=UTC 0 4 * * 1"}]}' "$services" '{run: test}'
workflow default '{workflow_dispatch: {inputs: {fast: {type: boolean, default: "true"}}}}' "$services" '{run: test}'

npm install --silent --no-audit --no-fund @actions/workflow-parser@0.3.61
# Node.js imports JSON only with an attribute, which the package leaves to bundlers.
sed -i 's/\.min\.json"/& with {type: "json"}/' node_modules/@actions/workflow-parser/dist/*/*-schema.js
cat >probe.mjs <<'JS'
import fs from 'node:fs'
import { NoOperationTraceWriter, convertWorkflowTemplate, parseWorkflow } from '@actions/workflow-parser'

for (const name of process.argv.slice(2)) {
  const { context, value } = parseWorkflow({ name, content: fs.readFileSync(name, 'utf8') }, new NoOperationTraceWriter())
  const { errors = [] } = await convertWorkflowTemplate(context, value)
  console.log('workflow-parser', name, errors.length + context.errors.getErrors().length ? 'refused' : 'taken')
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require github.com/rhysd/actionlint v1.7.12
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/rhysd/actionlint"
)

func main() {
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	check(err)
	for _, name := range os.Args[1:] {
		errors, err := linter.LintFile(name, nil)
		check(err)
		answer := "taken"
		if len(errors) > 0 {
			answer = "refused"
		}
		fmt.Println("actionlint", name, answer)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
names=(plain.yml command.yml entrypoint.yml port.yml fraction.yml nan.yml zone.yml default.yml)
diff - <(node probe.mjs "${names[@]}" && GOFLAGS=-mod=mod CGO_ENABLED=0 go run . "${names[@]}") <<'SEEN' && echo 'as described'
workflow-parser plain.yml taken
workflow-parser command.yml taken
workflow-parser entrypoint.yml taken
workflow-parser port.yml taken
workflow-parser fraction.yml taken
workflow-parser nan.yml taken
workflow-parser zone.yml refused
workflow-parser default.yml refused
actionlint plain.yml taken
actionlint command.yml refused
actionlint entrypoint.yml refused
actionlint port.yml refused
actionlint fraction.yml refused
actionlint nan.yml refused
actionlint zone.yml taken
actionlint default.yml taken
SEEN
