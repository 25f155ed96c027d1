package treestore_test

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiln/internal/layer"
	"kiln/internal/treestore"
)

// baseLayer writes a layer of 400 MiB in 30,000 files, of which half the bytes can be
// compressed.
func baseLayer(b *testing.B) string {
	const files, size = 30_000, 14 << 10
	path := filepath.Join(b.TempDir(), "layer.tar.gz")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	gz, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	w := tar.NewWriter(gz)
	source, random := rand.NewChaCha8([32]byte{1}), make([]byte, size/2)
	text := strings.Repeat("the quick brown fox jumps over the lazy dog\n", size/2/44+1)[:size/2]
	for i := range files {
		name := fmt.Sprintf("usr/lib/package-%03d/directory-%d/file-%d.py", i/100, i/10%10, i)
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
			b.Fatal(err)
		}
		_, _ = source.Read(random) // it never fails
		if _, err := w.Write(append(random, text...)); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []io.Closer{w, gz, file} {
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return path
}

// BenchmarkIndex makes the index of a base of 400 MiB in 30,000 files as kilnd does when
// the layer passes, beside what the inflater alone takes of a processor: x-inflater is
// the one over the other, the median. MiB-more is how much more memory was resident at
// the most. Both have one processor, and their times are those that it worked for them,
// so that others on the machine count little.
func BenchmarkIndex(b *testing.B) {
	path := baseLayer(b)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var ratios []float64
	var more int64
	for b.Loop() {
		inflating := spent(b, func() error { return throughLayer(path, inflate) })
		debug.FreeOSMemory()
		before := status(b, "VmRSS")
		resetPeak(b)
		making := spent(b, func() error { return throughLayer(path, makeIndex) })
		more = max(more, status(b, "VmHWM")-before)
		ratios = append(ratios, making.Seconds()/inflating.Seconds())
	}
	slices.Sort(ratios)
	ratio := ratios[len(ratios)/2]
	b.ReportMetric(ratio, "x-inflater")
	b.ReportMetric(100/ratio, "%-of-inflater")
	b.ReportMetric(float64(more)/(1<<20), "MiB-more")
}

// throughLayer opens the layer for a use of it.
func throughLayer(path string, use func(io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return use(file)
}

func inflate(packed io.Reader) error {
	archive, end, err := layer.Decompress(bufio.NewReaderSize(packed, 256<<10))
	if err != nil {
		return err
	}
	defer end()
	_, err = io.Copy(io.Discard, archive)
	return err
}

func makeIndex(packed io.Reader) error {
	m := treestore.Begin("sha256:" + strings.Repeat("1", 64))
	_, err := io.Copy(m, packed)
	index, failed := m.End(err)
	if err == nil && failed == nil && len(index.Entries) != 30_000 {
		return fmt.Errorf("%d entries, want 30000", len(index.Entries))
	}
	return failed
}

// spent is the time of a processor that a function takes.
func spent(b *testing.B, f func() error) time.Duration {
	began := processTime(b)
	if err := f(); err != nil {
		b.Fatal(err)
	}
	return processTime(b) - began
}

func processTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// resetPeak makes the resident memory of now the most that there was (proc_pid_clear_refs(5)).
func resetPeak(b *testing.B) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200); err != nil {
		b.Fatal(err)
	}
}

// status is a field of this process's status, in bytes (proc_pid_status(5)).
func status(b *testing.B, field string) int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatalf("the process has no %s", field)
	return 0
}
