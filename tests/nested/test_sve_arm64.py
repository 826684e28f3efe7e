#!/usr/bin/env python3
"""SVE: registers as long as the architecture allows, inside an outer machine that has it. KVM runs there in VHE mode."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import nested_host      # noqa: E402
import scenarios        # noqa: E402
import tap              # noqa: E402
from scene import ends_in_gdb, ends_raw, gdb_session, hit, raw_session, runs_to        # noqa: E402

# without pointer authentication, which the emulator computes slowly: the kernel outside is up in half the time
get_host = nested_host.fixture('arm64', cpu='max,pauth=off')
BYTES = 256             # of a vector there
FFR = 0x1f              # that the guest fills in


def z(n, size=BYTES):
	"""What the guest fills z<n> with: see guests/tests/arm64/lab_sve.c."""
	return bytes((n * 16 + k) & 0xff for k in range(size))


def p(n, size=BYTES // 8):
	return bytes((n * 3 + k) & 0xff for k in range(size))


def part(data, at, size=8):
	return int.from_bytes(data[at:at + size], 'little')


def test(name):
	def add(func):
		@tap.test(name, timeout=180)
		def _():
			host = get_host()
			try:
				func(host)
			finally:
				host.reap()
	return add


@test("gdb reads z, p, ffr, vg, and v as the vectors' low ends; the guest finds what gdb writes")
def _(host):
	with gdb_session(host, 'lab=sve,2,15') as (m, g):
		g.cmd('break *shared')
		hit(g, 'shared')
		for expression, wanted in {
			'z3.d.u[0]': part(z(3), 0), 'z3.d.u[31]': part(z(3), 248), 'z31.b.u[255]': z(31)[255],
			'z17.s.u[63]': part(z(17), 252, 4), 'z9.h.u[127]': part(z(9), 254, 2),
			'z5.q.u[15]': part(z(5), 240, 16), 'v7.q.u[0]': part(z(7), 0, 16), 'd7.u': part(z(7), 0),
			'p2[0]': p(2)[0], 'p15[31]': p(15)[31], 'ffr[0]': FFR, 'ffr[31]': 0, 'vg': BYTES // 8, 'ZCR_EL1': 15,
		}.items():
			tap.equal(g.reg(expression), wanted, expression)
		tap.equal(g.int('sizeof($z0)'), BYTES, 'size of z0')
		tap.equal(g.int('sizeof($p0)'), BYTES // 8, 'size of p0')
		text = g.cmd('info registers vector')
		for name in 'z31', 'p15', 'ffr', 'vg':
			tap.contains(text, '\n' + name + ' ', 'info registers vector')
		tap.contains(g.cmd('monitor info registers').lower(), '\nz3=', 'monitor info registers')
		hit(g, 'shared')
		g.cmd('set var $z3.d.u[0] = 0x1122334455667788')
		g.cmd('set var $z3.d.u[31] = 0x99aabbccddeeff00')
		g.cmd('set var $z31.b.u[255] = 0x5a')
		g.cmd('set var $p2[0] = 0xa5')
		g.cmd('set var $p15[31] = 0xc3')
		g.cmd('set var $ffr = {%s}' % ', '.join(['0xff'] * (BYTES // 8)))
		g.cmd('set var $fpsr = 0x8000000')
		g.error('set var $vg = 2')
		g.run('stepi')
		g.cmd('maintenance flush register-cache')
		tap.equal(g.reg('z3.d.u[31]'), 0x99aabbccddeeff00, 'z3 after a step')
		tap.equal(g.reg('vg'), BYTES // 8, 'vg')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='bytes=0x100\nwrong.z=0x11\nwrong.p=0x2\nz3.low=0x1122334455667788\n'
			    'z3.high=0x99aabbccddeeff00\nz31.high=0x5aeeedecebeae9e8\np2.low=0xa5\np15.high=0xc3\n'
			    'ffr.low=0xff\nffr.high=0xff\nfpsr=0x8000000\n')


@test('a shorter vector length of the guest shows in vg; raw packets of all sizes')
def _(host):
	with raw_session(host, 'lab=sve,2,3') as (m, c, sym):
		runs_to(c, sym['shared'])
		xml = c.ask('qXfer:features:read:target.xml:0,20000')
		tap.check('org.gnu.gdb.aarch64.sve' in xml and 'org.gnu.gdb.aarch64.fpu' not in xml, 'features')
		tap.equal(c.reg('vg'), 8, 'vg of vectors of 64 bytes')
		zreg, preg, vg = (c.number(n) for n in ('z4', 'p4', 'vg'))
		tap.equal(c.ask('p%x' % zreg), (z(4, 64) + bytes(BYTES - 64)).hex(), 'z4')
		tap.equal(c.ask('p%x' % preg), (p(4, 8) + bytes(24)).hex(), 'p4')
		v0 = c.number('x0') + 36        # x0-x30, sp, pc, cpsr, SP_EL0, SP_EL1
		for packet in 'p%x' % v0, 'P%x=%s' % (v0, '00' * 16), 'P%x=%s' % (zreg, '00' * 16), 'P%x=%s' % (
				preg, '00' * BYTES), 'P%x=0400000000000000' % vg:
			tap.check(c.ask(packet).startswith('E'), packet)
		tap.equal(c.ask('p%x' % zreg), (z(4, 64) + bytes(BYTES - 64)).hex(), 'z4 after what was refused')
		new = bytes(range(64)) + bytes(BYTES - 64)
		tap.equal(c.ask('P%x=%s' % (zreg, new.hex())), 'OK', 'P of z4')
		tap.equal(c.ask('p%x' % zreg), new.hex(), 'z4')
		tap.equal(c.ask('G' + c.ask('g')), 'OK', 'G')
		ends_raw(m, c, serial='bytes=0x40\nwrong.z=0x40\nwrong.p=0x0\n')


# the same as without SVE, with gdb's v registers made of z; CPUs that PSCI starts; exceptions under VHE
scenarios.register(get_host, [scenarios.NAMED[n] for n in (
	'arm64_system_registers', 'arm64_vector_registers', 'arm64_second_cpu', 'arm64_own_exceptions',
	'arm64_user_mode')], 'arm64')
tap.main()
