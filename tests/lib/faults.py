"""Calls of minivmm that fail: tests/lib/faults.c preloaded, and this side of the file that they share.

	f = Faults()
	f.fail('KVM_CREATE_VCPU', errno.ENOMEM)         # the next one
	f.fail('KVM_RUN', errno.EINTR, at=3, times=10)  # the third from now, and nine more
	f.answer('KVM_GET_API_VERSION', 11)             # succeeds with that, without being made
	with Vm([...], wrap=f.wrap) as p: ...
	f.calls()                                       # {name: how many were made}
	f.failed('KVM_RUN')                             # how many have failed

fail() works at any moment of the run.
"""

import mmap
import os
import struct
import tempfile

HEAD, SLOT, SLOTS, NAME = 64, struct.Struct('=40sIIIiiI'), 128, 40
FOREVER = 0xffffffff


def library():
	return os.path.join(os.environ['BUILD'], 'tests', 'lib', 'faults.so')


class Faults:
	def __init__(self):
		handle, self.path = tempfile.mkstemp(prefix='faults-')
		size = HEAD + SLOT.size * SLOTS
		os.truncate(handle, size)
		self.map = mmap.mmap(handle, size)
		os.close(handle)
		self.wrap = ['env', 'LD_PRELOAD=' + library(), 'FAULTS=' + self.path]

	def slots(self):
		for i in range(SLOTS):
			fields = SLOT.unpack_from(self.map, HEAD + i * SLOT.size)
			yield HEAD + i * SLOT.size, (fields[0].rstrip(b'\0').decode(), *fields[1:])

	def slot(self, name):
		for at, fields in self.slots():
			if fields[0] in ('', name):
				return at, fields
		raise KeyError(name)

	def set(self, name, at, times, error, value):
		place, fields = self.slot(name)
		if not fields[0]:
			self.map[place:place + NAME] = name.encode().ljust(NAME, b'\0')
		# the count first, and that it fails last: it may be running
		first = SLOT.unpack_from(self.map, place)[1] + at
		struct.pack_into('=Iii', self.map, place + NAME + 8, times, error, value)
		struct.pack_into('=I', self.map, place + NAME + 4, first)

	def fail(self, name, error, at=1, times=1):
		self.set(name, at, times, error, 0)

	def answer(self, name, value, at=1, times=FOREVER):
		self.set(name, at, times, 0, value)

	def calls(self):
		return {fields[0]: fields[1] for _, fields in self.slots() if fields[0]}

	def failed(self, name):
		return self.slot(name)[1][6]

	def close(self):
		self.map.close()
		os.unlink(self.path)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()
