#!/usr/bin/env python3
"""Debian's kernel in minivmm under real KVM (kvm-amd, nested), gdb outside.

Three boots to user space, one for each way of booting: vmlinux by PVH runs at
once and is attached to later; vmlinux by the Linux entry and the bzImage wait
for gdb. The tests of a boot go on with what the one before has left.
"""

import base64
import contextlib
import hashlib
import os
import random
import re
import sys
import tempfile
import time

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import nest as nests                    # noqa: E402
import tap                              # noqa: E402
from gdbclient import Gdb, GdbError     # noqa: E402
from outer import MACHINES              # noqa: E402
from vmlinux import Kernel              # noqa: E402

BUILD = os.environ['BUILD']
CACHE = os.path.join(BUILD, 'tests', 'cache', 'linux-amd64')
MINIVMM = os.environ.get('MINIVMM_STATIC', os.path.join(BUILD, 'minivmm-static'))
NEEDS = [MACHINES['x86_64']['emulator'], CACHE + '/vmlinux.debug', '/bin/busybox', MINIVMM, 'gdb', 'cc']
CPUS = 2
BOOT = 180              # seconds; under a tenth is usual for most of what follows
BLOB = random.Random(2026).randbytes(300000)
# dmesg lines that would be about us; these are not: there is no PCI here
TROUBLE = re.compile(r'(?i)error|warn|bug|fail|fatal|stall|lockup|unexpected|invalid|unhandled|unstable|'
		     r'bad |spurious|call trace')
EXPECTED = re.compile(r'PCI: Fatal: No config space access function found|'
		      r'tsc: Marking TSC unstable due to TSCs unsynchronized|'        # the outer machine's CPUs
		      r'DMI not present or invalid|Early table checksum verification disabled|'
		      r'AppArmor|Max phase no-delay|Speculative|RETBleed|Spectre|mitigat|'
		      r'nocrs|TLB invalidation|x2apic|ima: |evm: |Key type|integrity|/proc/kcore|self-tests|Debian')


@tap.fixture
def nest():
	folder = os.path.join(BUILD, 'tests', 'nested')
	program = nests.build_user_program(folder, os.path.join(HERE, 'inside.c'))
	temp = tempfile.mkdtemp()
	blob = os.path.join(temp, 'blob')
	with open(blob, 'wb') as f:
		f.write(BLOB)
	n = nests.Nest(Kernel(CACHE), MINIVMM, guest_modules=['pvpanic_mmio'],
		       guest_files=[('/bin/inside', program), ('/blob', blob)])
	tap.cleanup(n.close)
	tap.diag('the outer machine was up after %.1f s' % n.outer.boot_seconds)
	os.unlink(blob)
	os.rmdir(temp)
	return n


def boot(what, options='', cmdline='quiet'):
	return nest().guest('--kernel %s --initrd /inner --cpus %d --mem 512M --cmdline "%s" %s --gdb chardev:%s'
			    % (what, CPUS, cmdline, options, nest().outer.inside('gdb0')))


class Symbols:
	"""Addresses for checks; gdb has its own."""
	table = None

	@classmethod
	def get(cls, name):
		cls.table = cls.table or Kernel(CACHE).symbols
		return cls.table[name]


@contextlib.contextmanager
def debugger():
	"""A gdb with the kernel's symbols, attached. Not detached at the end: that is the test's."""
	with Gdb(os.path.join(CACHE, 'vmlinux.debug'), patience=2) as gdb:
		gdb.connect(nest().outer.outside('gdb0'))
		yield gdb


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


def complaints(text):
	return [line for line in text.splitlines() if TROUBLE.search(line) and not EXPECTED.search(line)]


def start_kernel_is_reached(gdb):
	"""From the first instruction to a breakpoint at start_kernel, and around there."""
	gdb.cmd('break start_kernel')
	begin = time.monotonic()
	stop = hit(gdb, 'start_kernel')
	tap.diag('start_kernel after %.2f s' % (time.monotonic() - begin))
	tap.equal(stop.thread, 1, 'thread')
	tap.equal(gdb.frames()[:2], ['start_kernel', 'secondary_startup_64'], 'backtrace')
	threads = gdb.threads()
	tap.equal([t['name'] for t in threads], ['CPU 0', 'CPU 1'], 'names of the threads')
	tap.contains(threads[1]['details'], 'waiting for INIT', 'state of the second CPU')
	gdb.cmd('delete')
	line = stop.line
	for _ in range(4):
		stop = gdb.run('next')
		tap.equal((stop.reason, stop.func, stop.thread), ('end-stepping-range', 'start_kernel', 1), 'next')
		tap.check(stop.line > line, 'next came to line %d from %d' % (stop.line, line))
		line = stop.line


