"""Scenarios that only arm64 has: its own instructions, registers, exceptions, watchpoints and levels."""

import collections
import re

import tap
from elfsyms import table
from gdbclient import GdbError
from scene import ends, ends_in_gdb, ends_raw, fill_slots, gdb_session, hit, raw_session, runs_to, scenario

SYNC_EL1, SYNC_EL0 = 0x200, 0x400       # offsets of vectors: synchronous exceptions from either level
PSTATE_I, PSTATE_DAIF, PSTATE_SS = 0x80, 0x3c0, 1 << 21


def step(c):
	"""A step that has to end as one; the pc."""
	stop = c.resume('vCont;s:1')
	tap.equal((stop.signal, stop.reason), (5, ''), 'stop of a step: ' + stop.text)
	return stop.pc


# ---- registers ----

@scenario('system registers', 'breakpoints', 'step', arch='arm64')
def arm64_system_registers(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		tap.equal(g.int('$SCTLR_EL1') & 1, 0, 'the MMU at the start')
		g.cmd('break *alpha')
		hit(g, 'alpha')
		tap.equal(g.int('$SCTLR_EL1') & 0x1005, 0x1005, 'MMU and caches')
		tap.equal(g.int('$TTBR0_EL1'), g.address('table1'), 'TTBR0_EL1')
		tap.equal(g.int('$TCR_EL1') & 0x3f, 25, 'T0SZ')
		tap.equal(g.int('$VBAR_EL1'), g.address('vectors'), 'VBAR_EL1')
		tap.equal(g.reg('cpsr') & 0x1f, 5, 'EL1h')
		tap.equal(g.reg('cpsr') & PSTATE_DAIF, PSTATE_DAIF, 'masks')
		tap.check(g.int('$CNTVCT_EL0') > 0, 'the counter')
		tap.equal(g.int('$MPIDR_EL1') & 0xff00ffffff, 0, 'affinity of the first CPU')
		values = {r: 0x123456789000 + i for i, r in enumerate((
			'TPIDR_EL0', 'TPIDRRO_EL0', 'SP_EL0', 'FAR_EL1', 'ELR_EL1', 'CNTV_CVAL_EL0'))}
		for r, v in values.items():
			g.cmd('set var $%s = %#x' % (r, v))
		g.run('stepi')
		g.cmd('maintenance flush register-cache')
		for r, v in values.items():
			tap.equal(g.int('$' + r), v, r + ' after a step')
		midr = g.int('$MIDR_EL1')
		try:
			g.cmd('set var $MIDR_EL1 = 1')
		except GdbError:
			pass
		g.cmd('maintenance flush register-cache')
		tap.equal(g.int('$MIDR_EL1'), midr, 'MIDR_EL1 after a write')
		ends_in_gdb(m, g, serial='sum')


@scenario('vector registers are read and written', 'breakpoints', 'step', arch='arm64')
def arm64_vector_registers(host):
	with gdb_session(host, 'lab=simd,2') as (m, g):
		g.cmd('break *shared')
		hit(g, 'shared')
		tap.equal(g.reg('v3.q.u[0]'), int.from_bytes(bytes(range(48, 64)), 'little'), 'v3')
		tap.equal(g.int('$v31.b.u[15]'), 0xff, 'a byte of v31')
		tap.equal(g.int('$v16.h.u[7]'), 0x0f0e, 'a part of v16')
		hit(g, 'shared')
		g.cmd('set var $v3.d.u[0] = 0x1122334455667788')
		g.cmd('set var $v31.d.u[0] = 0x99')
		g.cmd('set var $fpcr = 0x1000000')
		g.cmd('set var $fpsr = 0x8000000')
		g.run('stepi')
		g.cmd('maintenance flush register-cache')
		tap.equal(g.int('$v3.d.u[0]'), 0x1122334455667788, 'v3 after a step')
		tap.equal(g.reg('fpcr'), 0x1000000, 'fpcr')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='wrong=0x10\nv3.low=0x1122334455667788\nv3.high=0x3f3e3d3c3b3a3938\nv31.low=0x99\n'
			    'fpcr=0x1000000\nfpsr=0x8000000\n')


# ---- the way up ----

