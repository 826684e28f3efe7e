"""Scenarios: write watchpoints that no debug register holds, served by write-protecting their pages."""

import collections
import re

import tap
from scene import ends, ends_in_gdb, ends_raw, fill_slots, gdb_session, interpreted, isa, raw_session, runs_to, scenario


def watched_address(stop):
	return int(re.search('watch:([0-9a-f]+)', stop.text).group(1), 16)


def set_watch(c, addr, size):
	tap.equal(c.ask('Z2,%x,%x' % (addr, size)), 'OK', 'Z2')


def protected(c):
	return c.monitor('info breakpoints').count('write-protected')


# ---- any ISA ----

@scenario('gdb watches more than there are registers, and 9000 bytes at once', 'watch', 'protect', 'step')
def watch_in_gdb(host):
	with gdb_session(host, 'lab=calls,3,1') as (m, g):
		g.cmd('watch pages')
		g.cmd('watch turns')
		for i in range(host.facts['watch_write_slots']):
			g.cmd('watch calls[%d]' % i)
		g.cmd('watch betas')
		stop = g.run('continue')
		tap.equal((stop.reason, stop.func), ('watchpoint-trigger', 'fill_pages'), 'stop')
		g.cmd('delete 1')
		seen = collections.Counter()
		for _ in range(9):
			stop = g.run('continue')
			tap.equal(stop.reason, 'watchpoint-trigger', 'stop')
			seen[g.int('betas'), g.int('turns')] += 1
		tap.equal(sorted(seen), [(b, t) for b in (1, 2, 3) for t in (2 * b - 2, 2 * b - 1, 2 * b)], 'betas and turns')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='betas 3\n')


@scenario('two CPUs write beside what is watched and to it: each hit is reported once', 'watch', 'protect', 'step',
	  timeout=90)
def watch_on_cpus(host):
	with raw_session(host, 'lab=smp,25,2', cpus=2) as (m, c, sym):
		fill_slots(host, c, sym)
		calls = sym['calls']
		set_watch(c, calls, 8)
		set_watch(c, calls + 8, 8)
		hits = collections.Counter()
		while True:
			stop = c.resume()
			if stop.kind != 'T':
				break
			tap.equal((stop.signal, stop.reason), (5, 'watch'), 'stop')
			tap.equal(watched_address(stop), calls + 8 * (stop.thread - 1), 'address')
			hits[stop.thread] += 1
			now = c.read_int(calls + 8 * (stop.thread - 1))
			tap.equal(now, hits[stop.thread] - (host.arch == 'arm64'), 'calls at the hit')
		tap.equal(dict(hits), {1: 25, 2: 25}, 'hits by thread')
		ends(m, serial='calls 25\ncalls 25\n')


@scenario('what is not watched runs through; protection ends with its watchpoint, and with its client', 'watch', 'protect')
def watch_ends(host):
	with raw_session(host, 'lab=spin,1') as (m, c, sym):
		fill_slots(host, c, sym)
		set_watch(c, sym['stop'], 8)           # in the page of what spins
		tap.equal(protected(c), 1, 'write-protected')
		c.send('vCont;c')
		m.wait_serial('spinning')
		tap.check(c.take(0.3) is None, 'no stop')
		c.interrupt()
		tap.equal(c.wait_stop().signal, 2, 'Ctrl-C')
		turns = c.read_int(sym['turns'])
		tap.check(turns > 0, 'writes beside it were made')
		stop = c.resume('vCont;s:1')
		tap.equal(stop.signal, 5, 'a step')
		tap.equal(c.ask('z2,%x,8' % sym['stop']), 'OK', 'z2')
		tap.equal(protected(c), 0, 'write-protected')
		tap.equal(c.ask('M%x,1:01' % sym['stop']), 'OK', 'M')
		ends_raw(m, c, 'spun\n')


