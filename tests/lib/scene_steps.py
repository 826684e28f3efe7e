"""Scenarios: steps, over breakpoints and over what is hard to step over."""

import tap
from elfsyms import table
from gdbclient import GdbError
from scene import BREAKS, ends, ends_in_gdb, ends_raw, gdb_session, hit, isa, raw_session, runs_to, scenario


# ---- clients that leave breakpoints in ----

@scenario('a client may leave its breakpoints in while it steps and continues', 'breakpoints', 'step')
def step_over(host):
	with raw_session(host, 'lab=calls,20') as (m, c, sym):
		at = sym['shared']
		c.plant(at)
		hits = 0
		while True:
			stop = c.resume()
			if stop.kind == 'W':
				break
			tap.check(stop.reason in BREAKS, 'reason: ' + stop.text)
			tap.equal((stop.signal, stop.pc), (5, at), 'stop')
			tap.equal(c.read_int(sym['alphas']) + c.read_int(sym['betas']), hits, 'calls before this hit')
			hits += 1
			if hits % 2:
				stop = c.resume('vCont;s:1')
				tap.equal((stop.signal, stop.reason), (5, ''), 'stop of a step')
				tap.check(at < stop.pc <= at + isa(host).insn_max, 'the step left the breakpoint')
		tap.equal(hits, 40, 'hits')
		ends(m, serial='alphas 20\nbetas 20\n')


@scenario('a step that arrives at a breakpoint, and one over adjacent breakpoints', 'breakpoints', 'step')
def adjacent(host):
	with raw_session(host, 'lab=calls,2') as (m, c, sym):
		c.plant(sym['alpha'])
		c.resume()
		addrs, regs = [c.pc()], c.ask('g')
		for _ in range(3):
			addrs.append(c.resume('vCont;s:1').pc)
		tap.equal(c.ask('G' + regs), 'OK', 'going back')
		for a in addrs:
			c.plant(a)
		for a in addrs[1:]:
			tap.equal(c.resume('vCont;s:1').pc, a, 'pc after a step onto a breakpoint')
		for a in addrs:
			c.unplant(a)
		ends_raw(m, c, 'alphas 2\nbetas 2\n')


@scenario('range stepping stays silent inside of its range', 'breakpoints', 'step')
def range_step(host):
	with raw_session(host, 'lab=calls,2') as (m, c, sym):
		tap.contains(c.ask('vCont?'), ';r', 'vCont?')
		at, size = table(host.guest('lab'))['inner']
		c.plant(at)
		c.resume()
		ret = isa(host).return_address(c)
		c.unplant(at)
		stop = c.resume('vCont;r%x,%x:1' % (at, at + size))
		tap.equal(hex(stop.pc), hex(ret), 'pc: back in the caller')
		tap.equal(c.read_int(sym['turns']), 1, 'the whole function was executed')
		# a breakpoint inside of the range ends it
		c.plant(at)
		c.resume()
		second = c.resume('vCont;s:1').pc
		regs = c.ask('g')
		third = c.resume('vCont;s:1').pc
		tap.equal(c.ask('G' + regs), 'OK', 'going back to %#x' % second)
		c.plant(third)
		stop = c.resume('vCont;r%x,%x:1' % (at, at + size))
		tap.equal(stop.pc, third, 'pc at the breakpoint')
		c.send('k')
		ends(m, 14)


@scenario('more hardware breakpoints than there are slots are refused with a reason', 'hardware')
def slots_run_out(host):
	with raw_session(host, 'lab=calls,2') as (m, c, sym):
		slots = host.facts['hw_break_slots']
		at, size = sym['shared'], len(isa(host).nop)
		for i in range(slots):
			tap.equal(c.z('Z1', at + i * size), 'OK', 'Z1 number %d' % i)
		answer = c.z('Z1', at + slots * size)
		tap.check(answer.startswith('E.') and len(answer) > 6, 'a reason, not %r' % answer)
		tap.equal(c.z('z1', at), 'OK', 'z1')
		tap.equal(c.z('Z1', at + slots * size), 'OK', 'Z1 in the free slot')
	m.close()
	with gdb_session(host, 'lab=calls,2') as (m, g):
		for func in ('shared alpha beta inner middle outer main say say_number tick smp_work smp_ready tick_loop '
			     'spin_loop scene_off scene_echo scene_sum scene_idle').split()[:slots + 2]:
			g.cmd('hbreak ' + func)
		try:
			g.run('continue', 5)
		except GdbError:
			pass
		text = '\n'.join(g.log[-20:])
		tap.contains(text, 'Cannot insert hardware breakpoint', 'what gdb says')
		tap.contains(text, 'slots are in use', 'what gdb says')


# ---- interrupts, sleep ----

@scenario('200 steps under a fast timer never land in its handler', 'breakpoints', 'step', 'block_irq')
def steps_and_ticks(host):
	with raw_session(host, 'lab=ticks,2000') as (m, c, sym):
		runs_to(c, sym['tick_loop'])
		seen = set()
		for _ in range(200):
			seen.add(c.resume('vCont;s:1').pc)
		begin, size = table(host.guest('lab'))['tick_loop']
		outside = [hex(a) for a in seen if not begin <= a < begin + size]
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
		ends_raw(m, c, 'ticked\n')


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


def wait_range(host, c):
	"""A CPU that is about to wait for interrupts; the packet that steps until it has them, and where that ends."""
	at, size = table(host.guest('lab'))['wait_loop']
	runs_to(c, at)
	return 'vCont;r%x,%x:1' % (at, at + size), isa(host).return_address(c)


@scenario('a range step through a loop that waits for interrupts lets them in, and ends', 'breakpoints', 'step',
	  'block_irq')
