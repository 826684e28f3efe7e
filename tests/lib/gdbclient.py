"""A real gdb, driven through its machine interface.

	g = Gdb(symbols='build/x86_64/guests/tests/lab.elf')
	g.connect('/tmp/gdb.sock')
	g.cmd('break shared')           # text of a console command
	stop = g.run('continue')        # Stop: reason, func, pc, thread, bkpt, status
	g.interrupt()                   # Ctrl-C; then g.wait_stop()
	g.int('alphas'), g.value('$pc')
	g.close()
"""

import collections
import os
import re
import select
import signal
import time

import vm
from debugger import Debugger

Stop = collections.namedtuple('Stop', 'reason signal func pc thread bkpt line status record')


class GdbError(Exception):
	"""gdb answered with an error, or not at all."""


# ---- MI's syntax: name=value, value: "string" | {tuple} | [list] ----

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
_NAME = re.compile(r'[\w-]+')
_ESCAPES = {'n': '\n', 't': '\t', 'r': '\r', 'e': '\x1b', 'a': '\a', 'b': '\b', 'f': '\f', 'v': '\v'}


def unquote(text):
	def one(m):
		body = m.group(1)
		return chr(int(body, 8)) if body.isdigit() else _ESCAPES.get(body, body)
	return re.sub(r'\\([0-7]{3}|.)', one, text, flags=re.S)


def _value(text, at):
	if text[at] == '"':
		m = _STRING.match(text, at)
		return unquote(m.group(1)), m.end()
	if text[at] == '{':
		return _results(text, at + 1, '}')
	items, at = [], at + 1
	while text[at] != ']':
		m = re.compile(r'[\w-]+=').match(text, at)
		item, at = _value(text, m.end() if m else at)
		items.append(item)
		at += text[at] == ','
	return items, at + 1


def _results(text, at, closing=None):
	out = {}
	while at < len(text) and text[at] != closing:
		m = _NAME.match(text, at)
		if not m:
			break
		out[m.group(0)], at = _value(text, m.end() + 1)
		at += at < len(text) and text[at] == ','
	return out, at + 1


def settle(pid):
	"""A SIGINT that comes while gdb is still on its way to wait for the target is for gdb itself, which
	loses it: wait until it sleeps, unless it is busy for long (as in a million of stepi)."""
	asleep = 0
	end = time.monotonic() + 0.5
	while asleep < 4 and time.monotonic() < end:
		time.sleep(0.005)
		with open('/proc/%d/stat' % pid) as f:
			asleep = asleep + 1 if f.read().rsplit(')', 1)[1].split()[0] == 'S' else 0


