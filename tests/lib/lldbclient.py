"""A real lldb, driven by its command line.

	g = Lldb('build/x86_64/guests/tests/lab.elf')
	g.connect('/tmp/gdb.sock')
	g.cmd('breakpoint set -n alpha')        # the text of a command that does not resume
	text = g.run('process continue')        # until it has stopped or ended: what lldb shows of it
	g.resume('process continue'); g.run('process interrupt')
	g.register('rip')
	g.close()
"""

import os
import re
import select
import time

import vm
from debugger import Debugger

MARK = 'lldb version'                   # of the command `version`, which ends the text of the one before
STOPPED = re.compile(r'^(\* thread #\d+.*, stop reason = .*|Process 1 exited with .*)$', re.M)


class LldbError(Exception):
	"""lldb said something else, or nothing."""


class Lldb(Debugger):
	def __init__(self, symbols, patience=1):
		self.timeout = vm.PATIENCE * patience
		self.text = self.log = ''
		super().__init__(['lldb', '--no-lldbinit', '--no-use-colors', '--script-language', 'none', symbols])
		for line in ('settings set auto-confirm true', 'settings set stop-disassembly-display never',
			     'settings set plugin.process.gdb-remote.packet-timeout %d' % min(15, self.timeout)):
			self.cmd(line)

	# ---- text ----

	def _send(self, line):
		try:
			self.process.stdin.write((line + '\n').encode())
			self.process.stdin.flush()
		except OSError as e:
			raise LldbError('lldb is gone: %s; it said:\n%s' % (e, self.log[-4000:])) from None

	def _until(self, pattern, timeout=None):
		"""What comes up to and with the pattern."""
		end = time.monotonic() + (timeout or self.timeout)
		while True:
			m = re.search(pattern, self.text)
			if m:
				text, self.text = self.text[:m.end()], self.text[m.end():]
				return text
			left = end - time.monotonic()
			if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
				raise LldbError('no %r from lldb; it said:\n%s' % (pattern, self.log[-4000:]))
			data = os.read(self.process.stdout.fileno(), 65536).decode('utf-8', 'replace')
			if not data:
				raise LldbError('lldb ended; it said:\n' + self.log[-4000:])
			self.text += data
			self.log += data

	def cmd(self, line, fails=False):
		"""Its text; LldbError if it is an error, or, if it has to fail, is none."""
		self._send(line)
		self._send('version')
		text = self._until(re.escape(MARK) + r'.*\n')
		if ('error:' in text) != fails:
			raise LldbError('%s: %s' % (line, text))
		return text

	# ---- the target ----

	def resume(self, line):
		self._send(line)
		self._until(re.escape('(lldb) ' + line))

	def wait_stop(self, timeout=None):
		text = self._until(STOPPED, timeout)
		return text + self.cmd('process status')        # lldb shows the frame in its own time

	def run(self, line, timeout=None):
		self.resume(line)
		return self.wait_stop(timeout)

	def connect(self, remote):
		"""remote: the path of a unix socket."""
		return self.run('process connect unix-connect://' + remote)

	def register(self, name):
		# of pc, arg1 and their like it shows the ISA's own name
		m = re.search(r'^ *\w+ = (0x[0-9a-f]+)', self.cmd('register read ' + name), re.M)
		if not m:
			raise LldbError('no register %s: %s' % (name, self.log[-500:]))
		return int(m.group(1), 16)
