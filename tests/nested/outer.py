"""The outer machine: a Linux with real KVM inside of an emulator (QEMU, TCG).

	with Outer(kernel, initramfs) as m:             # boots, /dev/kvm is there
		m.run('ls /dev/kvm')                    # Result(status, output)
		p = m.start('minivmm --gdb chardev:%s' % m.inside('gdb0'))
		subprocess.run(['gdb', '-ex', 'target remote ' + m.outside('gdb0'), ...])
		print(p.wait(60), p.output())

Lines between inside and outside are virtio-serial ports, which are not ttys:
no echo, every byte passes. shellN carry commands (see AGENT in initramfs.py),
the others are for the test. A line port is a unix socket outside, on which QEMU
listens; inside it is /dev/virtio-ports/NAME. While nobody is connected outside,
inside a read gives 0, poll() gives POLLIN | POLLHUP at once, a write blocks
(EAGAIN with O_NONBLOCK). Output ports go to a file outside.

Not thread-safe. Make it on the main thread: the emulator is killed by the
kernel when the thread that started it ends, however it ends.
"""

import base64
import collections
import ctypes
import os
import secrets
import select
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

Result = collections.namedtuple('Result', 'status output')

PR_SET_PDEATHSIG = 1
SHELLS = 2              # the last one is kept for killing what hangs in another
TAIL = 30               # console lines in an error

CMDLINE = 'panic=-1 nokaslr mitigations=off loglevel=5 '

# modules: what the initramfs has to load. kernel: which of the Kernel's files
# QEMU gets; an ELF vmlinux spares the emulator the unpacking of a bzImage.
# virtio: suffix of the device names.
MACHINES = {
	'x86_64': {
		'emulator': 'qemu-system-x86_64',
		'options': ['-machine', 'pc', '-cpu', 'max'],
		'kernel': 'vmlinux',
		'cmdline': CMDLINE + 'console=ttyS0 tsc=reliable',
		'modules': ['virtio_pci', 'virtio_console', 'kvm_amd'],
		'virtio': 'pci',
	},
	'arm64': {
		'emulator': 'qemu-system-aarch64',
		'options': ['-machine', 'virt,virtualization=on,gic-version=3',
			    '-cpu', 'cortex-a72'],
		'kernel': 'image',
		'cmdline': CMDLINE + 'console=ttyAMA0',
		'modules': ['virtio_mmio', 'virtio_console'],
		'virtio': 'device',
	},
}


class OuterError(Exception):
	"""The machine did not do what was asked; the text has its last words."""


class CommandTimeout(OuterError):
	pass


def _die_with_parent():
	ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def short_folder():
	"""A new folder for sockets: below $BUILD/tests unless the paths in it
	would be longer than the 107 bytes that a unix socket can have."""
	base = os.path.join(os.environ.get('BUILD', ''), 'tests')
	if not os.path.isdir(base) or len(os.path.abspath(base)) > 70:
		base = None
	return tempfile.mkdtemp(prefix='outer-', dir=base and os.path.abspath(base))


class Shell:
	"""One command at a time through one port. See AGENT for the protocol."""

	def __init__(self, machine, path):
		self.machine = machine
		self.listener = socket.socket(socket.AF_UNIX)
		self.listener.bind(path)
		self.listener.listen(1)
		self.sock = None
		self.buffer = b''

	def accept(self, timeout):
		if not select.select([self.listener], [], [], timeout)[0]:
			raise self.machine.error('the emulator did not open its shell port')
		self.sock, _ = self.listener.accept()

	def send(self, token, command):
		text = base64.b64encode(command.encode()).decode()
		self.sock.settimeout(30)
		try:
			self.sock.sendall(('%s %s\n' % (token, text)).encode())
		except OSError as e:
			raise self.machine.error('shell port: %s' % e) from None

	def receive(self, token, timeout):
		"""Result, or None if the time is up."""
		mark = ('\n%s ' % token).encode()
		end = time.monotonic() + timeout
		while True:
			at = self.buffer.find(mark)
			stop = self.buffer.find(b'\n', at + 1) if at >= 0 else -1
			if stop >= 0:
				status = int(self.buffer[at + len(mark):stop])
				output = self.buffer[:at].decode('utf-8', 'replace')
				self.buffer = self.buffer[stop + 1:]
				return Result(status, output)
			left = end - time.monotonic()
			if left <= 0 or not select.select([self.sock], [], [], left)[0]:
				return None
			try:
				more = self.sock.recv(65536)
			except ConnectionError:
				more = b''
			if not more:
				raise self.machine.error('the outer machine died')
			self.buffer += more

	def close(self):
		for s in (self.sock, self.listener):
			if s:
				s.close()


