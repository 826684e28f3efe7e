"""What a nested machine of one ISA is made of: files, tools, names.

	isa = ISAS['arm64']
	@tap.test('...', isa.needs(debug=True))
"""

import os

import vm
from outer import MACHINES
from vmlinux import Kernel


class Isa:
	"""name: as in build/<name>/. debian: that of Debian. gdb, cc: programs for it on this host. busybox: a static
	one. console: of the guest, as in its console=. modules: that the outer machine loads."""

	def __init__(self, name, debian, gdb, cc, busybox, console):
		self.name, self.debian, self.gdb, self.cc, self.busybox = name, debian, gdb, cc, busybox
		self.console = console
		self.modules = MACHINES[name]['modules']
		self.folder = vm.cache('linux-' + debian)
		self.minivmm = os.path.join(vm.build(name), 'minivmm-static')
		self._kernel = None

	@property
	def kernel(self):
		self._kernel = self._kernel or Kernel(self.folder)
		return self._kernel

	def needs(self, *more, run=True, debug=False):
		"""For tap.test: what is missing is named. run: minivmm runs inside, under gdb. debug: gdb wants the kernel's
		symbols."""
		return [MACHINES[self.name]['emulator'], self.folder + '/vmlinux', self.busybox,
			*([self.minivmm, self.gdb] if run else []),
			*([self.folder + '/vmlinux.debug'] if debug else []), *more]

	def guest_path(self, name):
		return vm.guest_path(name, self.name)


ISAS = {
	'x86_64': Isa('x86_64', 'amd64', 'gdb', 'cc', '/bin/busybox', 'ttyS0'),
	'arm64': Isa('arm64', 'arm64', 'gdb-multiarch', 'cc' if vm.ARCH == 'arm64' else 'aarch64-linux-gnu-gcc',
		     vm.cache('busybox-arm64'), 'ttyAMA0'),
}
