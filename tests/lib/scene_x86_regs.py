"""Scenarios that only x86_64 has: vector registers, debug registers, MSRs; registers in each of its modes."""

import tap
from gdbclient import Gdb
from scene import ends_in_gdb, ends_raw, gdb_session, hit, interpreted, raw_session, scenario

REFUSED = 'the hardware cannot take this value'


def fresh(g, expression):
	"""As the machine has it, not gdb's cache."""
	g.cmd('maintenance flush register-cache')
	return g.int(expression)


def refused(g, register, value):
	before = fresh(g, '$' + register)
	tap.contains(g.error('set var $%s = %s' % (register, value)), REFUSED, '%s = %s' % (register, value))
	tap.equal(fresh(g, '$' + register), before, register + ' after that')


# ---- what not every processor has ----

AVX, AVX512, PKU = 1, 2, 4
OPTIONAL = {'ymm0': AVX, 'ymm15': AVX, 'zmm0': AVX512, 'zmm31': AVX512, 'xmm16': AVX512, 'ymm16': AVX512, 'k0': AVX512,
	    'k7': AVX512, 'pkru': PKU}


def optional_registers(g):
	"""Stops where the guest knows its CPUID: what it has."""
	g.cmd('break *shared')
	hit(g, 'shared')
	g.cmd('delete')
	has = g.int('$rdi')
	names = [name for name, bit in (('AVX', AVX), ('AVX-512', AVX512), ('PKU', PKU)) if has & bit]
	tap.diag('the guest has ' + (' '.join(names) or 'none of the vector extensions'))
	text = g.cmd('monitor info registers').lower()
	for r, bit in OPTIONAL.items():
		tap.equal(g.value('$' + r) != 'void', bool(has & bit), '%s is there, CPUID %d' % (r, has))
	for r, bit in {'ymm15h=': AVX, 'zmm31h=': AVX512, 'k7=': AVX512, 'pkru=': PKU}.items():
		tap.equal(r in text, bool(has & bit), '%s in monitor info registers' % r)
	tap.check('xmm15=' in text and max(map(len, text.splitlines())) <= 100, 'monitor info registers is readable')
	tap.contains(g.cmd('info all-registers'), 'mtrr_def_type', 'info all-registers')
	return has


@scenario("vector registers are those of the guest's CPUID, and keep what is written", 'breakpoints', 'step', arch='x86_64')
def vectors_kept(host):
	values = {AVX: {'ymm3.v4_int64[3]': 0x1122334455667788, 'ymm15.v8_int32[4]': 99},
		  AVX512: {'zmm2.v8_int64[7]': 0x1234567, 'zmm31.v8_int64[7]': 31, 'ymm17.v8_int32[7]': 17,
			   'xmm31.v4_int32[1]': 5, 'k5': 0xa5a5a5a5a5a5},
		  PKU: {'pkru': 0x5554}}
	for hidden in (), ('--cpu-features', '-avx,-pku'):
		with gdb_session(host, 'lab=vectors,0', extra=hidden) as (m, g):
			has = optional_registers(g)
			tap.check(not has or not hidden or interpreted(host), 'CPUID %d with %s' % (has, hidden))
			kept = {'xmm3.v2_int64[0]': 7}
			for bit, more in values.items():
				kept.update(more if has & bit else {})
			for r, v in kept.items():
				g.cmd('set var $%s = %d' % (r, v))
			g.run('stepi')
			g.run('stepi')
			for r, v in kept.items():
				tap.equal(fresh(g, '$' + r), v, r)
			ends_in_gdb(m, g, serial='end\n')


def lines(name, *values):
	return ''.join('%s=%#x\n' % (name, v & (1 << 64) - 1) for v in values)


@scenario('AVX, AVX-512 and PKRU: gdb sees what the guest loads, and the guest what gdb writes', 'breakpoints', 'step',
	  arch='x86_64')
