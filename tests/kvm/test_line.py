#!/usr/bin/env python3
"""The lines of a machine among hostile clients: other users, floods, who does not read, who vanishes. The guest goes
on, memory and processor time stay bounded, the next client is served, SIGTERM ends it. Where the guest has to be seen
running, it writes to a file. LINE_FLOOD=N: floods of N MiB, also over TCP."""

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from elfsyms import symbols     # noqa: E402
from rsp import Rsp, frame      # noqa: E402
from vm import Vm, guest_path, listening, wait_for      # noqa: E402

FLOOD = int(os.environ.get('LINE_FLOOD', '1')) << 20    # bytes
GROWTH = 2 << 20        # bytes of memory that any client may cost: a session's buffers and its replies
BEHIND_SIZE = 12 << 20  # bytes of packets whose acks alone would be more
STRANGER = 54321        # a uid
END = 5                 # seconds that SIGTERM may take
BEHIND = 0.02           # seconds that a reader sleeps
LOOK = 0.2              # seconds of looking whether somebody spins
ROOT = (os.geteuid() == 0, 'root, to be another user')


def cpu_seconds(pid):
	"""Processor time of all threads but the vCPUs'."""
	total = 0
	for tid in os.listdir('/proc/%d/task' % pid):
		with open('/proc/%d/task/%s/stat' % (pid, tid)) as f:
			name, fields = re.match(r'\d+ \((.*)\) (.*)', f.read(), re.S).groups()
		if not name.startswith('vcpu'):
			total += sum(int(n) for n in fields.split()[11:13])
	return total / os.sysconf('SC_CLK_TCK')


def memory(pid):
	"""Bytes of it, the guest's included: this guest touches no more of them while it runs."""
	with open('/proc/%d/status' % pid) as f:
		return int(re.search(r'VmRSS:\s*(\d+) kB', f.read()).group(1)) << 10


def ends(p, what):
	begin = time.monotonic()
	p.signal(signal.SIGTERM)
	tap.equal(p.wait(60), 16, 'status')
	tap.check(time.monotonic() - begin < END, '%s: SIGTERM took %.1f s' % (what, time.monotonic() - begin))


class Line:
	"""A machine whose guest writes all the time, and a line to its debugger."""

	def __init__(self, kind='unix', *args):
		self.folder = tempfile.TemporaryDirectory()
		self.serial = os.path.join(self.folder.name, 'serial')
		if kind == 'tcp':
			with socket.socket() as s:
				s.bind(('127.0.0.1', 0))
				self.address = s.getsockname()
			spec, self.remote = ':%d' % self.address[1], 'localhost:%d' % self.address[1]
		else:
			spec = self.remote = self.address = os.path.join(self.folder.name, 'gdb')
		self.vm = Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=flood,10000000', '--gdb', spec,
			      '--gdb-attach', '--serial', 'file:' + self.serial, *args])
		self.goes_on()
		self.rss = memory(self.vm.pid)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.vm.close()
		self.folder.cleanup()

	def client(self):
		s = socket.socket(socket.AF_INET if isinstance(self.address, tuple) else socket.AF_UNIX)
		s.settimeout(60)
		s.connect(self.address)
		return s

	def goes_on(self):
		"""The guest writes."""
		def size():
			return os.path.exists(self.serial) and os.path.getsize(self.serial)
		before = size()
		wait_for(lambda: size() > before or not self.vm.alive(), self.vm.describe)
		tap.check(self.vm.alive(), 'it has ended\n' + self.vm.describe())

	def serves(self):
		"""A debugger comes, looks, and leaves; the guest goes on."""
		with Rsp(self.remote) as c:
			c.hello()
			tap.equal(len(c.read(c.pc(), 8)), 8, 'an answer')
			tap.equal(c.ask('D'), 'OK', 'detach')
		self.goes_on()

	def is_bounded(self, what):
		grown = memory(self.vm.pid) - self.rss
		tap.check(grown < GROWTH, '%s: memory has grown by %d KiB' % (what, grown >> 10))

	def is_quiet(self, what):
		before = cpu_seconds(self.vm.pid)
		time.sleep(LOOK)
		used = cpu_seconds(self.vm.pid) - before
		tap.check(used < LOOK / 2, '%s: %.2f s of processor time in %.1f s' % (what, used, LOOK))

	def ends(self, what):
		ends(self.vm, what)