@scenario('steps from the first instruction across the switch-on of the MMU', 'step', arch='arm64')
def arm64_mmu_on(host):
	with raw_session(host, 'lab=off') as (m, c, sym):
		runs_to(c, sym['cpu_init'])
		at, caller = sym['cpu_init'], c.reg('x30')
		while True:
			pc = step(c)
			if pc == caller:
				break
			tap.equal(hex(pc), hex(at + 4), 'pc')
			at = pc
		tap.equal(c.reg('SCTLR_EL1') & 1, 1, 'the MMU is on')
		tap.check(at - sym['cpu_init'] > 80, 'the whole function was stepped')
		ends_raw(m, c)


@scenario('a breakpoint on a CPU that is still powered off: its first instruction', 'breakpoints', 'step', arch='arm64')
def arm64_second_cpu(host):
	with gdb_session(host, 'lab=cpus,2', cpus=2) as (m, g):
		g.cmd('hbreak *secondary_start' if host.facts['hw_break_slots'] else 'break *secondary_start')
		g.cmd('break cpu_counts_itself')
		stop = hit(g, 'secondary_start')
		tap.equal((stop.thread, g.int('$x0'), g.int('$SCTLR_EL1') & 1), (2, 1, 0), 'thread, its number, MMU')
		g.run('stepi')
		tap.equal(g.pc(), stop.pc + 4, 'pc after a step')
		tap.equal(hit(g, 'cpu_counts_itself').thread, 2, 'thread')
		ends_in_gdb(m, g, serial='online 2\n')


@scenario('breakpoints in the kernel half, before the MMU is on: by the ELF file, and by where a vmlinux was loaded',
	  'breakpoints', 'step', arch='arm64')
def arm64_kernel_half(host):
	for guest in 'higher', 'vmlinux':
		with gdb_session(host, guest=guest) as (m, g):
			tap.equal(g.int('$SCTLR_EL1') & 1, 0, 'the MMU')
			tap.equal(g.pc() % 4096, g.address('high_start') % 4096, 'pc')
			tap.equal(g.int('high_calls'), 0x600d, 'a variable there')
			g.cmd('break high_work')
			g.cmd('tbreak high_main')
			hit(g, 'high_main')
			tap.check(g.pc() >> 39 == 0x1ffffff, 'pc is in the kernel half')
			tap.contains(g.error('x/x 0x40200000'), 'Cannot access memory', 'nothing is mapped below')
			for n in (1, 2, 3):
				hit(g, 'high_work')
				tap.equal(g.int('n'), n, 'n')
				tap.equal(g.frames()[:2], ['high_work', 'high_main'], 'backtrace')
			ends_in_gdb(m, g, serial='high_calls=0x6013\nend\n')


# ---- instructions that are hard to step over ----

SEEN = {'uart': 0x11, 'uart.again': 0x11, 'rtc': 0x31,
	'daif.1': 0x3c0, 'daif.2': 0x340, 'daif.3': 0x3c0, 'daif.4': 0x340, 'daif.5': 0x380, 'daif.6': 0, 'daif.7': 0,
	 'daif.8': 0x1c0, 'eret.daif': 0x340,
	'brk.esr': 0xf2000077, 'brk.spsr': 0x600003c5, 'brk.elr': 0, 'svc.esr': 0x56000012, 'svc.spsr': 0x3c5, 'svc.elr': 0,
	'udf.esr': 0x2000000, 'udf.spsr': 0x3c5, 'udf.elr': 0, 'el0.esr': 0x56000034, 'el0.spsr': 0x340, 'el0.elr': 0,
	'exclusive': 6, 'psci': 1, 'sp_el0': 0x1230, 'mdscr': 0, 'dbgbcr0': 0, 'par.failed': 0}


