#!/usr/bin/env python3
"""Extended mode on this host's KVM: the scenarios, and what they cannot see: the process, its files, its other lines."""

import os
import pty
import shutil
import signal
import socket
import sys
import tempfile
import time
import tty

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import scenarios        # noqa: E402
import scene_restart    # noqa: E402,F401: its scenarios come first
import tap              # noqa: E402
import vm               # noqa: E402
from elfsyms import symbols     # noqa: E402
from gdbclient import Gdb       # noqa: E402
from rsp import Rsp     # noqa: E402
from vm import Vm, binary, guest_path, listening, wait_for      # noqa: E402

ROUNDS = 200
RSS_SLACK_KB = 512      # what the allocator and the page tables may move about


@tap.fixture
def host():
	h = vm.Host()
	tap.cleanup(h.close)
	return h


scenarios.register(host, scenarios.of('scene_restart'))
START = '%x' % symbols(guest_path('lab'))['_start']


def extended(remote):
	c = Rsp(remote)
	c.hello()
	tap.equal(c.ask('!'), 'OK', 'extended mode')
	return c


def runs(c):
	stop = c.resume('vRun;')
	tap.equal('%s %x' % (stop.kind, stop.pc), 'T ' + START, 'vRun: ' + stop.text)


def usage(pid):
	"""(file descriptors, threads, KiB resident)"""
	with open('/proc/%d/status' % pid) as f:
		words = dict(line.split(':', 1) for line in f)
	return len(os.listdir('/proc/%d/fd' % pid)), int(words['Threads']), int(words['VmRSS'].split()[0])


def settled(pid):
	"""The last machine's descriptors are closed after the next one runs."""
	before = None
	for _ in range(100):
		now = usage(pid)
		if now == before:
			break
		before = now
		time.sleep(0.05)
	return now


@tap.test('%d times run and kill: no file descriptor, thread or memory is lost' % ROUNDS, timeout=180)
def _():
	m = host().start('lab', 'lab=spin,2', cpus=2)
	with extended(m.remote) as c:
		for i in range(ROUNDS + 20):
			runs(c)
			if i % 3 == 0:
				c.send('vCont;c')
				c.interrupt()
				c.wait_stop()
			if i % 2:
				tap.equal(c.ask('vKill;1'), 'OK', 'kill')
			if i == 18:
				before = settled(m.pid)
		after = settled(m.pid)
		tap.diag('fds, threads, KiB: %s, after %d machines %s' % (before, ROUNDS, after))
		runs(c)
		c.ask('vKill;1')
		ended = settled(m.pid)
	tap.equal(m.wait(), 14, 'status')
	# one of them has a machine, the other one may have none
	tap.check(after[0] <= before[0] + 3 and ended[0] <= before[0], 'file descriptors: %s, %s' % (after, ended))
	tap.check(after[1] <= before[1] + 2 and ended[1] <= before[1], 'threads: %s, %s' % (after, ended))
	tap.check(after[2] <= before[2] + RSS_SLACK_KB, 'memory: %s' % (after,))


@tap.test('restarts while CPUs are in the middle of I/O', timeout=120)
def _():
	m = host().start('lab', 'lab=flood,1000000', cpus=2)
	with extended(m.remote) as c:
		for i in range(40):
			tap.equal(c.ask('D'), 'OK', 'detach')
			time.sleep(0.0007 * (i % 13))
			runs(c)
		c.ask('vKill;1')
	tap.equal(m.wait(), 14, 'status')


@tap.test("the guest's last words are out before its end is told", timeout=60)
def _():
	m = host().start('lab', 'lab=calls,3')
	with extended(m.remote) as c:
		for i in range(50):
			runs(c)
			tap.equal(c.resume().text, 'W00', 'the end')
			tap.equal(m.serial().count('sum 174\n'), i + 1, 'ends in the serial output')
	tap.equal(m.wait(), 0, 'status')


