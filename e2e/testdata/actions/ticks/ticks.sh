#!/bin/sh
# Takes long enough for the daemon to be killed meanwhile, and counts.
i=1
while [ "$i" -le "${TICKS:-40}" ]; do
  echo "tick $i"
  sleep 0.2
  i=$((i + 1))
done
