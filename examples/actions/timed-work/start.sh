#!/bin/sh
set -eu

echo "started=$(date +%s)" >> "$GITHUB_STATE"
echo "The clock runs."
