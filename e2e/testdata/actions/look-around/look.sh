#!/bin/sh
# Shows what the runner promises to a container action.
set -eu

echo "directory: $PWD"
echo "home: $HOME"
echo "marks: GITHUB_ACTIONS=$GITHUB_ACTIONS CI=$CI"
echo "arguments: $#"
for argument in "$@"; do
  echo "argument: <$argument>"
done
echo "odd name: $(tr '\0' '\n' < /proc/1/environ | grep '^INPUT_WITH-DASH=')"
echo "workspace file: $(cat seen.txt)"
echo "same file: $(cat /__w/app/app/seen.txt)"
test -s "$GITHUB_EVENT_PATH" && echo "event: present"
test -d "$RUNNER_TEMP/_runner_file_commands" && echo "runner temp: present"
echo "left here" > from-action.txt
echo "name=value" >> "$GITHUB_ENV"
echo "/opt/from-action" >> "$GITHUB_PATH"
test -e /var/run/secrets/kubernetes.io && echo "token: present" || echo "token: absent"