# ---- PVH, waiting for gdb ----

@tap.test('PVH: break at start_kernel from the first instruction, backtrace, next, finish; kill', NEEDS, BOOT)
def _():
	guest = boot('/vmlinux')
	with debugger() as gdb:
		tap.contains(gdb.threads()[0]['details'], '32-bit', 'mode at the entry')
		start_kernel_is_reached(gdb)
		gdb.cmd('tbreak setup_arch')
		hit(gdb, 'setup_arch')
		tap.contains(gdb.cmd('bt'), 'cmdline_p', 'arguments in the backtrace')
		gdb.cmd('tbreak early_cpu_init')
		hit(gdb, 'early_cpu_init')
		stop = gdb.run('finish')
		tap.equal((stop.reason, stop.func), ('function-finished', 'setup_arch'), 'finish')
		tap.contains(gdb.cmd('p boot_command_line'), 'console=ttyS0 quiet', 'command line')
		tap.contains(gdb.cmd('p linux_banner'), 'Linux version 6', 'banner')
		gdb.cmd('kill')
	tap.equal(guest.wait(BOOT), 14, 'exit status')
	guest.close()


# ---- the Linux entry, waiting for gdb ----

@tap.fixture
def entered():
	guest = boot('/vmlinux', '--boot linux', 'quiet pti=on')
	tap.cleanup(guest.close)
	return guest


@tap.test('Linux entry: break at start_kernel, then on the second CPU; user space', NEEDS, BOOT)
def _():
	guest = entered()
	with debugger() as gdb:
		tap.contains(gdb.threads()[0]['details'], '64-bit', 'mode at the entry')
		start_kernel_is_reached(gdb)
		gdb.cmd('hbreak start_secondary')
		stop = hit(gdb, 'start_secondary')
		tap.equal(stop.thread, 2, 'thread')
		tap.equal(gdb.frames()[0], 'start_secondary', 'backtrace')
		gdb.cmd('delete')
		for _ in range(3):
			stop = gdb.run('next')
			tap.equal((stop.reason, stop.func, stop.thread), ('end-stepping-range', 'start_secondary', 2), 'next')
		gdb.cmd('break cpu_startup_entry')
		tap.equal(sorted([hit(gdb, 'cpu_startup_entry').thread for _ in range(CPUS)]), [1, 2],
			  'threads that become idle')
		gdb.cmd('delete')
		gdb.resume('continue')
		tap.equal(guest.user_space(BOOT), CPUS, 'CPUs')
		alive(guest)
		interrupted(gdb)
		gdb.cmd('detach')
	tap.equal(guest.check('cat /proc/cmdline'), 'console=ttyS0 quiet pti=on\n', 'command line')


def catch_in_user_mode(gdb, thread):
	for _ in range(50):
		gdb.cmd('thread %d' % thread)
		if gdb.reg('cs') & 3 == 3:
			return
		gdb.resume('continue')
		time.sleep(0.02)
		interrupted(gdb)
	tap.fail('CPU %d was never seen in user mode' % (thread - 1))


@tap.test('Linux entry: user mode under page-table isolation: memory, steps, kernel addresses', NEEDS, BOOT)
def _():
	guest = entered()
	tap.contains(guest.check('dmesg'), 'page tables isolation: enabled', 'dmesg')
	guest.type('inside spin 1 &\n')
	match = guest.expect(rb'text=0x(\w+) turns=0x(\w+)\s', BOOT)
	text, turns = int(match.group(1), 16), int(match.group(2), 16)
	with debugger() as gdb:
		catch_in_user_mode(gdb, 2)
		tap.contains(gdb.cmd('x/s %#x' % text), 'the words that a debugger finds', 'user memory')
		tap.contains(gdb.cmd('monitor gva2gpa %#x' % text), 'user, writable', 'its page')
		tap.contains(gdb.cmd('monitor gva2gpa %#x' % Symbols.get('start_kernel')), 'Unmapped', 'kernel text')
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
		# a breakpoint in the kernel, asked for by way of page tables that lack it
		gdb.cmd('break __x64_sys_getppid')
		gdb.resume('continue')
		guest.type('inside parent; echo do""ne\n')
		tap.equal(gdb.wait_stop().func, '__do_sys_getppid', 'breakpoint')
		gdb.cmd('detach')
	guest.expect('done', BOOT)
	guest.shell('kill %1')


