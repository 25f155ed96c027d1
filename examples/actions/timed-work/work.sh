#!/bin/sh
set -eu

echo "$INPUT_MESSAGE" > work.txt
echo "Wrote work.txt in $PWD, $(($(date +%s) - STATE_started)) s after the start."
