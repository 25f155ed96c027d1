package treeindex

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"slices"
)

// version begins every encoded index.
const version = "kiln tree index 1\n"

// MaxEncoded is the longest encoded index, in bytes.
const MaxEncoded = len(version) + 2*MaxAccounts + MaxNames + 24*MaxEntries + 1024

// Flags beside the kind of an entry.
const (
	flagOpaque     = 1
	flagAttributes = 2
)

// Encode writes an index: its version and layer, then for each entry how much of the
// path before begins its own, the rest of it, kind, flags, mode, owner, group and
// target, then the files of accounts. Numbers are unsigned varints, texts come after
// their length.
func (x *Index) Encode() []byte {
	out := []byte(version)
	text := func(s string) { out = append(binary.AppendUvarint(out, uint64(len(s))), s...) }
	text(x.Layer)
	out = binary.AppendUvarint(out, uint64(len(x.Entries)))
	previous := ""
	for _, e := range x.Entries {
		shared := common(previous, e.Path)
		out = binary.AppendUvarint(out, uint64(shared))
		text(e.Path[shared:])
		flags := byte(0)
		if e.Opaque {
			flags |= flagOpaque
		}
		if e.Attributes {
			flags |= flagAttributes
		}
		out = append(out, byte(e.Kind), flags)
		for _, number := range []uint32{e.Mode, e.UID, e.GID} {
			out = binary.AppendUvarint(out, uint64(number))
		}
		text(e.Target)
		previous = e.Path
	}
	out = binary.AppendUvarint(out, uint64(len(x.Accounts)))
	for _, name := range slices.Sorted(maps.Keys(x.Accounts)) {
		text(name)
		text(string(x.Accounts[name]))
	}
	return out
}

// common is the length of the beginning that two texts share.
func common(a, b string) int {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return i
}

// Decode reads what [Index.Encode] wrote of a layer, of which nothing is believed. An
// error is of type [*Odd].
func Decode(layer string, data []byte) (*Index, error) {
	if len(data) > MaxEncoded {
		return nil, odd("", "an index of %d bytes", len(data))
	}
	rest, found := bytes.CutPrefix(data, []byte(version))
	if !found {
		return nil, odd("", "no index of this version")
	}
	d := &decoder{rest: rest}
	x := &Index{Layer: d.text(), Accounts: map[string][]byte{}}
	if x.Layer != layer {
		return nil, odd("", "the index of the layer %.100q instead of %s", x.Layer, layer)
	}
	count := d.number(MaxEntries)
	for i := 0; i < int(count) && !d.bad; i++ {
		e := d.entry()
		if reason := e.unfit(); reason != "" || i > 0 && Compare(x.Entries[i-1].Path, e.Path) >= 0 {
			d.bad = true
		}
		x.Entries = append(x.Entries, e)
	}
	for range d.number(uint64(len(accounts()))) {
		name, content := d.text(), d.text()
		if !slices.Contains(accounts(), name) || len(content) > MaxAccounts {
			d.bad = true
		}
		x.Accounts[name] = []byte(content)
	}
	if d.bad || len(d.rest) > 0 || !bytes.Equal(x.Encode(), data) {
		return nil, odd("", "an index that is cut off, or forged")
	}
	return x, nil
}

// unfit says what keeps an entry from being one.
func (e Entry) unfit() string {
	path, err := clean(e.Path)
	switch {
	case err != nil || path != e.Path:
		return "path"
	case e.Mode > 0o7777 || e.UID > maxID || e.GID > maxID:
		return "mode or owner"
	case e.Opaque && e.Kind != Dir, e.Attributes && e.Kind != Dir, e.Path == "" && e.Kind != Dir && e.Kind != Hidden:
		return "kind"
	}
	switch e.Kind {
	case Link:
		if e.Target != "" && len(e.Target) <= maxPath && bytes.IndexByte([]byte(e.Target), 0) < 0 {
			return ""
		}
	case Hard:
		if target, err := clean(e.Target); err == nil && target == e.Target && target != "" {
			return ""
		}
	case Dir, File, Special, Gone, Hidden:
		if e.Target == "" {
			return ""
		}
	}
	return "kind or target"
}

// decoder reads values, none after the first that is bad.
type decoder struct {
	rest     []byte
	previous string
	names    int
	bad      bool
}

// number reads a number up to most.
func (d *decoder) number(most uint64) uint64 {
	value, n := binary.Uvarint(d.rest)
	if d.bad = d.bad || n <= 0 || value > most; d.bad {
		return 0
	}
	d.rest = d.rest[n:]
	return value
}

// text reads a text.
func (d *decoder) text() string {
	length := d.number(uint64(len(d.rest)))
	if d.bad || length > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	text := string(d.rest[:length])
	d.rest = d.rest[length:]
	return text
}

// entry reads an entry.
func (d *decoder) entry() Entry {
	shared := d.number(uint64(len(d.previous)))
	e := Entry{Path: d.previous[:shared] + d.text()}
	if len(d.rest) < 2 || d.bad {
		d.bad = true
		return e
	}
	e.Kind, e.Opaque, e.Attributes = Kind(d.rest[0]), d.rest[1]&flagOpaque != 0, d.rest[1]&flagAttributes != 0
	d.rest = d.rest[2:]
	e.Mode, e.UID, e.GID = uint32(d.number(0o7777)), uint32(d.number(math.MaxUint32)), uint32(d.number(math.MaxUint32))
	e.Target = d.text()
	if d.names += len(e.Path) + len(e.Target); d.names > MaxNames || len(e.Path) > maxPath {
		d.bad = true
	}
	d.previous = e.Path
	return e
}