def flood(s, data, size=FLOOD, read=0):
	"""Sends data again and again, as long as the stub takes it within LOOK. read: bytes of the replies that are taken
	at a time, only when it takes nothing, so that some always wait."""
	data *= max(1, 65536 // len(data))
	sent = 0
	s.setblocking(False)
	while sent < size:
		if not select.select([], [s], [], BEHIND if read else LOOK)[1]:
			if not read or not select.select([s], [], [], LOOK)[0]:
				break
			s.recv(read)
			continue
		try:
			sent += s.send(data)
		except BlockingIOError:
			continue
		except OSError:         # hung up on
			break
	s.settimeout(60)


NOISE = {
	'garbage': bytes(b for b in range(255, -1, -1) if b != ord('$')),
	'acks': b'+',
	'Ctrl-C': b'\x03',
	'an endless packet': b'$' + b'a' * 300000,
	'half packets': b'$m1000,10',
}


# ---- who has said no packet ----

for line_kind in ['unix'] + ['tcp'] * ('LINE_FLOOD' in os.environ):
	@tap.test('%s: noise, floods and silence before the first packet stop nothing' % line_kind, timeout=120)
	def _(kind=line_kind):
		with Line(kind) as line:
			for what, data in NOISE.items():
				with line.client() as s:
					flood(s, data)
					line.goes_on()
					line.is_bounded(what)
					line.is_quiet(what)
				line.serves()
			with contextlib.ExitStack() as stack:
				for data in b'', b'$', b'$?#3', b'+':
					for how in None, socket.SHUT_WR:
						s = stack.enter_context(line.client())
						s.sendall(data)
						if how is not None:
							s.shutdown(how)
				line.goes_on()
				line.is_quiet('silence')
				line.serves()
				stack.enter_context(line.client()).sendall(b'$?#3')
				line.ends('half a packet')


# ---- who has a session ----

@tap.test('floods while the guest runs: it goes on, memory stays; the next client is served', timeout=120)
def _():
	with Line() as line:
		for what, data, size, read in (
				('acks', b'+', FLOOD, 0), ('refusals', b'-', FLOOD, 0), ('an endless packet', b'$' + b'a' * 300000, FLOOD, 0),
				('packets', frame('qC'), FLOOD, 0), ('packets, and a reader that is always behind', frame('?'), BEHIND_SIZE, 65536),
				('packets that are too long', frame('q' * 140000), FLOOD, 0), ('bad packets', b'$qC#00', FLOOD, 65536)):
			with Rsp(line.remote) as c:
				c.hello(noack=False)
				c.send('vCont;c')
				flood(c.sock, data, size, read)
				line.goes_on()
				line.is_bounded(what)
				line.is_quiet(what)
			line.goes_on()
			line.serves()
		line.is_bounded('all of them')


@tap.test('floods while the guest is stopped, and nobody who reads: bounded, no spinning, the guest goes on behind them', timeout=120)
def _():
	with Line() as line:
		for what, data in (('reads', frame('m200000,10000')), ('registers', frame('g')), ('target.xml', frame(
				   'qXfer:features:read:target.xml:0,10000')), ('monitor', frame('qRcmd,' + b'help'.hex())),
				   ('Ctrl-C', b'\x03'), ('refusals', b'-'), ('nonsense', frame('nonsense'))):
			with Rsp(line.remote) as c:
				c.hello()
				flood(c.sock, data)
				line.is_bounded(what)
				line.is_quiet(what)
				with line.client() as other:
					tap.contains(other.recv(100), b'another debugger', 'to a second client')
			line.goes_on()
			line.serves()
		line.is_bounded('all of them')


@tap.test('a client that reads slowly gets every byte; a second one does not disturb it', timeout=60)
def _():
	with Line() as line, Rsp(line.remote) as c:
		c.hello()
		c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
		want = c.read(0x200000, 0x1000)
		for _ in range(100):
			c.send('m200000,1000')
		for _ in range(5):
			with line.client() as other:
				other.sendall(b'$k#6b')
				tap.contains(other.recv(100), b'another debugger', 'to a second client')
			c.buffer += c.sock.recv(1)
			line.is_quiet('a slow reader')
		for i in range(100):
			tap.equal(bytes.fromhex(c.reply()), want, 'answer %d' % i)
		line.is_bounded('a slow reader')
		tap.equal(c.ask('D'), 'OK', 'detach')
		line.goes_on()


# ---- who vanishes ----

def vanish(s, how):
	if how == 'reset':
		s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
	if how == 'half-closes':
		s.shutdown(socket.SHUT_WR)
	else:
		s.close()


WAYS = [(how, running) for how in ('closes', 'reset', 'half-closes') for running in (False, True)]
for line_kind, line_ways in ('unix', WAYS), ('tcp', WAYS[1:4]):
	@tap.test('%s: a client that vanishes in the middle of a packet is forgotten within a second' % line_kind, timeout=120)
	def _(kind=line_kind, ways=line_ways):
		with Line(kind) as line:
			for how, running in ways:
				best = 60
				for part in b'$m2000', b'$m200000,10#', b'$X200000,40:\x7d':
					with Rsp(line.remote) as c:
						c.hello()
						if running:
							c.send('vCont;c')
						c.raw(part)
						begin = time.monotonic()
						vanish(c.sock, how)
						line.goes_on()
						best = min(best, time.monotonic() - begin)
						line.serves()
				tap.check(best < 1, 'who %s was remembered for %.1f s' % (how, best))
			line.is_bounded('all of them')


# ---- the end ----

def slow(c):
	c.raw(frame('m200000,10000') * 30)
	c.sock.recv(1)


@tap.test('SIGTERM ends it at once, whatever a client does', timeout=120)
def _():
	states = {
		'silent': lambda c: None,
		'in the middle of a packet': lambda c: c.raw(b'$m2000'),
		'half closed': lambda c: c.sock.shutdown(socket.SHUT_WR),
		'reads slowly': slow,
		'does not read': lambda c: flood(c.sock, frame('m200000,10000')),
		'has asked for an hour of work': lambda c: flood(c.sock, frame('qCRC:0,10000000')),
		'runs, and does not read': lambda c: flood(c.sock, frame('vCont;c') + frame('qC')),
	}
	for what, do in states.items():
		with Line() as line, Rsp(line.remote) as c:
			c.hello()
			do(c)
			line.ends(what)
	with Line() as line, Rsp(line.remote) as c:
		c.hello()
		c.send('vCont;c')
		thread = threading.Thread(target=flood, args=(c.sock, b'+\x03$qC#b4', 1 << 40))
		thread.start()
		try:
			time.sleep(0.2)
			line.ends('floods')
		finally:
			thread.join()


# ---- the serial line ----

HELD = 65536 + 2 * 4096     # bytes of output that wait for a reader: the console's, and a pipe's of one page


def not_read(p, d):
	"""The other end of its serial line, as a descriptor to close."""
	wait_for(lambda: listening(d + '/s'), p.describe)
	with socket.socket(socket.AF_UNIX) as s:
		s.connect(d + '/s')
		return s.detach()


@tap.test('serial output that nobody reads: the guest goes on, memory stays, SIGTERM ends it', timeout=60)
def _():
	turns = symbols(guest_path('lab'))['turns']
	for how, size in ('stdio', HELD + 4096), ('unix', 4096):
		with tempfile.TemporaryDirectory() as d:
			fds = list(os.pipe())
			fcntl.fcntl(fds[1], fcntl.F_SETPIPE_SZ, 4096)
			with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=flood,10000000', '--gdb', d + '/gdb', '--gdb-attach',
				 '--serial', how + ':' + d + '/s' if how == 'unix' else how], stdout=fds[1]) as p:
				if how == 'unix':
					fds.append(not_read(p, d))
				wait_for(lambda: listening(d + '/gdb'), p.describe)
				written, used = 0, []
				while written < size or len(used) < 3:
					time.sleep(0.2)
					with Rsp(d + '/gdb') as c:
						c.hello()
						written = c.read_int(turns) * 64
					used.append(memory(p.pid))
				grown = used[-1] - used[1]      # the first client's buffers are there to stay
				tap.check(grown < 2 * HELD, '%s: memory has grown by %d KiB' % (how, grown >> 10))
				ends(p, how)
			for fd in fds:
				os.close(fd)


