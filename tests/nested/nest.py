"""minivmm inside the outer machine, running a guest, seen from outside.

	with Nest(ISAS['x86_64']) as nest:
		guest = nest.guest('--kernel /vmlinux --initrd /inner --gdb chardev:' + nest.outer.inside('gdb0'))
		with Gdb(nest.outer.outside('gdb0'), symbols) as gdb:
			...
		guest.expect(INNER_MARKER, 120)
		guest.shell('nproc')            # the guest's console is a shell
		guest.wait(60)                  # minivmm's exit status

The guest's serial line is minivmm's standard input and output, joined to the
port con0, hence to a socket outside, which a thread reads all the time.
"""

import glob
import os
import re
import secrets
import socket
import subprocess
import tempfile
import threading
import time

import initramfs
from outer import Outer, OuterError

# A guest that stays: a shell on the console, without echo, and not interactive: busybox's line editor may take the end
# of a background job for the end of its input, and PID 1 must not end.
SHELL = '''
stty -echo -onlcr
export PS1=
echo shell ready
exec setsid cttyhack sh /proc/self/fd/0
'''


class GuestError(OuterError):
	pass


class Console:
	"""One end of the guest's serial line. The reader is a thread, so that the
	guest never waits for a slow test."""

	def __init__(self, path):
		self.data = b''
		self.seen = 0                   # expect() goes on from here
		self.changed = threading.Condition()
		self.sock = socket.socket(socket.AF_UNIX)
		self.sock.connect(path)
		self.thread = threading.Thread(target=self._read, daemon=True)
		self.thread.start()

	def _read(self):
		while True:
			try:
				more = self.sock.recv(65536)
			except OSError:
				more = b''
			with self.changed:
				if not more:
					return
				self.data += more
				self.changed.notify_all()

	def expect(self, pattern, timeout):
		"""The next match of a regular expression (bytes) that lies within one
		line; (text before it, match), and what is up to its end counts as
		seen. None: time is up."""
		wanted = re.compile(pattern)
		end = time.monotonic() + timeout
		looked = self.seen
		with self.changed:
			while True:
				match = wanted.search(self.data, looked)
				if match:
					before = self.data[self.seen:match.start()]
					self.seen = match.end()
					return before, match
				# a line that is not over may still become one
				looked = max(looked, self.data.rfind(b'\n') + 1)
				left = end - time.monotonic()
				if left <= 0:
					return None
				self.changed.wait(left)

	def send(self, data):
		self.sock.sendall(data)

	def close(self):
		self.sock.close()


