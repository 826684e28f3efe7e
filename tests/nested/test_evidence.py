#!/usr/bin/env python3
"""What a failed run shows of a real Linux, compared with what gdb finds by the kernel's debugging information.

The kernels have no symbols but kallsyms; on x86_64 they have ORC tables, on arm64 frame pointers.
"""

import os
import re
import sys
import time

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import nest                             # noqa: E402
import tap                              # noqa: E402
from gdbclient import Gdb, GdbError     # noqa: E402
from isa import ISAS                    # noqa: E402

BOOT = 180              # seconds
FAILED = 20
KILLED = 14
FRAME = re.compile(r'(?m)^#(\d+) +0x([0-9a-f]{16})( \?)?(?: (\S+)\+0x[0-9a-f]+(?:/0x[0-9a-f]+)?)?( \(.*\))?$')


class X86:
	isa = ISAS['x86_64']
	kernel = '/vmlinux'
	way = 'ORC'
	registers = 'rax', 'rip', 'eflags', 'cr3', 'gs_base', 'efer'

	@staticmethod
	def jumps(gdb, at):
		"""Is a jump before that address? gdb makes frames of tail calls, which no stack has."""
		return gdb.int('*(unsigned char *)%#x' % (at - 5)) == 0xe9 or gdb.int('*(unsigned char *)%#x' % (at - 2)) == 0xeb


class Arm64:
	isa = ISAS['arm64']
	kernel = '/vmlinuz'
	way = 'frame pointers'
	registers = 'x0', 'x30', 'pc', 'cpsr', 'TTBR1_EL1', 'ESR_EL1'

	@staticmethod
	def jumps(gdb, at):
		return gdb.int('*(unsigned int *)%#x' % (at - 4)) >> 26 == 5


def machine(arch):
	n = nest.Nest(arch.isa)
	tap.cleanup(n.close)
	return n


def by_cpu(text):
	"""{CPU: its lines}."""
	return {int(number): block for number, block in re.findall(r'(?ms)^CPU (\d+): (.*?)(?=^CPU |\Z)', text)}


def of_gdb(arch, gdb):
	"""Return addresses in the kernel, as far as gdb comes."""
	found = []
	for frame in gdb.mi('-stack-list-frames 0 40')[1]['stack']:
		at = int(frame['addr'], 16)
		if not at >> 63:
			break           # behind the kernel's first frame gdb takes anything for one
		try:
			# functions that are inlined share an address
			if not found or (at != found[-1] and not arch.jumps(gdb, at)):
				found.append(at)
		except GdbError:
			break
	return found


def failed_at(arch, n, function):
	"""A guest that has come to the first call of it, and waits for gdb."""
	guest = n.guest('--kernel %s --initrd /inner --cpus 2 --mem 512M --cmdline quiet --break %s=fail --stop-on-fail '
			'--gdb chardev:%s' % (arch.kernel, function, n.outer.inside('gdb0')))
	end = time.monotonic() + BOOT
	while 'waiting for gdb' not in guest.process.output():
		tap.check(time.monotonic() < end, 'it was never reached: %s' % guest.process.output())
		time.sleep(0.2)
	return guest


def compared(arch, n, function, wanted):
	"""wanted: what the culprit's backtrace has to match."""
	guest = failed_at(arch, n, function)
	with Gdb(arch.isa.kernel.debug, patience=2, program=arch.isa.gdb) as gdb:
		gdb.connect(n.outer.outside('gdb0'))
		threads = {}
		for thread in gdb.threads():
			number = int(thread['id'])
			gdb.cmd('thread %d' % number)
			threads[number - 1] = of_gdb(arch, gdb), {name: gdb.reg(name) for name in arch.registers}
		gdb.cmd('kill')
	tap.check(guest.wait(BOOT) in (FAILED, KILLED), 'exit status')
	text = guest.process.output()
	shown = by_cpu(text)
	tap.equal(sorted(shown), [0, 1], 'CPUs in: %s' % text)
	culprit = shown[int(re.search(r'(?m)^CPU (\d+)', text).group(1))]
	tap.contains(culprit.split('\n')[0], ' %s+0x0' % function, 'the culprit comes first')
	for cpu, block in shown.items():
		addresses, registers = threads[cpu]
		for name, value in registers.items():
			match = re.search(r'(?m) %s +([0-9a-f]+)\b' % name, block)
			if match:       # not where a CPU has not started
				tap.equal(int(match.group(1), 16), value % (1 << 64), 'CPU %d: %s' % (cpu, name))
		frames = [m for m in FRAME.finditer(block) if m.group(5) != ' (user mode)']
		if frames:
			tap.contains(block, 'backtrace (%s)\n' % arch.way, 'CPU %d: how it was made' % cpu)
			tap.equal([hex(int(m.group(2), 16)) for m in frames[:len(addresses)]], [hex(a) for a in addresses],
				  'CPU %d: the backtrace of %s' % (cpu, block))
			tap.check(all(m.group(4) for m in frames), 'CPU %d: each has a name: %s' % (cpu, block))
	tap.check(re.search(wanted, culprit), 'the end of the backtrace: %s' % culprit)
	guest.close()


def register(arch):
	needs = arch.isa.needs(debug=True)
	n = tap.fixture(lambda: machine(arch))
	for name, function, wanted in (
			('a thread of the kernel', 'run_init_process', r'kernel_init\S*\n#\d+ +\S+ ret_from_fork\S*\s*$'),
			('an interrupt, and what it interrupted', 'update_process_times', r' \((interrupted|user mode)\)\n'),
			('a system call', 'ksys_write', r'\n#\d+ +0x0000\S+ \(user mode\)\s*$')):
		tap.test('%s: %s' % (arch.isa.name, name), needs, 2 * BOOT)(
			lambda function=function, wanted=wanted: compared(arch, n(), function, wanted))


register(X86)
register(Arm64)
tap.main()
