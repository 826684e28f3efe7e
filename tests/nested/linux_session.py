"""Debian's kernel in minivmm in the outer machine, gdb outside: what the tests of every ISA's Linux have in common.

	class Arm64(Linux): ...                 # what differs
	linux = Arm64('arm64')
	guest = linux.boot('/vmlinuz')          # starts it, waiting for gdb
	with linux.debugger() as gdb:
		linux.start_kernel_is_reached(gdb)
"""

import contextlib
import os
import random
import re
import tempfile
import time

import nest as nests
import tap
import vm
from gdbclient import Gdb
from isa import ISAS
from scene_monitor import mapped, mappings
from vmlinux import has_symbols, with_symbols

HERE = os.path.dirname(os.path.abspath(__file__))
CPUS = 2
BOOT = 180              # seconds; under a tenth is usual for most of what follows
BLOB = random.Random(2026).randbytes(300000)
# dmesg lines that would be about us
TROUBLE = re.compile(r'(?i)error|warn|bug|fail|fatal|stall|lockup|unexpected|invalid|unhandled|unstable|'
		     r'bad |spurious|call trace')


class Linux:
	"""A nested machine and its kernel. For each ISA:"""

	modules = ()            # that the guest loads
	expected = None         # a pattern: lines like TROUBLE that are not about us
	entry_frame = None      # the end of start_kernel's backtrace
	not_started = None      # in the thread list, of a CPU that nobody has started
	isolation = ''          # for the kernel's command line: page tables of programs leave the kernel out
	second_cpu = None       # the function with which a second CPU begins
	syscall_prefix = None   # of a system call's function
	idle_frames = set()     # one of them ends a whole backtrace
	steps = 400             # through system calls under a running timer
	nexts = 40
	pieces = 6              # of 33 KB that come over the serial line
	outputs = None          # {port: path outside} of files that leave the outer machine

	def __init__(self, arch):
		self.isa = ISAS[arch]
		self.needs = self.isa.needs(self.isa.cc, debug=True)
		self.nest = tap.fixture(self._nest)
		self.facts = tap.fixture(lambda: vm.probe(self.nest().outer.check('minivmm --probe-host')))

	def _nest(self):
		folder = os.path.join(vm.build(self.isa.name), 'tests', 'nested')
		program = nests.build_user_program(folder, os.path.join(HERE, 'inside.c'), self.isa)
		with tempfile.TemporaryDirectory() as temp:
			blob = os.path.join(temp, 'blob')
			with open(blob, 'wb') as f:
				f.write(BLOB)
			n = nests.Nest(self.isa, guest_modules=self.modules, vmlinux=self._vmlinux(temp),
				       guest_files=[('/bin/inside', program), ('/blob', blob)], outputs=self.outputs)
		tap.cleanup(n.close)
		tap.diag('the outer machine was up after %.1f s' % n.outer.boot_seconds)
		return n

	def _vmlinux(self, folder):
		"""One with symbols, which the ELF file out of a bzImage lacks."""
		with open(self.isa.kernel.vmlinux, 'rb') as f:
			data = f.read()
		if not has_symbols(data):
			data = with_symbols(data, self.isa.kernel.symbols)
		path = os.path.join(folder, 'vmlinux')
		with open(path, 'wb') as f:
			f.write(data)
		return path

	def boot(self, what, options='', cmdline='quiet'):
		outer = self.nest().outer
		return self.nest().guest('--kernel %s --initrd /inner --cpus %d --mem 512M --cmdline "%s" %s --gdb chardev:%s'
					 % (what, CPUS, cmdline, options, outer.inside('gdb0')))

	def user_space(self, guest, what):
		"""Waits for it and says how long it took."""
		tap.equal(guest.user_space(BOOT), CPUS, 'CPUs')
		tap.diag('%s: user space %.1f s after the start of minivmm' % (what, time.monotonic() - guest.started))

	def symbol(self, name):
		"""An address, for checks; gdb has its own."""
		return self.isa.kernel.symbols[name]

	@contextlib.contextmanager
	def debugger(self, extended=False):
		"""A gdb with the kernel's symbols, attached. Not detached at the end: that is the test's."""
		with Gdb(self.isa.kernel.debug, patience=2, program=self.isa.gdb) as gdb:
			gdb.connect(self.nest().outer.outside('gdb0'), extended=extended)
			yield gdb

	def at(self, function):
		"""What to give to break for a function."""
		return function

	def syscall(self, name):
		return self.syscall_prefix + name

	def break_syscall(self, gdb, name, command='break'):
		gdb.cmd('%s %s' % (command, self.at(self.syscall(name))))

	def entered(self, stop, name):
		"""The stop is at a system call's beginning: an inlined function has the line."""
		tap.equal(stop.reason, 'breakpoint-hit', 'stop')
		tap.check(stop.func in ('__do_sys_' + name, self.syscall(name)), 'stop in %s' % stop.func)

	def in_user_mode(self, gdb):
		raise NotImplementedError

	def is_user(self, pc):
		raise NotImplementedError

	def in_interrupt(self, stop):
		"""Is that on the way into, in or out of an interrupt?"""
		raise NotImplementedError

	def leave_with(self, gdb, value):
		"""By hand what a return of a function is, at its first instruction."""
		raise NotImplementedError

	def complaints(self, text):
		return [line for line in text.splitlines()
			if TROUBLE.search(line) and not self.expected.search(line)]

	def start_kernel_is_reached(self, gdb):
		"""From the first instruction to a breakpoint at start_kernel, and around there."""
		gdb.cmd('break ' + self.at('start_kernel'))
		begin = time.monotonic()
		stop = hit(gdb, 'start_kernel')
		tap.diag('start_kernel after %.2f s' % (time.monotonic() - begin))
		tap.equal(stop.thread, 1, 'thread')
		tap.equal(gdb.frames()[:2], ['start_kernel', self.entry_frame], 'backtrace')
		threads = gdb.threads()
		tap.equal([t['name'] for t in threads], ['CPU 0', 'CPU 1'], 'names of the threads')
		tap.contains(threads[1]['details'], self.not_started, 'state of the second CPU')
		gdb.cmd('delete')
		lines = [stop.line]
		for _ in range(4):
			stop = gdb.run('next')
			tap.equal((stop.reason, stop.func, stop.thread), ('end-stepping-range', 'start_kernel', 1), 'next')
			lines.append(stop.line)
		# a compiler mixes the lines a little
		tap.check(max(lines) > lines[0], 'next came to lines %s' % lines)

	def reboot_and_run_again(self, guest, gdb):
		"""Extended mode, the guest in user space and running: it reboots; gdb runs another one, twice."""
		guest.type('reboot -f\n')
		tap.equal(gdb.wait_stop().reason, 'exited-normally', 'what gdb hears of a reboot')
		gdb.cmd('break ' + self.at('start_kernel'))
		begin = time.monotonic()
		hit(gdb, 'start_kernel', 'run')
		tap.diag('run: start_kernel again after %.2f s' % (time.monotonic() - begin))
		gdb.cmd('delete')
		gdb.resume('continue')
		self.user_space(guest, 'after run')
		tap.check(float(guest.check('cat /proc/uptime').split()[0]) < BOOT, 'time since its start')
		interrupted(gdb)
		begin = time.monotonic()
		gdb.run('starti')
		tap.diag('starti: %.2f s' % (time.monotonic() - begin))
		tap.contains(gdb.threads()[1]['details'], self.not_started, 'state of the second CPU')
		gdb.cmd('kill')
		gdb.cmd('disconnect')

	def second_cpu_is_reached(self, gdb, function):
		"""From start_kernel on: a stop on the second CPU's way up; both become idle, one of them perhaps before."""
		gdb.cmd('hbreak ' + self.at(function))
		gdb.cmd('break ' + self.at('cpu_startup_entry'))
		seen = []
		for _ in range(1 + CPUS):
			stop = gdb.run('continue')
			tap.equal(stop.reason, 'breakpoint-hit', 'stop')
			seen.append((stop.func, stop.thread))
			if stop.func == function:
				tap.equal(gdb.frames()[0], function, 'backtrace')
				for _ in range(3):
					stop = gdb.run('next')
					tap.equal((stop.reason, stop.func, stop.thread), ('end-stepping-range', function, 2), 'next')
		tap.equal(sorted(seen), sorted([(function, 2), ('cpu_startup_entry', 1), ('cpu_startup_entry', 2)]), 'stops')
		gdb.cmd('delete')

	def catch(self, gdb, thread, condition, where):
		"""Lets the machine run until that thread is found so in a stop."""
		for _ in range(50):
			gdb.cmd('thread %d' % thread)
			if condition():
				return
			gdb.resume('continue')
			time.sleep(0.02)
			interrupted(gdb)
		tap.fail('CPU %d was never seen %s' % (thread - 1, where))

	def catch_in_user_mode(self, gdb, thread):
		self.catch(gdb, thread, lambda: self.in_user_mode(gdb), 'in user mode')

	def spinning(self, guest, cpu):
		"""A program that never leaves user mode; addresses of its text and of its counter."""
		guest.type('inside spin %d &\n' % cpu)
		match = guest.expect(rb'text=0x(\w+) turns=0x(\w+)\s', BOOT)
		return int(match.group(1), 16), int(match.group(2), 16)

	@staticmethod
	def mappings_are_seen(gdb, text):
		"""A program's and a kernel's at once, each page of them in its place."""
		began = time.monotonic()
		ranges = mappings(gdb.cmd('monitor info mem'))
		tap.diag('info mem: %d lines in %.2f s' % (len(ranges), time.monotonic() - began))
		tap.equal([r[2][:3] for r in mapped(ranges, text)], ['urw'], "the program's page")
		tap.check(ranges[-1][0] >> 63, "the kernel's are there")
		for start, end, _ in random.Random(1).sample(ranges, min(len(ranges), 10)):
			tap.contains(gdb.cmd('monitor gva2gpa %#x' % start), 'gpa: ', 'the first page of a range')
			tap.contains(gdb.cmd('monitor gva2gpa %#x' % (end - 1)), 'gpa: ', 'the last one')

	def user_memory_is_seen(self, gdb, text, turns):
		"""In user mode of a program that spins: reads, steps, writes."""
		tap.contains(gdb.cmd('x/s %#x' % text), 'the words that a debugger finds', 'user memory')
		tap.contains(gdb.cmd('monitor gva2gpa %#x' % text), 'user, writable', 'its page')
		self.mappings_are_seen(gdb, text)
		tap.contains(gdb.cmd('p linux_banner'), 'Linux version 6', 'kernel data')
		tap.contains(gdb.cmd('disassemble schedule,+16'), 'schedule', 'kernel text')
		for bad in ('0x10', '0x8000000000000000', '0xffffc8ffff000000'):
			tap.contains(gdb.error('x/x ' + bad), 'Cannot access memory', bad)
		before = gdb.int('*(unsigned long *)%#x' % turns)
		seen = {gdb.run('stepi').pc for _ in range(40)}
		after = gdb.int('*(unsigned long *)%#x' % turns)
		tap.check(len(seen) < 12, '40 steps in a tight loop: %s' % sorted(map(hex, seen)))
		tap.check(0 < after - before <= 20, '40 steps made %d turns' % (after - before))
		gdb.cmd('set var *(char *)%#x = 84' % text)
		tap.contains(gdb.cmd('x/s %#x' % text), 'The words', 'user memory after a write')
		gdb.cmd('hbreak *$pc')
		stop = gdb.run('continue')
		tap.equal((stop.reason, stop.thread), ('breakpoint-hit', 2), 'hardware breakpoint in user mode')
		gdb.cmd('delete')


def hit(gdb, func, line='continue', timeout=None):
	stop = gdb.run(line, timeout)
	tap.equal((stop.reason, stop.func), ('breakpoint-hit', func), 'stop')
	return stop


def interrupted(gdb):
	gdb.interrupt()
	stop = gdb.wait_stop()
	tap.equal((stop.reason, stop.signal), ('signal-received', 'SIGINT'), 'stop')
	return stop


def alive(guest):
	tap.equal(guest.check('echo alive'), 'alive\n', 'the guest after that')
