"""A Debian kernel as tests want it: an ELF file, and addresses of its symbols.

	python3 vmlinux.py VMLINUZ DIR

writes DIR/vmlinux (the ELF file inside a bzImage) and, unless it is there,
DIR/System.map, read from the kernel's own kallsyms tables, because Debian's
vmlinux is stripped and the package's System.map is a stub.

	kernel = Kernel(os.environ['BUILD'] + '/tests/cache/linux-amd64')
	kernel.symbols['start_kernel']

The tables (scripts/kallsyms.c in Linux), each aligned to 8 bytes, are found by
their contents, as nothing points at them:

	5.x-6.3:  offsets, relative_base, num_syms, names, markers, [seqs,] tokens, index
	6.4 on:   num_syms, names, markers, tokens, index, offsets, relative_base, seqs
"""

import os
import re
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bzimage                          # noqa: E402

TOKENS = 256
MARKER_EVERY = 256                      # symbols
MAX_SYMBOL = 1024                       # bytes of a name's tokens, generous
KERNEL_HALF = 0xffff000000000000
# each digit is its own token, so these stand at their ASCII codes
DIGITS = b''.join(b'%d\0' % i for i in range(10))


class NoSymbols(Exception):
	"""No usable kallsyms tables; the text says which was not found."""


def align8(n):
	return (n + 7) & ~7


def find_tokens(data):
	"""(start of the token table, end of the token index, the tokens)."""
	for match in re.finditer(re.escape(DIGITS), data):
		end = match.start()
		for _ in range(TOKENS - ord('0')):
			end = data.find(b'\0', end) + 1
			if not end:
				break
		index_at = align8(end)
		index = struct.unpack_from('<%dH' % TOKENS, data, index_at) \
			if end and index_at + 2 * TOKENS <= len(data) else ()
		if not index or index[0] != 0 or list(index) != sorted(set(index)):
			continue
		start = match.start() - index[ord('0')]
		if start < 0 or start % 8:
			continue
		tokens = [data[start + i:data.index(b'\0', start + i)] for i in index]
		return start, index_at + 2 * TOKENS, tokens
	raise NoSymbols('no token table')


def name_lengths(data, pos):
	"""Yields (start, length in tokens, end) of each packed name from pos on."""
	while True:
		length = data[pos]
		pos += 1
		if length & 0x80:               # "big" symbols, Linux 6.1 on
			length = (length & 0x7f) | data[pos] << 7
			pos += 1
		yield pos, length, pos + length
		pos += length