@tap.test('Linux entry: a panic stops in gdb, then ends with status 8', NEEDS, BOOT)
def _():
	guest = entered()
	with debugger() as gdb:
		gdb.resume('continue')
		guest.type('echo c >/proc/sysrq-trigger\n')
		stop = gdb.wait_stop()
		tap.equal((stop.reason, stop.signal), ('signal-received', 'SIGABRT'), 'stop')
		tap.check('panic' in gdb.frames(), 'a backtrace with panic: %s' % gdb.frames())
		stop = gdb.run('continue')
		tap.equal((stop.reason, stop.status), ('exited', 8), 'end')
	tap.equal(guest.wait(BOOT), 8, 'exit status')
	tap.contains(guest.process.output(), 'panic', 'what minivmm says')
	guest.close()


# ---- the bzImage, waiting for gdb ----

@tap.test('bzImage: break at start_kernel before it is unpacked; user space; reboot seen by gdb', NEEDS, BOOT)
def _():
	guest = boot('/vmlinuz')
	with debugger() as gdb:
		start_kernel_is_reached(gdb)
		gdb.resume('continue')
		tap.equal(guest.user_space(BOOT), CPUS, 'CPUs')
		tap.equal(guest.check('cat /proc/cmdline'), 'console=ttyS0 nokaslr quiet\n', 'command line')
		guest.type('reboot -f\n')
		tap.equal(gdb.wait_stop().reason, 'exited-normally', 'what gdb hears of a reboot')
	tap.equal(guest.wait(BOOT), 0, 'exit status of a reboot')
	guest.close()


# ---- PVH, attached to later ----

@tap.fixture
def running():
	guest = boot('/vmlinux', '--gdb-attach', 'loglevel=4')
	tap.cleanup(guest.close)
	tap.equal(guest.user_space(BOOT), CPUS, 'CPUs')
	tap.diag('user space after %.1f s' % (time.monotonic() - guest.started))
	return guest


@tap.test('PVH: user space without a debugger: CPUs, clock, tables, no complaints', NEEDS, BOOT)
def _():
	guest = running()
	tap.equal(guest.check('nproc'), '2\n', 'nproc')
	info = guest.check('cat /proc/cpuinfo')
	for name, values in (('apicid', ['0', '1']), ('core id', ['0', '1']), ('physical id', ['0', '0']),
			     ('siblings', ['2', '2']), ('cpu cores', ['2', '2'])):
		tap.equal(re.findall(r'(?m)^%s\s*: (\d+)$' % name, info), values, name)
	tap.equal(guest.check('cat /sys/devices/system/clocksource/clocksource0/current_clocksource'),
		  'kvm-clock\n', 'clock source')
	tap.check(abs(int(guest.check('date +%s')) - time.time()) < 300, 'the clock is right')
	tap.equal(guest.check('cat /sys/class/rtc/rtc0/name'), 'rtc_cmos 00:01\n', 'RTC')
	tap.check(abs(int(guest.check('cat /sys/class/rtc/rtc0/since_epoch')) - time.time()) < 300, 'the RTC is right')
	log = guest.check('dmesg')
	tap.equal(complaints(log), [], 'complaints of the kernel')
	tap.contains(log, 'Hypervisor detected: KVM', 'dmesg')
	tap.contains(log, '1 ACPI AML tables successfully acquired', 'dmesg')
	total = int(re.search(r'MemTotal: +(\d+)', guest.check('cat /proc/meminfo')).group(1))
	tap.check(400000 < total < 512 * 1024, 'MemTotal is %d kB' % total)


def same_lines(got, wanted):
	for number, (line, expected) in enumerate(zip(got.split('\n'), wanted.split('\n'))):
		tap.equal(line, expected, 'line %d that came over the serial line' % number)
	tap.equal(len(got), len(wanted), 'bytes that came over the serial line')


