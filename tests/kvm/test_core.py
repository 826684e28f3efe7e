#!/usr/bin/env python3
"""--dump: the core of a run that has failed, opened by gdb and by an independent parser."""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from corefile import MACHINES, NT_FPREGSET, NT_PRSTATUS, PHYSICAL, CoreFile        # noqa: E402
from elfsyms import symbols     # noqa: E402
from gdbclient import Gdb       # noqa: E402
from vm import ARCH, X86, Vm, guest_path, listening, wait_for            # noqa: E402

FAIL, TIMEOUT, HOST = 20, 124, 6
MIB = 1 << 20
GENERAL = {
	'x86_64': ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp', *('r%d' % i for i in range(8, 16)), 'rip',
		   'eflags', 'cs', 'ss', 'ds', 'es', 'fs', 'gs', 'fs_base', 'gs_base'],
	'arm64': [*('x%d' % i for i in range(31)), 'sp', 'pc', 'cpsr'],
}[ARCH]
FLOAT = {
	'x86_64': ['st0', 'st7', 'fctrl', 'fstat', 'ftag', 'mxcsr', 'xmm0.uint128', 'xmm15.uint128'],
	'arm64': ['v0.q.u', 'v31.q.u', 'fpsr', 'fpcr'],
}[ARCH]


@contextlib.contextmanager
def folder():
	with tempfile.TemporaryDirectory(prefix='core-') as path:
		yield path


def demo(*args, **options):
	return Vm(['--kernel', guest_path('demo'), *args], **options)


def lab(scene, *args, **options):
	return Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=' + scene, *args], **options)


def dumped(p, status, path):
	"""The run ends so, and leaves a dump: nobody but its owner may read it."""
	tap.equal(p.wait(), status, 'exit status; errors: ' + p.errors())
	tap.equal(os.stat(path).st_mode & 0o777, 0o600, 'mode')
	return CoreFile(path)


# ---- by gdb ----

def seen(gdb, cpus, memory, path):
	"""What is compared of a machine that stands and its dump."""
	view = {}
	for thread in range(1, cpus + 1):
		gdb.cmd('thread %d' % thread)
		for name in GENERAL + FLOAT:
			view['%s of CPU %d' % (name, thread - 1)] = gdb.cmd('output/x $' + name)
		view['backtrace of CPU %d' % (thread - 1)] = gdb.cmd('bt 5')
	gdb.cmd('dump binary memory %s %#x %#x' % (path, *memory))
	with open(path, 'rb') as f:
		view['memory'] = f.read()
	return view


def same_as_live(place, cpus):
	with folder() as temp:
		core, remote = os.path.join(temp, 'core'), os.path.join(temp, 'gdb')
		names = symbols(guest_path('demo'))
		memory = min(names['_start'], names['counter']) & ~4095, names['counter'] + 4096
		with demo('--cpus', str(cpus), '--break', place + '=fail', '--dump', core, '--stop-on-fail', '--gdb', remote) as p:
			wait_for(lambda: 'has failed' in p.errors() or not p.alive(), p.describe)
			wait_for(lambda: listening(remote), p.describe)
			with Gdb(guest_path('demo')) as live:
				live.connect(remote)
				wanted = seen(live, cpus, memory, os.path.join(temp, 'live'))
				live.cmd('kill')
			with dumped(p, FAIL, core):
				pass
		with Gdb(guest_path('demo')) as dead:
			dead.cmd('core-file ' + core)
			tap.equal(len(dead.threads()), cpus, 'threads')
			got = seen(dead, cpus, memory, os.path.join(temp, 'dead'))
			tap.equal(sorted(got), sorted(wanted), 'what is seen')
			for what, value in wanted.items():
				tap.check(got[what] == value, '%s: %.300r in the dump, %.300r live' % (what, got[what], value))
			tap.contains(dead.cmd('info threads'), place, 'where the CPU is')
			word = int.from_bytes(wanted['memory'][:4], 'little')
			physical = PHYSICAL + memory[0]
			tap.equal(int(dead.cmd('output/x *(unsigned int *)%#x' % physical), 16), word, 'physical memory')
			tap.contains(dead.error('x/x 0x123456789000'), 'Cannot access', 'an address that nobody maps')


@tap.test('gdb finds in a dump what it finds in the machine: every register, memory, backtraces', ['gdb'], timeout=120)
def _():
	same_as_live('tick', 3)


@tap.test('the same with CPUs that have not started', ['gdb'], timeout=120)
def _():
	same_as_live('main', 3)


# ---- by everybody else ----