def walk(host, hz):
	"""Steps through the lab's list of hard instructions, and compares what the guest saw meanwhile."""
	with raw_session(host, 'lab=insns,%d' % hz) as (m, c, sym):
		insns = [c.read_int(a) for a in range(sym['step_table'], sym['step_table_end'], 8)]
		pairs = [c.read_int(a) for a in range(sym['step_retry'], sym['step_retry_end'], 8)]
		back = dict(zip(pairs[::2], pairs[1::2]))
		runs_to(c, insns[0])
		at, again = 0, 0
		while at + 1 < len(insns):
			pc = step(c)
			if pc == back.get(insns[at]) and again < 10:    # the store has failed, as it may
				again += 1
				at = insns.index(pc)
				continue
			at += 1
			tap.equal(hex(pc), hex(insns[at]), 'pc after a step from %#x (instruction %d)' % (insns[at - 1], at - 1))
		ends_raw(m, c)
		text = m.serial()
		tap.equal(text.splitlines()[0], '<123>', 'what the guest wrote')
		tap.equal({k: int(v, 16) for k, v in re.findall(r'^([\w.]+)=(\w+)$', text, re.M)}, SEEN, 'what the guest saw')


@scenario('a step over each of MSR DAIF, ERET, SVC, BRK, LDXR, WFI, HVC, TLBI, MMIO ... is one instruction',
	  'breakpoints', 'step', arch='arm64')
def arm64_hard_instructions(host):
	walk(host, 0)


@scenario('the same with a timer that is always due', 'breakpoints', 'step', 'block_irq', arch='arm64')
def arm64_hard_instructions_ticking(host):
	walk(host, 5000)


@scenario("the interrupt masks that a debugger sees while it steps are the guest's own", 'breakpoints', 'step',
	  'block_irq', arch='arm64')
def arm64_masks(host):
	with raw_session(host, 'lab=ticks,2000') as (m, c, sym):
		runs_to(c, sym['tick_loop'])
		for _ in range(30):
			tap.equal(c.reg('cpsr') & (PSTATE_DAIF | PSTATE_SS), PSTATE_DAIF & ~PSTATE_I, 'masks before a step')
			step(c)
		c.set_reg('cpsr', c.reg('cpsr') | PSTATE_I)
		for _ in range(10):
			step(c)
			tap.equal(c.reg('cpsr') & PSTATE_DAIF, PSTATE_DAIF, 'masks after one was written')
		c.set_reg('cpsr', c.reg('cpsr') & ~PSTATE_I)
		runs_to(c, sym['tick'])
		tap.equal(c.reg('cpsr') & PSTATE_DAIF, PSTATE_DAIF, 'masks in the handler')
		tap.equal(c.reg('SPSR_EL1') & (PSTATE_DAIF | PSTATE_SS), PSTATE_DAIF & ~PSTATE_I, 'masks that it has saved')
		tap.equal(c.ask('M%x,8:0100000000000000' % sym['stop']), 'OK', 'stop = 1')
		ends_raw(m, c, 'ticked\n')


@scenario('two CPUs take a lock made of exclusives, breakpoints and steps on it: none gets in twice', 'breakpoints',
	  'step', arch='arm64', timeout=90)
def arm64_exclusives(host):
	with raw_session(host, 'lab=lock,40,2', cpus=2) as (m, c, sym):
		c.plant(sym['lock_load'])
		hits = collections.Counter()
		while sum(hits.values()) < 60:
			stop = c.resume()
			tap.equal(hex(stop.pc), hex(sym['lock_load']), 'pc')
			hits[stop.thread] += 1
			if hits[stop.thread] % 3 == 0:
				stop = c.resume('vCont;s:%d' % stop.thread)
				tap.equal(stop.reason, '', 'stop of a step')
				tap.check(stop.pc in (sym['lock_stored'], sym['lock_wait']), 'the step went past the sequence: %#x' % stop.pc)
		tap.check(len(hits) == 2, 'both CPUs were there: %s' % hits)
		tap.check(c.read_int(sym['locked_total']) > 10, 'the lock was taken meanwhile')
		c.unplant(sym['lock_load'])
		ends_raw(m, c, 'total 80 \n')


# ---- the guest's own exceptions ----

@scenario("the guest's own BRK, SVC and undefined instruction are its own", 'own_break', 'breakpoints', 'step',
	  arch='arm64')