# ---- who it is ----

def hung_up_on(address, uid):
	"""Does a process of that user get an end of file at once?"""
	pid = os.fork()
	if not pid:
		status = 1
		try:
			os.setresuid(uid, uid, uid)
			with socket.socket(socket.AF_UNIX) as s:
				s.settimeout(30)
				s.connect(address)
				s.sendall(b'$k#6b')
				status = s.recv(1) != b''
		except ConnectionError:         # what it sent was not read
			status = 0
		finally:
			os._exit(status)
	return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@tap.test('another user is refused on both sockets, even where their modes were opened', [ROOT], timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		gdb, serial = d + '/gdb', d + '/serial'
		os.chmod(d, 0o755)
		with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=echo', '--gdb', gdb, '--gdb-attach',
			 '--serial', 'unix:' + serial]) as p:
			wait_for(lambda: listening(gdb) and listening(serial), p.describe)
			for path in gdb, serial:
				os.chmod(path, 0o666)
				tap.check(hung_up_on(path, STRANGER), 'a stranger is hung up on')
				told = [line for line in p.errors().splitlines() if path in line]
				tap.equal(len(told), 1, 'lines about it')
				tap.contains(told[0], 'uid %d' % STRANGER)
			with socket.socket(socket.AF_UNIX) as s, Rsp(gdb) as c:
				s.settimeout(60)
				s.connect(serial)
				c.hello()
				tap.equal(c.ask('D'), 'OK', 'our own debugger')
				s.sendall(b'echoed q')
				seen = b''
				while b'echoed' not in seen:
					seen += s.recv(100)
			tap.equal(p.wait(20), 0, 'status')


