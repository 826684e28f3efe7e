"""Scenarios: extended mode. Ends of the machine that are not minivmm's, and machines after the first."""

import contextlib

import tap
from gdbclient import GdbError
from rsp import Rsp
from scene import BREAKS, gdb_session, hit, interpreted, isa, raw_session, runs_to, scenario


@contextlib.contextmanager
def extended(host, cmdline, **options):
	"""A raw session in extended mode."""
	with raw_session(host, cmdline, **options) as (m, c, sym):
		tap.equal(c.ask('!'), 'OK', 'extended mode')
		yield m, c, sym


def restarts(c, sym):
	"""vRun, to the first instruction."""
	stop = c.resume('vRun;')
	tap.equal((stop.kind, stop.signal, stop.thread), ('T', 5, 1), 'stop of vRun: ' + stop.text)
	tap.equal(hex(stop.pc), hex(sym['_start']), 'pc after vRun')


def leaves(m, c, status):
	c.close()
	tap.equal(m.wait(), status, 'exit status when the client has left')


# ---- a real gdb ----

@scenario('gdb: run again and again, breakpoints are kept', 'breakpoints', 'step')
def run_again(host):
	with gdb_session(host, 'lab=calls,3', extended=True) as (m, g):
		g.cmd('break inner')
		for _ in range(3):
			for _ in range(2):
				hit(g, 'inner')
			g.cmd('set var alphas = 77')
			hit(g, 'inner', 'run')
			tap.equal(g.int('alphas'), 1, 'a variable of the new machine')
		g.cmd('delete')
		stop = g.run('starti')
		tap.equal(stop.pc, g.address('_start'), 'pc after starti')
		tap.equal(g.run('continue').reason, 'exited-normally', "the guest's end")
		tap.check(m.alive(), 'minivmm stays')
		m.wait_serial('sum 174\n')
		g.cmd('break outer')
		hit(g, 'outer', 'run')
		g.cmd('kill')
		tap.contains(g.cmd('info threads'), 'No threads', 'after kill')
		hit(g, 'outer', 'run')


@scenario('gdb: the exit status is that of the end, when gdb leaves')
def leaves_after_end(host):
	with gdb_session(host, 'lab=debugexit,21', extended=True) as (m, g):
		tap.equal(g.run('continue').status, 43, 'status in gdb')
		tap.equal(g.run('run').status, 43, 'and of the second machine')
		g.cmd('disconnect')
		tap.equal(m.wait(), 43, 'exit status')


@scenario('gdb: quitting kills what it has run, and detaches from what it found')
def quitting(host):
	with gdb_session(host, 'lab=idle', extended=True) as (m, g):
		g.run('starti')
		with contextlib.suppress(GdbError):
			g.cmd('quit')
		tap.equal(m.wait(), 14, 'exit status of a machine that gdb had run')
	with gdb_session(host, 'lab=off', extended=True) as (m, g):
		with contextlib.suppress(GdbError):
			g.cmd('quit')
		tap.equal(m.wait(), 0, 'exit status of one that ran on')


@scenario('gdb: detach, attach 1, run')
def attach(host):
	with gdb_session(host, 'lab=spin,2', cpus=2, extended=True) as (m, g):
		g.cmd('detach')
		m.wait_serial('spinning')
		g.run('attach 1')
		tap.contains(g.cmd('backtrace'), 'spin_loop', 'where it is found')
		tap.equal(len(g.threads()), 2, 'threads')
		g.cmd('detach')
		stop = g.run('starti')
		tap.equal(stop.pc, g.address('_start'), 'pc after starti')
		g.cmd('kill')


@scenario('gdb: arguments and other programs are refused')
def refused(host):
	with gdb_session(host, 'lab=idle', extended=True) as (m, g):
		g.cmd('set args a b')
		tap.contains(g.error('starti'), 'failed', 'run with arguments')
		g.cmd('set args')
		g.cmd('set remote exec-file /other')
		tap.contains(g.error('starti'), 'failed', 'run of another program')
		g.cmd('set remote exec-file')
		tap.equal(g.run('starti').pc, g.address('_start'), 'pc after starti')


# ---- a raw client ----

