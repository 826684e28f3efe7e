"""Scenarios: registers, memory, hardware slots and planted bytes."""

import tap
from scene import ends_in_gdb, ends_raw, gdb_session, hit, isa, raw_session, scenario


# ---- registers and memory ----

@scenario('registers are read and written', 'breakpoints', 'step')
def registers(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		g.cmd('break *alpha')
		hit(g, 'alpha')
		g.cmd('delete')
		saved = {r: g.int('$' + r) for r in isa(host).others}
		for i, r in enumerate(saved):
			g.cmd('set var $%s = 0x1122334455667700 + %d' % (r, i))
		arg = isa(host).arg
		g.cmd('set var $%s = 100' % arg)
		g.run('stepi')
		for i, r in enumerate(saved):
			tap.equal(g.int('$' + r), 0x1122334455667700 + i, r + ' after a step')
		tap.equal(g.int('$' + arg), 100, arg)
		flags, bits, names = isa(host).flags
		g.cmd('set var $%s = (unsigned)%d' % (flags, g.reg(flags) | bits))
		tap.equal(g.reg(flags) & bits, bits, 'flags')
		tap.contains(g.value('$' + flags), names, 'flags by name')
		for r, v in saved.items():
			g.cmd('set var $%s = %#x' % (r, v))
		g.cmd('tbreak *shared')
		hit(g, 'shared')
		tap.equal(g.int('$' + arg), 100, 'the argument that was written')
		ends_in_gdb(m, g, serial='sum %d\n' % (100 * 2 + 1 + 1 + 0 + 2 + 2 + 6 + 36))


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
		end = isa(host).ram + (64 << 20)
		tap.equal(len(c.read(end - 24, 64)), 24, 'bytes of m')
		tap.equal(len(c.read_binary(end - 24, 64)), 24, 'bytes of x')
		tap.equal(c.ask('m%x,8' % end)[:1], 'E', 'm past the end')
		tap.equal(c.ask('x%x,8' % end)[:1], 'E', 'x past the end')
		tap.equal(c.ask('M%x,8:%s' % (end - 4, '00' * 8))[:1], 'E', 'M across the end')
		ends_raw(m, c)


@scenario('planted bytes never show in reads, and a write under one stays', 'breakpoints', 'step')
def breakpoints_hide(host):
	with raw_session(host, 'lab=calls,6') as (m, c, sym):
		at = sym['shared']
		before = c.read(at - 8, 32)
		brk, ret = isa(host).brk, isa(host).ret
		tap.check(before[8:8 + len(brk)] != brk, 'the function does not start with a breakpoint')
		c.plant(at)
		tap.check(c.read(at - 8, 32) == before, 'm with the breakpoint in')
		tap.check(c.read_binary(at - 8, 32) == before, 'x with the breakpoint in')
		tap.equal(c.resume().pc, at, 'pc at the hit')
		tap.check(c.read(at - 8, 32) == before, 'm at the hit')
		c.resume('vCont;s:1;c')
		tap.check(c.read(at - 8, 32) == before, 'm after a step')
		tap.equal(c.ask('M%x,4:%s' % (at, before[8:12].hex())), 'OK', 'writing the same bytes')
		tap.equal(c.resume().pc, at, 'pc at the second hit')
		# the function returns at once
		tap.equal(c.ask('M%x,%x:%s' % (at, len(ret), ret.hex())), 'OK', 'writing under the breakpoint')
		tap.equal(c.read(at, len(ret)), ret, 'what was written')
		c.unplant(at)
		tap.equal(c.read(at, len(ret)), ret, 'what was written, the breakpoint gone')
		ends_raw(m, c, 'alphas 1\nbetas 0\n')
