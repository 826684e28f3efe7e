"""Scenarios: steps, over breakpoints and over what is hard to step over."""

import re

import tap
from elfsyms import table
from gdbclient import GdbError
from scene import BREAKS, ends, ends_in_gdb, gdb_session, hit, interpreted, raw_session, scenario


# ---- clients that leave breakpoints in ----

@scenario('a client may leave its breakpoints in while it steps and continues', 'breakpoints', 'step')
def step_over(host):
	with raw_session(host, 'lab=calls,20') as (m, c, sym):
		at = sym['shared']
		tap.equal(c.ask('Z0,%x,1' % at), 'OK', 'Z0')
		hits = 0
		while True:
			stop = c.resume()
			if stop.kind == 'W':
				break
			tap.check(stop.reason in BREAKS, 'reason: ' + stop.text)
			tap.equal((stop.signal, stop.regs['rip']), (5, at), 'stop')
			tap.equal(c.read_int(sym['alphas']) + c.read_int(sym['betas']), hits, 'calls before this hit')
			hits += 1
			if hits % 2:
				stop = c.resume('vCont;s:1')
				tap.equal((stop.signal, stop.reason), (5, ''), 'stop of a step')
				tap.check(at < stop.regs['rip'] <= at + 15, 'the step left the breakpoint')
		tap.equal(hits, 40, 'hits')
		ends(m, serial='alphas 20\nbetas 20\n')


@scenario('a step that arrives at a breakpoint, and one over adjacent breakpoints', 'breakpoints', 'step')
def adjacent(host):
	with raw_session(host, 'lab=calls,2') as (m, c, sym):
		tap.equal(c.ask('Z0,%x,1' % sym['alpha']), 'OK', 'Z0')
		c.resume()
		addrs, regs = [c.pc()], c.ask('g')
		for _ in range(3):
			addrs.append(c.resume('vCont;s:1').regs['rip'])
		tap.equal(c.ask('G' + regs), 'OK', 'going back')
		for a in addrs:
			tap.equal(c.ask('Z0,%x,1' % a), 'OK', 'Z0')
		for a in addrs[1:]:
			tap.equal(c.resume('vCont;s:1').regs['rip'], a, 'pc after a step onto a breakpoint')
		for a in addrs:
			tap.equal(c.ask('z0,%x,1' % a), 'OK', 'z0')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m, serial='alphas 2\nbetas 2\n')


@scenario('range stepping stays silent inside of its range', 'breakpoints', 'step')
def range_step(host):
	with raw_session(host, 'lab=calls,2') as (m, c, sym):
		tap.contains(c.ask('vCont?'), ';r', 'vCont?')
		at, size = table(host.guest('lab'))['inner']
		tap.equal(c.ask('Z0,%x,1' % at), 'OK', 'Z0')
		c.resume()
		ret = c.read_int(c.reg('rsp'))
		tap.equal(c.ask('z0,%x,1' % at), 'OK', 'z0')
		stop = c.resume('vCont;r%x,%x:1' % (at, at + size))
		tap.equal(hex(stop.regs['rip']), hex(ret), 'pc: back in the caller')
		tap.equal(c.read_int(sym['turns']), 1, 'the whole function was executed')
		# a breakpoint inside of the range ends it
		tap.equal(c.ask('Z0,%x,1' % at), 'OK', 'Z0')
		c.resume()
		second = c.resume('vCont;s:1').regs['rip']
		regs = c.ask('g')
		third = c.resume('vCont;s:1').regs['rip']
		tap.equal(c.ask('G' + regs), 'OK', 'going back to %#x' % second)
		tap.equal(c.ask('Z0,%x,1' % third), 'OK', 'Z0')
		stop = c.resume('vCont;r%x,%x:1' % (at, at + size))
		tap.equal(stop.regs['rip'], third, 'pc at the breakpoint')
		c.send('k')
		ends(m, 14)


@scenario('more hardware breakpoints than there are slots are refused with a reason', 'hardware')
def slots_run_out(host):
	with raw_session(host, 'lab=calls,2') as (m, c, sym):
		slots = host.facts['hw_break_slots']
		for i in range(slots):
			tap.equal(c.ask('Z1,%x,1' % (sym['shared'] + i)), 'OK', 'Z1 number %d' % i)
		answer = c.ask('Z1,%x,1' % (sym['shared'] + slots))
		tap.check(answer.startswith('E.') and len(answer) > 6, 'a reason, not %r' % answer)
		tap.equal(c.ask('z1,%x,1' % sym['shared']), 'OK', 'z1')
		tap.equal(c.ask('Z1,%x,1' % (sym['shared'] + slots)), 'OK', 'Z1 in the free slot')
	m.close()
	with gdb_session(host, 'lab=calls,2') as (m, g):
		for func in ('shared', 'alpha', 'beta', 'inner', 'middle', 'outer'):
			g.cmd('hbreak ' + func)
		try:
			g.run('continue', 5)
		except GdbError:
			pass
		text = '\n'.join(g.log[-20:])
		tap.contains(text, 'Could not insert hardware breakpoint', 'what gdb says')


