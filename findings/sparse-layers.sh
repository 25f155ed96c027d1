#!/usr/bin/env bash
# A layer with a sparse file, archived by GNU tar with --sparse in its own format and in the
# POSIX one, in the hands of readers of layers:
#
#   archive/tar of Go 1.26 (containerd, Docker): the file, with its holes, from both
#   tar 7.5.23 for Node.js: of the first, the file is missing without a warning; of the second,
#     it has another name and the map of its holes stands before its data
#   tar-stream 3.2.2 for Node.js: of the first, an entry with no type and the data without
#     the holes; of the second, like tar
#
# A scanner or an unpacker for Node.js sees another image than the one that runs.
# Needs Go, GNU tar, Node.js and the npm registry. Exits with 1 if the behaviour has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

npm install --silent --no-audit --no-fund tar@7.5.23 tar-stream@3.2.2
printf head >disk.img
truncate --size=1M disk.img
printf tail >>disk.img
echo plain >plain.txt
for format in gnu posix; do tar --sparse --format=$format -cf $format.tar disk.img plain.txt; done
cat >probe.js <<'JS'
const fs = require('fs')
const tar = require('tar')
const stream = require('tar-stream')
const name = path => path.replace(/GNUSparseFile\.\d+/, 'GNUSparseFile.PID')
const read = async (format) => {
  const warn = (code, message) => console.log(format, 'tar warns', message)
  const entry = entry => console.log(format, 'tar', name(entry.path), entry.size)
  tar.t({ file: `${format}.tar`, sync: true, onwarn: warn, onReadEntry: entry })
  const extract = stream.extract()
  fs.createReadStream(`${format}.tar`).pipe(extract)
  for await (const entry of extract) {
    console.log(format, 'tar-stream', name(entry.header.name), entry.header.type, entry.header.size)
    entry.resume()
  }
}
read('gnu').then(() => read('posix'))
JS
cat >main.go <<'GO'
package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
)

func main() {
	for _, format := range []string{"gnu", "posix"} {
		file, err := os.Open(format + ".tar")
		check(err)
		reader := tar.NewReader(file)
		for header, err := reader.Next(); err != io.EOF; header, err = reader.Next() {
			check(err)
			fmt.Println(format, "archive/tar", header.Name, header.Size)
		}
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
GO
diff - <(go run main.go; node probe.js) <<'SEEN' && echo 'as described'
gnu archive/tar disk.img 1048580
gnu archive/tar plain.txt 6
posix archive/tar disk.img 1048580
posix archive/tar plain.txt 6
gnu tar plain.txt 6
gnu tar-stream disk.img null 4100
gnu tar-stream plain.txt file 6
posix tar ./GNUSparseFile.PID/disk.img 4612
posix tar plain.txt 6
posix tar-stream ./GNUSparseFile.PID/disk.img file 4612
posix tar-stream plain.txt file 6
SEEN
