"""Scenarios: the usual work of a session, faults, code that is not mapped yet, watchpoints."""

import re

import tap
from gdbclient import Gdb
from scene import ends, ends_in_gdb, gdb_session, hit, raw_session, scenario


# ---- the usual work of a session ----

@scenario('the guest waits at its first instruction', 'breakpoints')
def first_instruction(host):
	m = host.start('lab', 'lab=off')
	with Gdb(host.guest('lab')) as g:
		stop = g.connect(m.remote)
		tap.equal(stop.func, '_start', 'function')
		tap.equal(g.pc(), g.address('_start'), 'pc')
		tap.equal(m.serial(), '', 'serial output so far')
		ends_in_gdb(m, g)


@scenario('break, continue, backtrace, up, finish', 'breakpoints', 'step')
def break_and_look(host):
	with gdb_session(host, 'lab=calls,3') as (m, g):
		g.cmd('break inner')
		hit(g, 'inner')
		tap.equal(g.frames()[:4], ['inner', 'middle', 'outer', 'scene_calls'], 'backtrace')
		tap.equal(g.int('depth'), 1, 'argument of inner')
		g.cmd('up')
		tap.contains(g.cmd('info frame'), 'middle', 'frame above')
		g.cmd('down')
		stop = g.run('finish')
		tap.equal((stop.reason, stop.func), ('function-finished', 'middle'), 'stop after finish')
		tap.equal(int(stop.record['return-value']), 1 + 2 + 3, 'return value of inner(1)')
		hit(g, 'inner')
		tap.equal(g.int('depth'), 11, 'argument of the second inner')
		g.cmd('delete')
		stop = g.run('finish')
		tap.equal(stop.func, 'middle', 'after the second finish')
		ends_in_gdb(m, g, serial='sum 174\n')


@scenario('step, next, until, advance, jump', 'breakpoints', 'step')
def source_steps(host):
	with gdb_session(host, 'lab=calls,2') as (m, g):
		g.cmd('break middle')
		first = hit(g, 'middle')
		# a compiler may give the function's begin a line of its own
		while g.int('turns') == 0:
			stop = g.run('next')
			tap.equal((stop.reason, stop.func), ('end-stepping-range', 'middle'), 'after next')
		tap.check(stop.line > first.line, 'next went on a line')
		tap.equal(g.int('turns'), 1, 'calls of inner that next stepped over')
		stop = g.run('step')
		tap.equal(stop.func, 'inner', 'after step')
		g.run('next')
		for _ in range(12):
			stop = g.run('until')
			if stop.func != 'inner':
				break
		tap.equal(stop.func, 'middle', 'until left the loop and the function')
		stop = g.run('advance scene_calls')
		tap.check(stop.func in ('outer', 'scene_calls'), 'advance left middle, now in %s' % stop.func)
		g.cmd('delete')
		ends_in_gdb(m, g, serial='alphas 2\nbetas 2\n')


@scenario('temporary, conditional and ignored breakpoints', 'breakpoints', 'step')
def kinds_of_breakpoints(host):
	with gdb_session(host, 'lab=calls,9') as (m, g):
		g.cmd('tbreak outer')
		hit(g, 'outer')
		tap.contains(g.cmd('info breakpoints'), 'No breakpoints', 'after the temporary one was hit')
		g.cmd('break shared if i == 4 && tag == 2')
		hit(g, 'shared')
		tap.equal((g.int('i'), g.int('tag')), (4, 2), 'arguments')
		g.cmd('delete')
		g.cmd('break shared')
		g.cmd('ignore $bpnum 3')
		hit(g, 'shared')
		tap.equal((g.int('i'), g.int('tag')), (6, 2), 'arguments after three ignored hits')
		g.cmd('disable')
		ends_in_gdb(m, g, serial='alphas 9\nbetas 9\n')


@scenario('hits at both of two call sites and in the callee, none lost, none twice', 'breakpoints', 'step')
def two_call_sites(host):
	with gdb_session(host, 'lab=calls,5') as (m, g):
		for func in ('alpha', 'beta', 'shared'):
			g.cmd('break *' + func)
		for i in range(5):
			for func, seen in (('alpha', i), ('shared', i), ('beta', i), ('shared', i)):
				hit(g, func)
				tap.equal(g.int('$rdi'), seen, 'round seen in ' + func)
		ends_in_gdb(m, g, serial='alphas 5\nbetas 5\n')


