"""Scenarios: several CPUs."""

import collections

import tap
from scene import BREAKS, ends, ends_in_gdb, gdb_session, isa, raw_session, scenario


# ---- several CPUs ----

@scenario('CPUs are threads with names; each can be looked at and stepped alone', 'breakpoints', 'step')
def threads(host):
	with gdb_session(host, 'lab=spin,2', cpus=2) as (m, g):
		text = g.cmd('info threads')
		tap.contains(text, '"CPU 0"', 'info threads')
		tap.contains(text, '"CPU 1"', 'info threads')
		tap.contains(text, isa(host).unstarted, "the second CPU's state at the start")
		g.resume('continue')
		m.wait_serial('spinning')
		g.interrupt()
		g.wait_stop()
		found = {t['id']: t for t in g.threads()}
		tap.equal(sorted(found), ['1', '2'], 'threads')
		tap.equal(found['2']['frame']['func'], 'spin_loop', "the second CPU's function")
		g.cmd('thread 2')
		tap.equal(g.frames()[:2], ['spin_loop', 'spin_worker'], 'backtrace of the second')
		g.cmd('thread 1')
		tap.equal(g.frames()[0], 'spin_loop', 'backtrace of the first')
		g.cmd('set scheduler-locking on')
		for stepped, other, counter in ((1, 2, 'turns'), (2, 1, 'calls[1]')):
			g.cmd('thread %d' % stepped)
			turns = g.int(counter)
			g.cmd('thread %d' % other)
			pc = g.pc()
			g.cmd('thread %d' % stepped)
			for _ in range(20):
				tap.equal(g.run('stepi').thread, stepped, 'thread that stopped')
			g.cmd('thread %d' % other)
			tap.equal(g.pc(), pc, 'pc of the other one')
			tap.check(0 < g.int(counter) - turns < 20, 'turns made by 20 steps')
		g.cmd('set scheduler-locking off')
		g.cmd('set var stop = 1')
		ends_in_gdb(m, g, serial='spun\n')


def count_smp_hits(host, rounds, cpus, raw):
	"""{thread: hits} of a breakpoint in what all CPUs call at once, and the machine's end."""
	hits = collections.Counter()
	if raw:
		with raw_session(host, 'lab=smp,%d,%d' % (rounds, cpus), cpus=cpus) as (m, c, sym):
			c.plant(sym['smp_work'])
			stop = c.resume()
			while stop.kind == 'T':
				tap.check(stop.reason in BREAKS, 'reason: ' + stop.text)
				tap.equal(stop.pc, sym['smp_work'], 'pc at the hit')
				cpu = c.reg(isa(host).arg)      # the guest's own number for it
				tap.equal(c.read_int(sym['calls'] + 8 * cpu), hits[stop.thread],
					  'calls of that CPU before the hit')
				hits[stop.thread] += 1
				stop = c.resume()
			ends(m, serial='calls %d\n' % rounds * cpus)
		return hits
	with gdb_session(host, 'lab=smp,%d,%d' % (rounds, cpus), cpus=cpus) as (m, g):
		g.cmd('break *smp_work')
		stop = g.run('continue')
		while stop.reason == 'breakpoint-hit':
			hits[stop.thread] += 1
			stop = g.run('continue')
		tap.equal(stop.status, 0, 'status')
		ends(m, serial='calls %d\n' % rounds * cpus)
	return hits


@scenario('two CPUs hit one breakpoint at once: every hit counted once (gdb)', 'breakpoints', 'step', timeout=90)
def smp_hits(host):
	tap.equal(dict(count_smp_hits(host, 25, 2, False)), {1: 25, 2: 25}, 'hits by thread')


@scenario('four CPUs hit one breakpoint at once: every hit counted once (raw, left in)', 'breakpoints', 'step',
	  timeout=90)
def smp_hits_raw(host):
	tap.equal(dict(count_smp_hits(host, 60, 4, True)), {i: 60 for i in (1, 2, 3, 4)}, 'hits by thread')


@scenario('a hardware breakpoint hits on every CPU', 'hardware', 'step')
def smp_hardware(host):
	with gdb_session(host, 'lab=smp,6,2', cpus=2) as (m, g):
		g.cmd('hbreak *smp_work')
		hits = collections.Counter()
		stop = g.run('continue')
		while stop.reason == 'breakpoint-hit':
			hits[stop.thread] += 1
			stop = g.run('continue')
		tap.equal(dict(hits), {1: 6, 2: 6}, 'hits by thread')
		ends(m, serial='calls 6\ncalls 6\n')


@scenario('a CPU that waits for its start is stepped: Ctrl-C ends the wait', 'step')
def step_waiting_cpu(host):
	with gdb_session(host, 'lab=cpus,2', cpus=2) as (m, g):
		g.cmd('set scheduler-locking on')
		g.cmd('thread 2')
		g.resume('stepi')
		tap.check(g.quiet(0.5), 'the step waits')
		g.interrupt()
		stop = g.wait_stop()
		tap.equal(stop.signal, 'SIGINT', 'signal')
		g.cmd('set scheduler-locking off')
		g.cmd('thread 1')
		ends_in_gdb(m, g, serial='online 2\n')