def range_waits(host):
	with raw_session(host, 'lab=waits,100,4') as (m, c, sym):
		step, back = wait_range(host, c)
		stop = c.resume(step)
		tap.equal((stop.signal, hex(stop.pc)), (5, hex(back)), 'stop')
		# what ran in the handlers was the same code, further down the stack
		tap.check(c.read_int(sym['ticks']) >= 4, 'ticks')
		deep = c.read_int(sym['deep'])
		tap.check(deep >= 3 and deep % 3 == 0, 'turns in the handlers, which all came to their ends: %d' % deep)
		tap.check(c.read_int(sym['turns']) >= 1000 // 8, 'turns: it was stepped in between')
		ends_raw(m, c, 'waited\n')
	with gdb_session(host, 'lab=waits,200,2') as (m, g):
		g.cmd('break wait_loop')
		hit(g, 'wait_loop')
		g.cmd('delete')
		for _ in range(6):
			stop = g.run('next')
			tap.check(stop.func in ('wait_loop', 'scene_waits', 'main', 'play'), 'function after next: %s' % stop.func)
			if stop.func != 'wait_loop':
				break
		tap.check(stop.func != 'wait_loop', 'next came through the loop')
		ends_in_gdb(m, g, serial='waited\n')


@scenario('the same for a CPU that sleeps: interrupts are open only where it does', 'breakpoints', 'step', 'block_irq')
def range_idles(host):
	with raw_session(host, 'lab=idles,200,4') as (m, c, sym):
		runs_to(c, sym['scene_idles'])
		c.plant(sym['waited'])
		stop = c.resume('vCont;r0,%x:1' % (1 << 47))
		tap.check(stop.reason in BREAKS, 'reason: ' + stop.text)
		tap.equal(hex(stop.pc), hex(sym['waited']), 'pc')
		tap.check(c.read_int(sym['ticks']) >= 4, 'ticks')
		c.unplant(stop.pc)
		ends_raw(m, c, 'waited\n')


@scenario('breakpoints, Ctrl-C and detach in a handler that a range step has let in', 'breakpoints', 'step', 'block_irq')
def range_stops(host):
	with raw_session(host, 'lab=waits,200,6') as (m, c, sym):
		step, back = wait_range(host, c)
		c.plant(sym['tick'])
		stop = c.resume(step)
		tap.check(stop.reason in BREAKS, 'reason: ' + stop.text)
		tap.equal(hex(stop.pc), hex(sym['tick']), 'pc at the breakpoint')
		ticks = c.read_int(sym['ticks'])
		tap.equal(hex(c.resume().pc), hex(sym['tick']), 'the next hit')
		tap.equal(c.read_int(sym['ticks']), ticks + 1, 'ticks until then')
		c.unplant(sym['tick'])
	m.close()
	with raw_session(host, 'lab=waits,200,3') as (m, c, sym):
		step, back = wait_range(host, c)
		tap.equal(c.ask('M%x,8:0100000000000000' % sym['hold']), 'OK', 'hold = 1')
		c.send(step)
		tap.equal(c.take(1 * host.patience), None, 'stop, while the handler is held')
		c.interrupt()
		stop = c.wait_stop()
		begin, size = table(host.guest('lab'))['tick']
		tap.equal(stop.signal, 2, 'signal')
		tap.check(begin <= stop.pc < begin + size, 'pc is in the handler: %#x' % stop.pc)
		tap.equal(c.read_int(sym['ticks']), 1, 'ticks')
		for _ in range(3):
			stop = c.resume('vCont;s:1')
			tap.check(begin <= stop.pc < begin + size, 'a step in the handler: %#x' % stop.pc)
		tap.equal(c.ask('M%x,8:0000000000000000' % sym['hold']), 'OK', 'hold = 0')
		tap.equal(c.ask('D'), 'OK', 'detach')
		ends(m, serial='waited\n')


def step_halts(host, hz):
	with raw_session(host, 'lab=halts,%d' % hz) as (m, c, sym):
		for name in ('halt_dark', 'halt_light'):
			runs_to(c, sym[name])
			stop = c.resume('vCont;s:1')
			tap.equal((stop.signal, hex(stop.pc)), (5, hex(sym[name + '_after'])),
				  'after a step at ' + name)
			tap.equal(c.resume('vCont;s:1').pc, sym[name + '_after'] + len(isa(host).nop),
				  'pc a step later')
		ends_raw(m, c, 'through\n')


@scenario('a step at the instruction that halts ends after it, nothing pending', 'breakpoints', 'step')
def step_halt(host):
	step_halts(host, 0)


@scenario('a step at the instruction that halts ends after it, an interrupt pending', 'breakpoints', 'step',
	  'block_irq')
def step_halt_pending(host):
	step_halts(host, 5000)


@scenario('a CPU that sleeps: Ctrl-C, step, jump, continue', 'breakpoints', 'step')
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
		tap.equal(g.run('stepi').pc, g.address('halt_after') + len(isa(host).nop), 'pc after a step')
		g.cmd('set var $pc = halt_loop')
		g.cmd('tbreak *halt_insn')
		hit(g, 'halt_insn')
		g.run('stepi')
		tap.equal(g.pc(), g.address('halt_after'), 'pc after a step at the halt')
		turns = g.int('turns')
		# on arm64 a stop may wake it, as anything may
		tap.check(turns == 0 or host.arch == 'arm64', 'turns: nothing has woken it')
		while g.pc() != g.address('halt_counted'):
			tap.equal(g.int('turns'), turns, 'turns before the increment')
			tap.check(g.address('halt_after') <= g.pc() < g.address('halt_counted'), 'pc on the way there')
			g.run('stepi')
		tap.equal(g.int('turns'), turns + 1, 'turns after it')
		g.cmd('kill')
		ends(m, 14)
