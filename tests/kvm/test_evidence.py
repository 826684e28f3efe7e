#!/usr/bin/env python3
"""What a failed run shows of bare-metal guests: registers and backtraces of all CPUs on standard error."""

import os
import re
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from elfsyms import symbols     # noqa: E402
from vm import ARCH, X86, Vm, cache, guest_path        # noqa: E402

FAIL = 20
# Of an interrupt that came while a CPU was waiting. arm64's stub makes no frame record, so what it interrupted is not
# seen, only who had called that.
TICK = {
	'x86_64': ['tick', 'timer_interrupt', 'timer_entry', 'platform_wait', 'wait_for_tick'],
	'arm64': ['tick', 'timer_interrupt'],
}[ARCH]
PC = {'x86_64': 'rip', 'arm64': 'pc'}[ARCH]
VMLINUX = cache('linux-amd64', 'vmlinux')


def failed(*args):
	"""{CPU: its lines} of a run in which a --break WHERE=fail was reached, the culprit first."""
	with Vm(args) as p:
		tap.equal(p.wait(240), FAIL, 'exit status; errors: ' + p.errors())
		text = p.errors()
	return {int(number): block for number, block in
		re.findall(r'(?ms)^CPU (\d+): (.*?)(?=^CPU |^serial output|^minivmm|\Z)', text)}


def frames(block):
	"""Names of functions, as the backtrace has them; its way first."""
	tap.check(re.search(r'(?m)^  code  ( [0-9a-f]{2,8})+$', block), 'the code: %s' % block)
	return re.findall(r'(?m)^  backtrace \((.*)\)$', block) + re.findall(r'(?m)^#\d+ +0x[0-9a-f]{16} (\S+)\+0x', block)


@tap.test('a bare-metal guest: an interrupt, its frames and registers; both CPUs')
def _():
	cpus = failed('--kernel', guest_path('demo'), '--cpus', '2', '--serial', 'null', '--break', 'tick=fail')
	tap.equal(sorted(cpus), [0, 1], 'CPUs')
	culprit = next(iter(cpus.values()))
	at = re.search(r', pc 0x([0-9a-f]+) tick\+0x0/0x[0-9a-f]+\n', culprit)
	tap.check(at, 'what it stands at: %s' % culprit)
	tap.check(re.search(r' %s +0*%s\b' % (PC, at.group(1)), culprit), 'its pc as a register: %s' % culprit)
	tap.equal(frames(culprit)[:1 + len(TICK)], ['frame pointers', *TICK], 'backtrace of %s' % culprit)


@tap.test('a CPU that has not started is one line')
def _():
	cpus = failed('--kernel', guest_path('demo'), '--cpus', '3', '--serial', 'null', '--break', 'main=fail')
	tap.equal(next(iter(cpus)), 0, 'the culprit')
	tap.equal(frames(cpus[0])[1], 'main', 'backtrace of %s' % cpus[0])
	tap.equal([cpus[i].count('\n') for i in (1, 2)], [1, 1], 'lines about the others')


@tap.test('without symbols: addresses only')
def _():
	tick = symbols(guest_path('demo'))['tick']
	with tempfile.TemporaryDirectory(prefix='evidence-') as folder:
		path = os.path.join(folder, 'bare')
		with open(guest_path('demo'), 'rb') as f:
			data = bytearray(f.read())
		data[40:48] = bytes(8)          # e_shoff
		data[60:64] = bytes(4)          # e_shnum, e_shstrndx
		with open(path, 'wb') as f:
			f.write(data)
		cpus = failed('--kernel', path, '--cpus', '2', '--serial', 'null', '--break', '*%#x=fail' % tick)
	culprit = next(iter(cpus.values()))
	found = re.findall(r'(?m)^#\d+ +0x([0-9a-f]{16})(.*)$', culprit)
	tap.equal(int(found[0][0], 16), tick, 'the first frame')
	tap.check(len(found) > 3, 'there are more: %s' % culprit)
	tap.equal({rest for _, rest in found} - {' (interrupted)'}, {''}, 'what is behind the addresses')


@tap.test("Linux's first steps, by its ORC tables and kallsyms", [X86, VMLINUX])
def _():
	cpus = failed('--kernel', VMLINUX, '--mem', '512M', '--serial', 'null', '--break', 'memblock_add_range=fail')
	tap.equal(frames(cpus[0]), ['ORC', 'memblock_add_range', 'memblock_reserve', 'setup_arch', 'start_kernel',
				    'secondary_startup_64_no_verify'], 'backtrace of %s' % cpus[0])


tap.main()
