"""Scenarios: the usual work of a session, ends, watchpoints."""

import re

import tap
from scene import ends_in_gdb, gdb, gdb_session, hit, isa, scenario


# ---- the usual work of a session ----

@scenario('the guest waits at its first instruction', 'breakpoints')
def first_instruction(host):
	m = host.start('lab', 'lab=off')
	with gdb(host) as g:
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
				tap.equal(g.int('$' + isa(host).arg), seen, 'round seen in ' + func)
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


def successors(g, arch):
	"""Where the instruction at the pc may lead, as gdb's disassembler sees it."""
	text = g.cmd('x/2i $pc').splitlines()
	after = int(re.search(r'0x[0-9a-f]+', text[1]).group(0), 16)
	insn = text[0].split(':', 1)[1].split()
	to = re.search(r'(0x[0-9a-f]+) <', text[0].split(':', 1)[1])
	if insn[0].startswith('ret'):
		return {g.int('$x30' if arch == 'arm64' else '*(unsigned long *)$rsp')}
	if insn[0] in ('b', 'bl') or insn[0].startswith('call'):
		return {int(to.group(1), 16)}
	if re.match(r'b\.|cbn?z|tbn?z' if arch == 'arm64' else 'j', insn[0]):
		return {after, int(to.group(1), 16)}
	return {after}


@scenario('stepi executes exactly one instruction', 'breakpoints', 'step')
def exact_steps(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		g.cmd('break *alpha')
		hit(g, 'alpha')
		g.cmd('delete')
		sp = g.int('$sp')
		for i in range(25):
			pc, wanted = g.pc(), successors(g, host.arch)
			tap.equal(g.run('stepi').reason, 'end-stepping-range', 'reason')
			tap.check(g.pc() in wanted, 'stepi at %#x went to %#x, not to %s' % (pc, g.pc(), [hex(w) for w in wanted]))
			if i == 0:      # a function begins by saving its caller's frame
				tap.check(g.int('$sp') < sp, 'the stack pointer after the first instruction')
		ends_in_gdb(m, g, serial='alphas 1\n')


# ---- ends ----

@scenario('a panic stops in gdb')
def panic(host):
	with gdb_session(host, 'lab=panic') as (m, g):
		tap.equal(g.run('continue').signal, 'SIGABRT', 'stop of a panic')
		ends_in_gdb(m, g, 8)


@scenario('gdb shows the exit status')
def exit_status(host):
	with gdb_session(host, 'lab=debugexit,21') as (m, g):
		ends_in_gdb(m, g, 43)


# ---- watchpoints ----

@scenario('a watchpoint, wherever it is served', 'watch', 'breakpoints', 'step')
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