@scenario('what cannot be watched by write-protection is refused, with the reason', 'watch', 'protect', 'breakpoints')
def watch_refused(host):
	with raw_session(host, 'lab=calls,2') as (m, c, sym):
		runs_to(c, sym['shared'])
		fill_slots(host, c, sym)
		answer = c.ask('Z2,%x,8' % 0x500000000000)
		tap.contains(answer, 'mapped', 'an address that is not mapped')
		tap.contains(c.ask('Z2,%x,8' % (c.reg(isa(host).sp) & ~15) if host.arch == 'x86_64' else 'Z2,500000000000,8'),
			     'E.', 'the stack')
		for kind in 'Z3', 'Z4':
			answer = c.ask('%s,%x,8' % (kind, sym['betas']))
			tap.check(answer.startswith('E.') or (kind, answer) == ('Z3', ''), '%s: %r' % (kind, answer))
		tap.equal(protected(c), 0, 'write-protected')
		ends_raw(m, c, 'alphas 2\nbetas 2\n')


# ---- x86_64 ----

# what is watched: from, bytes
RANGES = ((3, 1), (4, 4), (0, 16), (16, 8), (31, 1), (4094, 1), (4096, 2), (4090, 5000), (43, 1), (50, 30), (81, 1),
	  (103, 2), (128, 8), (8200, 4), (300, 7), (201, 20), (0, 12288))


def write_table(c, sym):
	"""[(instruction, behind it, offset, bytes)]"""
	words = [c.read_int(a) for a in range(sym['write_table'], sym['write_table_end'], 8)]
	return list(zip(*[iter(words)] * 4))


def watch_writes(host, c, sym, first, size):
	"""One round of the stores with one watchpoint."""
	table, base = write_table(c, sym), sym['pages']
	wanted = [hex(after) for _, after, off, n in table if off < first + size and first < off + n]
	seen = []
	runs_to(c, sym['writes'])
	c.plant(sym['writes_end'])
	filled = fill_slots(host, c, sym)
	set_watch(c, base + first, size)
	tap.equal(protected(c), 1, 'write-protected')
	while True:
		stop = c.resume()
		if stop.pc == sym['writes_end']:
			break
		tap.equal((stop.signal, stop.reason), (5, 'watch'), 'stop: ' + stop.text)
		tap.check(first <= watched_address(stop) - base < first + size, 'a watched address: ' + stop.text)
		# a repeated one stops as often as it writes, on itself or behind
		at = [after for insn, after, _, n in table if stop.pc == after or stop.pc == insn and n > 16]
		tap.check(at, 'pc behind a store: %#x' % stop.pc)
		if seen[-1:] != [hex(at[-1])]:
			seen.append(hex(at[-1]))
	tap.equal(seen, wanted, 'stores that %d,%d stopped at' % (first, size))
	tap.equal(c.ask('z2,%x,%x' % (base + first, size)), 'OK', 'z2')
	c.unplant(sym['writes_end'])
	for spot in filled:
		tap.equal(c.ask('z2,' + spot), 'OK', 'z2')


@scenario('watchpoints of any length by write-protection: each store to them and no other', 'watch', 'protect',
	  'breakpoints', 'step', arch='x86_64', timeout=90)
def watch_lengths(host):
	with raw_session(host, 'lab=writes,%d' % len(RANGES)) as (m, c, sym):
		for spot in RANGES:
			watch_writes(host, c, sym, *spot)
		ends_raw(m, c, 'written ')
		told = m.serial()
	with raw_session(host, 'lab=writes,%d' % len(RANGES)) as (m, c, sym):
		ends_raw(m, c, told)            # the same as when nobody watches


@scenario('steps over watched stores stop behind them, once', 'watch', 'protect', 'breakpoints', 'step', arch='x86_64')
def watch_steps(host):
	with raw_session(host, 'lab=writes,1') as (m, c, sym):
		runs_to(c, sym['writes'])
		fill_slots(host, c, sym)
		set_watch(c, sym['pages'], 32)
		reasons = {}
		while True:
			stop = c.resume('vCont;s:1')
			if stop.pc == sym['writes_end']:
				break
			reasons.setdefault(stop.pc, []).append(stop.reason)
		for insn, after, off, n in write_table(c, sym):
			if n <= 16:
				tap.equal(reasons[after], ['watch' if off < 32 else ''], 'reasons of the stop behind %#x' % insn)
		ends_raw(m, c, 'written ')