def vectors_seen(host):
	if interpreted(host):
		tap.skip('this host does not execute AVX')
	loaded = [0x0123456789abcde0 + i for i in range(8)]
	with gdb_session(host, 'lab=vectors,1') as (m, g):
		has = optional_registers(g)
		if not has & (AVX | PKU):
			tap.skip("this host's guests have neither AVX nor protection keys")
		wanted = ''
		if has & AVX:
			g.cmd('break vectors_avx')
			g.cmd('break *vectors_avx_at')
			hit(g, 'vectors_avx')
			tap.equal(g.int('$ymm3.v4_int64[3]'), 0, 'a register not used yet')
			g.cmd('set var $ymm3.v8_int32[5] = 77')
			hit(g, 'vectors_avx_at')
			for r in 'ymm0', 'ymm15':
				tap.equal([g.int('$%s.v4_int64[%d]' % (r, i)) for i in range(4)], loaded[:4], r)
			tap.equal(g.int('$ymm3.v8_int32[5]'), 77, 'what was written before')
			g.cmd('set var $ymm15.v4_int64[2] = 0x7fedcba987654321')
			g.cmd('set var $ymm0.v8_float[0] = 1')
			wanted += lines('avx', loaded[0] & ~0xffffffff | 0x3f800000, *loaded[1:4])
			wanted += lines('avx', *loaded[:2], 0x7fedcba987654321, loaded[3]) + lines('avx', 0, 0, 77 << 32, 0)
		if has & AVX512:
			g.cmd('break *vectors_avx512_at')
			hit(g, 'vectors_avx512_at')
			for r in 'zmm0', 'zmm31':
				tap.equal([g.int('$%s.v8_int64[%d]' % (r, i)) for i in range(8)], loaded, r)
			tap.equal(g.int('$k1'), 0x5a5a, 'k1')
			g.cmd('set var $k1 = 0x7654')
			g.cmd('set var $zmm0.v8_int64[7] = 70')
			g.cmd('set var $zmm31.v8_int64[0] = 31')
			wanted += lines('k1', 0x7654) + lines('avx512', *loaded[:7], 70) + lines('avx512', 31, *loaded[1:])
		if has & PKU:
			g.cmd('break *vectors_pkru_at')
			hit(g, 'vectors_pkru_at')
			tap.equal(g.int('$pkru'), 0x55555550, 'pkru')
			g.cmd('set var $pkru = 0x55555554')
			wanted += lines('pkru', 0x55555554)
		g.cmd('delete')
		ends_in_gdb(m, g, serial=wanted + 'end\n')


# ---- debug registers and MSRs ----

@scenario("the guest's debug registers and MSRs by name; what they cannot hold is refused", 'breakpoints', 'step',
	  arch='x86_64')
def system_registers_by_name(host):
	with gdb_session(host, 'lab=sysregs') as (m, g):
		g.cmd('break *shared')
		hit(g, 'shared')
		# with the debugger's breakpoint still in
		for r, v in {'dr0': 0x111000, 'dr1': 0, 'dr7': 0x400, 'lstar': 0xffffffff81234000, 'star': 0x23001000000000,
			     'sfmask': 0x47700, 'sysenter_cs': 0x10, 'pat': 0x0007040600070406}.items():
			tap.equal(g.reg(r), v, r)
		for r, v in {'dr1': '0x222000', 'dr7': '0x404', 'dr6': '0xffff4ff0', 'lstar': '0xffffffff81567000',
			     'star': '0x33002000000000', 'sfmask': '0x300', 'k_gs_base': '0xffff888000001000',
			     'pat': '0x0606060606060606', 'sysenter_cs': '0x20'}.items():
			g.cmd('set var $%s = %sul' % (r, v))
		tap.contains(g.value('$dr7'), 'L1', 'dr7 by name')
		tap.contains(g.value('$dr6'), 'BS', 'dr6 by name')
		for r, v in (('dr7', '0x5400'), ('dr7', '0'), ('dr6', '0'), ('dr6', '0xffff1ff0'), ('mtrr_def_type', '3'),
			     ('lstar', '0x8000000000000000'), ('k_gs_base', '0x800000000000'), ('cr8', '16'),
			     ('efer', '$efer & ~0x400ul'), ('cr0', '$cr0 & ~1ul'), ('rip', '0x800000000000')):
			refused(g, r, v if '$' in v else v + 'ul')
		before = g.reg('eflags')
		for v in '0u', '$eflags & ~2', '$eflags | 8', '$eflags | 0x20000', '$eflags | 0x400000':
			tap.contains(g.error('set var $eflags = ' + v), REFUSED, 'eflags = ' + v)
			g.cmd('maintenance flush register-cache')
			tap.equal(g.reg('eflags'), before, 'eflags after that')
		# not every KVM lets it be set
		now = g.int('$tsc')
		try:
			g.cmd('set var $tsc = %d' % (now + (1 << 44)))
			tap.check(0 <= fresh(g, '$tsc') - now - (1 << 44) < 1 << 36, 'tsc was set')
			tap.diag('this KVM lets the TSC be set')
		except Exception as e:
			tap.contains(str(e), REFUSED, 'tsc')
			tap.check(fresh(g, '$tsc') - now < 1 << 43, 'tsc was not set')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='dr0=0x111000\ndr1=0x222000\ndr6=0x4ff0\ndr7=0x404\nlstar=0xffffffff81567000\n'
			    'star=0x33002000000000\nsfmask=0x300\nk_gs_base=0xffff888000001000\npat=0x606060606060606\n'
			    'sysenter_cs=0x20\nend\n')


