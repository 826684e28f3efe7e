"""The outer machine as a Host of the scenarios: minivmm runs inside, the debugger's line is a virtio port.

	run('arm64')            # a whole test program: every scenario. Does not return.
	host = fixture('arm64', {'name': b'contents'})          # for other tests
	host = fixture('arm64', cpu='max')                      # with another processor outside
"""

import glob
import os
import shlex
import tempfile

import initramfs
import scenarios
import tap
import vm
from isa import ISAS
from outer import Outer

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

	def __init__(self, isa, files=None, cpu=None):
		self.isa, self.arch, self.gdb = isa, isa.name, isa.gdb
		self.machines = []
		self.count = 0
		guests = glob.glob(isa.guest_path('*.elf')) + glob.glob(isa.guest_path('*.bin'))
		copied = [('/bin/minivmm', isa.minivmm)] + [('/guests/' + os.path.basename(g), g) for g in sorted(guests)]
		with tempfile.TemporaryDirectory() as temp:
			for name, data in (files or {}).items():
				path = os.path.join(temp, name)
				with open(path, 'wb') as f:
					f.write(data)
				copied.append(('/files/' + name, path))
			image = os.path.join(temp, 'outer.initramfs')
			initramfs.outer_initramfs(image, isa.kernel.modules, isa.modules, copied, busybox=isa.busybox)
			self.outer = Outer(isa.kernel, image, isa.name, lines=LINES, cpu=cpu)
		self.facts = vm.probe(self.outer.check('minivmm --probe-host'))
		self.facts['connections'] = False
		tap.diag('outer machine up after %.1f s' % self.outer.boot_seconds)

	def guest(self, name):
		return self.isa.guest_path(name)

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

	def once(self, *args):
		words = shlex.join(a.format(guests='/guests', files='/files') for a in args)
		status, text = self.outer.run('timeout -s KILL %d minivmm %s >/tmp/once.out 2>/tmp/once.err; s=$?;'
					      'cat /tmp/once.out; echo; echo -----; cat /tmp/once.err; exit $s'
					      % (vm.PATIENCE, words), vm.PATIENCE * 2)
		output, errors = text.split('\n-----\n', 1)
		return status, output.replace('\r\n', '\n'), errors

	def reap(self):
		while self.machines:
			self.machines.pop().close()

	def close(self):
		self.outer.close()


def fixture(arch, files=None, cpu=None):
	isa = ISAS[arch]

	@tap.fixture
	def host():
		lacking = [m for m in map(tap.missing, isa.needs(isa.guest_path('lab'))) if m]
		if lacking:
			tap.skip('missing ' + ', '.join(lacking))
		h = Host(isa, files, cpu)
		tap.cleanup(h.close)
		return h
	return host


def run(arch, leave_out=()):
	"""leave_out: modules of scenarios."""
	chosen = [s for s in scenarios.ALL if s.run.__module__ not in leave_out]
	scenarios.register(fixture(arch), chosen, arch)
	tap.main()