@scenario('a watched store that KVM does not decode is stepped with the protection lifted', 'watch', 'protect', 'step',
	  arch='x86_64')
def watch_wide(host):
	with raw_session(host, 'lab=writes,1,1') as (m, c, sym):
		fill_slots(host, c, sym)
		set_watch(c, sym['pages'] + 512, 8)
		stop = c.resume()
		if interpreted(host) and stop.signal == 4:
			# nor does it execute it at all: as without a watchpoint
			tap.equal(hex(stop.pc), hex(sym['wide_insn']), 'pc')
			c.send('k')
			ends(m, 14)
			return
		tap.equal((stop.signal, stop.reason, hex(stop.pc)), (5, 'watch', hex(sym['wide_after'])), 'stop')
		tap.equal(watched_address(stop), sym['pages'] + 512, 'address')
		tap.equal(c.read_int(sym['pages'] + 512), 5, 'what was stored')
		ends_raw(m, c, 'written ')


# ---- arm64 ----

@scenario('stores across two pages, one of which is protected: watched, and made right', 'watch', 'protect', 'breakpoints',
	  'step', arch='arm64', timeout=120)
def watch_across_pages(host):
	with raw_session(host, 'lab=stores,3') as (m, c, sym):
		base = sym['pages'] + 4096 - 79
		accesses = {a: off for a, off, _, _ in zip(*[iter(
			[c.read_int(a) for a in range(sym['store_table'], sym['store_table_end'], 8)])] * 4)}
		made = []
		for spot, wanted in (None, []), (4096, [77, 128]), (4095, [77]):
			runs_to(c, sym['stores'])
			tap.equal(c.set_reg('x0', base), 'OK', 'x0')
			tap.equal(c.ask('M%x,160:%s' % (base, '00' * 0x160)), 'OK', 'clearing')
			c.plant(sym['stores_end'])
			filled = fill_slots(host, c, sym)
			if spot:
				set_watch(c, sym['pages'] + spot, 1)
			seen = []
			while (stop := c.resume()).pc != sym['stores_end']:
				tap.equal((stop.reason, watched_address(stop)), ('watch', sym['pages'] + spot), 'stop')
				tap.equal(c.read_int(sym['pages'] + spot, 1), bool(seen), 'the byte before the store')
				seen.append(accesses[stop.pc])
			tap.equal(seen, wanted, 'stores to the byte at %s' % spot)
			made.append(c.read(base, 0x160))
			c.unplant(sym['stores_end'])
			for z in filled + (['%x,1' % (sym['pages'] + spot)] if spot else []):
				tap.equal(c.ask('z2,' + z), 'OK', 'z2')
		tap.check(made[0] == made[1] == made[2] and 1 in made[0], 'what was stored')
		ends_raw(m, c, 'stored ')


@scenario('a lock made of exclusives in a protected page: none gets in twice, each write to the total is seen', 'watch',
	  'protect', 'step', arch='arm64', timeout=120)
def watch_beside_exclusives(host):
	with raw_session(host, 'lab=lock,8,2', cpus=2) as (m, c, sym):
		fill_slots(host, c, sym)
		set_watch(c, sym['locked_total'], 8)
		for n in range(16):
			stop = c.resume()
			tap.equal((stop.reason, c.read_int(sym['locked_total'])), ('watch', n), 'stop, total before the store')
		ends_raw(m, c, 'total 16 \n')


@scenario('a watched lock made of exclusives: each taking and each release is seen', 'watch', 'protect', 'step',
	  arch='arm64', timeout=120)
def watch_exclusives(host):
	with raw_session(host, 'lab=lock,6,1') as (m, c, sym):
		fill_slots(host, c, sym)
		set_watch(c, sym['the_lock'], 4)
		for _ in range(6):
			stop = c.resume()
			tap.equal((hex(stop.pc), c.read_int(sym['the_lock'], 4)), (hex(sym['lock_stored']), 1), 'behind the store')
			stop = c.resume()
			tap.equal((hex(stop.pc), c.read_int(sym['the_lock'], 4)), (hex(sym['lock_release']), 1), 'before the release')
		ends_raw(m, c, 'total 6 \n')
