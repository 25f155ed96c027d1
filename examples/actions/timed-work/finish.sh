#!/bin/sh
set -eu

seconds=$(($(date +%s) - STATE_started))
echo "The job took $seconds s."
echo "Took $seconds s." >> "$GITHUB_STEP_SUMMARY"