class Process:
	"""A program started in the background inside; output goes to a file there."""

	def __init__(self, machine, command, name):
		self.machine = machine
		self.base = '/tmp/%s' % name
		# an exec or exit in the command must not skip the status
		wrapped = 'sh -c %s; echo $? >%s.new; mv %s.new %s.status' % (
			shlex.quote(command), self.base, self.base, self.base)
		self.pid = int(machine.check(
			'rm -f %s.status; setsid sh -c %s >%s.out 2>&1 </dev/null & echo $!'
			% (self.base, shlex.quote(wrapped), self.base)))

	def poll(self):
		"""Exit status (128 + N if killed by signal N), or None while it runs."""
		text = self.machine.run('cat %s.status 2>/dev/null' % self.base).output
		return int(text) if text.strip() else None

	def wait(self, timeout):
		"""Exit status; CommandTimeout with the output so far if it goes on."""
		tenths = max(1, int(timeout * 10))
		text = self.machine.run(
			'i=0; while [ ! -e %s.status ] && [ $i -lt %d ]; do sleep 0.1; i=$((i+1)); done;'
			'cat %s.status 2>/dev/null' % (self.base, tenths, self.base),
			timeout=timeout * 3 + 30).output
		if not text.strip():
			raise CommandTimeout('still running after %s s; its output:\n%s'
					     % (timeout, self.output()))
		return int(text)

	def output(self):
		return self.machine.check('cat %s.out' % self.base)

	def kill(self, sig='TERM'):
		"""Signals the program and all it started. KILL takes the shell that notes the status, too: noted here."""
		self.machine.run('kill -%s -%d' % (sig, self.pid))
		if sig == 'KILL':
			self.machine.run('[ -e %s.status ] || echo 137 >%s.status' % (self.base, self.base))