def arm64_own_exceptions(host):
	wanted = 'brk 12 svc 12 udf 12 strays 0 \n'
	for scene in 'lab=own,12', 'lab=own,12,2000':
		with gdb_session(host, scene) as (m, g):
			g.cmd('break shared')
			for _ in range(12):
				hit(g, 'shared')
			ends_in_gdb(m, g, serial=wanted)
	with raw_session(host, 'lab=own,12') as (m, c, sym):
		# on the guest's BRK, and behind it
		c.plant(sym['own_exceptions'])
		c.plant(sym['svc_at'])
		for _ in range(12):
			tap.equal(c.resume().pc, sym['own_exceptions'], 'pc at BRK')
			tap.equal(c.resume().pc, sym['svc_at'], 'pc behind it')
		ends_raw(m, c, wanted)


@scenario("steps at the guest's own BRK, SVC and undefined instruction arrive in its vectors, and leave no trace",
	  'own_break', 'breakpoints', 'step', 'block_irq', arch='arm64')
def arm64_step_own_exceptions(host):
	for scene in 'lab=own,3', 'lab=own,3,2000':
		with raw_session(host, scene) as (m, c, sym):
			for _ in range(3):
				for at in 'brk_at', 'svc_at', 'udf_at':
					runs_to(c, sym[at])
					tap.equal(hex(step(c)), hex(sym['vectors'] + SYNC_EL1), 'pc after a step at ' + at)
					for _ in range(6):
						step(c)
			ends_raw(m, c, 'brk 3 svc 3 udf 3 strays 0 \n')


# ---- the guest debugs itself ----

SELF = 'breaks 6 watches 6 steps 12 strays 0 changed 0 \n'


@scenario("the guest's own breakpoint, watchpoint and step come beside those of the debugger", 'breakpoints', 'step',
	  arch='arm64')
def arm64_self_debug(host):
	for scene in 'lab=selfdebug,6', 'lab=selfdebug,6,2000':
		with gdb_session(host, scene) as (m, g):
			ends_in_gdb(m, g, serial=SELF)
		with gdb_session(host, scene) as (m, g):
			g.cmd('break shared')
			for _ in range(6):
				hit(g, 'shared')
				g.run('stepi')
				g.run('finish')
			ends_in_gdb(m, g, serial=SELF)


@scenario("the guest's own debug registers beside a hardware breakpoint and a watchpoint of the debugger", 'hardware',
	  'watch', 'step', arch='arm64')
def arm64_self_debug_slots(host):
	with gdb_session(host, 'lab=selfdebug,6,2000') as (m, g):
		g.cmd('hbreak *shared')
		g.cmd('watch alphas')
		for n in range(6):
			hit(g, 'shared')
			stop = g.run('continue')
			tap.equal((stop.reason, g.int('alphas')), ('watchpoint-trigger', n + 1), 'stop, alphas')
		g.cmd('delete')
		ends_in_gdb(m, g, serial=SELF)


@scenario("steps at what the guest's own debug registers watch arrive in its vectors", 'breakpoints', 'step',
	  arch='arm64')
def arm64_self_debug_steps(host):
	with raw_session(host, 'lab=selfdebug,6') as (m, c, sym):
		for _ in range(6):
			for at in 'self_target', 'self_store_at':
				runs_to(c, sym[at])
				tap.equal(hex(step(c)), hex(sym['vectors'] + SYNC_EL1), 'pc after a step at ' + at)
				for _ in range(6):
					step(c)
		ends_raw(m, c, SELF)


# ---- watchpoints ----

KINDS = {'Z2': ('watch', (1,)), 'Z3': ('rwatch', (0,)), 'Z4': ('awatch', (0, 1))}
# what is watched: from, bytes
RANGES = ((3, 1), (5, 3), (4, 4), (0, 8), (33, 13), (60, 8), (79, 1), (77, 4), (93, 8), (128, 64), (125, 70), (130, 2),
	  (0, 256), (201, 20))


def store_table(c, sym):
	"""[(address, offset, bytes, writes)] of the accesses of stores(), in order."""
	words = [c.read_int(a) for a in range(sym['store_table'], sym['store_table_end'], 8)]
	return list(zip(*[iter(words)] * 4))


