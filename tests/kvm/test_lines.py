#!/usr/bin/env python3
"""Lines to the debugger: unix sockets, TCP, standard input and output, character devices; --gdb-attach."""

import os
import pty
import select
import signal
import socket
import stat
import sys
import tempfile
import termios
import threading
import tty

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from gdbclient import Gdb, GdbError, settle     # noqa: E402
from rsp import Rsp     # noqa: E402
from vm import CRASHES, Vm, binary, guest_path, listening, wait_for      # noqa: E402


def lab(scene, *args, **options):
	return Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=' + scene, *args], **options)


def free_port():
	with socket.socket() as s:
		s.bind(('127.0.0.1', 0))
		return s.getsockname()[1]


def tcp_listeners(port):
	"""Local addresses of listening sockets on that port, as /proc shows them."""
	found = []
	for name in 'tcp', 'tcp6':
		with open('/proc/net/' + name) as f:
			for line in list(f)[1:]:
				addr, state = line.split()[1], line.split()[3]
				if state == '0A' and int(addr.rsplit(':', 1)[1], 16) == port:
					found.append(addr.rsplit(':', 1)[0])
	return found


def refused(args, word, status=6):
	with lab('off', *args) as p:
		tap.equal(p.wait(20), status, 'status; errors: ' + p.errors())
		tap.equal(p.errors().count('\n'), 1, 'lines of error')
		tap.contains(p.errors(), word)