@scenario('a restart is a new machine: memory, registers, CPUs; breakpoints stay', 'breakpoints', 'step')
def new_machine(host):
	with extended(host, 'lab=smp,3,2', cpus=2) as (m, c, sym):
		text = c.read(sym['smp_work'], 16)
		free = isa(host).ram + (6 << 20)
		runs_to(c, sym['main'])
		c.plant(sym['smp_work'])
		tap.check(c.resume().reason in BREAKS, 'a hit')
		tap.equal(c.ask('M%x,4:12345678' % free), 'OK', 'write memory')
		tap.equal(c.ask('M%x,2:5555' % (sym['smp_work'] + 8)), 'OK', 'write code')
		first = {n: c.reg(n) for n in isa(host).others}
		restarts(c, sym)
		tap.equal(c.read(free, 4), bytes(4), 'memory is new')
		tap.equal(c.read(sym['smp_work'], 16), text, 'the image is')
		tap.check(first != {n: c.reg(n) for n in isa(host).others}, 'registers are')
		tap.contains(bytes.fromhex(c.ask('qThreadExtraInfo,2')).decode(), isa(host).unstarted, 'the second CPU')
		hits = 0
		stop = c.resume()
		while stop.kind == 'T':
			tap.equal(stop.pc, sym['smp_work'], 'pc at the hit')
			hits += 1
			stop = c.resume()
		tap.equal((stop.text, hits), ('W00', 6), "the second machine's end, and hits of the breakpoint kept")
		leaves(m, c, 0)


@scenario('restart from every state: stopped, running, halted, crashed, ended, killed, detached', 'step')
def every_state(host):
	crash = [('lab=panic', 6)] + [('lab=triple', 11)] * (host.arch == 'x86_64')
	if host.arch == 'arm64':
		crash.append(('lab=pair', 4))
	elif interpreted(host):
		crash.append(('lab=sse', 4))
	for cmdline, signal in crash:
		with extended(host, cmdline) as (m, c, sym):
			for _ in range(2):
				tap.equal(c.resume().signal, signal, 'the stop of ' + cmdline)
				restarts(c, sym)
			tap.equal(c.ask('vKill;1'), 'OK', 'kill')
			leaves(m, c, 14)
	with extended(host, 'lab=idle', cpus=2) as (m, c, sym):
		c.send('vCont;c')
		m.wait_serial('idle')
		c.interrupt()
		c.wait_stop()
		restarts(c, sym)
		c.send('vCont;c')
		c.interrupt()
		tap.equal(c.wait_stop().signal, 2, 'Ctrl-C')
		tap.equal(c.ask('D;1'), 'OK', 'detach')
		restarts(c, sym)
		c.send('k')
		tap.equal(c.ask('?'), 'X09', 'after k')
		restarts(c, sym)
		c.send('R00')
		tap.equal(c.stop(c.ask('?')).pc, sym['_start'], 'pc after R')
		leaves_running(m, c)


def leaves_running(m, c):
	tap.equal(c.ask('vKill;1'), 'OK', 'kill')
	leaves(m, c, 14)


@scenario('no machine: what needs one is an error, the rest is answered')
def no_machine(host):
	with extended(host, 'lab=debugexit,4') as (m, c, sym):
		stop = c.resume()
		tap.equal(stop.text, 'W09', 'the end')
		for packet in ('g', 'p0', 'm%x,4' % sym['_start'], 'Z0,%x,%x' % (sym['_start'], c.break_kind), 'vKill;1',
			       'qAttached', 'D', 'vAttach;1', 'P0=00', 'qC'):
			tap.equal(c.ask(packet)[:1], 'E', 'reply to ' + packet)
		tap.equal(c.ask('?'), 'W09', 'reply to ?')
		tap.equal(c.ask('vCont;c'), 'W09', 'reply to vCont;c')
		tap.equal(c.ask('qfThreadInfo'), 'l', 'reply to qfThreadInfo')
		for line in 'info breakpoints', 'help':
			c.monitor(line)
		restarts(c, sym)
		tap.equal(c.read(sym['_start'], 4) != bytes(4), True, 'memory is there again')
		tap.equal(c.resume().text, 'W09', 'the second end')
		leaves(m, c, 9)


@scenario('a client that leaves in the middle of a restart leaves a machine that runs', 'connections')
def leaves_in_restart(host):
	for _ in range(5):
		with extended(host, 'lab=off') as (m, c, _):
			c.send('vRun;')
			leaves(m, c, 0)
	with extended(host, 'lab=spin,1') as (m, c, sym):
		c.send('vCont;c')
		m.wait_serial('spinning')
		c.close()
		with Rsp(m.remote, 30 * host.patience) as other:
			other.hello()
			tap.equal(other.ask('qAttached'), '1', 'qAttached')
			tap.equal(other.ask('vRun;')[:1], 'E', 'the next client is not in extended mode by itself')
