package doctor

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// program is an executable for Linux that ends at once, with 0, in the form of the
// trial image's only file. A container of that image is started by the node like any
// other, so that no event tells of a container that could not be. tail is appended, and
// never run. For an architecture that kiln has no image for, the program is none.
func program(arch string, tail string) ([]byte, error) {
	var machine elf.Machine
	var code []byte
	switch arch {
	case "amd64": // xor edi, edi; mov eax, 60 (exit); syscall
		machine, code = elf.EM_X86_64, []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05}
	case "arm64": // mov x0, #0; mov x8, #93 (exit); svc #0
		machine, code = elf.EM_AARCH64, []byte{0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4}
	default:
		return []byte(tail), nil
	}
	const headers, base = 64 + 56, 0x400000
	size := uint64(headers + len(code) + len(tail))
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	// All of the file is one segment; nodes have pages of 64 KiB at most.
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x10000,
	}
	var out bytes.Buffer
	for _, part := range []any{header, segment, code, []byte(tail)} {
		if err := binary.Write(&out, binary.LittleEndian, part); err != nil {
			return nil, fmt.Errorf("write the trial program: %w", err)
		}
	}
	return out.Bytes(), nil
}
