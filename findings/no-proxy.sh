#!/usr/bin/env bash
# One NO_PROXY for all programs of a pod, as proxies are set for runners, read by the HTTP
# clients of three kinds of programs. The variable has no standard:
#
#   golang.org/x/net v0.62.0, http/httpproxy (kubectl, crane, Docker's client), as its
#     documentation says: networks like 10.0.0.0/8 and *.svc count, svc takes api.svc with it,
#     and commas alone part entries
#   @actions/http-client 4.0.1 (actions): networks and *.svc match nothing
#   proxy-from-env 2.1.0 (axios): networks match nothing, svc is that host alone, and spaces
#     part entries as well
#
# Of the five entries .svc alone means one thing. With a network for the API server kubectl in a
# step reaches it, and an action in the next step asks the proxy for it.
# Needs Go, Node.js, and the registries of both. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @actions/http-client@4.0.1 proxy-from-env@2.1.0
cat >probe.mjs <<'JS'
import { getProxyUrl } from '@actions/http-client/lib/proxy'
import { getProxyForUrl } from 'proxy-from-env'
const proxied = answer => answer ? 'proxy' : 'direct'
for (const line of process.argv.slice(2)) {
  const [exceptions, url] = line.split(' = ')
  process.env.no_proxy = exceptions
  console.log(`${line}: http-client ${proxied(getProxyUrl(new URL(url)))}, proxy-from-env ${proxied(getProxyForUrl(url))}`)
}
JS
cat >go.mod <<'MOD'
module probe

go 1.26

require golang.org/x/net v0.62.0
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

func main() {
	for _, line := range os.Args[1:] {
		exceptions, text, _ := strings.Cut(line, " = ")
		address, err := url.Parse(text)
		check(err)
		settings := httpproxy.Config{HTTPSProxy: "http://proxy:3128", NoProxy: exceptions}
		proxy, err := settings.ProxyFunc()(address)
		check(err)
		answer := "direct"
		if proxy != nil {
			answer = "proxy"
		}
		fmt.Printf("%s: httpproxy %s\n", line, answer)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
cases=(
  '10.0.0.0/8 = https://10.96.0.1'
  '*.svc = https://api.svc'
  '.svc = https://api.svc'
  'svc = https://api.svc'
  'a.svc b.svc = https://b.svc'
)
GOFLAGS=-mod=mod go mod tidy >/dev/null 2>&1
diff - <(GOFLAGS=-mod=mod CGO_ENABLED=0 go run . "${cases[@]}"; https_proxy=http://proxy:3128 node probe.mjs "${cases[@]}") <<'SEEN' && echo 'as described'
10.0.0.0/8 = https://10.96.0.1: httpproxy direct
*.svc = https://api.svc: httpproxy direct
.svc = https://api.svc: httpproxy direct
svc = https://api.svc: httpproxy direct
a.svc b.svc = https://b.svc: httpproxy proxy
10.0.0.0/8 = https://10.96.0.1: http-client proxy, proxy-from-env proxy
*.svc = https://api.svc: http-client proxy, proxy-from-env direct
.svc = https://api.svc: http-client direct, proxy-from-env direct
svc = https://api.svc: http-client direct, proxy-from-env proxy
a.svc b.svc = https://b.svc: http-client proxy, proxy-from-env direct
SEEN
