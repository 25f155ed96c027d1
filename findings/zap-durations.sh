#!/usr/bin/env bash
# One line of a log with the same duration of 1.5 s four times, by zap's production
# encoder, with which many controllers for Kubernetes log, and by Go's own slog:
#
#   go.uber.org/zap v1.28.0: seconds (1.5) as a field and in a slice, nanoseconds
#     (1500000000) in a map and in a struct, which the encoder hands to encoding/json
#   log/slog: nanoseconds throughout
#
# EncodeDuration changes the former two alone. What sums such fields up is off by a factor
# of 1e9 where somebody groups two values into a struct.
# Needs Go and a Go module proxy. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"

cat >go.mod <<'MOD'
module probe

go 1.26.0

require go.uber.org/zap v1.28.0
MOD
cat >main.go <<'GO'
package main

import (
	"log/slog"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func main() {
	took := 1500 * time.Millisecond
	slice, table := []time.Duration{took}, map[string]time.Duration{"t": took}
	object := struct{ T time.Duration }{took}

	config := zap.NewProductionEncoderConfig()
	config.TimeKey = ""
	zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(config), os.Stdout, zapcore.InfoLevel)).Info("zap",
		zap.Any("field", took), zap.Any("slice", slice), zap.Any("map", table), zap.Any("struct", object))

	untimed := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: untimed})).Info("slog",
		"field", took, "slice", slice, "map", table, "struct", object)
}
GO
GOFLAGS=-mod=mod go build -o probe . 2>/dev/null
diff - <(./probe) <<'SEEN' && echo 'as described'
{"level":"info","msg":"zap","field":1.5,"slice":[1.5],"map":{"t":1500000000},"struct":{"T":1500000000}}
{"level":"INFO","msg":"slog","field":1500000000,"slice":[1500000000],"map":{"t":1500000000},"struct":{"T":1500000000}}
SEEN
