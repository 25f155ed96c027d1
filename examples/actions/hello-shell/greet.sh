#!/bin/sh
set -eu

greeting="Hello, $1!"
if [ "$SHOUT" = true ]; then
  greeting=$(echo "$greeting" | tr '[:lower:]' '[:upper:]')
fi

echo "$greeting"
{
  echo "greeting=$greeting"
  echo "time=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
} >> "$GITHUB_OUTPUT"
