"""minivmm as a process of this host.

	host = Host()                                   # facts: what --probe-host said
	m = host.start('lab', 'lab=calls,3', cpus=2)    # a Machine with a debugger's socket
	... m.remote is for gdb's `target remote` and rsp.Rsp ...
	m.wait(30); m.serial(); m.errors()
	m.close()

	p = Vm(['--mem', '0'])                          # any command line; m.status() waits for the end

Every process started here dies with the test, and host.close() ends what a failed
test left running. Waits are for conditions, with timeouts that are nets and no measures.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
PATIENCE = 60           # seconds for what takes a fraction of one
# this host's ISA, as in build/<name>/
ARCH = {'aarch64': 'arm64'}.get(os.uname().machine, os.uname().machine)


class VmError(Exception):
	"""minivmm did not do what was waited for; the text has what it said."""


def binary():
	return os.environ['MINIVMM']


def build(arch=ARCH):
	"""The build directory of an ISA."""
	if arch == ARCH:
		return os.environ['BUILD']
	other = os.path.join(os.path.dirname(os.path.abspath(os.environ['BUILD'])), arch)
	return os.environ.get('BUILD_' + arch.upper(), other)


def cache(*path):
	"""What tests/setup.sh has fetched."""
	return os.path.join(os.environ['BUILD'], 'tests', 'cache', *path)


# as a need of a test
X86 = (ARCH == 'x86_64', 'a x86_64 host')
# scenes of the lab that end so on this ISA: (scene, exit status), and resets
CRASHES = [('panic', 8)] + [('triple', 10)] * X86[0]
RESETS = ['reset-acpi', 'reset-i8042', 'reset-cf9'] if X86[0] else ['reset']


def guest_path(name, arch=ARCH):
	"""A bare-metal guest by its short name: lab, demo, pvh32, kludge.bin, ..."""
	folder = os.path.join(build(arch), 'guests')
	if name != 'demo':
		folder = os.path.join(folder, 'tests')
	return os.path.join(folder, name if '.' in name else name + '.elf')


def die_with_parent():
	ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for(condition, what, timeout=PATIENCE, error=VmError):
	"""Polls until condition() is true and returns that; error(what) if the time is up."""
	end = time.monotonic() + timeout
	pause = 0.001
	while True:
		value = condition()
		if value:
			return value
		if time.monotonic() > end:
			raise error('not within %d s: %s' % (timeout, what() if callable(what) else what))
		time.sleep(pause)
		pause = min(pause * 2, 0.05)


def listening(path):
	"""Is somebody listening on that unix socket? Without connecting: one client is all a stub takes."""
	with open('/proc/net/unix') as f:
		for line in f:
			words = line.split()
			if len(words) == 8 and words[7] == path and int(words[3], 16) & 0x10000:
				return True
	return False


def read_file(path):
	try:
		with open(path, 'rb') as f:
			return f.read()
	except OSError:
		return b''


class Vm:
	"""One minivmm. args: its command line. stdin, stdout: as for Popen; by default nothing and a file.
	env: more environment. wrap: a command to run it under. keep: extra file descriptors it inherits."""

	def __init__(self, args, stdin=subprocess.DEVNULL, stdout=None, wrap=(), keep=(), preexec=None, cwd=None):
		self.folder = tempfile.mkdtemp(prefix='vm-')
		self.out_path = os.path.join(self.folder, 'stdout')
		self.err_path = os.path.join(self.folder, 'stderr')
		self.args = [str(a) for a in args]
		out = open(self.out_path, 'wb') if stdout is None else None
		with open(self.err_path, 'wb') as err:
			def before():
				die_with_parent()
				if preexec:
					preexec()
			self.process = subprocess.Popen([*wrap, binary(), *self.args], stdin=stdin,
							stdout=out or stdout, stderr=err, pass_fds=keep,
							preexec_fn=before, start_new_session=True, cwd=cwd)
		if out:
			out.close()
		self.pid = self.process.pid

	def output(self):
		"""What came to standard output so far (the guest's serial line, by default)."""
		return read_file(self.out_path).decode('latin-1').replace('\r\n', '\n')

	def errors(self):
		return read_file(self.err_path).decode('utf-8', 'replace')

	def describe(self):
		return 'minivmm %s\nstatus: %s\noutput: %s\nerrors: %s' % (
			' '.join(self.args), self.process.poll(), self.output()[-2000:], self.errors()[-2000:])

	def alive(self):
		return self.process.poll() is None

	def wait(self, timeout=PATIENCE):
		"""The exit status; negative if killed by a signal."""
		try:
			return self.process.wait(timeout)
		except subprocess.TimeoutExpired:
			raise VmError('no end after %d s\n%s' % (timeout, self.describe())) from None

	def wait_output(self, part, timeout=PATIENCE):
		def look():
			return part in self.output() or not self.alive()
		wait_for(look, lambda: 'output %r\n%s' % (part, self.describe()), timeout)
		if part not in self.output():
			raise VmError('it ended without saying %r\n%s' % (part, self.describe()))

	def signal(self, sig):
		os.kill(self.pid, sig)

	def close(self):
		if self.process.poll() is None:
			self.process.kill()
		self.process.wait()
		for f in (self.process.stdin, self.process.stdout):
			if f:
				f.close()
		shutil.rmtree(self.folder, ignore_errors=True)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()


class Machine(Vm):
	"""A guest with a debugger's socket, as Host.start() makes it."""

	def __init__(self, args, remote, serial_path, **popen):
		super().__init__(args, **popen)
		self.remote = remote
		self.serial_path = serial_path

	def serial(self):
		return read_file(self.serial_path).decode('latin-1').replace('\r\n', '\n')

	def wait_serial(self, part, timeout=PATIENCE):
		def look():
			return part in self.serial() or not self.alive()
		wait_for(look, lambda: 'serial output %r, but %r\n%s' % (part, self.serial()[-500:], self.describe()),
			 timeout)
		if part not in self.serial():
			raise VmError('the guest ended without saying %r\n%s' % (part, self.describe()))


def probe(text):
	"""Facts of --probe-host: numbers and yes/no as such, words as text."""
	facts = {}
	for line in text.splitlines():
		name, _, value = line.partition('=')
		try:
			facts[name] = int(value, 0)
		except ValueError:
			facts[name] = {'yes': True, 'no': False}.get(value, value)
	return facts


class Host:
	"""Where scenarios run: this host. Another kind of host has the same methods and attributes:

	facts            dict as probe() makes it, from `minivmm --probe-host` there; with connections=False added
			 where the line to the debugger is a serial line, which has one client at a time
	arch             the guests' ISA: x86_64, arm64
	gdb              the gdb for that ISA
	patience         factor on the timeouts
	once(args)       (status, output, errors) of one whole run; {guests} in an argument is where the guests are,
			 {files} where the files are with which the host was made
	start(...)       a machine with remote, serial(), wait_serial(), wait(), alive(), errors(), close()
	guest(name)      a local path of that guest, for its symbols
	"""

	arch, gdb, patience = ARCH, 'gdb', 1

	def __init__(self, files=None):
		"""files: {name: bytes} for once()."""
		self.machines = []
		self.folder = tempfile.mkdtemp(prefix='host-')
		self.count = 0
		for name, data in (files or {}).items():
			with open(os.path.join(self.folder, name), 'wb') as f:
				f.write(data)
		out = subprocess.run([binary(), '--probe-host'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
				     timeout=PATIENCE, check=False)
		if out.returncode:
			raise VmError('--probe-host: status %d: %s' % (out.returncode, out.stderr.decode()))
		self.facts = probe(out.stdout.decode())

	def guest(self, name):
		return guest_path(name)

	def start(self, guest='lab', cmdline=None, cpus=1, attach=False, mem=None, extra=(), kernel=None):
		"""guest: a short name (kernel: any file instead). Without attach it waits for the debugger."""
		self.count += 1
		remote = os.path.join(self.folder, 'gdb%d' % self.count)
		serial = os.path.join(self.folder, 'serial%d' % self.count)
		args = ['--kernel', kernel or self.guest(guest), '--cpus', cpus, '--gdb', remote,
			'--serial', 'file:' + serial]
		args += ['--cmdline', cmdline] if cmdline else []
		args += ['--gdb-attach'] if attach else []
		args += ['--mem', mem] if mem else []
		m = Machine(args + list(extra), remote, serial)
		self.machines.append(m)
		wait_for(lambda: listening(remote) or not m.alive(), m.describe)
		if not m.alive():
			raise VmError('it ended at once\n' + m.describe())
		return m

	def once(self, *args):
		places = {'guests': os.path.dirname(self.guest('lab')), 'files': self.folder}
		with Vm([a.format(**places) for a in args]) as p:
			return p.wait(), p.output(), p.errors()

	def reap(self):
		"""Ends what is still running."""
		while self.machines:
			self.machines.pop().close()

	def close(self):
		self.reap()
		shutil.rmtree(self.folder, ignore_errors=True)