# ---- interrupts, HLT, devices ----

@scenario('200 steps under a fast timer never land in its handler', 'breakpoints', 'step', 'block_irq')
def steps_and_ticks(host):
	with raw_session(host, 'lab=ticks,2000') as (m, c, sym):
		tap.equal(c.ask('Z0,%x,1' % sym['tick_loop']), 'OK', 'Z0')
		c.resume()
		tap.equal(c.ask('z0,%x,1' % sym['tick_loop']), 'OK', 'z0')
		seen = set()
		for _ in range(200):
			seen.add(c.resume('vCont;s:1').regs['rip'])
		outside = [hex(a) for a in seen if not sym['tick_loop'] <= a < sym['tick_loop'] + 64]
		tap.equal(outside, [], 'places outside of the loop')
		tap.check(c.read_int(sym['turns']) > 10, 'the loop turned')
		ticks = c.read_int(sym['ticks'])
		c.send('vCont;c')
		m.wait_serial('', 1)
		for _ in range(100):
			tap.equal(c.take(0.05), None, 'stop')
			c.interrupt()
			c.wait_stop()
			if c.read_int(sym['ticks']) > ticks + 5:
				break
			c.send('vCont;c')
		tap.check(c.read_int(sym['ticks']) > ticks, 'the timer goes on afterwards')
		tap.equal(c.ask('M%x,8:0100000000000000' % sym['stop']), 'OK', 'stop = 1')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m, serial='ticked\n')


@scenario('next and step in gdb under a fast timer stay in the function', 'breakpoints', 'step', 'block_irq')
def source_steps_and_ticks(host):
	with gdb_session(host, 'lab=ticks,1000') as (m, g):
		g.cmd('break tick_loop')
		hit(g, 'tick_loop')
		for line in ('next', 'step') * 10:
			tap.equal(g.run(line).func, 'tick_loop', 'function after ' + line)
		g.cmd('break tick')
		hit(g, 'tick')
		g.cmd('delete')
		g.cmd('set var stop = 1')
		ends_in_gdb(m, g, serial='ticked\n')


def walk(host, hz):
	"""Steps through the lab's list of hard instructions."""
	with raw_session(host, 'lab=insns,%d' % hz) as (m, c, sym):
		insns = [c.read_int(a) for a in range(sym['step_table'], sym['step_table_rep'], 8)]
		rep = {sym['step_rep_1'], sym['step_rep_2'], sym['step_rep_3']}
		tap.equal(c.ask('Z0,%x,1' % insns[0]), 'OK', 'Z0')
		tap.equal(c.resume().regs['rip'], insns[0], 'pc at the begin')
		tap.equal(c.ask('z0,%x,1' % insns[0]), 'OK', 'z0')
		at, again = 0, 0
		while at + 1 < len(insns):
			stop = c.resume('vCont;s:1')
			pc = stop.regs['rip']
			if pc == insns[at] and pc in rep and again < 16:
				again += 1
				continue
			again = 0
			at += 1
			# MOV to SS holds the trap of the next instruction off, on hardware; IRETQ on hosts that interpret
			late = {sym['step_ss']} | ({sym['step_iretq']} if interpreted(host) else set())
			if pc != insns[at] and insns[at - 1] in late and pc == insns[at + 1]:
				at += 1
			tap.equal(hex(pc), hex(insns[at]), 'pc after a step from %#x (instruction %d)' % (insns[at - 1], at - 1))
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m)
		tap.equal(m.serial(), '<1abcd>\nin=0x5a\nmmio=0xffffffff\nflags.tf=0x0\nflags.if=0x1\ncopied abcdefgh\n',
			  'what the guest saw')


@scenario('a step over each of IN OUT MMIO REP PUSHF POPF STI CLI IRETQ ... is one instruction', 'breakpoints', 'step')
def step_hard_instructions(host):
	walk(host, 0)


@scenario('the same with a timer that is always due', 'breakpoints', 'step', 'block_irq')
def step_hard_instructions_ticking(host):
	walk(host, 5000)


def step_halts(host, hz):
	with raw_session(host, 'lab=halts,%d' % hz) as (m, c, sym):
		for name in ('halt_dark', 'halt_light'):
			tap.equal(c.ask('Z0,%x,1' % sym[name]), 'OK', 'Z0')
			tap.equal(c.resume().regs['rip'], sym[name], 'pc at ' + name)
			tap.equal(c.ask('z0,%x,1' % sym[name]), 'OK', 'z0')
			stop = c.resume('vCont;s:1')
			tap.equal((stop.signal, hex(stop.regs['rip'])), (5, hex(sym[name + '_after'])),
				  'after a step of HLT at ' + name)
			tap.equal(c.resume('vCont;s:1').regs['rip'], sym[name + '_after'] + 1, 'pc a step later')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m, serial='through\n')


