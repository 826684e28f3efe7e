#!/usr/bin/env python3
"""The serial line's other end: every --serial, pipes, terminals; nothing lost, nobody blocked, the terminal restored."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import tty

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from gdbclient import Gdb       # noqa: E402
from rsp import Rsp     # noqa: E402
from vm import CRASHES, PATIENCE, RESETS, Vm, guest_path, listening, wait_for    # noqa: E402

LINES = 1600            # of 64 bytes
FLOOD = ''.join('%08d abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01\n' % i for i in range(LINES))
HELD = 131072           # bytes that the console's ring and a pipe hold


def lab(scene, *args, **options):
	return Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=' + scene, *args], **options)


def read_some(fd, timeout=PATIENCE):
	"""What is there; b'' at the end of file."""
	if not select.select([fd], [], [], timeout)[0]:
		tap.fail('nothing to read within %d s' % timeout)
	try:
		return os.read(fd, 65536)
	except OSError:         # EIO: a pty whose other side is gone
		return b''


def read_all(fd):
	data = b''
	while True:
		more = read_some(fd)
		if not more:
			return data
		data += more


def read_until(fd, part):
	data = b''
	while part not in data:
		more = read_some(fd)
		if not more:
			tap.fail('%r did not come, only %r' % (part, data))
		data += more
	return data


def open_pty(p):
	"""The pty that it says it has, as a terminal program opens it."""
	wait_for(lambda: '\n' in p.errors(), 'the name of the pty')
	fd = os.open(re.search(r'/dev/pts/\d+', p.errors()).group(0), os.O_RDWR | os.O_NOCTTY)
	tty.setraw(fd)
	return fd


def same(got, wanted, what):
	"""As tap.equal, without pages of diagnostics."""
	if got != wanted:
		at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
		tap.fail('%s: %d bytes, wanted %d, different from byte %d: %r' % (what, len(got), len(wanted), at, got[at:at + 80]))


# ---- output ----

@tap.test('102400 bytes into a pipe, a file, a socket and a pty: none lost', timeout=120)
def _():
	with tempfile.TemporaryDirectory() as d:
		with lab('flood,%d' % LINES, stdout=subprocess.PIPE) as p:
			same(read_all(p.process.stdout.fileno()).decode(), FLOOD, 'pipe')
			tap.equal(p.wait(), 0, 'status')
		with lab('flood,%d' % LINES, '--serial', 'file:%s/f' % d) as p:
			tap.equal(p.wait(), 0, 'status')
			with open(d + '/f') as f:
				same(f.read(), FLOOD, 'file')
		with lab('flood,%d' % LINES, '--serial', 'unix:%s/s' % d) as p, socket.socket(socket.AF_UNIX) as s:
			wait_for(lambda: listening(d + '/s'), 'the socket')
			s.connect(d + '/s')
			same(read_all(s.fileno()).decode(), FLOOD, 'socket')
			tap.equal(p.wait(), 0, 'status')
		tap.equal(os.listdir(d), ['f'], 'what is left of the socket')
		# the end of the machine hangs the pty up, and Linux drops what was not read till then
		with lab('flood,%d,1' % LINES, '--serial', 'pty') as p:
			fd = open_pty(p)
			data = b''
			while data.count(b'\n') < LINES:
				data += read_some(fd)
			same(data.decode(), FLOOD, 'pty')
			os.write(fd, b'x')
			tap.equal(p.wait(), 0, 'status')
			os.close(fd)


@tap.test('a reader that is slow gets everything', timeout=120)
def _():
	with lab('flood,%d' % LINES, stdout=subprocess.PIPE) as p:
		fd, data = p.process.stdout.fileno(), b''
		fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096)
		# slower than the guest until the ring is full, and never so slow as to count as gone
		for _ in range(12):
			time.sleep(0.4)
			data += os.read(fd, 2048)
		data += read_all(fd)
		same(data.decode(), FLOOD, 'pipe')
		tap.equal(p.wait(), 0, 'status')


@tap.test('a reader that never reads, or has closed, does not hold the guest up', timeout=120)
def _():
	with lab('flood,%d' % (HELD // 64 + 200), stdout=subprocess.PIPE) as p:
		tap.equal(p.wait(), 0, 'status with a reader that never reads')
	with lab('flood,200', stdout=subprocess.PIPE) as p:
		p.process.stdout.close()
		p.process.stdout = None
		tap.equal(p.wait(), 0, 'status with a closed pipe')
	for where in 'null', 'pty', 'file:/dev/full':
		with lab('flood,%d' % (1200 if where == 'pty' else 200), '--serial', where) as p:
			tap.equal(p.wait(), 0, 'status with --serial ' + where)


@tap.test('--serial unix: nobody there, coming late, going, coming back', timeout=120)
def _():
	with tempfile.TemporaryDirectory() as d:
		path = d + '/s'
		with lab('flood,1200', '--serial', 'unix:' + path) as p:
			tap.equal(p.wait(), 0, 'status with nobody there')
		with lab('echo', '--serial', 'unix:' + path) as p:
			wait_for(lambda: listening(path), 'the socket')
			tap.equal(os.stat(path).st_mode & 0o777, 0o600, "the socket's mode")
			for word in b'first', b'second', b'third q':
				with socket.socket(socket.AF_UNIX) as s:
					s.connect(path)
					if word == b'first':
						read_until(s.fileno(), b'ready\n')
					s.sendall(word)
					read_until(s.fileno(), word)
			tap.equal(p.wait(), 0, 'status')


# ---- input ----

@tap.test('input is echoed: pipe and pty', timeout=60)
def _():
	with lab('echo', stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
		fd = p.process.stdout.fileno()
		read_until(fd, b'ready\n')
		os.write(p.process.stdin.fileno(), b'Hello \x01\x02\xff q')
		tap.equal(read_all(fd), b'Hello \x01\x02\xff q\nend\n', 'output')
		tap.equal(p.wait(), 0, 'status')
	with lab('echo', '--serial', 'pty') as p:
		fd = open_pty(p)
		read_until(fd, b'ready\n')
		os.write(fd, b'one two')
		read_until(fd, b'one two')
		os.close(fd)
		fd = open_pty(p)
		os.write(fd, b'three')
		read_until(fd, b'three')
		os.write(fd, b'q')
		os.close(fd)
		tap.equal(p.wait(), 0, 'status')


@tap.test('a big paste is not lost, the end of standard input ends nothing', timeout=60)
def _():
	data = bytes(range(1, 200)) * 200
	with lab('sum,%d' % len(data), stdin=subprocess.PIPE) as p:
		p.process.stdin.write(data)
		p.process.stdin.close()
		p.process.stdin = None
		tap.equal(p.wait(), 0, 'status')
		tap.contains(p.output(), 'sum %d\n' % sum(data))
	with lab('spin') as p:
		p.wait_output('spinning')
		tap.check(p.alive(), 'it runs with standard input at its end')


# ---- terminals ----

class Terminal:
	"""A minivmm on a terminal of its own."""

	def __init__(self, scene, *args):
		self.master, self.slave = pty.openpty()
		self.before = termios.tcgetattr(self.slave)
		self.vm = lab(scene, *args, stdin=self.slave, stdout=self.slave,
			      preexec=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

	def raw(self):
		return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

	def restored(self, why):
		tap.equal(termios.tcgetattr(self.slave), self.before, 'terminal after ' + why)

	def type(self, data):
		os.write(self.master, data)

	def until(self, part):
		return read_until(self.master, part)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.vm.close()
		os.close(self.master)
		os.close(self.slave)


@tap.test('terminal: raw while it runs, Ctrl-a x ends it with 16, restored', timeout=60)
def _():
	with Terminal('spin') as t:
		t.until(b'spinning')
		tap.check(t.raw(), 'raw while it runs')
		t.type(b'\x01x')
		tap.equal(t.vm.wait(20), 16, 'status')
		t.restored('Ctrl-a x')


@tap.test('terminal: Ctrl-C, Ctrl-Z, Ctrl-a Ctrl-a are for the guest; Ctrl-a h and b say something', timeout=60)
def _():
	with Terminal('sum,4') as t:
		t.until(b'ready')
		t.type(b'\x01h')
		text = t.until(b'Ctrl-a x')
		t.type(b'\x01b')
		wait_for(lambda: 'no debugger' in t.vm.errors(), lambda: 'a word about no debugger: %r %r' % (text, t.vm.errors()))
		t.type(b'\x03\x1a\x01\x01\x1c')
		t.until(b'sum %d' % (3 + 26 + 1 + 28))
		tap.equal(t.vm.wait(20), 0, 'status')
		t.restored('a power-off')


@tap.test('terminal: Ctrl-a b breaks into the debugger', timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d, Terminal('echo', '--gdb', d + '/gdb') as t:
		wait_for(lambda: listening(d + '/gdb'), 'the socket')
		with Rsp(d + '/gdb') as c:
			c.hello()
			c.send('vCont;c')
			t.until(b'ready')
			tap.equal(c.take(0.1), None, 'stop so far')
			t.type(b'\x01b')
			tap.equal(c.wait_stop(20).signal, 2, 'signal of the stop')
			c.send('vCont;c')
			t.type(b'z')
			t.until(b'z')           # it runs
			t.type(b'\x01x')
			stop = c.wait_stop(20)
			tap.equal((stop.kind, stop.signal), ('W', 16), 'the end')
		tap.equal(t.vm.wait(20), 16, 'status')
		t.restored('Ctrl-a x')


for how, status in (('TERM', 16), ('INT', 16), ('HUP', 16), ('QUIT', -signal.SIGQUIT), ('SEGV', -signal.SIGSEGV),
		    ('ABRT', -signal.SIGABRT)):
	@tap.test('terminal: restored after kill -%s' % how, timeout=60)
	def _(how=how, status=status):
		with Terminal('spin') as t:
			t.until(b'spinning')
			tap.check(t.raw(), 'raw while it runs')
			t.vm.signal(getattr(signal, 'SIG' + how))
			tap.equal(t.vm.wait(20), status, 'status')
			t.restored('SIG' + how)


@tap.test("terminal: restored after gdb's kill, a crash, a panic, a reset", ['gdb'], timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d, Terminal('spin', '--gdb', d + '/gdb') as t:
		wait_for(lambda: listening(d + '/gdb'), 'the socket')
		with Gdb() as g:
			g.connect(d + '/gdb')
			g.cmd('kill')
			tap.equal(t.vm.wait(20), 14, 'status')
			t.restored("gdb's kill")
	for scene, status in (*CRASHES, (RESETS[0], 0), ('debugexit,3', 7)):
		with Terminal(scene) as t:
			tap.equal(t.vm.wait(20), status, 'status of ' + scene)
			t.restored(scene)


@tap.test('terminal: 102400 bytes shown, none lost', timeout=60)
def _():
	with Terminal('flood,%d' % LINES) as t:
		data = b''
		while data.count(b'\n') < LINES:
			data += read_some(t.master)
		same(data.decode().replace('\r', ''), FLOOD, 'what the terminal shows')
		tap.equal(t.vm.wait(20), 0, 'status')
		t.restored('a power-off')


@tap.test('a terminal that is not ours in the background is left alone', timeout=60)
def _():
	# standard input is a terminal, but not our controlling one
	master, slave = pty.openpty()
	before = termios.tcgetattr(slave)
	with lab('off', stdin=slave, stdout=slave) as p:
		tap.equal(p.wait(20), 0, 'status')
		tap.equal(termios.tcgetattr(slave), before, 'terminal')
	os.close(master)
	os.close(slave)


tap.main()
