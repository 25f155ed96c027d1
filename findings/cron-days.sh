#!/usr/bin/env bash
# Schedules that name days of the month and of the week, or days in a range or a step, by five
# libraries; a line of the output has the first three days after 1 January 2026, a Thursday.
# crontab(5) runs a command when either of the two fields matches, or when both do if one of
# them begins with *; 0 and 7 are Sunday.
#
#   robfig/cron v3.0.1 (CronJob of Kubernetes): */10 with Monday is either, */1 with it is both;
#     7 is an error
#   adhocore/gronx v1.20.4: as crontab(5)
#   hashicorp/cronexpr v1.1.3 (Nomad), which documents 7 as Sunday: 5-7 has no Sunday
#   cron-parser 5.10.6: 1/2 has a Sunday, for it ends with 7; in robfig's documentation it ends
#     with the last day of the week, Saturday
#   cronexpr, cron-parser and croner 11.0.1: */1 with Monday is either, and so every day
#
# A schedule that was tried out in one of them runs on other days in a cluster. There is an error
# from robfig alone, for 7, and from croner, which documents that it takes no 1/2.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >schedules <<'TEXT'
0 0 */10 * 1
0 0 */1 * 1
0 0 * * 5-7
0 0 * * 1/2
TEXT
npm install --silent --no-audit --no-fund cron-parser@5.10.6 croner@11.0.1
cat >probe.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { CronExpressionParser } from 'cron-parser'
import { Cron } from 'croner'
const start = new Date('2026-01-01T00:00:30Z')
const show = days => days.map(day => day.toISOString().slice(5, 10)).join(' ')
for (const schedule of readFileSync('schedules', 'utf8').trim().split('\n')) {
  const parsed = CronExpressionParser.parse(schedule, { currentDate: start, tz: 'UTC' })
  console.log(`${schedule}, cron-parser: ${show(parsed.take(3))}`)
  try {
    console.log(`${schedule}, croner: ${show(new Cron(schedule, { timezone: 'UTC' }).nextRuns(3, start))}`)
  } catch (error) {
    console.log(`${schedule}, croner: ${error.name}`)
  }
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/adhocore/gronx v1.20.4
	github.com/hashicorp/cronexpr v1.1.3
	github.com/robfig/cron/v3 v3.0.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/adhocore/gronx"
	"github.com/hashicorp/cronexpr"
	"github.com/robfig/cron/v3"
)

func main() {
	schedules, err := os.ReadFile("schedules")
	check(err)
	for schedule := range strings.Lines(string(schedules)) {
		schedule = strings.TrimSpace(schedule)
		parsed, err := cron.ParseStandard(schedule)
		if err != nil {
			fmt.Printf("%s, robfig: %v\n", schedule, err)
		} else {
			show(schedule+", robfig:", parsed.Next)
		}
		show(schedule+", gronx:", func(after time.Time) time.Time {
			next, err := gronx.NextTickAfter(schedule, after, false)
			check(err)
			return next
		})
		expression, err := cronexpr.Parse(schedule)
		check(err)
		show(schedule+", cronexpr:", expression.Next)
	}
}

func show(what string, next func(time.Time) time.Time) {
	day := time.Date(2026, 1, 1, 0, 0, 30, 0, time.UTC)
	for range 3 {
		day = next(day)
		what += day.Format(" 01-02")
	}
	fmt.Println(what)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run .; node probe.mjs) <<'SEEN' && echo 'as described'
0 0 */10 * 1, robfig: 01-05 01-11 01-12
0 0 */10 * 1, gronx: 05-11 06-01 08-31
0 0 */10 * 1, cronexpr: 01-05 01-11 01-12
0 0 */1 * 1, robfig: 01-05 01-12 01-19
0 0 */1 * 1, gronx: 01-05 01-12 01-19
0 0 */1 * 1, cronexpr: 01-02 01-03 01-04
0 0 * * 5-7, robfig: end of range (7) above maximum (6): 5-7
0 0 * * 5-7, gronx: 01-02 01-03 01-04
0 0 * * 5-7, cronexpr: 01-02 01-03 01-09
0 0 * * 1/2, robfig: 01-02 01-05 01-07
0 0 * * 1/2, gronx: 01-02 01-05 01-07
0 0 * * 1/2, cronexpr: 01-02 01-05 01-07
0 0 */10 * 1, cron-parser: 01-05 01-11 01-12
0 0 */10 * 1, croner: 01-05 01-11 01-12
0 0 */1 * 1, cron-parser: 01-02 01-03 01-04
0 0 */1 * 1, croner: 01-02 01-03 01-04
0 0 * * 5-7, cron-parser: 01-02 01-03 01-04
0 0 * * 5-7, croner: 01-02 01-03 01-04
0 0 * * 1/2, cron-parser: 01-02 01-04 01-05
0 0 * * 1/2, croner: TypeError
SEEN