@tap.test('serial: 200 KB out, 40 KB in, not a byte lost; the initrd is intact', NEEDS, BOOT)
def _():
	guest = running()
	tap.equal(guest.check('sha256sum </blob').split()[0], hashlib.sha256(BLOB).hexdigest(), 'file in the initrd')
	# In pieces: this line is never busy, so a slow emulator's CPU 0 sees nothing but its interrupts while it lasts,
	# and the guest's watchdog would complain, on this very line.
	for at in range(0, 150000, 25000):
		same_lines(guest.check('tail -c +%d /blob | head -c 25000 | base64' % (at + 1), BOOT),
			   base64.encodebytes(BLOB[at:at + 25000]).decode())
	lines = ''.join('%06d %s\n' % (i, 'x' * 40) for i in range(800))
	guest.type('head -c %d | (sleep 1; md5sum)\n' % len(lines))
	guest.type(lines)
	match = guest.expect(rb'([0-9a-f]{32}) ', BOOT)
	tap.equal(match.group(1).decode(), hashlib.md5(lines.encode()).hexdigest(), 'sum of what the guest got')


@tap.test('Ctrl-C while both CPUs are idle: backtraces, names, on again', NEEDS, BOOT)
def _():
	guest = running()
	with debugger() as gdb:
		gdb.resume('continue')
		for _ in range(5):
			alive(guest)
			interrupted(gdb)
			tap.equal([t['name'] for t in gdb.threads()], ['CPU 0', 'CPU 1'], 'threads')
			for thread in (1, 2):
				gdb.cmd('thread %d' % thread)
				frames = gdb.frames()
				tap.check({'secondary_startup_64', 'ret_from_fork', 'entry_SYSCALL_64'} & set(frames) or
					  gdb.reg('cs') & 3, 'a whole backtrace: %s' % frames)
			gdb.resume('continue')
		interrupted(gdb)
		gdb.cmd('detach')
	alive(guest)


@tap.test('attached again and again over one line; a gdb that dies leaves no breakpoints', NEEDS, BOOT)
def _():
	guest = running()
	for end in ('detach', 'disconnect', 'kill stopped', 'kill running', 'detach'):
		with debugger() as gdb:
			gdb.cmd('break __x64_sys_getppid')
			gdb.run('stepi')
			gdb.resume('continue')
			guest.type('inside parent; echo do""ne\n')
			tap.equal(gdb.wait_stop().func, '__do_sys_getppid', 'breakpoint')
			if end == 'kill running':
				gdb.resume('continue')
				guest.expect('done', BOOT)
				gdb.kill()
			elif end == 'kill stopped':
				gdb.kill()
			else:
				gdb.cmd(end)
		if end != 'kill running':
			guest.expect('done', BOOT)
		tap.contains(guest.check('inside parent'), 'parent=', 'a call with no debugger there')


@tap.test('hits on both CPUs are counted exactly, the function arguments can be looked at', NEEDS, BOOT)
def _():
	guest = running()
	rounds = 20
	with debugger() as gdb:
		gdb.cmd('break __x64_sys_getppid')
		gdb.resume('continue')
		guest.type('inside calls %d 0 & inside calls %d 1 & wait; echo all do""ne\n' % (rounds, rounds))
		seen = {1: 0, 2: 0}
		for _ in range(2 * (rounds + 1)):
			stop = gdb.wait_stop()
			tap.equal((stop.reason, stop.func), ('breakpoint-hit', '__do_sys_getppid'), 'stop')
			seen[stop.thread] += 1
			gdb.resume('continue')
		guest.expect('all done', BOOT)
		tap.equal(gdb.stops, [], 'stops after the last call')
		tap.check(min(seen.values()) >= rounds, 'hits by CPU: %s' % seen)
		interrupted(gdb)
		gdb.cmd('detach')
	alive(guest)


IRQ_NAMES = re.compile(r'^(asm_)?(sysvec_|common_interrupt|asm_exc_|exc_|__sysvec|irq_enter|handle_irq|__do_softirq)')


@tap.test('400 steps and 40 next through system calls under a running timer: never in an interrupt', NEEDS, BOOT)
def _():
	guest = running()
	guest.type('inside calls 1000000000 1 &\n')
	low, high = Symbols.get('__irqentry_text_start'), Symbols.get('__irqentry_text_end')
	with debugger() as gdb:
		gdb.cmd('break __x64_sys_getppid')
		stop = hit(gdb, '__do_sys_getppid')
		gdb.cmd('delete')
		tap.equal(stop.thread, 2, 'thread')
		ticks = gdb.int('jiffies')
		user = 0
		for i in range(400):
			stop = gdb.run('stepi')
			tap.equal((stop.reason, stop.thread), ('end-stepping-range', 2), 'step %d' % i)
			tap.check(not low <= stop.pc < high and not IRQ_NAMES.match(stop.func or ''),
				  'step %d came to %s at %#x' % (i, stop.func, stop.pc))
			user += stop.pc < 1 << 47
		tap.check(user, 'the steps came through user mode')
		gdb.cmd('tbreak __x64_sys_getppid')
		hit(gdb, '__do_sys_getppid')
		tap.check(gdb.int('jiffies') > ticks, 'time has passed in the guest')
		funcs = []
		for _ in range(40):
			stop = gdb.run('next')
			funcs.append(stop.func)
			tap.equal((stop.reason, stop.thread), ('end-stepping-range', 2), 'next from %s' % funcs[-2:])
			tap.check(not IRQ_NAMES.match(stop.func or ''), 'next came to %s' % stop.func)
			if stop.func == 'entry_SYSCALL_64':
				break
		gdb.cmd('detach')
	guest.shell('kill %1')
	alive(guest)