@scenario('no register says OK to what it does not read back, or loses what it refuses', arch='x86_64')
def registers_honest(host):
	with raw_session(host, 'lab=off') as (m, c, _):
		def read(n):
			return c.ask('p%x' % n)
		taken = []
		for n, (name, size) in sorted(c.registers.items()):
			before, kept = read(n), True
			if 'x' in before:
				tap.equal(c.ask('P%x=%s' % (n, '00' * size))[:2], 'E.', 'write of %s, which is not there' % name)
				continue
			tap.equal(len(before), 2 * size, 'size of ' + name)
			for value in 'ff' * size, '00' * size, '5a' * size, '%02x' % (int(before[:2], 16) ^ 1) + before[2:]:
				old, answer = read(n), c.ask('P%x=%s' % (n, value))
				tap.check(answer == 'OK' or answer.startswith('E.'), '%s = %s: %s' % (name, value, answer))
				# the counter runs; a tag word tells what is in use and what that holds, of which only the first is written
				if name in ('tsc', 'ftag'):
					continue
				tap.equal(read(n), value if answer == 'OK' else old, '%s after %s = %s' % (name, answer, value))
				kept = kept and answer == 'OK'
			if name != 'tsc':
				tap.equal(c.ask('P%x=%s' % (n, before)), 'OK', '%s = %s, as before' % (name, before))
			taken += [name] * kept
		for name in 'rax', 'r15', 'xmm0', 'st7', 'star', 'dr3', 'cr2', 'fop':
			tap.equal(name in taken, name != 'fop', '%s takes anything' % name)
		for n in range(max(c.registers) + 2):
			if n not in c.registers:
				tap.equal((read(n)[:2], c.ask('P%x=00' % n)[:2]), ('E.', 'E.'), 'register %d' % n)
		ends_raw(m, c)


# ---- modes ----

@scenario('one set of registers in 32-bit, 16-bit and real mode; a selector that is written loads its descriptor', 'step',
	  arch='x86_64')
def modes(host):
	m = host.start('pvh64')
	with Gdb(None, patience=host.patience, program=host.gdb) as g:
		g.connect(m.remote)
		code = '{unsigned char[5]} 0x9000'

		def everything(mode):
			tap.contains(g.cmd('info all-registers'), 'mtrr_def_type', 'info all-registers in %s mode' % mode)
			tap.contains(g.cmd('info threads'), mode, 'info threads')

		everything('32-bit protected')
		tap.equal(g.value('$cr0'), '[ PE ET ]', 'cr0')
		# in 32-bit code mov $0x9012345, %eax; in 16-bit code mov $0x2345, %ax and something else
		g.cmd('set var %s = {0xb8, 0x45, 0x23, 0x01, 0x09}' % code)
		g.cmd('set var $rax = 0x1122334455667788')
		g.cmd('set var $pc = 0x9000')
		g.run('stepi')
		tap.equal((g.pc(), g.int('$rax')), (0x9005, 0x9012345), 'after a step in 32-bit code')
		g.cmd('set var *(unsigned long *)($gdtr_base + 8) = 0x00009b000000ffff')
		g.cmd('set var *(unsigned long *)($gdtr_base + 40) = 0x0000930a0000ffff')
		g.cmd('set var $cs = 8')
		g.cmd('set var $ds = 40')
		everything('16-bit protected')
		g.cmd('set var $pc = 0x9000')
		g.cmd('set var $rax = 0x55667788')
		g.run('stepi')
		tap.equal((g.pc(), g.int('$rax')), (0x9003, 0x55662345), 'after a step in 16-bit code')
		# mov (0x1234), %ax: through the data segment at 0xa0000, which is RAM here
		g.cmd('set var *(unsigned short *)0xa1234 = 0xbeef')
		g.cmd('set var %s = {0xa1, 0x34, 0x12, 0x8c, 0xc8}' % code)
		g.cmd('set var $pc = 0x9000')
		g.run('stepi')
		tap.equal(g.int('$rax & 0xffff'), 0xbeef, 'through the base of ds')
		tap.contains(g.error('set var $ds = 0x1230'), REFUSED, 'a selector past the table')
		g.cmd('set var $cr0 = $cr0 & ~1')
		everything('real')
		# mov %cs, %ax at 0x900:3
		g.cmd('set var $cs = 0x900')
		g.cmd('set var $pc = 3')
		g.run('stepi')
		tap.equal((g.pc(), g.int('$rax & 0xffff')), (5, 0x900), 'after a step in real mode')
		g.cmd('kill')
		tap.equal(m.wait(), 14, 'exit status')