def has_ipv6():
	try:
		with socket.socket(socket.AF_INET6) as s:
			s.bind(('::1', 0))
		return True
	except OSError:
		return False


@tap.test('TCP: loopback unless an address is given, and then a warning', timeout=60)
def _():
	specs = [(':%d', '127.0.0.1', False), ('tcp:%d', '127.0.0.1', False), ('tcp:127.1.2.3:%d', '127.1.2.3', False),
		 ('tcp:0.0.0.0:%d', '127.0.0.1', True)]
	if has_ipv6():
		specs += [('tcp:[::1]:%d', '::1', False), ('tcp:[::ffff:127.0.0.1]:%d', '127.0.0.1', False), ('tcp:[::]:%d', '::1', True)]
	for spec, host, warned in specs:
		with socket.socket() as s:
			s.bind(('127.0.0.1', 0))
			spec %= (port := s.getsockname()[1])
		with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=spin', '--gdb', spec, '--serial', 'null']) as p:
			def connected():
				with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, port)):
					return True
				return not p.alive()
			wait_for(connected, p.describe)
			tap.check(p.alive(), p.describe())
			lines = p.errors().splitlines()
			tap.equal(len(lines), int(warned), 'lines on standard error of --gdb %s: %r' % (spec, lines))
			if warned:
				tap.contains(lines[0], spec)
				tap.contains(lines[0], 'owns the guest')


tap.main()
