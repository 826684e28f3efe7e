"""Symbols of a little-endian ELF64 file."""

import struct


def symbols(path):
	"""{name: address} of everything in its symbol table."""
	return {name: value for name, (value, _) in table(path).items()}


def table(path):
	"""The same with sizes: {name: (address, bytes)}."""
	with open(path, 'rb') as f:
		data = f.read()
	shoff, = struct.unpack_from('<Q', data, 0x28)
	size, count = struct.unpack_from('<HH', data, 0x3a)
	sections = [struct.unpack_from('<IIQQQQIIQQ', data, shoff + i * size) for i in range(count)]
	found = {}
	for s in sections:
		if s[1] != 2:           # SHT_SYMTAB
			continue
		names = sections[s[6]][4]
		for at in range(s[4], s[4] + s[5], 24):
			name, _info, _other, _shndx, value, length = struct.unpack_from('<IBBHQQ', data, at)
			end = data.index(b'\0', names + name)
			found[data[names + name:end].decode()] = (value, length)
	found.pop('', None)
	return found


def code(path):
	"""[(address, bytes)] of its executable segments."""
	with open(path, 'rb') as f:
		data = f.read()
	at, = struct.unpack_from('<Q', data, 0x20)
	size, count = struct.unpack_from('<HH', data, 0x36)
	found = []
	for i in range(count):
		kind, flags, offset, vaddr, _, length = struct.unpack_from('<IIQQQQ', data, at + i * size)
		if kind == 1 and flags & 1:     # PT_LOAD, PF_X
			found.append((vaddr, data[offset:offset + length]))
	return found
