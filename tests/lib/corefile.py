"""An ELF core, read without anybody's help but the ELF specification's.

	core = CoreFile(path)           # ValueError: it is not well-formed
	core.loads                      # [Load(va, pa, offset, size, flags)], as in the file
	core.notes                      # [(name, type, contents)]
	core.physical(address, length)
	core.virtual(address, length)   # as debuggers look: the first segment that has it
"""

import collections
import os
import struct

Load = collections.namedtuple('Load', 'va pa offset size flags')

ET_CORE, PT_LOAD, PT_NOTE, PN_XNUM = 4, 1, 4, 0xffff
NT_PRSTATUS, NT_FPREGSET, NT_X86_XSTATE = 1, 2, 0x202
MACHINES = {'x86_64': 62, 'arm64': 183}
PHYSICAL = 1 << 52              # where debuggers find physical memory


def want(condition, text):
	if not condition:
		raise ValueError(text)


class CoreFile:
	def __init__(self, path):
		self.file = open(path, 'rb')
		self.size = os.fstat(self.file.fileno()).st_size
		self.on_disk = os.fstat(self.file.fileno()).st_blocks * 512
		ident, kind, self.machine, version, _, phoff, _, _, ehsize, phentsize, phnum, _, _, _ = \
			struct.unpack('<16sHHIQQQIHHHHHH', self.at(0, 64))
		want(ident[:7] == b'\x7fELF\x02\x01\x01', 'e_ident')
		want((kind, version, ehsize, phentsize) == (ET_CORE, 1, 64, 56), 'ELF header')
		want(2 <= phnum < PN_XNUM, 'number of program headers')
		self.loads, self.notes = [], []
		for i in range(phnum):
			kind, flags, offset, va, pa, size, in_memory, _ = \
				struct.unpack('<IIQQQQQQ', self.at(phoff + i * 56, 56))
			want((kind == PT_NOTE) == (i == 0), 'the first header is that of the notes, the only one')
			if kind == PT_NOTE:
				self.notes = list(self._notes(self.at(offset, size)))
				notes_end = offset + size
				continue
			want(kind == PT_LOAD and in_memory == size > 0, 'header %d' % i)
			want(offset >= notes_end and offset % 4096 == va % 4096 == pa % 4096, 'offset of header %d' % i)
			want(offset + size <= self.size, 'header %d goes beyond the end of the file' % i)
			self.loads.append(Load(va, pa, offset, size, flags))

	@staticmethod
	def _notes(data):
		while data:
			namesz, descsz, kind = struct.unpack_from('<III', data)
			desc = 12 + (namesz + 3) // 4 * 4
			end = desc + (descsz + 3) // 4 * 4
			want(end <= len(data) and data[12 + namesz - 1] == 0, 'a note')
			yield data[12:12 + namesz - 1].decode(), kind, data[desc:desc + descsz]
			data = data[end:]

	def at(self, offset, length):
		data = os.pread(self.file.fileno(), length, offset)
		want(len(data) == length, 'the file ends before %#x' % (offset + length))
		return data

	def _find(self, address, length, start):
		for load in self.loads:
			if start(load) <= address and address + length <= start(load) + load.size:
				return self.at(load.offset + address - start(load), length)
		raise ValueError('%#x is in no segment' % address)

	def physical(self, address, length):
		return self._find(address, length, lambda load: load.pa)

	def virtual(self, address, length):
		return self._find(address, length, lambda load: load.va)

	def note(self, name, kind):
		return [desc for n, k, desc in self.notes if (n, k) == (name, kind)]

	def close(self):
		self.file.close()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()
