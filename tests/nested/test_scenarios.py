#!/usr/bin/env python3
"""The debugger's scenarios inside the outer machine: kvm-amd, with the debugger's line a virtio port."""

import os
import shlex
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import initramfs                        # noqa: E402
import scenarios                        # noqa: E402
import tap                              # noqa: E402
import vm                               # noqa: E402
from outer import MACHINES, Outer       # noqa: E402
from vmlinux import Kernel              # noqa: E402

ARCH = 'x86_64'
KERNEL = os.path.join(os.environ['BUILD'], 'tests', 'cache', 'linux-amd64')
MINIVMM = os.path.join(os.environ['BUILD'], 'minivmm-static')
GUESTS = ('lab.elf', 'higher.elf', 'bz.bin')
LINES = ('gdb0', 'gdb1')                # used in turn: one may still be closing


class Machine:
	"""As vm.Machine; inside."""

	def __init__(self, outer, command, remote, path):
		self.outer, self.remote, self.path = outer, remote, path
		self.job = outer.start(command)

	def serial(self):
		return self.outer.run('cat %s 2>/dev/null' % self.path).output.replace('\r\n', '\n')

	def errors(self):
		return self.job.output()

	def alive(self):
		return self.job.poll() is None

	def wait(self, timeout=vm.PATIENCE):
		return self.job.wait(timeout)

	def wait_serial(self, part, timeout=vm.PATIENCE):
		vm.wait_for(lambda: part in self.serial() or not self.alive(),
			    lambda: 'serial output %r; errors: %s' % (part, self.errors()), timeout)
		if part not in self.serial():
			raise vm.VmError('the guest ended without saying %r; errors: %s' % (part, self.errors()))

	def close(self):
		if self.alive():
			self.job.kill('KILL')
			self.job.wait(30)


class Host:
	"""As vm.Host."""

	patience = 2

	def __init__(self):
		self.machines = []
		self.count = 0
		kernel = Kernel(KERNEL)
		files = [('/bin/minivmm', MINIVMM)] + [('/guests/' + g, vm.guest_path(g)) for g in GUESTS]
		with tempfile.TemporaryDirectory() as temp:
			image = os.path.join(temp, 'initramfs')
			initramfs.outer_initramfs(image, kernel.modules, MACHINES[ARCH]['modules'], files)
			self.outer = Outer(kernel, image, ARCH, lines=LINES)
		self.facts = vm.probe(self.outer.check('minivmm --probe-host'))
		self.facts['connections'] = False
		tap.diag('outer machine up after %.1f s' % self.outer.boot_seconds)

	def guest(self, name):
		return vm.guest_path(name)

	def start(self, guest='lab', cmdline=None, cpus=1, attach=False, mem=None, extra=()):
		self.count += 1
		line = LINES[self.count % len(LINES)]
		serial = '/tmp/serial%d' % self.count
		args = ['--kernel', '/guests/' + (guest if '.' in guest else guest + '.elf'), '--cpus', str(cpus),
			'--gdb', 'chardev:' + self.outer.inside(line), '--serial', 'file:' + serial, *extra]
		args += ['--cmdline', cmdline] if cmdline else []
		args += ['--gdb-attach'] if attach else []
		args += ['--mem', mem] if mem else []
		m = Machine(self.outer, 'exec minivmm ' + shlex.join(args), self.outer.outside(line), serial)
		self.machines.append(m)
		return m

	def reap(self):
		while self.machines:
			self.machines.pop().close()

	def close(self):
		self.outer.close()


@tap.fixture
def host():
	if tap.missing(MACHINES[ARCH]['emulator']) or tap.missing(KERNEL + '/vmlinux'):
		tap.skip('missing %s or %s' % (MACHINES[ARCH]['emulator'], KERNEL))
	h = Host()
	tap.cleanup(h.close)
	return h


scenarios.register(host, scenarios.ALL)
tap.main()
