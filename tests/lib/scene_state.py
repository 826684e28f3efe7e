"""Scenarios: registers, memory, hardware slots and planted bytes."""

import tap
from scene import ends, ends_in_gdb, gdb_session, hit, raw_session, scenario


# ---- registers and memory ----

@scenario('registers are read and written', 'breakpoints', 'step')
def registers(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		g.cmd('break *alpha')
		hit(g, 'alpha')
		g.cmd('delete')
		saved = {r: g.int('$' + r) for r in ('rax', 'rbx', 'rcx', 'rdx', 'rsi', 'r8', 'r9', 'r15')}
		for i, r in enumerate(saved):
			g.cmd('set var $%s = 0x1122334455667700 + %d' % (r, i))
		g.cmd('set var $rdi = 100')
		g.run('stepi')
		for i, r in enumerate(saved):
			tap.equal(g.int('$' + r), 0x1122334455667700 + i, r + ' after a step')
		tap.equal(g.int('$rdi'), 100, 'rdi')
		g.cmd('set var $eflags = %d' % (g.reg('eflags') | 0xd5))        # CF PF AF ZF SF
		tap.equal(g.reg('eflags') & 0xd5, 0xd5, 'flags')
		tap.contains(g.value('$eflags'), 'CF PF AF ZF SF', 'flags by name')
		for r, v in saved.items():
			g.cmd('set var $%s = %#x' % (r, v))
		g.cmd('tbreak *shared')
		hit(g, 'shared')
		tap.equal(g.int('$rdi'), 100, 'the argument that was written')
		ends_in_gdb(m, g, serial='sum %d\n' % (100 * 2 + 1 + 1 + 0 + 2 + 2 + 6 + 36))


@scenario('segment, base and control registers', 'breakpoints', 'step')
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


@scenario('x87, XMM and MXCSR are read and written', 'breakpoints', 'step')
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


def pattern(first, count):
	return bytes((i * 7 ^ i >> 8) & 0xff for i in range(first, first + count))


@scenario('memory across pages is read and written, unmapped memory is an error', 'breakpoints')
def memory(host):
	with gdb_session(host, 'lab=calls,1,1') as (m, g):
		g.cmd('break alpha')
		hit(g, 'alpha')
		base = g.address('pages')

		def read(addr, n):
			r = g.mi('-data-read-memory-bytes %#x %d' % (addr, n))[1]
			return b''.join(bytes.fromhex(part['contents']) for part in r['memory'])
		tap.check(read(base + 4090, 20) == pattern(4090, 20), 'a read across a page')
		tap.check(read(base, 3 * 4096) == pattern(0, 3 * 4096), 'a read of three pages')
		new = bytes(range(200, 232))
		g.mi('-data-write-memory-bytes %#x "%s"' % (base + 4080, new.hex()))
		g.cmd('maintenance flush dcache')
		tap.check(read(base + 4070, 60) == pattern(4070, 10) + new + pattern(4112, 18), 'a write across a page')
		for addr in (0x500000000000, 0xdead000000000000, 0xffffffff90000000):
			tap.contains(g.error('x/4x %#x' % addr), 'Cannot access memory at address', 'read of %#x' % addr)
			tap.contains(g.error('set var *(char *)%#x = 1' % addr), 'Cannot access memory',
				     'write to %#x' % addr)
		g.cmd('set var alphas = 1000')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='alphas 1001\n')


@scenario('a read that runs into the end of memory is short', timeout=30)
def short_read(host):
	with raw_session(host, 'lab=off', mem='64M') as (m, c, _):
		end = 64 << 20
		tap.equal(len(c.read(end - 24, 64)), 24, 'bytes of m')
		tap.equal(len(c.read_binary(end - 24, 64)), 24, 'bytes of x')
		tap.equal(c.ask('m%x,8' % end)[:1], 'E', 'm past the end')
		tap.equal(c.ask('x%x,8' % end)[:1], 'E', 'x past the end')
		tap.equal(c.ask('M%x,8:%s' % (end - 4, '00' * 8))[:1], 'E', 'M across the end')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m)


@scenario('planted bytes never show in reads, and a write under one stays', 'breakpoints', 'step')
def breakpoints_hide(host):
	with raw_session(host, 'lab=calls,6') as (m, c, sym):
		at = sym['shared']
		before = c.read(at - 8, 32)
		tap.check(before[8] != 0xcc, 'the function does not start with INT3')
		tap.equal(c.ask('Z0,%x,1' % at), 'OK', 'Z0')
		tap.check(c.read(at - 8, 32) == before, 'm with the breakpoint in')
		tap.check(c.read_binary(at - 8, 32) == before, 'x with the breakpoint in')
		tap.equal(c.resume().regs['rip'], at, 'pc at the hit')
		tap.check(c.read(at - 8, 32) == before, 'm at the hit')
		c.resume('vCont;s:1;c')
		tap.check(c.read(at - 8, 32) == before, 'm after a step')
		tap.equal(c.ask('M%x,4:%s' % (at, before[8:12].hex())), 'OK', 'writing the same bytes')
		tap.equal(c.resume().regs['rip'], at, 'pc at the second hit')
		# ret, in place of the function's first byte
		tap.equal(c.ask('M%x,1:c3' % at), 'OK', 'writing under the breakpoint')
		tap.equal(c.read(at, 1), b'\xc3', 'what was written')
		tap.equal(c.ask('z0,%x,1' % at), 'OK', 'z0')
		tap.equal(c.read(at, 1), b'\xc3', 'what was written, the breakpoint gone')
		tap.equal(c.resume().kind, 'W', 'stop')
		ends(m, serial='alphas 1\nbetas 0\n')
