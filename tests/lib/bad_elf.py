"""ELF64 files that no loader may take, made from nothing."""

import struct

X86_64, AARCH64 = 62, 183       # e_machine


def elf64(machine, segments, entry, phnum=None, phoff=64, phentsize=56, size=None, code=b'\xf4'):
	"""A minimal ELF64. segments: (offset, vaddr, paddr, filesz, memsz)."""
	head = b'\x7fELF\2\1\1' + bytes(9) + struct.pack('<HHIQQQIHHHHHH', 2, machine, 1, entry, phoff, 0, 0, 64, phentsize,
							  len(segments) if phnum is None else phnum, 64, 0, 0)
	for offset, vaddr, paddr, filesz, memsz in segments:
		head += struct.pack('<IIQQQQQQ', 1, 7, offset, vaddr, paddr, filesz, memsz, 4096)
	data = head.ljust(4096, b'\0') + (code * 4096)[:4096]
	return data if size is None else data[:size]


def variants(machine, at):
	"""{what is wrong: file}, for a machine with 256 MiB of RAM around the address `at`."""
	good = (4096, at, at, 4096, 4096)
	top = (1 << 64) - 4096

	def file(*segments, entry=at, **other):
		return elf64(machine, segments, entry, **other)
	return {
		'header cut': file(good, size=40),
		'table cut': file(good, size=70),
		'segment cut': file(good, size=5000),
		'no segments': file(),
		'65535 segments': file(good, phnum=65535),
		'escaped count': file(good, phnum=0xffff, phoff=0),
		'odd entry size': file(good, phentsize=7),
		'table beyond': file(good, phoff=1 << 40),
		'table wraps': file(good, phoff=(1 << 64) - 32),
		'offset beyond': file((1 << 40, at, at, 4096, 4096)),
		'offset wraps': file((top, at, at, 8192, 8192)),
		'bigger file than memory size': file((4096, at, at, 4096, 16)),
		'huge memory size': file((4096, at, at, 4096, 1 << 60)),
		'address wraps': file((4096, top, top, 4096, 8192)),
		'above RAM': file((4096, 0x80000000, 0x80000000, 4096, 4096)),
		'overlapping': file(good, (4096, at + 0x800, at + 0x800, 4096, 4096)),
		'entry outside': file(good, entry=at + 0x800000),
		'entry at nowhere': file(good, entry=0),
	}


def unmappable(machine, at):
	"""The same, of what only a loader cannot take that makes page tables for the file's addresses."""
	def file(*segments, entry=at):
		return elf64(machine, segments, entry)
	return {
		'not canonical': file((4096, 0x800000000000, at, 4096, 4096), entry=0x800000000000),
		'differs within a page': file((4096, at + 0x10, at, 4096, 4096), entry=at + 0x10),
		'one page in two places': file((4096, at, at, 4096, 4096), (4096, at, at + 0x100000, 4096, 4096)),
	}
