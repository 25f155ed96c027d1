#!/usr/bin/env bash
# A kubeconfig that @kubernetes/client-node 1.4.0 reads with loadFromString and gives back with
# exportConfig, of which Kubernetes' reference of the format (v1) has all fields:
#
#   tokenFile is neither read nor written, so that this user has no credentials any more
#   as-groups, as-uid and as-user-extra are gone, and "as" stays: the user acts without the groups
#   disable-compression, preferences and all extensions are gone
#   a context has its name a second time, within its "context", where the format has no such field
#
# A program that changes the current context and saves the file takes all that away without an
# error, and kubectl, which reads the same file, has no credentials for that user any more.
# Needs Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund @kubernetes/client-node@1.4.0
cat >config <<'YAML'
apiVersion: v1
kind: Config
current-context: main
preferences: {colors: true}
extensions: [{name: editor, extension: {theme: dark}}]
clusters:
- name: main
  cluster:
    server: https://kubernetes.example
    tls-server-name: internal.example
    disable-compression: true
    extensions: [{name: provider, extension: {version: v1}}]
contexts:
- name: main
  context: {cluster: main, user: file, namespace: builds}
users:
- name: file
  user: {tokenFile: /run/token}
- name: acting
  user: {token: secret, as: robot, as-uid: "7", as-groups: [builders], as-user-extra: {scope: [builds]}}
YAML
cat >probe.mjs <<'JS'
import { readFileSync } from 'node:fs'
import { KubeConfig } from '@kubernetes/client-node'
const config = new KubeConfig()
config.loadFromString(readFileSync('config', 'utf8'))
for (const [key, value] of Object.entries(JSON.parse(config.exportConfig()))) {
  for (const entry of [value].flat()) console.log(`${key}: ${JSON.stringify(entry)}`)
}
const { headers } = await config.applyToFetchOptions({ headers: {} })
console.log(`authorization: ${headers.get('authorization')}`)
JS
diff - <(node probe.mjs) <<'SEEN' && echo 'as described'
apiVersion: "v1"
kind: "Config"
clusters: {"name":"main","cluster":{"server":"https://kubernetes.example","insecure-skip-tls-verify":false,"tls-server-name":"internal.example"}}
users: {"name":"file","user":{}}
users: {"name":"acting","user":{"as":"robot","token":"secret"}}
contexts: {"name":"main","context":{"cluster":"main","name":"main","user":"file","namespace":"builds"}}
preferences: {}
current-context: "main"
authorization: null
SEEN