def watched(c, sym, kind, first, size):
	"""One round of the accesses with one watchpoint."""
	reason, writes = KINDS[kind]
	accesses, base = store_table(c, sym), sym['watched']
	spot = '%x,%x' % (base + first, size)
	wanted = [hex(a) for a, off, n, w in accesses if w in writes and off < first + size and first < off + n]
	seen = []
	runs_to(c, sym['stores'])
	tap.equal(c.ask('M%x,100:%s' % (base, '00' * 256)), 'OK', 'clearing what is watched')
	c.plant(sym['stores_end'])
	while len(seen) <= len(wanted):
		tap.equal(c.ask('%s,%s' % (kind, spot)), 'OK', 'set %s,%d,%d' % (kind, first, size))
		before = c.read(base, 256)
		stop = c.resume()
		tap.equal(c.ask('z%s,%s' % (kind[1], spot)), 'OK', 'clear')
		if stop.pc == sym['stores_end']:
			break
		tap.equal((stop.signal, stop.reason), (5, reason), 'stop: ' + stop.text)
		addr = int(re.search(reason + ':([0-9a-f]+)', stop.text).group(1), 16)
		tap.check(first <= addr - base < first + size, 'the address is a watched one: %#x' % addr)
		seen.append(hex(stop.pc))
		now = c.read(base, 256)
		if 1 in writes:         # else others write there
			tap.check(now[first:first + size] == before[first:first + size], 'the access is yet to come')
		tap.equal(step(c), stop.pc + 4, 'pc after a step')
	tap.equal(seen, wanted, 'accesses that %s,%d,%d stopped at' % (kind, first, size))
	c.unplant(sym['stores_end'])


def watch_all(host, spots, full=False):
	"""full: no register is free for them."""
	with raw_session(host, 'lab=stores,%d' % len(spots)) as (m, c, sym):
		if full:
			fill_slots(host, c, sym)
		for spot in spots:
			watched(c, sym, *spot)
		ends_raw(m, c, 'stored 89 \n')


@scenario('watchpoints of any length by write-protection: each store to them and no other, before it is made',
	  'watch', 'breakpoints', 'step', arch='arm64', timeout=120)
def arm64_protect_lengths(host):
	watch_all(host, [('Z2', first, size) for first, size in RANGES], full=True)


@scenario('watchpoints of any length: each access to them and no other, before it is made', 'hw_watch', 'breakpoints',
	  'step', arch='arm64', timeout=120)
def arm64_watch_lengths(host):
	watch_all(host, [('Z2', first, size) for first, size in RANGES])


@scenario('watchpoints on loads, and on both', 'hw_watch', 'breakpoints', 'step', arch='arm64')
def arm64_watch_kinds(host):
	watch_all(host, [(kind, *spot) for kind in ('Z3', 'Z4') for spot in ((5, 3), (17, 1), (32, 24), (79, 1), (200, 1))])


@scenario('more watchpoints than there are registers are refused with a reason, unless they watch writes', 'hw_watch',
	  arch='arm64')
def arm64_watch_run_out(host):
	with raw_session(host, 'lab=stores,1') as (m, c, sym):
		base, slots = sym['watched'], host.facts['watch_write_slots']
		# three registers: the end of a doubleword, one, the begin of another
		answers = [c.ask('Z4,%x,12' % (base + 32 * i + 7)) for i in range(slots)]
		tap.equal(answers[0], 'OK' if slots >= 3 else answers[0], 'one that needs several')
		tap.check(answers[-1].startswith('E.') and len(answers[-1]) > 6, 'a reason, not %r' % answers[-1])
		for i, answer in enumerate(answers):
			if answer == 'OK':
				tap.equal(c.ask('z4,%x,12' % (base + 32 * i + 7)), 'OK', 'z4')
		for i in range(slots):
			tap.equal(c.ask('Z2,%x,8' % (base + 32 * i)), 'OK', 'Z2 number %d' % i)
		for kind in 'Z3', 'Z4':
			tap.check(c.ask('%s,%x,8' % (kind, base + 240)).startswith('E.'), 'one more %s is refused' % kind)
		tap.equal(c.ask('Z2,%x,8' % (base + 240)), 'OK', 'one more Z2 is write-protected')
		c.send('k')
		ends(m, 14)


# ---- EL0 ----