@scenario('a hardware breakpoint in gdb', 'hardware', 'step')
def hardware_breakpoint(host):
	with gdb_session(host, 'lab=calls,4') as (m, g):
		g.cmd('hbreak shared')
		for _ in range(4):
			hit(g, 'shared')
			hit(g, 'shared')
		tap.equal((g.int('alphas'), g.int('betas')), (4, 3), 'counters at the last hit')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='alphas 4\nbetas 4\n')


@scenario('a function of the guest called from gdb', 'breakpoints', 'step')
def inferior_call(host):
	with gdb_session(host, 'lab=calls,2') as (m, g):
		g.cmd('break middle')
		hit(g, 'middle')
		pc = g.pc()
		tap.equal(g.int('shared(20, 1)'), 41, 'shared(20, 1)')
		tap.equal(g.pc(), pc, 'pc afterwards')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='alphas 3\nbetas 2\n')


@scenario('stepi executes exactly one instruction', 'breakpoints', 'step')
def exact_steps(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		g.cmd('break *alpha')
		hit(g, 'alpha')
		g.cmd('delete')
		for _ in range(25):
			pc, rsp = g.pc(), g.int('$rsp')
			text = g.cmd('x/2i $pc').splitlines()
			after = int(re.search(r'0x[0-9a-f]+', text[1]).group(0), 16)
			insn = text[0].split(':', 1)[1].split()
			wanted = {after}
			if insn[0].startswith('ret'):
				wanted = {int(g.int('*(unsigned long *)$rsp'))}
			elif insn[0].startswith('call'):
				wanted = {int(insn[1], 16)}
			elif insn[0].startswith('j'):
				wanted.add(int(insn[1], 16))
			stop = g.run('stepi')
			tap.equal(stop.reason, 'end-stepping-range', 'reason')
			tap.check(g.pc() in wanted, 'stepi of %s at %#x went to %#x' % (insn, pc, g.pc()))
			if insn[0] == 'push':
				tap.equal(g.int('$rsp'), rsp - 8, 'stack pointer after a push')
		ends_in_gdb(m, g, serial='alphas 1\n')


# ---- faults ----

@scenario('a triple fault, a panic and an exit of no return stop in gdb')
def faults(host):
	with gdb_session(host, 'lab=triple') as (m, g):
		stop = g.run('continue')
		tap.equal(stop.signal, 'SIGSEGV', 'signal of a triple fault')
		# KVM on AMD resets the CPU, elsewhere it stands where it was
		tap.check(stop.func in ('triple_insn', '??'), 'function of a triple fault: %s' % stop.func)
		tap.contains(g.cmd('monitor info fault'), 'triple fault', 'monitor info fault')
		ends_in_gdb(m, g, 10)
	with gdb_session(host, 'lab=panic') as (m, g):
		stop = g.run('continue')
		tap.equal(stop.signal, 'SIGABRT', 'stop of a panic')
		ends_in_gdb(m, g, 8)


@scenario('an instruction that KVM cannot execute stops in gdb, which may step around it')
def unrecoverable(host):
	with gdb_session(host, 'lab=sse') as (m, g):
		stop = g.run('continue')
		if stop.reason in ('exited', 'exited-normally'):
			tap.contains(m.serial(), 'sse works', 'serial output')
			tap.skip('this host executes SSE')
		tap.equal((stop.signal, stop.func), ('SIGILL', 'sse_insn'), 'stop')
		text = g.cmd('monitor info fault')
		tap.contains(text, '%x' % g.pc(), 'monitor info fault')
		tap.contains(text, '66 0f fe c1', 'monitor info fault')
		g.cmd('set var $pc = $pc + 4')
		ends_in_gdb(m, g, serial='sse works\n')


@scenario('gdb shows the exit status')
def exit_status(host):
	with gdb_session(host, 'lab=debugexit,21') as (m, g):
		ends_in_gdb(m, g, 43)


# ---- code that is not mapped yet ----

@scenario('a breakpoint in the kernel half, before paging is on', 'breakpoints', 'step')
def unmapped_kernel_half(host):
	with gdb_session(host, guest='higher') as (m, g):
		tap.equal(g.int('$cr0') & 0x80000000, 0, 'paging')
		tap.equal(g.int('high_calls'), 0x600d, 'a variable there')
		g.cmd('break high_work')
		g.cmd('tbreak high_main')
		hit(g, 'high_main')
		tap.check(g.pc() >> 47 == 0x1ffff, 'pc is in the kernel half')
		for n in (1, 2, 3):
			hit(g, 'high_work')
			tap.equal(g.int('n'), n, 'n')
			tap.equal(g.frames()[:2], ['high_work', 'high_main'], 'backtrace')
		ends_in_gdb(m, g, serial='high_calls=0x6013\nend\n')


@scenario('the same at the 64-bit entry, where the segments are mapped', 'breakpoints', 'step')
def mapped_kernel_half(host):
	with gdb_session(host, guest='higher', extra=('--boot', 'elf')) as (m, g):
		tap.equal(g.pc(), g.address('high_start'), 'pc')
		g.cmd('break high_work if n == 2')
		hit(g, 'high_work')
		g.cmd('delete')
		stop = g.run('finish')
		tap.equal(stop.func, 'high_main', 'after finish')
		ends_in_gdb(m, g, serial='high_calls=0x6013\nend\n')


@scenario('breakpoints in code that a bzImage has yet to unpack and map', 'hardware', 'step')
def unpacked_later(host):
	m = host.start('bz.bin')
	with Gdb(host.guest('bz'), patience=host.patience) as g:
		g.connect(m.remote)
		tap.equal(g.pc(), g.address('bz_entry'), 'pc: the 64-bit entry')
		tap.contains(g.error('x/i bz_high'), 'Cannot access memory', 'the code is not there yet')
		g.cmd('break *bz_high')
		g.cmd('hbreak *bz_work')
		hit(g, 'bz_high')
		tap.contains(g.cmd('x/i $pc'), 'mov', 'the code is there')
		g.cmd('delete')
		g.cmd('break bz_work')
		for n in (1, 2, 3):
			hit(g, 'bz_work')
			tap.equal(g.int('n'), n, 'n')
			tap.equal(g.frames()[:2], ['bz_work', 'bz_main'], 'backtrace')
		ends_in_gdb(m, g, serial='bz_calls=0x6013\nend\n')


@scenario('no more breakpoints in code to come than there are hardware slots; the reason is told', 'hardware')
def unpacked_later_refused(host):
	with raw_session(host, guest='bz.bin', symbols_of='bz') as (m, c, sym):
		slots = host.facts['hw_break_slots']
		for i in range(slots):
			tap.equal(c.ask('Z0,%x,1' % (sym['bz_high'] + i)), 'OK', 'Z0 number %d' % i)
		answer = c.ask('Z0,%x,1' % (sym['bz_high'] + slots))
		tap.check(answer.startswith('E.') and len(answer) > 6, 'a reason, not %r' % answer)
		tap.contains(c.monitor('info breakpoints'), 'hardware', 'monitor info breakpoints')
		for i in range(slots):
			tap.equal(c.ask('z0,%x,1' % (sym['bz_high'] + i)), 'OK', 'z0 number %d' % i)
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m, serial='end\n')


# ---- watchpoints ----

@scenario('a watchpoint in hardware', 'watch', 'breakpoints', 'step')
def watchpoint(host):
	with gdb_session(host, 'lab=calls,3') as (m, g):
		g.cmd('watch betas')
		for n in (1, 2, 3):
			stop = g.run('continue')
			tap.equal((stop.reason, stop.func), ('watchpoint-trigger', 'shared'), 'stop')
			tap.equal(g.int('betas'), n, 'betas')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='betas 3\n')


@scenario("gdb's own watchpoint, by single steps", 'step', 'breakpoints')
def software_watchpoint(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		g.cmd('set can-use-hw-watchpoints 0')
		g.cmd('break *beta')
		hit(g, 'beta')
		g.cmd('watch betas')
		stop = g.run('continue')
		tap.equal((stop.reason, stop.func), ('watchpoint-trigger', 'shared'), 'stop')
		tap.equal(g.int('betas'), 1, 'betas')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='betas 1\n')