class Outer:
	"""kernel: a vmlinux.Kernel. initramfs: from outer_initramfs() with at
	least MACHINES[arch]['modules'] loaded. lines: names of ports that are sockets
	outside; outputs: {name: path of a file outside}. log: the console goes
	there (default: a temporary file, shown in errors, gone at the end).
	cpu: another processor than that of MACHINES, as QEMU's -cpu has it.
	__init__ returns with the machine up; close() is safe to call twice."""

	def __init__(self, kernel, initramfs, arch='x86_64', lines=('gdb0', 'gdb1'),
		     outputs=None, memory='2G', cpus=2, log=None, timeout=120, cpu=None):
		self.process = None
		self.shells = []
		self.started = 0
		self.folder = short_folder()
		self.log = log or os.path.join(self.folder, 'console.log')
		try:
			spec = dict(MACHINES[arch])
			if cpu:
				spec['options'] = [*spec['options'], '-cpu', cpu]
			self._boot(spec, kernel, initramfs, list(lines),
				   dict(outputs or {}), memory, cpus, timeout)
		except BaseException:
			self.close()
			raise

	def _boot(self, spec, kernel, initramfs, lines, outputs, memory, cpus, timeout):
		begin = time.monotonic()
		command = [spec['emulator'], '-nodefaults', '-no-user-config', '-no-reboot',
			   '-display', 'none', '-accel', 'tcg,thread=multi',
			   *spec['options'], '-smp', str(cpus), '-m', memory,
			   '-kernel', getattr(kernel, spec['kernel']), '-initrd', initramfs,
			   '-append', '%s outer.ports=%d' % (
				   spec['cmdline'], SHELLS + len(lines) + len(outputs)),
			   '-serial', 'file:' + self.log,
			   '-device', 'virtio-serial-%s,max_ports=31' % spec['virtio']]
		names = ['shell%d' % i for i in range(SHELLS)]
		for name in names:
			self.shells.append(Shell(self, self.outside(name)))
			command += self._port(name, 'socket,path=' + self.outside(name))
		for name in lines:
			command += self._port(name, 'socket,server=on,wait=off,path='
					      + self.outside(name))
		for name, path in outputs.items():
			command += self._port(name, 'file,path=' + path.replace(',', ',,'))
		self.errors = open(os.path.join(self.folder, 'emulator.log'), 'w+')
		# a group of its own: the terminal's Ctrl-C is for the test to handle
		self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
						stdout=self.errors, stderr=self.errors,
						start_new_session=True,
						preexec_fn=_die_with_parent)
		for shell in self.shells:
			shell.accept(30)
		if self.run('exit 42', timeout=timeout).status != 42:
			raise self.error('the shell inside does not work')
		self.boot_seconds = time.monotonic() - begin

	@staticmethod
	def _port(name, chardev):
		return ['-chardev', chardev + ',id=' + name,
			'-device', 'virtserialport,chardev=%s,name=%s' % (name, name)]

	def outside(self, name):
		"""The unix socket of a line port, for gdb's target remote."""
		return os.path.join(self.folder, name)

	@staticmethod
	def inside(name):
		"""The device of a port inside."""
		return '/dev/virtio-ports/' + name

	def console(self):
		"""What the outer machine's kernel has said so far."""
		try:
			with open(self.log, errors='replace') as f:
				return f.read()
		except OSError:
			return ''

	def error(self, text, kind=OuterError):
		"""An exception with the emulator's state and last console lines."""
		lines = [text]
		if self.process and self.process.poll() is not None:
			lines.append('emulator ended with status %d' % self.process.returncode)
			self.errors.seek(0)
			lines += self.errors.read().splitlines()[-TAIL:]
		lines.append('console of the outer machine, last lines:')
		lines += self.console().splitlines()[-TAIL:]
		return kind('\n'.join(lines))

	def run(self, command, timeout=60):
		"""Runs shell text inside; Result(status, output with stderr). When
		the time is up everything it started is killed: CommandTimeout."""
		shell, rescue = self.shells[0], self.shells[-1]
		token = 'end' + secrets.token_hex(6)
		shell.send(token, command)
		result = shell.receive(token, timeout)
		if result:
			return result
		partial = shell.buffer.decode('utf-8', 'replace')
		kill = 'end' + secrets.token_hex(6)
		rescue.send(kill, 'kill -KILL -$(cat /tmp/pid.%s)' % token)
		if not rescue.receive(kill, 30) or not shell.receive(token, 30):
			raise self.error('the outer machine hangs in: %s\n%s' % (command, partial))
		raise CommandTimeout('no end after %s s: %s\noutput so far:\n%s'
				     % (timeout, command, partial))

	def check(self, command, timeout=60):
		"""run() that wants status 0; returns the output."""
		status, output = self.run(command, timeout)
		if status:
			raise OuterError('status %d from: %s\n%s' % (status, command, output))
		return output

	def start(self, command, name=None):
		"""Starts shell text in the background inside; a Process."""
		self.started += 1
		return Process(self, command, name or 'job%d' % self.started)

	def close(self):
		if self.process:
			self.process.kill()
			self.process.wait()
			self.errors.close()
			self.process = None
		for shell in self.shells:
			shell.close()
		self.shells = []
		shutil.rmtree(self.folder, ignore_errors=True)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()