@tap.test('unix socket: mode 0600 whatever the umask, gone at every end', timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		path = d + '/gdb'
		for end in 'W', 'k', 'TERM':
			with lab('off', '--gdb', path, preexec=lambda: os.umask(0)) as p:
				wait_for(lambda: listening(path), 'the socket')
				mode = os.stat(path).st_mode
				tap.check(stat.S_ISSOCK(mode), 'it is a socket')
				tap.equal(stat.S_IMODE(mode), 0o600, 'mode')
				if end == 'TERM':
					p.signal(signal.SIGTERM)
				else:
					with Rsp(path) as c:
						c.hello()
						c.send('vCont;c' if end == 'W' else 'k')
						p.wait(20)
				tap.equal(p.wait(20), {'W': 0, 'k': 14, 'TERM': 16}[end], 'status')
			tap.equal(os.listdir(d), [], 'what is left after ' + end)


@tap.test('unix socket: a stale one is replaced, one in use, a file, a link to one are refused and untouched', timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		path = d + '/gdb'
		with lab('off', '--gdb', path, '--no-sandbox') as p:
			wait_for(lambda: listening(path), 'the socket')
			refused(['--gdb', path], path)
			tap.check(listening(path), 'the first one still listens')
			p.signal(signal.SIGKILL)
			p.wait(20)
		tap.check(os.path.exists(path), 'without its broker, SIGKILL leaves the socket')
		with lab('off', '--gdb', path) as p:
			wait_for(lambda: listening(path), 'the new socket')
			with Rsp(path) as c:
				c.hello()
				c.resume()
			tap.equal(p.wait(20), 0, 'status')
		with open(path, 'w') as f:
			f.write('precious')
		refused(['--gdb', path], path)
		with open(path) as f:
			tap.equal(f.read(), 'precious', 'the file')
		os.mkdir(d + '/folder')
		refused(['--gdb', d + '/folder'], d + '/folder')
		refused(['--gdb', d + '/missing/gdb'], d + '/missing')
		refused(['--gdb', d + '/' + 'x' * 120], 'x' * 100)


@tap.test('tcp: loopback only, gdb connects, a port in use is refused', ['gdb'], timeout=60)
def _():
	for spec in 'tcp:%d', 'tcp:127.0.0.1:%d', 'tcp:localhost:%d':
		port = free_port()
		with lab('off', '--gdb', spec % port) as p:
			wait_for(lambda: tcp_listeners(port) or not p.alive(), p.describe)
			tap.check(set(tcp_listeners(port)) <= {'0100007F', '0' * 24 + '01000000'},
				  'bound to loopback: %r' % tcp_listeners(port))
			refused(['--gdb', 'tcp:%d' % port], str(port))
			with Gdb(guest_path('lab')) as g:
				tap.equal(g.connect('localhost:%d' % port).func, '_start', 'first stop')
				tap.equal(g.run('continue').status, 0, 'status in gdb')
			tap.equal(p.wait(20), 0, 'status')
	port = free_port()
	with lab('off', '--gdb', 'tcp:0.0.0.0:%d' % port) as p:
		wait_for(lambda: tcp_listeners(port) or not p.alive(), p.describe)
		tap.equal(tcp_listeners(port), ['00000000'], 'bound to what was asked for')


@tap.test('stdio: target remote | minivmm --gdb stdio', ['gdb'], timeout=60)
def _():
	command = '%s --gdb stdio --kernel %s --cmdline lab=%%s --serial file:%%s' % (binary(), guest_path('lab'))
	with tempfile.TemporaryDirectory() as d:
		with Gdb(guest_path('lab')) as g:
			tap.equal(g.connect('| ' + command % ('calls,3', d + '/a')).func, '_start', 'first stop')
			g.cmd('break shared')
			for _ in range(6):
				tap.equal(g.run('continue').func, 'shared', 'function')
			tap.equal(g.run('continue').status, 0, 'status in gdb')
			with open(d + '/a') as f:
				tap.contains(f.read(), 'alphas 3\n')
		with Gdb(guest_path('lab')) as g:
			g.connect('| ' + command % ('spin', d + '/b'))
			g.resume('continue')
			wait_for(lambda: os.path.exists(d + '/b') and os.path.getsize(d + '/b'), 'output')
			for _ in range(3):
				g.interrupt()
				tap.equal(g.wait_stop().signal, 'SIGINT', 'signal')
				g.resume('continue')


@tap.test("Ctrl-C typed at gdb's terminal, over a pipe and a socket", ['gdb'], timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		args = ['--kernel', guest_path('lab'), '--cmdline', 'lab=spin']
		with Vm([*args, '--gdb', d + '/gdb']) as p:
			wait_for(lambda: listening(d + '/gdb'), 'the socket')
			for target in d + '/gdb', '| %s %s --gdb stdio' % (binary(), ' '.join(args)):
				type_at_gdb(target)
			tap.check(p.alive(), 'the machine on the socket runs on')


def type_at_gdb(target):
	pid, fd = pty.fork()
	if not pid:
		os.environ['TERM'] = 'dumb'
		os.execvp('gdb', ['gdb', '-q', '-nx', '-ex', 'set confirm off', guest_path('lab')])
	seen = b''

	def until(text):
		nonlocal seen
		while text not in seen:
			tap.check(select.select([fd], [], [], 30)[0], '%r is not in what gdb says: %r' % (text, seen))
			seen += os.read(fd, 4096)
		seen = seen.split(text, 1)[1]
	try:
		until(b'(gdb)')
		os.write(fd, b'target remote %s\n' % target.encode())
		until(b'_start')
		until(b'(gdb)')
		for _ in range(3):
			os.write(fd, b'continue\n')
			until(b'Continuing.')
			settle(pid)
			os.write(fd, b'\x03')
			until(b'received signal SIGINT')
			until(b'(gdb)')
		os.write(fd, b'detach\n')
		until(b'detached')
	finally:
		os.kill(pid, signal.SIGKILL)
		os.waitpid(pid, 0)
		os.close(fd)


@tap.test('stdio: the end of file ends the machine, serial is null by default', timeout=60)
def _():
	for running in False, True:
		to_vm, from_vm = os.pipe(), os.pipe()
		with lab('spin', '--gdb', 'stdio', stdin=to_vm[0], stdout=from_vm[1]) as p:
			os.close(to_vm[0])
			os.close(from_vm[1])
			c = Rsp((from_vm[0], to_vm[1]))
			c.hello()
			if running:
				c.send('vCont;c')
				tap.equal(c.take(0.3), None, 'output of the guest among the packets')
			p.signal(signal.SIGINT)         # gdb's Ctrl-C reaches the whole foreground
			tap.equal(c.take(0.1), None, 'output after SIGINT')
			os.close(to_vm[1])
			tap.equal(p.wait(20), 16, 'status')
			os.close(from_vm[0])


class Relay:
	"""Joins two pty masters; gdb is at the slave of one of them, minivmm at that of the other."""

	def __init__(self):
		self.ends = []
		self.names = []
		for _ in range(2):
			master, slave = pty.openpty()
			tty.setraw(slave)
			self.ends.append((master, slave))
			self.names.append(os.ttyname(slave))
		self.over = os.pipe()
		self.thread = threading.Thread(target=self._run, daemon=True)
		self.thread.start()

	def _run(self):
		a, b = self.ends[0][0], self.ends[1][0]
		while True:
			ready = select.select([a, b, self.over[0]], [], [])[0]
			if self.over[0] in ready:
				return
			for fd in ready:
				try:
					os.write(b if fd == a else a, os.read(fd, 4096))
				except OSError:
					return

	def close(self):
		os.write(self.over[1], b'x')
		self.thread.join()
		for fd in (*self.ends[0], *self.ends[1], *self.over):
			os.close(fd)


@tap.test('chardev: gdb over a pair of terminals, again and again', ['gdb'], timeout=90)
def _():
	relay = Relay()
	try:
		with lab('spin,2', '--cpus', '2', '--gdb', 'chardev:' + relay.names[0]) as p:
			turns = -1
			for i in range(4):
				with Gdb(guest_path('lab')) as g:
					stop = g.connect(relay.names[1])
					if i:
						tap.equal(stop.func, 'spin_loop', 'function')
						# the line does not tell that a gdb was killed: then it was not resumed
						now = g.int('turns')
						tap.check(now > turns or i == 2, 'it ran in between')
						turns = now
					else:
						tap.equal(stop.func, '_start', 'function')
						g.resume('continue')
						p.wait_output('spinning')
						g.interrupt()
						tap.equal(g.wait_stop().signal, 'SIGINT', 'signal')
					g.cmd('break spin_loop')
					g.run('stepi')
					if i == 1:
						g.kill()
					elif i < 3:
						g.cmd('detach')
					else:
						g.cmd('kill')
			tap.equal(p.wait(20), 14, 'status')
	finally:
		relay.close()


@tap.test('chardev: what is no character device, or not there, is refused', timeout=60)
def _():
	with tempfile.NamedTemporaryFile() as f:
		refused(['--gdb', 'chardev:' + f.name], f.name)
		refused(['--gdb', 'chardev:' + f.name + '.missing'], f.name)


@tap.test('chardev: settings of a terminal are restored', timeout=60)
def _():
	master, slave = pty.openpty()
	before = termios.tcgetattr(slave)
	with lab('off', '--gdb', 'chardev:' + os.ttyname(slave)) as p:
		wait_for(lambda: termios.tcgetattr(slave) != before, 'raw mode')
		c = Rsp((master, master))
		c.hello()
		tap.equal(c.resume().kind, 'W', 'stop')
		tap.equal(p.wait(20), 0, 'status')
	tap.equal(termios.tcgetattr(slave), before, 'terminal')
	os.close(master)
	os.close(slave)


@tap.test('--gdb-attach: the guest does not wait; one that nobody attaches to ends as always', timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		with lab('calls,2', '--gdb', d + '/gdb', '--gdb-attach') as p:
			tap.equal(p.wait(20), 0, 'status')
			tap.contains(p.output(), 'alphas 2\n')
		for scene, status in CRASHES:
			with lab(scene, '--gdb', d + '/gdb', '--gdb-attach') as p:
				tap.equal(p.wait(20), status, 'status of ' + scene)
		tap.equal(os.listdir(d), [], 'what is left')


@tap.test('a gdb that asks for a machine that is gone gets an error, not a hang', ['gdb'], timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		with lab('spin', '--gdb', d + '/gdb') as p, Gdb(guest_path('lab')) as g:
			wait_for(lambda: listening(d + '/gdb'), 'the socket')
			g.connect(d + '/gdb')
			p.signal(signal.SIGKILL)
			p.wait(20)
			try:
				g.value('turns')
				g.cmd('info registers')
				g.run('stepi')
			except GdbError as e:
				tap.contains(str(e).lower(), 'remote', 'the error')


tap.main()