@scenario('a program at EL0: breakpoints, steps, its system calls', 'breakpoints', 'step', arch='arm64')
def arm64_user_mode(host):
	for scene in 'lab=el0,8', 'lab=el0,8,2000':
		with gdb_session(host, scene) as (m, g):
			g.cmd('break user_work')
			for n in range(3):
				hit(g, 'user_work')
				tap.equal((g.int('i'), g.reg('cpsr') & 0x1f), (n, 0), 'i, level')
				tap.equal(g.frames()[:2], ['user_work', 'user_main'], 'backtrace')
				tap.contains(g.cmd('info threads'), 'EL0', 'state in info threads')
			g.cmd('delete')
			for _ in range(10):
				tap.check(g.run('next').func in ('user_work', 'user_main', 'syscall'), 'next stays in the program')
			g.cmd('break system_call')
			stop = hit(g, 'system_call')
			tap.equal(g.frames()[:2], ['system_call', 'user_exception'], 'backtrace in the kernel')
			tap.equal(g.reg('cpsr') & 0x1f, 5, 'EL1h')
			tap.check(stop.pc != 0, 'pc')
			g.cmd('delete')
			ends_in_gdb(m, g, serial='notes 8 noted 84 turns 8 strays 0 \n')


@scenario('steps across SVC and back by ERET, under a timer', 'breakpoints', 'step', 'block_irq', arch='arm64',
	  timeout=120)
def arm64_system_calls(host):
	with raw_session(host, 'lab=el0,4,2000') as (m, c, sym):
		begin, size = table(host.guest('lab'))['user_main']
		c.plant(sym['system_call'])
		for _ in range(2):
			c.resume()
			tap.equal(c.pc(), sym['system_call'], 'pc')
			tap.equal(c.reg('SPSR_EL1') & (PSTATE_DAIF | PSTATE_SS), 0x200, 'masks of the program')
			for _ in range(400):
				pc = step(c)
				if begin <= pc < begin + size:
					break
				tap.check(not sym['vectors'] + 0x280 <= pc < sym['vectors'] + 0x400, 'no interrupt on the way')
			tap.check(begin <= pc < begin + size, 'back in the program')
			tap.equal(c.reg('cpsr') & 0x3df, 0x200, 'its level and masks')
			for _ in range(40):
				pc = step(c)
				if pc == sym['vectors'] + SYNC_EL0:
					break
			tap.equal(hex(pc), hex(sym['vectors'] + SYNC_EL0), 'a step of SVC')
			tap.equal(c.reg('SPSR_EL1') & (PSTATE_DAIF | PSTATE_SS), 0x200, 'masks that it has saved')
		c.unplant(sym['system_call'])
		ends_raw(m, c, 'notes 4 noted 18 turns 4 strays 0 \n')


# ---- what the machine cannot go on with ----

@scenario('an access that KVM cannot decode stops in gdb, which may step around it', arch='arm64')
def arm64_undecodable(host):
	with gdb_session(host, 'lab=pair') as (m, g):
		stop = g.run('continue')
		tap.equal((stop.signal, stop.func, stop.pc), ('SIGILL', 'pair_at', g.address('pair_at')), 'stop')
		text = g.cmd('monitor info fault')
		tap.contains(text, '%x' % g.pc(), 'monitor info fault')
		tap.contains(text, '29430440', 'monitor info fault')
		tap.contains(text, 'pair', 'monitor info fault')
		g.cmd('set var $pc = $pc + 4')
		ends_in_gdb(m, g, serial='pair works\n')


@scenario('a guest that takes exceptions for ever without a vector: Ctrl-C finds it there', 'step', arch='arm64')
def arm64_lost(host):
	with raw_session(host, 'lab=lost') as (m, c, _):
		c.send('vCont;c')
		m.wait_serial('lost')
		for _ in range(3):
			tap.equal(c.take(0.1), None, 'stop')
			c.interrupt()
			stop = c.wait_stop()
			tap.equal(hex(stop.pc), hex(0x0c000000 + SYNC_EL1), 'pc: the vector that is not there')
			tap.equal(hex(c.reg('ESR_EL1') >> 26), '0x21', 'class of the exception')
			c.send('vCont;c')
		c.interrupt()
		c.wait_stop()
		c.send('k')
		ends(m, 14)
