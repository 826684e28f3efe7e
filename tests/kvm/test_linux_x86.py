#!/usr/bin/env python3
"""A kernel nobody here built: Debian's cloud kernel, its early boot in gdb on this host's KVM."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from gdbclient import Gdb       # noqa: E402
from vm import Host     # noqa: E402

CACHE = os.path.join(os.environ['BUILD'], 'tests', 'cache', 'linux-amd64')
VMLINUX, DEBUG, MAP, BZIMAGE = (os.path.join(CACHE, n) for n in ('vmlinux', 'vmlinux.debug', 'System.map', 'vmlinuz'))
# what interpreting hosts lack
FEATURES = ('--cpu-features', '-cx16')
# some kernels say hello only then; early boot is slow where it is interpreted
BOOT = 240


@tap.fixture
def host():
	h = Host()
	tap.cleanup(h.close)
	return h


@tap.fixture
def system_map():
	with open(MAP) as f:
		return {name: int(addr, 16) for addr, _, name in (line.split() for line in f)}


def start(**options):
	return host().start(cmdline='earlyprintk=ttyS0 panic=-1', mem='512M', extra=FEATURES + options.pop('extra', ()),
			    **options)




@tap.test('break start_kernel with the debug symbols, backtrace, list, next, step, finish', ['gdb', VMLINUX, DEBUG],
	  timeout=300)
def _():
	m = start(kernel=VMLINUX)
	with Gdb(DEBUG, patience=3) as g:
		g.connect(m.remote)
		g.cmd('break start_kernel')
		stop = g.run('continue', BOOT)
		tap.equal((stop.reason, stop.func), ('breakpoint-hit', 'start_kernel'), 'stop')
		frames = g.frames()
		tap.equal(frames[0], 'start_kernel', 'backtrace')
		tap.check('secondary_startup_64' in str(frames[-2:]), 'backtrace ends in the assembler entry: %r' % frames)
		tap.equal(g.value('init_task.comm').split('\\000')[0].strip('"'), 'swapper', 'name of the first task')
		tap.check(g.reg('cr3') != 0 and g.reg('cr0') >> 31, 'paging is on')
		line = stop.line
		for _ in range(2):
			stop = g.run('next', BOOT)
			tap.equal(stop.func, 'start_kernel', 'function after next')
			tap.check(stop.line > line, 'next went on')
			line = stop.line
		g.cmd('tbreak setup_arch')
		stop = g.run('continue', BOOT)
		tap.equal((stop.func, g.frames()[:2]), ('setup_arch', ['setup_arch', 'start_kernel']), 'stop in a callee')
		tap.contains(g.value('linux_banner'), 'Linux version', 'the banner')
		stop = g.run('step', BOOT)
		tap.check(stop.func is not None, 'step stops in a known function')
		g.cmd('hbreak setup_per_cpu_areas')
		g.cmd('kill')
		tap.equal(m.wait(), 14, 'status')
	host().reap()


@tap.test('break at an address of System.map, without symbols; a hardware breakpoint', ['gdb', VMLINUX, MAP], timeout=300)
def _():
	symbols = system_map()
	m = start(kernel=VMLINUX)
	with Gdb(patience=3) as g:
		g.connect(m.remote)
		g.cmd('break *%#x' % symbols['x86_64_start_kernel'])
		g.cmd('hbreak *%#x' % symbols['start_kernel'])
		for name in 'x86_64_start_kernel', 'start_kernel':
			stop = g.run('continue', BOOT)
			tap.equal((stop.reason, hex(g.pc())), ('breakpoint-hit', hex(symbols[name])), 'stop at ' + name)
		tap.contains(g.cmd('x/s %#x' % symbols['linux_banner']), 'Linux version', 'the banner')
		# its first instruction calls the hook for tracers, which is not patched out yet
		pc = g.pc()
		g.run('stepi')
		tap.check(g.pc() in (pc + 5, symbols['__fentry__']), 'a step from %#x to %#x' % (pc, g.pc()))
		g.cmd('kill')
		tap.equal(m.wait(), 14, 'status')
	host().reap()


@tap.test('--boot linux: the 64-bit entry, broken into at startup', ['gdb', VMLINUX, MAP], timeout=300)
def _():
	symbols = system_map()
	m = start(kernel=VMLINUX, extra=('--boot', 'linux'))
	with Gdb(patience=3) as g:
		g.connect(m.remote)
		tap.equal(g.reg('cr0') >> 31, 1, 'paging at the entry')
		tap.equal(g.int('*(unsigned short *)($rsi + 0x1fe)'), 0xaa55, 'boot_params in RSI')
		g.cmd('break *%#x' % symbols['x86_64_start_kernel'])
		stop = g.run('continue', BOOT)
		tap.equal((stop.reason, hex(g.pc())), ('breakpoint-hit', hex(symbols['x86_64_start_kernel'])), 'stop')
		g.cmd('kill')
		tap.equal(m.wait(), 14, 'status')
	host().reap()


@tap.test('bzImage: a breakpoint at start_kernel is taken before anything is unpacked', ['gdb', BZIMAGE, MAP], timeout=300)
def _():
	symbols = system_map()
	m = start(kernel=BZIMAGE)
	with Gdb(patience=3) as g:
		g.connect(m.remote)
		tap.contains(g.error('x/4x %#x' % symbols['start_kernel']), 'Cannot access memory', 'nothing is mapped there')
		g.cmd('set breakpoint always-inserted on')
		g.cmd('break *%#x' % symbols['start_kernel'])
		# unpacking takes minutes where it is interpreted; the nested tests wait for it
		g.resume('continue')
		tap.check(g.quiet(1), 'it unpacks')
		g.interrupt()
		g.wait_stop()
		tap.contains(g.cmd('monitor info breakpoints'), '%#x' % symbols['start_kernel'], 'monitor info breakpoints')
		g.cmd('kill')
		tap.equal(m.wait(), 14, 'status')
	host().reap()


tap.main()