@tap.test('a dump is well-formed and takes no more room than the guest has touched', timeout=60)
def _():
	with folder() as temp:
		path = os.path.join(temp, 'core')
		with demo('--cpus', '2', '--mem', '2G', '--break', 'tick=fail', '--dump', path) as p, dumped(p, FAIL, path) as core:
			tap.equal(core.machine, MACHINES[ARCH], 'machine')
			tap.check(core.size > 2048 * MIB, 'length: %d' % core.size)
			tap.check(core.on_disk < 2 * MIB, 'on the disk: %d' % core.on_disk)
			tap.equal(len(core.note('CORE', NT_PRSTATUS)), 2, 'registers of CPUs')
			tap.equal(len(core.note('CORE', NT_FPREGSET)), 2, 'floating-point registers of CPUs')
			tap.equal(len(core.note('QEMU', 0)), 2 if X86[0] else 0, "QEMU's notes")
			tap.equal(len(core.note('VMCOREINFO', 0)), 0, 'VMCOREINFO, which this guest has not got')
			physical = [load for load in core.loads if load.va >> 52]
			tap.equal(sum(load.size for load in physical), 2048 * MIB, 'physical memory')
			tap.check(all(load.va == PHYSICAL + load.pa for load in physical), 'where debuggers find it')
			others = core.loads[len(physical):]
			tap.check(all(a.va + a.size <= b.va for a, b in zip(others, others[1:])), 'virtual addresses ascend')
			text = symbols(guest_path('demo'))['tick']
			tap.equal(core.virtual(text, 16), core.physical(text, 16), 'code, by both kinds of address')


@tap.test("readelf has no complaints", ['readelf'], timeout=60)
def _():
	with folder() as temp:
		path = os.path.join(temp, 'core')
		with demo('--break', 'tick=fail', '--dump', path) as p, dumped(p, FAIL, path):
			out = subprocess.run(['readelf', '-hlnW', path], capture_output=True, text=True, check=False)
			tap.equal((out.returncode, out.stderr), (0, ''), 'readelf')
			tap.contains(out.stdout, 'CORE (Core file)')
			tap.contains(out.stdout, 'NT_PRSTATUS')


@tap.test('before paging: addresses are physical', timeout=60)
def _():
	with folder() as temp:
		path = os.path.join(temp, 'core')
		with demo('--boot', 'elf', '--break', '_start=fail', '--dump', path) as p, dumped(p, FAIL, path) as core:
			start = symbols(guest_path('demo'))['_start']
			tap.equal(core.virtual(start, 16), core.physical(start, 16), 'code')
		if not X86[0]:
			return
		with Vm(['--kernel', guest_path('pvh64'), '--break', 'info_string=fail', '--dump', path]) as p, \
				dumped(p, FAIL, path) as core:
			tap.check(all(load.va in (load.pa, load.pa + PHYSICAL) for load in core.loads), 'segments: %s' % core.loads)
			tap.equal(len(core.loads), 2, 'segments: %s' % core.loads)


@tap.test('every kind of failure leaves a dump', timeout=60)
def _():
	with folder() as temp:
		for scene, status, args in (('panic', 8, []), ('cpus,1', 28, ['--expect', 'never']),
					    ('spin', TIMEOUT, ['--timeout', '1s']), *[('triple', 10, [])] * X86[0]):
			path = os.path.join(temp, scene)
			with lab(scene, '--dump', path, *args) as p, dumped(p, status, path) as core:
				tap.equal(len(core.note('CORE', NT_PRSTATUS)), 1, 'registers, ' + scene)


# ---- the file ----

@tap.test('a run that passes leaves no file, nor an older dump', timeout=60)
def _():
	with folder() as temp:
		path = os.path.join(temp, 'core')
		for args, status in ((['--break', 'tick=fail'], FAIL), (['--break', 'tick=fail'], FAIL), (['--break', 'tick'], 0)):
			with demo('--dump', path, *args) as p:
				tap.equal(p.wait(), status, 'exit status; errors: ' + p.errors())
			tap.equal(os.path.exists(path), status == FAIL, 'a file after status %d' % status)


@tap.test('paths that cannot be used are said before the guest starts', timeout=60)
def _():
	with folder() as temp:
		precious = os.path.join(temp, 'vmlinux')
		with open(precious, 'w') as f:
			f.write('precious')
		pipe = os.path.join(temp, 'pipe')
		os.mkfifo(pipe)
		for path, reason in ((temp, 'is a directory'), (temp + '/none/core', 'No such file or directory'),
				     (precious, 'no core dump'), ('/dev/null', 'not a regular file'),
				     (pipe, 'not a regular file')):
			with demo('--break', 'tick=fail', '--dump', path) as p:
				tap.equal(p.wait(), HOST, 'exit status with ' + path)
				tap.equal(p.output(), '', 'what the guest has said')
				tap.contains(p.errors(), '--dump %s: ' % path)
				tap.contains(p.errors(), reason)
		with open(precious) as f:
			tap.equal(f.read(), 'precious', 'the file that was there')


@tap.test('no room for it: one line, the verdict stands, no file is left', timeout=60)
def _():
	def limit():
		resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))

	with folder() as temp:
		path = os.path.join(temp, 'core')
		with demo('--serial', 'null', '--break', 'tick=fail', '--dump', path, preexec=limit) as p:
			tap.equal(p.wait(), FAIL, 'exit status')
			lines = [line for line in p.errors().splitlines() if '--dump' in line]
			tap.equal(len(lines), 1, 'lines about it in: ' + p.errors())
			tap.contains(lines[0], '%s: File too large' % path)
		tap.check(not os.path.exists(path), 'a file is left')


tap.main()
