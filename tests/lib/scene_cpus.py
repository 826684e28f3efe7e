"""Scenarios: several CPUs."""

import collections

import tap
from elfsyms import table
from scene import BREAKS, ends, ends_in_gdb, ends_raw, gdb_session, isa, raw_session, scenario


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


@scenario('actions by thread in any mix: who steps, who runs, who stays', 'breakpoints', 'step')
def action_mixes(host):
	with raw_session(host, 'lab=spin,3', cpus=3) as (m, c, sym):
		counters = [sym['turns'], sym['calls'] + 8, sym['calls'] + 16]
		c.send('vCont;c')
		m.wait_serial('spinning')
		c.interrupt()
		c.wait_stop()
		begin, size = table(host.guest('lab'))['spin_loop']
		span = '%x,%x' % (begin, begin + size)
		before = now = [c.read_int(a) for a in counters]
		while now == before:    # the guest numbers its CPUs as they come up: which counter is that of the second?
			c.send('vCont;c:2')
			tap.equal(c.take(0.1 * host.patience), None, 'stop of one that runs')
			c.interrupt()
			c.wait_stop()
			now = [c.read_int(a) for a in counters]
		if now[2] != before[2]:
			counters[1:] = counters[:0:-1]

		def pcs():
			found = []
			for thread in (1, 2, 3):
				tap.equal(c.ask('Hg%d' % thread), 'OK', 'Hg')
				found.append(c.pc())
			return found

		# the letters are what CPUs 1 to 3 do: s is a step, - nothing, r and c run until they are interrupted
		for packet, wanted in (('vCont;s:1', 's--'), ('vCont;s:2', '-s-'), ('vCont;S05:3;t', '--s'),
				       ('vCont;t:1;s:2;t', '-s-'), ('vCont;c:2', '-c-'), ('vCont;t:2;c', 'c-c'),
				       ('vCont;r%s:1' % span, 'r--'), ('vCont;r%s:3;C05:1;t' % span, 'c-r'),
				       ('vCont;r%s:2;c' % span, 'crc'), ('vCont;s:2;s:2;c:2', '-s-'), ('vCont;r%s' % span, 'rrr')):
			before, turns = pcs(), [c.read_int(a) for a in counters]
			c.send(packet)
			if set(wanted) <= set('s-'):
				stop = c.wait_stop()
				tap.equal((stop.signal, stop.thread), (5, wanted.index('s') + 1), 'stop of ' + packet)
			else:
				for _ in range(100):    # a busy host may not have let all of them run
					tap.equal(c.take(0.1 * host.patience), None, 'stop of ' + packet)
					c.interrupt()
					tap.equal(c.wait_stop().signal, 2, 'signal after ' + packet)
					now = [c.read_int(a) for a in counters]
					if all(w == '-' or n > t for w, n, t in zip(wanted, now, turns)):
						break
					c.send(packet)
			for i, (old, new, was, at) in enumerate(zip(before, pcs(), turns, counters)):
				what = 'CPU %d after %s' % (i, packet)
				made = c.read_int(at) - was
				if wanted[i] == '-':
					tap.equal((hex(new), made), (hex(old), 0), what)
				elif wanted[i] == 's':
					tap.check(new != old and made <= 1, '%s: from %#x to %#x' % (what, old, new))
				else:
					tap.check(made > 0, '%s: it turned' % what)
					tap.check(begin <= new < begin + size, '%s: %#x' % (what, new))
		# one that steps ends the run of the others, and the reply names it
		for _ in range(10):
			stop = c.resume('vCont;s:2;c')
			tap.equal((stop.signal, stop.thread), (5, 2), 'a step beside others that run')
		# a range that is left by one CPU stops all
		tap.equal(c.ask('M%x,8:0100000000000000' % sym['stop']), 'OK', 'stop = 1')
		stop = c.resume('vCont;r%s:3' % span)
		tap.equal(stop.thread, 3, 'thread that has left its range')
		tap.check(not begin <= stop.pc < begin + size, 'pc out of the range')
		ends_raw(m, c, 'spun\n')


@scenario('set scheduler-locking on, step and off: who else runs while gdb steps', 'breakpoints', 'step')
def scheduler_locking(host):
	with gdb_session(host, 'lab=spin,2', cpus=2) as (m, g):
		g.resume('continue')
		m.wait_serial('spinning')
		g.interrupt()
		g.wait_stop()
		g.cmd('thread 1')
		for mode, runs in (('on', False), ('step', False), ('off', True), ('step', False)):
			g.cmd('set scheduler-locking ' + mode)
			turns = g.int('calls[1]')
			for _ in range(20):
				tap.equal(g.run('stepi').thread, 1, 'thread that stopped')
				if runs and g.int('calls[1]') != turns:
					break
			tap.equal(g.int('calls[1]') != turns, runs, 'the other CPU has run with ' + mode)
			for _ in range(4):
				tap.equal(g.run('next').func, 'spin_loop', 'function after next')
		# locked in steps only: a continue lets all of them run, locked always it does not
		for mode, runs in (('step', True), ('on', False)):
			g.cmd('set scheduler-locking ' + mode)
			turns = g.int('calls[1]')
			g.resume('continue')
			tap.check(g.quiet(0.1 * host.patience), 'it runs')
			g.interrupt()
			g.wait_stop()
			g.cmd('thread 1')
			tap.equal(g.int('calls[1]') != turns, runs, 'the other CPU has run in a continue, with ' + mode)
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