class Guest:
	"""One minivmm and its console. stderr: what it says about itself."""

	def __init__(self, nest, arguments, port):
		outer = nest.outer
		self.outer = outer
		self.started = time.monotonic()
		self.console = Console(outer.outside(port))
		try:
			# the first write waits until QEMU has taken our connection; before
			# that the line would be at its end
			self.process = outer.start('exec <>%s; echo connected >&0; exec minivmm %s >&0'
						   % (outer.inside(port), arguments))
		except BaseException:
			self.console.close()
			raise

	def error(self, text):
		tail = self.console.data[-1500:].decode('utf-8', 'replace')
		return GuestError('%s\nminivmm says: %s\nguest console ends with:\n%s'
				  % (text, self.process.output() or '(nothing)', tail))

	def _expect(self, text, timeout):
		pattern = text if isinstance(text, bytes) else re.escape(text.encode())
		found = self.console.expect(pattern, timeout)
		if not found:
			raise self.error('not on the console after %d s: %r' % (timeout, text))
		return found

	def expect(self, text, timeout):
		"""Waits for text, or for a regular expression given as bytes, within
		one line of the console; the match."""
		return self._expect(text, timeout)[1]

	def user_space(self, timeout=120):
		"""Waits for the shell on the console; the number of CPUs the guest says it has."""
		cpus = self.expect(b'%s: (\\d+) cpus' % initramfs.INNER_MARKER.encode(), timeout).group(1)
		self.expect('shell ready', timeout)
		self.shell('true', timeout)     # past the shell's greeting
		return int(cpus)

	def type(self, text):
		self.console.send(text.encode())

	def shell(self, command, timeout=60):
		"""Runs command in the shell on the console; (status, output)."""
		token = secrets.token_hex(6)
		# the marks are never on the line as it is typed
		self.type("echo 'b'egin%s\n%s\necho 'm'ark%s $?.\n" % (token, command, token))
		self._expect(rb'begin%s\r?\n' % token.encode(), timeout)
		before, match = self._expect(rb'mark%s (\d+)\.\r?\n' % token.encode(), timeout)
		text = before.decode('utf-8', 'replace').replace('\r', '')
		# what the shell says about its background jobs is not the command's
		return int(match.group(1)), re.sub(r'(?m)^\[\d+\][+ -] .*\n', '', text)

	def check(self, command, timeout=60):
		status, output = self.shell(command, timeout)
		if status:
			raise self.error('status %d from: %s\n%s' % (status, command, output))
		return output

	def wait(self, timeout):
		return self.process.wait(timeout)

	def close(self):
		"""Ends it if it has not ended, and waits for that: its ports can be open only once."""
		self.process.kill('KILL')
		self.outer.check('i=0; while kill -0 -%d 2>/dev/null; do sleep 0.05; i=$((i+1)); [ $i -lt 600 ] || exit 1; done'
				 % self.process.pid)
		self.console.close()


class Nest:
	"""The outer machine with minivmm, Debian's kernel (/vmlinux, /vmlinuz) and its initrd (/inner) inside.
	files: more [(path inside, path outside)]. vmlinux: another file for /vmlinux. outputs: see Outer."""

	def __init__(self, isa, files=(), lines=('con0', 'gdb0'), memory='2G',
		     guest_files=(), guest_modules=(), cpus=2, vmlinux=None, outputs=None):
		self.isa = isa
		self.kernel = isa.kernel
		self.guests = []
		with tempfile.TemporaryDirectory() as temp:
			inner = os.path.join(temp, 'inner')
			initramfs.inner_initramfs(inner, SHELL, guest_files, self.kernel.modules, guest_modules,
						  busybox=isa.busybox)
			image = os.path.join(temp, 'outer')
			initramfs.outer_initramfs(
				image, self.kernel.modules, isa.modules,
				[('/bin/minivmm', isa.minivmm), ('/vmlinux', vmlinux or self.kernel.vmlinux),
				 ('/vmlinuz', self.kernel.image), ('/inner', inner), *files],
				busybox=isa.busybox)
			self.outer = Outer(self.kernel, image, isa.name, lines=lines, outputs=outputs, memory=memory,
					   cpus=cpus)

	def guest(self, arguments, port='con0'):
		for guest in self.guests:       # a port can be open only once
			guest.close()
		guest = Guest(self, arguments, port)
		self.guests = [guest]
		return guest

	def close(self):
		for guest in self.guests:
			guest.console.close()
		self.outer.close()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()


def build_user_program(folder, source, isa):
	"""A static program for the guest's user space; its path. What differs between ISAs is in headers beside the
	source, in a folder of the ISA's name."""
	path = os.path.join(folder, isa.name, os.path.splitext(os.path.basename(source))[0])
	headers = os.path.join(os.path.dirname(source), isa.name)
	newest = max(os.path.getmtime(f) for f in (source, *glob.glob(headers + '/*.h')))
	if not os.path.exists(path) or os.path.getmtime(path) < newest:
		os.makedirs(os.path.dirname(path), exist_ok=True)
		temp = '%s.%d' % (path, os.getpid())
		subprocess.run([isa.cc, '-O1', '-static', '-I' + headers, '-o', temp, source], check=True)
		os.rename(temp, path)
	return path