@tap.test('registers written: a function is left with another result', NEEDS, BOOT)
def _():
	guest = running()
	with debugger() as gdb:
		gdb.cmd('break __x64_sys_getppid')
		gdb.resume('continue')
		guest.type('inside parent\n')
		tap.equal(gdb.wait_stop().func, '__do_sys_getppid', 'breakpoint')
		gdb.cmd('delete')
		# by hand what a return is
		gdb.cmd('set $rax = 424242')
		gdb.cmd('set $rip = *(unsigned long *)$rsp')
		gdb.cmd('set $rsp = $rsp + 8')
		gdb.cmd('detach')
	guest.expect('parent=424242', BOOT)


@tap.test("INT3 of the guest's own, its user space's too, with a debugger's breakpoints about", NEEDS, BOOT)
def _():
	guest = running()
	tap.equal(guest.check('inside int3 100'), 'traps=100\n', 'without a debugger')
	with debugger() as gdb:
		gdb.cmd('break __x64_sys_getuid')
		gdb.cmd('break __x64_sys_getgid')
		gdb.resume('continue')
		tap.equal(guest.check('inside int3 100'), 'traps=100\n', 'with one')
		interrupted(gdb)
		gdb.cmd('detach')


@tap.test('a fifth hardware breakpoint is refused in words, four work', NEEDS, BOOT)
def _():
	guest = running()
	names = ('getppid', 'getresuid', 'getresgid', 'setreuid', 'sethostname')
	with debugger() as gdb:
		for name in names:
			gdb.cmd('hbreak __x64_sys_' + name)
		gdb.resume('continue')
		gdb.cmd('info breakpoints')             # by then it has been refused
		tap.contains('\n'.join(gdb.log[-40:]), 'Cannot insert hardware breakpoint 5', 'refusal')
		for i, name in enumerate(names):        # gdb has left four, and keeps the stub's words
			said = gdb.cmd('maint packet Z1,%x,1' % Symbols.get('__x64_sys_' + name))
			tap.contains(said, 'OK' if i < 4 else 'slots are in use', 'answer %d' % (i + 1))
		gdb.cmd('delete 5')
		gdb.resume('continue')
		guest.type('inside parent; echo do""ne\n')
		tap.equal(gdb.wait_stop().func, '__do_sys_getppid', 'breakpoint')
		gdb.cmd('detach')
	guest.expect('done', BOOT)


@tap.test('a long stop is no lockup, no stall and no clock trouble to the guest', NEEDS, BOOT)
def _():
	guest = running()
	guest.check('dmesg -c >/dev/null; echo 1 >/proc/sys/kernel/watchdog_thresh;'
		    'echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout')
	guest.type('inside spin 0 & inside calls 1000000000 1 &\n')
	guest.expect(rb'text=.*\n', BOOT)
	with debugger() as gdb:
		gdb.resume('continue')
		time.sleep(0.5)
		interrupted(gdb)
		time.sleep(8)           # soft lockup 2 s, RCU stall 3 s
		gdb.resume('continue')
		guest.check('sleep 3')
		interrupted(gdb)
		gdb.cmd('detach')
	guest.shell('kill %1 %2; echo 10 >/proc/sys/kernel/watchdog_thresh')
	tap.equal(complaints(guest.check('dmesg')), [], 'complaints of the kernel')


@tap.test('power off ends minivmm with status 0', NEEDS, BOOT)
def _():
	guest = running()
	begin = time.monotonic()
	guest.type('poweroff -f\n')
	tap.equal(guest.wait(BOOT), 0, 'exit status')
	tap.diag('%.1f s from the command to the end' % (time.monotonic() - begin))
	tap.equal(guest.process.output(), '', 'what minivmm says')


tap.main()
