#!/usr/bin/env bash
# Jobs and labels that have a slash, and a label without text, pushed to a Pushgateway. Its
# documentation names base64 as the only way for both, since a slash parts the path even when it
# is encoded, and a path with two slashes in a row is made one without.
#
#   client_golang v1.22.0: base64, and the group that was meant in pushgateway v1.11.1
#   prom-client 15.1.3 for Node.js: encodes the slash as %2F and leaves the empty text empty. The
#     gateway makes other labels of the parts, or refuses them, or redirects to a path without
#     the two slashes; the client does not follow, and takes that for a success
#
# A job named owner/repository is taken for one of its owner when one more value has a slash, and is
# an error when none has; with an empty text nothing is stored, and the push has succeeded.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund prom-client@15.1.3
cat >probe.js <<'JS'
const { Gauge, Pushgateway, Registry } = require('prom-client')
const [address, jobName, labels] = process.argv.slice(2)
const registry = new Registry()
new Gauge({ name: 'seen', help: '-', registers: [registry] }).set(1)
new Pushgateway(address, {}, registry).push({ jobName, groupings: JSON.parse(labels) }).then(
  ({ resp }) => console.log(`  prom-client: ${resp.statusCode}`),
  error => console.log(`  prom-client: ${error.message.trim()}`)
)
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require (
	github.com/prometheus/client_golang v1.22.0
	github.com/prometheus/pushgateway v1.11.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

// keys are the name of a job and its labels, each.
var keys = []struct {
	job    string
	labels map[string]string
}{
	{"build", map[string]string{"instance": "10.0.0.1:80"}},
	{"owner/repo", map[string]string{"ref": "feature/x"}},
	{"owner/repo", map[string]string{"ref": "main"}},
	{"build", map[string]string{"instance": "", "zone": "a"}},
}

func main() {
	for _, key := range keys {
		labels, err := json.Marshal(key.labels)
		check(err)
		fmt.Printf("%s %s\n", key.job, labels)
		gateway(func(address string) {
			gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "seen", Help: "-"})
			gauge.Set(1)
			pusher := push.New(address, key.job).Collector(gauge)
			for name, value := range key.labels {
				pusher.Grouping(name, value)
			}
			fmt.Println("  client_golang:", pusher.Push())
		})
		gateway(func(address string) {
			node := exec.Command("node", "probe.js", address, key.job, string(labels))
			node.Stdout, node.Stderr = os.Stdout, os.Stderr
			check(node.Run())
		})
	}
}

// gateway shows the groups of a new Pushgateway after use.
func gateway(use func(address string)) {
	server := exec.Command("./pushgateway", "--web.listen-address=127.0.0.1:0")
	log, err := server.StderrPipe()
	check(err)
	check(server.Start())
	defer server.Wait()
	defer server.Process.Kill()
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if listening := regexp.MustCompile(`"Listening on" address=(\S+)`).FindStringSubmatch(lines.Text()); listening != nil {
			address := "http://" + listening[1]
			use(address)
			response, err := http.Get(address + "/api/v1/metrics")
			check(err)
			defer response.Body.Close()
			var stored struct{ Data []struct{ Labels map[string]string } }
			check(json.NewDecoder(response.Body).Decode(&stored))
			for _, group := range stored.Data {
				fmt.Println("    ", group.Labels)
			}
			return
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
cat >tools.go <<'GO'
//go:build tools

package main

import _ "github.com/prometheus/pushgateway"
GO
{
  GOFLAGS=-mod=mod go mod tidy
  GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o pushgateway github.com/prometheus/pushgateway
  GOFLAGS=-mod=mod CGO_ENABLED=0 go build -o probe .
} >/dev/null 2>&1
diff - <(./probe) <<'SEEN' && echo 'as described'
build {"instance":"10.0.0.1:80"}
  client_golang: <nil>
     map[instance:10.0.0.1:80 job:build]
  prom-client: 200
     map[instance:10.0.0.1:80 job:build]
owner/repo {"ref":"feature/x"}
  client_golang: <nil>
     map[job:owner/repo ref:feature/x]
  prom-client: 200
     map[feature:x job:owner repo:ref]
owner/repo {"ref":"main"}
  client_golang: <nil>
     map[job:owner/repo ref:main]
  prom-client: push failed with status 400, odd number of components in label string "/repo/ref/main"
build {"instance":"","zone":"a"}
  client_golang: <nil>
     map[instance: job:build zone:a]
  prom-client: 307
SEEN
