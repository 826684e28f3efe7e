"""Scenarios that only x86_64 has: its own instructions, registers, faults and ways to boot."""

import re

import tap
from scene import ends_in_gdb, ends_raw, gdb, gdb_session, hit, interpreted, raw_session, runs_to, scenario


# ---- registers ----

@scenario('segment, base and control registers', 'breakpoints', 'step', arch='x86_64')
def system_registers(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		g.cmd('break *alpha')
		hit(g, 'alpha')
		tap.equal(g.int('$cs') & 7, 0, 'privilege in cs')
		tap.check(g.int('$ss') != 0 and g.int('$ds') != 0, 'data segments are loaded')
		tap.equal(g.int('$cr0') & 0x80000001, 0x80000001, 'PG and PE in cr0')
		tap.equal(g.int('$cr4') & 0x20, 0x20, 'PAE in cr4')
		tap.equal(g.int('$efer') & 0x500, 0x500, 'LMA and LME in efer')
		tap.check(g.int('$cr3') != 0, 'cr3')
		for r in ('fs_base', 'gs_base', 'k_gs_base', 'cr2'):
			g.cmd('set var $%s = 0x123456789000' % r)
		g.run('stepi')
		for r in ('fs_base', 'gs_base', 'k_gs_base', 'cr2'):
			tap.equal(g.int('$' + r), 0x123456789000, r + ' after a step')
		g.cmd('set var $es = $cs')
		tap.equal(g.int('$es'), g.int('$cs'), 'es')
		g.cmd('set var $es = $ds')
		ends_in_gdb(m, g, serial='sum')


@scenario('x87, XMM and MXCSR are read and written', 'breakpoints', 'step', arch='x86_64')
def float_registers(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		g.cmd('break *alpha')
		hit(g, 'alpha')
		g.cmd('set var $xmm3.v2_int64[0] = 0xfedcba9876543210')
		g.cmd('set var $xmm3.v2_int64[1] = 0x0123456789abcdef')
		g.cmd('set var $xmm15.v4_int32[2] = 77')
		g.cmd('set var $st0 = 2.5')
		g.cmd('set var $mxcsr = 0x1fa0')
		g.cmd('set var $fctrl = 0x27f')
		g.run('stepi')
		g.run('stepi')
		g.cmd('maintenance flush register-cache')
		tap.equal(g.reg('xmm3.uint128'), 0x0123456789abcdeffedcba9876543210, 'xmm3')
		tap.equal(g.int('$xmm15.v4_int32[2]'), 77, 'a part of xmm15')
		tap.equal(g.value('$st0'), '2.5', 'st0')
		tap.equal(g.reg('mxcsr'), 0x1fa0, 'mxcsr')
		tap.equal(g.int('$fctrl'), 0x27f, 'fctrl')
		ends_in_gdb(m, g, serial='sum')


# ---- instructions that are hard to step over ----

def walk(host, hz):
	"""Steps through the lab's list of hard instructions."""
	with raw_session(host, 'lab=insns,%d' % hz) as (m, c, sym):
		insns = [c.read_int(a) for a in range(sym['step_table'], sym['step_table_rep'], 8)]
		rep = {sym['step_rep_1'], sym['step_rep_2'], sym['step_rep_3']}
		runs_to(c, insns[0])
		at, again = 0, 0
		while at + 1 < len(insns):
			stop = c.resume('vCont;s:1')
			pc = stop.pc
			if pc == insns[at] and pc in rep and again < 16:
				again += 1
				continue
			again = 0
			at += 1
			# MOV to SS holds the trap of the next instruction off, on hardware; IRETQ on hosts that interpret
			late = {sym['step_ss'], sym['step_ss_2']} | ({sym['step_iretq']} if interpreted(host) else set())
			if pc != insns[at] and insns[at - 1] in late and pc == insns[at + 1]:
				at += 1
			tap.equal(hex(pc), hex(insns[at]), 'pc after a step from %#x (instruction %d)' % (insns[at - 1], at - 1))
		ends_raw(m, c)
		tap.equal(m.serial(), '<1abcd>\nin=0x5a\nmmio=0xffffffff\nflags.tf=0x0\nflags.if=0x1\ncopied abcdefgh\n',
			  'what the guest saw')


@scenario('a step over each of IN OUT MMIO REP PUSHF POPF STI CLI IRETQ ... is one instruction', 'breakpoints', 'step',
	  arch='x86_64')
def step_hard_instructions(host):
	walk(host, 0)


@scenario('the same with a timer that is always due', 'breakpoints', 'step', 'block_irq', arch='x86_64')
def step_hard_instructions_ticking(host):
	walk(host, 5000)


# ---- the guest's own exceptions ----

@scenario("the guest's own INT3, INT n and UD2 are its own", 'own_break', 'breakpoints', 'step', arch='x86_64')
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
		c.plant(sym['own_exceptions'])
		c.plant(sym['int3_after'])
		for _ in range(12):
			tap.equal(c.resume().pc, sym['own_exceptions'], 'pc at INT3')
			tap.equal(c.resume().pc, sym['int3_after'], 'pc after INT3')
		ends_raw(m, c, wanted)


@scenario("steps at the guest's own INT3 and INT n arrive in their handlers, and leave no trace", 'own_break',
	  'breakpoints', 'step', 'block_irq', arch='x86_64')
def step_own_int3(host):
	with raw_session(host, 'lab=int3,3') as (m, c, sym):
		for _ in range(3):
			for at, handler in (('own_exceptions', 'int3_entry'), ('int3_after', 'int80_entry'), ('ud2_at', 'ud2_entry')):
				runs_to(c, sym[at])
				stop = c.resume('vCont;s:1')
				if at == 'ud2_at':
					# a fault: hosts differ in how much of its handler the step is
					tap.check(stop.pc != sym[at], 'the step went somewhere')
					continue
				tap.equal((stop.signal, hex(stop.pc)), (5, hex(sym[handler])), 'after a step at ' + at)
				saved = c.read_int(stop.regs['rsp'] + 16)
				tap.equal(saved & 0x100, 0, 'TF in the saved flags of ' + at)
				for _ in range(4):
					c.resume('vCont;s:1')
		ends_raw(m, c)
		# a processor pushes TF with a fault's frame, and loads it again at the handler's end; hosts that interpret end
		# the step in the handler, where it can be taken out
		seen = dict(re.findall(r'(\w+) (\d+)', m.serial()))
		tap.equal((seen['int3'], seen['int80'], int(seen['ud2']) + int(seen['strays'])), ('3', '3', 3), m.serial())
		tap.check(seen['strays'] == '0' or not interpreted(host), 'no TF in any frame: ' + m.serial())


# ---- faults ----

@scenario('a triple fault stops in gdb', arch='x86_64')
def triple_fault(host):
	with gdb_session(host, 'lab=triple') as (m, g):
		stop = g.run('continue')
		tap.equal(stop.signal, 'SIGSEGV', 'signal of a triple fault')
		# KVM on AMD resets the CPU, elsewhere it stands where it was
		tap.check(stop.func in ('triple_insn', '??'), 'function of a triple fault: %s' % stop.func)
		tap.contains(g.cmd('monitor info fault'), 'triple fault', 'monitor info fault')
		ends_in_gdb(m, g, 10)


@scenario('an instruction that KVM cannot execute stops in gdb, which may step around it', arch='x86_64')
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


# ---- code that is not mapped yet ----

@scenario('a breakpoint in the kernel half, before paging is on', 'breakpoints', 'step', arch='x86_64')
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


@scenario('the same at the 64-bit entry, where the segments are mapped', 'breakpoints', 'step', arch='x86_64')
def mapped_kernel_half(host):
	with gdb_session(host, guest='higher', extra=('--boot', 'elf')) as (m, g):
		tap.equal(g.pc(), g.address('high_start'), 'pc')
		g.cmd('break high_work if n == 2')
		hit(g, 'high_work')
		g.cmd('delete')
		stop = g.run('finish')
		tap.equal(stop.func, 'high_main', 'after finish')
		ends_in_gdb(m, g, serial='high_calls=0x6013\nend\n')


@scenario('breakpoints in code that a bzImage has yet to unpack and map', 'hardware', 'step', arch='x86_64')
def unpacked_later(host):
	m = host.start('bz.bin')
	with gdb(host, 'bz') as g:
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