def check_names(data, start, count, markers):
	"""The packed names [(start, length)] if start and count fit the markers."""
	out = []
	for pos, length, end in name_lengths(data, start):
		out.append((pos, length))
		if len(out) == count:
			return out if length else None
		if len(out) % MARKER_EVERY == 0 and \
		   markers[len(out) // MARKER_EVERY] != end - start:
			return None
		if not length or end >= len(data):
			return None
	return None


def markers_before(data, end):
	"""The markers array that ends at end (or a little before, padding): (at, markers)."""
	for pad in (0, 4):
		at = end - pad - 4
		markers = []
		while at >= 0:
			value, = struct.unpack_from('<I', data, at)
			if markers and not markers[-1] - MARKER_EVERY * MAX_SYMBOL < value < markers[-1]:
				break
			markers.append(value)
			if value == 0:
				if len(markers) > 1:
					return at, markers[::-1]
				break
			at -= 4
	return None


def names_before(data, markers_at, markers):
	"""(offset of the names, list of (start, length)) or None."""
	high = (markers_at - markers[-1]) & ~7
	low = max(16, high - MARKER_EVERY * MAX_SYMBOL)
	for at in range(high, low, -8):
		count, = struct.unpack_from('<I', data, at - 8)
		if (count + MARKER_EVERY - 1) // MARKER_EVERY == len(markers):
			names = check_names(data, at, count, markers)
			if names:
				return at, names
	return None


def find_names(data, tokens_at):
	"""The packed names. Between them and the tokens lie the markers, and in
	some 6.2 and 6.3 kernels three bytes for each symbol (seqs_of_names)."""
	found = markers_before(data, tokens_at)
	names = names_before(data, *found) if found else None
	if names:
		return names
	# seqs: no telling how long it is, so try each place where a marker 0 is
	for seqs in range(8, min(tokens_at, 1 << 20), 8):
		at = tokens_at - seqs
		if data[at - 1] or data[at:at + 4] == b'\0\0\0\0':
			continue
		found = markers_before(data, at)
		names = names_before(data, *found) if found else None
		if names:
			return names
	raise NoSymbols('no name table')


def addresses(data, at, base_at, count, base):
	"""count addresses from the offsets at at, or None if they cannot be that."""
	if at < 0 or at + 4 * count > len(data) or base_at + 8 > len(data):
		return None
	relative, = struct.unpack_from('<Q', data, base_at)
	relative = base or relative
	if relative < KERNEL_HALF:
		return None
	offsets = struct.unpack_from('<%di' % count, data, at)
	if min(offsets) < 0:                    # ABSOLUTE_PERCPU
		values = [o if o >= 0 else relative - 1 - o for o in offsets]
	else:
		values = [relative + o for o in offsets]
	falls = sum(1 for a, b in zip(values, values[1:]) if a > b)
	return values if falls <= count // 1000 else None


def kallsyms(data, base=None):
	"""[(address, type letter, name)] of a kernel image (bytes of a vmlinux or
	of an arm64 Image). base is the link address, for kernels whose
	relative_base is filled in by a relocation (arm64)."""
	tokens_at, index_end, tokens = find_tokens(data)
	names_at, names = find_names(data, tokens_at)
	count = len(names)
	base_at = names_at - 16
	values = addresses(data, base_at - align8(4 * count), base_at, count, base)
	if values is None:
		base_at = index_end + align8(4 * count)
		values = addresses(data, index_end, base_at, count, base)
	if values is None:
		raise NoSymbols('no table of addresses')
	out = []
	for value, (pos, length) in zip(values, names):
		text = b''.join([tokens[i] for i in data[pos:pos + length]])
		out.append((value, chr(text[0]), text[1:].decode('ascii', 'replace')))
	return out


def write_map(path, symbols):
	temp = '%s.%d' % (path, os.getpid())
	with open(temp, 'w') as f:
		for value, kind, name in symbols:
			f.write('%016x %s %s\n' % (value, kind, name))
	os.rename(temp, path)


def read_map(path):
	"""{name: address} of a System.map. A name that several static objects
	have gets the global one, else the lowest address."""
	found = {}
	with open(path) as f:
		for line in f:
			fields = line.split()
			if len(fields) == 3 and (fields[2] not in found or fields[1] in 'TDBRW'):
				found[fields[2]] = int(fields[0], 16)
	return found


def has_symbols(elf):
	"""Has this ELF file (bytes) a symbol table?"""
	at, = struct.unpack_from('<Q', elf, 40)                         # e_shoff
	size, count = struct.unpack_from('<HH', elf, 58)                # e_shentsize, e_shnum
	return any(struct.unpack_from('<I', elf, at + i * size + 4)[0] == 2 for i in range(count))


def with_symbols(vmlinux, symbols):
	"""The bytes of an ELF file without symbols (bytes), with these {name: address} as its symbol table."""
	names, table = b'\0', struct.pack('<24x')
	for name, address in symbols.items():
		# st_name, st_info (global), st_other, st_shndx (SHN_ABS), st_value, st_size
		table += struct.pack('<IBBHQQ', len(names), 1 << 4, 0, 0xfff1, address, 0)
		names += name.encode() + b'\0'
	data = bytearray(vmlinux) + b'\0' * (-len(vmlinux) % 8)
	table_at, names_at = len(data), len(data) + len(table)
	data += table + names + b'\0' * (-len(names) % 8)
	struct.pack_into('<Q', data, 40, len(data))                     # e_shoff
	struct.pack_into('<HHH', data, 58, 64, 3, 2)                    # e_shentsize, e_shnum, e_shstrndx
	# sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size, sh_link, sh_info, sh_addralign, sh_entsize
	section = struct.Struct('<IIQQQQIIQQ')
	data += section.pack(*[0] * 10)
	data += section.pack(0, 2, 0, 0, table_at, len(table), 2, 1, 8, 24)
	data += section.pack(0, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
	return bytes(data)


class Kernel:
	"""What tests/setup.sh keeps of a kernel package: paths and symbols.
	debug is None where the debug package's vmlinux is not there."""

	def __init__(self, folder):
		self.folder = folder
		with open(os.path.join(folder, 'release')) as f:
			self.release = f.read().strip()
		self.image = os.path.join(folder, 'vmlinuz')
		self.vmlinux = os.path.join(folder, 'vmlinux')
		self.modules = os.path.join(folder, 'modules')
		self.map = os.path.join(folder, 'System.map')
		debug = os.path.join(folder, 'vmlinux.debug')
		self.debug = debug if os.path.exists(debug) else None
		self._symbols = None

	@property
	def symbols(self):
		if self._symbols is None:
			self._symbols = read_map(self.map)
		return self._symbols


def prepare(image, folder):
	"""Writes folder/vmlinux (bzImage only) and folder/System.map where they are missing."""
	with open(image, 'rb') as f:
		data = f.read()
	if data[bzimage.HDR_MAGIC_AT:bzimage.HDR_MAGIC_AT + 4] == b'HdrS':
		vmlinux = os.path.join(folder, 'vmlinux')
		bzimage.unpack_file(image, vmlinux)
		with open(vmlinux, 'rb') as f:
			data = f.read()
	path = os.path.join(folder, 'System.map')
	if not os.path.exists(path):
		write_map(path, kallsyms(data))


if __name__ == '__main__':
	if len(sys.argv) != 3:
		sys.exit('usage: vmlinux.py VMLINUZ DIR')
	try:
		prepare(sys.argv[1], sys.argv[2])
	except (NoSymbols, bzimage.BadImage, OSError) as e:
		sys.exit('vmlinux.py: %s: %s' % (sys.argv[1], e))
