"""Scenarios: a real lldb in gdb's place."""

import contextlib
import os
import re
import select
import shutil
import socket
import tempfile
import threading

import tap
from elfsyms import symbols
from lldbclient import Lldb
from rsp import checksum
from scene import ends, isa, scenario


@contextlib.contextmanager
def lldb_session(host, cmdline, **options):
	if tap.missing('lldb'):
		tap.skip('missing lldb')
	m = host.start('lab', cmdline, **options)
	with Lldb(host.guest('lab'), host.patience) as g:
		tap.contains(g.connect(m.remote), 'stop reason = signal SIGTRAP', 'the first stop')
		yield m, g, symbols(host.guest('lab'))


@scenario('lldb: breakpoints, steps, registers and memory', 'breakpoints', 'step', timeout=90)
def lldb_lines(host):
	pc, arg = isa(host).pc, isa(host).arg
	with lldb_session(host, 'lab=calls,3') as (m, g, sym):
		tap.equal(g.register(pc), sym['_start'], 'pc at the start')
		g.cmd('breakpoint set -n alpha')
		g.cmd('breakpoint set -a %#x' % sym['beta'])
		tap.contains(g.run('process continue'), 'stop reason = breakpoint 1.1', 'the first hit')
		tap.equal((g.register('pc'), g.register(arg)), (sym['alpha'], 0), 'pc and argument')
		text = g.cmd('bt')
		tap.check(re.search(r'frame #0: .*`alpha\(i=0\).*frame #1: .*`\w*(calls|lab)', text, re.S),
			  'backtrace: ' + text)
		before = g.register('pc')
		g.run('thread step-inst')
		tap.check(0 < g.register('pc') - before <= isa(host).insn_max, 'pc after a step')
		g.run('thread step-over')
		tap.contains(g.run('thread step-in'), '`shared', 'the function stepped into')
		tap.contains(g.run('thread step-out'), '`alpha', 'the function stepped out to')
		tap.contains(g.run('process continue'), 'stop reason = breakpoint 2.1', 'the second hit')
		tap.equal(g.register('pc'), sym['beta'], 'pc')
		other = isa(host).others[0]
		g.cmd('register write %s 0x1122334455667788' % other)
		tap.equal(g.register(other), 0x1122334455667788, other)
		tap.contains(g.cmd('register read --all'), 'cr0' if host.arch == 'x86_64' else 'SCTLR_EL1',
			     'system registers')
		g.cmd('memory write -s 8 %#x 1000' % sym['alphas'])
		tap.contains(g.cmd('memory read -s 8 -f x -c 1 %#x' % sym['alphas']), '0x0000000000001000', 'memory')
		tap.contains(g.cmd('expression alphas + 1'), '= 4097', 'an expression')
		g.cmd('memory read 0x500000000000', fails=True)
		g.cmd('register write %s %d' % (other, 0))
		g.cmd('breakpoint delete -f')
		tap.contains(g.run('process continue'), 'exited with status = 0', 'the end')
		ends(m, serial='alphas 4098\n')


@scenario('lldb: threads, interrupt, detach, come back', 'step', timeout=90)
def lldb_threads(host):
	with lldb_session(host, 'lab=spin,2', cpus=2) as (m, g, sym):
		g.resume('process continue')
		m.wait_serial('spinning')
		tap.contains(g.run('process interrupt'), 'stop reason = signal SIG', 'the interrupt')
		text = g.cmd('thread list')
		tap.equal(re.findall(r'thread #(\d): tid = 0x000(\d).*`spin_loop', text), [('1', '1'), ('2', '2')], 'threads')
		for number in (1, 2):
			g.cmd('thread select %d' % number)
			tap.contains(g.cmd('bt'), 'frame #0: ', 'backtrace of %d' % number)
			old = g.register('pc')
			tap.contains(g.run('thread step-inst'), '* thread #%d' % number, 'the thread that stepped')
			tap.check(g.register('pc') != old, 'pc of %d after a step' % number)
		g.cmd('process detach')
		with Lldb(host.guest('lab'), host.patience) as again:
			again.connect(m.remote)
			again.cmd('memory write -s 8 %#x 1' % sym['stop'])
			again.cmd('process detach')
			ends(m, serial='spun\n')


class Hiding:
	"""Between client and stub; the client sees no offer of target.xml."""

	def __init__(self, remote):
		self.folder = tempfile.mkdtemp(prefix='hiding-')
		self.path = os.path.join(self.folder, 'gdb')
		self.asked = b''
		self.stub = socket.socket(socket.AF_UNIX)
		self.stub.connect(remote)
		self.listener = socket.socket(socket.AF_UNIX)
		self.listener.bind(self.path)
		self.listener.listen(1)
		threading.Thread(target=self.run, daemon=True).start()

	@staticmethod
	def _less(m):
		data = m.group(1).replace(b'qXfer:features:read+;', b'')
		return b'$' + data + b'#' + checksum(data)

	def run(self):
		held = b''
		client = self.listener.accept()[0]
		while True:
			for s in select.select([client, self.stub], [], [])[0]:
				data = s.recv(65536)
				if not data:
					client.close()
					self.stub.close()
					return
				if s is client:
					self.asked += data
					self.stub.sendall(data)
				else:
					held += data
					if not re.fullmatch(rb'([+-]|\$[^#]*#..)*', held, re.S):
						continue                # in the middle of a packet
					client.sendall(re.sub(rb'\$(PacketSize=[^#]*)#..', self._less, held))
					held = b''

	def close(self):
		self.listener.close()
		shutil.rmtree(self.folder)


@scenario('lldb that does not know target.xml has the registers all the same', timeout=60)
def lldb_without_xml(host):
	if tap.missing('lldb'):
		tap.skip('missing lldb')
	m = host.start('lab', 'lab=off')
	with contextlib.closing(Hiding(m.remote)) as line, Lldb(host.guest('lab'), host.patience) as g:
		g.connect(line.path)
		tap.check(b'qRegisterInfo0#' in line.asked and b'target.xml' not in line.asked, 'it asked for registers')
		tap.equal(g.register('pc'), symbols(host.guest('lab'))['_start'], 'pc')
		other = isa(host).others[0]
		g.cmd('register write %s 0x1234567' % other)
		tap.equal(g.register(other), 0x1234567, other)
		tap.contains(g.cmd('register read --all'), 'cr0' if host.arch == 'x86_64' else 'SCTLR_EL1',
			     'system registers')
		g.cmd('process detach')
		ends(m)
