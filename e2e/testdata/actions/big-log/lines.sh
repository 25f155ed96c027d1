#!/bin/sh
# Prints 200,000 lines of 100 bytes, newline included, each with its number.
exec awk 'BEGIN {
	fill = sprintf("%90s", ""); gsub(/ /, "x", fill)
	for (i = 1; i <= 200000; i++) printf "%08d %s\n", i, fill
}'