@scenario('a step at HLT ends after it, nothing pending', 'breakpoints', 'step')
def step_halt(host):
	step_halts(host, 0)


@scenario('a step at HLT ends after it, an interrupt pending', 'breakpoints', 'step', 'block_irq')
def step_halt_pending(host):
	step_halts(host, 5000)


@scenario('a CPU that sleeps in HLT: Ctrl-C, step, jump, continue', 'breakpoints', 'step')
def halted(host):
	with gdb_session(host, 'lab=halt') as (m, g):
		g.resume('continue')
		m.wait_serial('halting')
		for _ in range(3):
			tap.check(g.quiet(0.2), 'it sleeps')
			g.interrupt()
			stop = g.wait_stop()
			tap.equal((stop.signal, stop.func), ('SIGINT', 'halt_after'), 'stop')
			g.resume('continue')
		g.interrupt()
		g.wait_stop()
		tap.contains(g.cmd('info threads'), 'halted', 'state in info threads')
		tap.equal(g.run('stepi').pc, g.address('halt_after') + 1, 'pc after a step')
		g.cmd('set var $pc = halt_loop')
		g.cmd('tbreak *halt_insn')
		hit(g, 'halt_insn')
		g.run('stepi')
		tap.equal(g.pc(), g.address('halt_after'), 'pc after a step of HLT')
		g.run('stepi 2')
		tap.equal(g.int('turns'), 0, 'turns')
		g.run('stepi')
		tap.equal(g.int('turns'), 1, 'turns')
		g.cmd('kill')
		ends(m, 14)


@scenario("the guest's own INT3, INT n and UD2 are its own", 'own_break', 'breakpoints', 'step')
def own_int3(host):
	wanted = 'int3 12 int80 12 ud2 12 strays 0\n'
	with gdb_session(host, 'lab=int3,12') as (m, g):
		ends_in_gdb(m, g, serial=wanted)
	with gdb_session(host, 'lab=int3,12') as (m, g):
		g.cmd('break shared')
		for _ in range(12):
			hit(g, 'shared')
		ends_in_gdb(m, g, serial=wanted)
	with raw_session(host, 'lab=int3,12') as (m, c, sym):
		# beside the guest's INT3, and in its handler
		tap.equal(c.ask('Z0,%x,1' % sym['own_exceptions']), 'OK', "Z0 on the guest's INT3")
		tap.equal(c.ask('Z0,%x,1' % sym['int3_after']), 'OK', 'Z0')
		for _ in range(12):
			tap.equal(c.resume().regs['rip'], sym['own_exceptions'], 'pc at INT3')
			tap.equal(c.resume().regs['rip'], sym['int3_after'], 'pc after INT3')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m, serial=wanted)


@scenario("steps at the guest's own INT3 and INT n arrive in their handlers, and leave no trace", 'own_break',
	  'breakpoints', 'step', 'block_irq')
def step_own_int3(host):
	with raw_session(host, 'lab=int3,3') as (m, c, sym):
		for _ in range(3):
			for at, handler in (('own_exceptions', 'int3_entry'), ('int3_after', 'int80_entry'), ('ud2_at', 'ud2_entry')):
				tap.equal(c.ask('Z0,%x,1' % sym[at]), 'OK', 'Z0')
				tap.equal(c.resume().regs['rip'], sym[at], 'pc at ' + at)
				tap.equal(c.ask('z0,%x,1' % sym[at]), 'OK', 'z0')
				stop = c.resume('vCont;s:1')
				if at == 'ud2_at':
					# a fault: hosts differ in how much of its handler the step is
					tap.check(stop.regs['rip'] != sym[at], 'the step went somewhere')
					continue
				tap.equal((stop.signal, hex(stop.regs['rip'])), (5, hex(sym[handler])), 'after a step at ' + at)
				saved = c.read_int(stop.regs['rsp'] + 16)
				tap.equal(saved & 0x100, 0, 'TF in the saved flags of ' + at)
				for _ in range(4):
					c.resume('vCont;s:1')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m)
		# a processor pushes TF with a fault's frame, and loads it again at the handler's end; hosts that interpret end
		# the step in the handler, where it can be taken out
		seen = dict(re.findall(r'(\w+) (\d+)', m.serial()))
		tap.equal((seen['int3'], seen['int80'], int(seen['ud2']) + int(seen['strays'])), ('3', '3', 3), m.serial())
		tap.check(seen['strays'] == '0' or not interpreted(host), 'no TF in any frame: ' + m.serial())