@tap.test('the image is read again: changed, gone, back', timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		image = d + '/image'
		shutil.copy(guest_path('lab'), image)
		m = host().start(kernel=image, cmdline='lab=off')
		with extended(m.remote) as c:
			os.rename(image, d + '/away')
			tap.equal(c.ask('vRun;')[:2], 'E.', 'vRun without the image')
			tap.contains(m.errors(), image, "minivmm's own message")
			tap.equal(c.ask('?'), 'W04', 'the machine then')
			with open(image, 'w') as f:
				f.write('no kernel')
			tap.equal(c.ask('vRun;')[:2], 'E.', 'vRun of what is no kernel')
			shutil.copy(guest_path('demo'), image)
			tap.equal(c.resume('vRun;').kind, 'T', 'another image')
			tap.check(c.read(int(START, 16), 64) != open_text(), 'its code is there')
			os.rename(d + '/away', image)
			tap.equal(c.resume('vRun;' + image.encode().hex()).kind, 'T', 'by its name')
			tap.equal(c.read(int(START, 16), 64), open_text(), 'the first one is back')
			os.remove(image)
			c.ask('vRun;')
		tap.equal(m.wait(), 4, 'status')


def open_text():
	"""The first bytes of lab's code, as a machine that has not run shows them."""
	if not hasattr(open_text, 'bytes'):
		m = host().start('lab', 'lab=off')
		with Rsp(m.remote) as c:
			c.hello()
			open_text.bytes = c.read(int(START, 16), 64)
			c.ask('vKill;1')
	return open_text.bytes


@tap.test('the other end of the serial line stays connected', timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=echo', '--gdb', d + '/gdb',
			 '--serial', 'unix:' + d + '/serial']) as p:
			wait_for(lambda: listening(d + '/gdb') and listening(d + '/serial'), 'the sockets')
			with socket.socket(socket.AF_UNIX) as s, extended(d + '/gdb') as c:
				s.settimeout(30)
				s.connect(d + '/serial')
				c.send('vCont;c')
				for word in b'first', b'second':
					said(s, b'ready\n')
					s.sendall(word)
					said(s, word)
					c.interrupt()
					c.wait_stop()
					if word == b'first':
						runs(c)
						c.send('vCont;c')
				c.send('vCont;c')
				s.sendall(b'q')
				said(s, b'end\n')
				tap.equal(c.wait_stop().text, 'W00', 'the end')
			tap.equal(p.wait(20), 0, 'status')


def said(s, text):
	seen = b''
	while text not in seen.replace(b'\r', b''):
		more = s.recv(4096)
		tap.check(more, '%r is not in %r' % (text, seen))
		seen += more


@tap.test('signals end the process, with a machine and without one', timeout=60)
def _():
	for ended in False, True:
		m = host().start('lab', 'lab=idle')
		with extended(m.remote) as c:
			if ended:
				c.ask('vKill;1')
			m.signal(signal.SIGTERM)
			tap.equal(m.wait(), 16, 'status')


@tap.test('stdio: extended-remote | minivmm --gdb stdio', ['gdb'], timeout=60)
def _():
	with Gdb(guest_path('lab')) as g:
		g.connect('| %s --gdb stdio --kernel %s --cmdline lab=calls,1' % (binary(), guest_path('lab')), extended=True)
		g.cmd('break shared')
		for _ in range(3):
			tap.equal(g.run('run').func, 'shared', 'function')
	to_vm, from_vm = os.pipe(), os.pipe()
	with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=debugexit,3', '--gdb', 'stdio'],
		stdin=to_vm[0], stdout=from_vm[1]) as p:
		os.close(to_vm[0])
		os.close(from_vm[1])
		c = extended((from_vm[0], to_vm[1]))
		tap.equal(c.resume().text, 'W07', 'the end')
		os.close(to_vm[1])
		tap.equal(p.wait(20), 7, 'status')
		os.close(from_vm[0])


@tap.test('a line that never hangs up: the next client finds no machine and runs one', timeout=60)
def _():
	master, slave = pty.openpty()
	tty.setraw(slave)
	with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=off', '--gdb', 'chardev:' + os.ttyname(slave)]) as p:
		c = extended((master, master))
		tap.equal(c.resume().text, 'W00', 'the end')
		c = extended((master, master))
		tap.equal(c.ask('?'), 'W00', 'reply to ?')
		tap.equal(c.ask('qAttached')[:1], 'E', 'reply to qAttached')
		runs(c)
		tap.equal(c.ask('vKill;1'), 'OK', 'kill')
		tap.check(p.alive(), 'it waits for the next one')
		os.close(master)
		os.close(slave)
		tap.equal(p.wait(20), 14, 'status when the line hangs up')


tap.main()