class Gdb(Debugger):
	def __init__(self, symbols=None, setup=(), patience=1, program=None):
		"""program: a gdb that knows the guest's ISA, if the host's own does not."""
		self.timeout = vm.PATIENCE * patience
		self.buffer = b''
		self.token = 0
		self.stops = []
		self.log = []
		super().__init__([program or 'gdb', '-q', '-nx', '--interpreter=mi3'] + ([symbols] if symbols else []))
		for line in ('set pagination off', 'set confirm off', 'set width 0', 'set height 0',
			     'set print thread-events off', 'set remotetimeout %d' % min(15, self.timeout), *setup):
			self.cmd(line)

	# ---- lines ----

	def _line(self, end):
		while b'\n' not in self.buffer:
			left = end - time.monotonic()
			if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
				raise GdbError('gdb is silent; it said:\n%s' % '\n'.join(self.log[-40:]))
			data = os.read(self.process.stdout.fileno(), 65536)
			if not data:
				raise GdbError('gdb ended; it said:\n%s' % '\n'.join(self.log[-40:]))
			self.buffer += data
		line, self.buffer = self.buffer.split(b'\n', 1)
		text = line.decode('utf-8', 'replace').rstrip('\r')
		self.log.append(text)
		return text

	def _note(self, line):
		"""A *stopped record is kept for wait_stop()."""
		if line.startswith('*stopped'):
			self.stops.append(self._stop(_results(line, line.find(',') + 1 or len(line))[0]))

	@staticmethod
	def _stop(r):
		frame = r.get('frame', {})
		code = r.get('exit-code')
		return Stop(r.get('reason'), r.get('signal-name'), frame.get('func'),
			    int(frame['addr'], 16) if 'addr' in frame else None,
			    int(r['thread-id']) if 'thread-id' in r else None,
			    int(r['bkptno']) if 'bkptno' in r else None,
			    int(frame['line']) if 'line' in frame else None,
			    int(code, 8) if code is not None else 0 if r.get('reason') == 'exited-normally' else None,
			    r)

	def mi(self, command, timeout=None):
		"""One MI command: (class, results, console text). GdbError on ^error."""
		self.token += 1
		self.log.append('> ' + command)
		try:
			self.process.stdin.write(('%d%s\n' % (self.token, command)).encode())
			self.process.stdin.flush()
		except OSError as e:
			raise GdbError('gdb is gone: %s' % e) from None
		end = time.monotonic() + (timeout or self.timeout)
		text = []
		while True:
			line = self._line(end)
			self._note(line)
			if line[:1] in '~&@' and line[1:2] == '"':
				text.append(unquote(_STRING.match(line, 1).group(1)))
			m = re.match(r'%d\^([a-z]+),?' % self.token, line)
			if m:
				results = _results(line, m.end())[0]
				if m.group(1) == 'error':
					raise GdbError(results.get('msg', line))
				return m.group(1), results, ''.join(text)

	def cmd(self, line, timeout=None):
		"""A console command that does not resume; its text."""
		quoted = line.replace('\\', '\\\\').replace('"', '\\"')
		return self.mi('-interpreter-exec console "%s"' % quoted, timeout)[2]

	# ---- the target ----

	def connect(self, remote, timeout=None, extended=False):
		"""Returns the stop that the connection brings."""
		self.stops = []
		self.mi('-target-select %s %s' % ('extended-remote' if extended else 'remote', remote), timeout)
		return self.wait_stop(timeout)

	def resume(self, line, timeout=None):
		"""A console command that resumes; returns once it is running."""
		self.stops = []
		self.cmd(line, timeout)

	def send_only(self, line):
		"""A console command whose end nobody waits for."""
		self.process.stdin.write(('-interpreter-exec console "%s"\n' % line.replace('"', '\\"')).encode())
		self.process.stdin.flush()

	def wait_stop(self, timeout=None):
		end = time.monotonic() + (timeout or self.timeout)
		while not self.stops:
			self._note(self._line(end))
		return self.stops.pop(0)

	def run(self, line, timeout=None):
		self.resume(line, timeout)
		return self.wait_stop(timeout)

	def quiet(self, seconds):
		"""True if no stop comes for so long."""
		try:
			self.stops.append(self.wait_stop(seconds))
			return False
		except GdbError:
			return True

	def interrupt(self):
		settle(self.process.pid)
		os.kill(self.process.pid, signal.SIGINT)

	def value(self, expression):
		return self.mi('-data-evaluate-expression "%s"' % expression.replace('"', '\\"'))[1]['value']

	def int(self, expression):
		text = self.value('(unsigned long)(%s)' % expression)
		return int(text.split()[0], 0)

	def reg(self, name):
		"""A register, or a part of one, of any type."""
		return int(self.cmd('output/x $' + name), 16)

	def pc(self):
		return self.int('$pc')

	def address(self, what):
		return self.int('&' + what)

	def error(self, line):
		"""The text with which a command fails; GdbError if it does not."""
		try:
			text = self.cmd(line)
		except GdbError as e:
			return str(e)
		raise GdbError('no error from: %s; it said: %s' % (line, text))

	def frames(self):
		return [f.get('func') for f in self.mi('-stack-list-frames')[1]['stack']]

	def threads(self):
		return self.mi('-thread-info')[1]['threads']
