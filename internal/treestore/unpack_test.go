package treestore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"

	"kiln/internal/treeindex"
)

// FuzzUnpack wants what somebody else keeps in the place of an index to be refused, or to
// be an index of the layer that is asked for.
func FuzzUnpack(f *testing.F) {
	const layer = "sha256:layer"
	index := &treeindex.Index{
		Layer:    layer,
		Entries:  []treeindex.Entry{{Path: "a", Kind: treeindex.Dir, Mode: 0o755}, {Path: "a/l", Kind: treeindex.Link, Mode: 0o777, Target: "../b"}},
		Accounts: map[string][]byte{"etc/passwd": []byte("root:x:0:0::/:/bin/sh\n")},
	}
	image, err := Pack(index)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(image.Layer))
	if err != nil {
		f.Fatal(err)
	}
	var archive bytes.Buffer
	if _, err := archive.ReadFrom(plain); err != nil {
		f.Fatal(err)
	}
	f.Add(image.Layer, false)
	f.Add(archive.Bytes(), true)
	f.Add(archived(f, "other", "x", 1), true)
	f.Add(archived(f, file, "x", 1), true)
	f.Add(archived(f, file, "", MaxEncoded+1), true)
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		if compress {
			data = compressed(t, data)
		}
		got, err := unpack(layer, bytes.NewReader(data))
		if err != nil {
			return
		}
		if got.Layer != layer || len(got.Encode()) > MaxEncoded {
			t.Errorf("an index of %q, of %d bytes", got.Layer, len(got.Encode()))
		}
		again, err := Pack(got)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := unpack(layer, bytes.NewReader(again.Layer)); err != nil || !bytes.Equal(same.Encode(), got.Encode()) {
			t.Errorf("what was unpacked is not packed as it was: %v", err)
		}
	})
}

// archived is an archive of one file that says to be so long, without its end.
func archived(f *testing.F, name, content string, size int64) []byte {
	f.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		f.Fatal(err)
	}
	return out.Bytes()
}

func compressed(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	gz, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gz.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
