#!/usr/bin/env python3
"""Debian's arm64 kernel in minivmm under real KVM (arm64's own, in an emulated machine with EL2), gdb outside.

Four boots to user space: the Image waits for gdb and ends in a panic; vmlinux waits for gdb and ends in a reboot; the
Image runs at once, is attached to later and is powered off; another one ends by pvpanic. The tests of a boot go on with
what the one before has left.
"""

import os
import re
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import linux_common                     # noqa: E402
import linux_kaslr                      # noqa: E402
import linux_scripts                    # noqa: E402
import tap                              # noqa: E402
from linux_session import BOOT, Linux, alive, hit, interrupted          # noqa: E402

VECTORS = 0x800         # bytes of a table: Arm ARM D1.3.1.2
ENTRY = 0x80            # of each of its entries
ENTRIES_OF_KIND = 4     # synchronous, IRQ, FIQ, SError


class Arm64(Linux):
	expected = re.compile(r'AppArmor|Max phase no-delay|Spectre|mitigat|ima: |evm: |Key type|integrity|self-tests|Debian|'
			      r'DMI not present or invalid|TLB invalidation policy|/proc/kcore')
	entry_frame = '__primary_switched'
	not_started = 'powered off'
	isolation = 'kpti=on'
	second_cpu = 'secondary_start_kernel'
	syscall_prefix = '__arm64_sys_'
	syscall_entries = ('el0_svc', 'el0t_64_sync_handler', 'el0t_64_sync')
	idle_frames = {'__primary_switched', '__secondary_switched', 'ret_from_fork', 'el0t_64_sync'}
	break_kind = 4
	steps = 600
	nexts = 40
	pieces = 2              # two exits a byte, in an emulated hypervisor
	irq_names = re.compile(r'^(el[01][ht]_64_(irq|fiq|error)|el[01]_(irq|interrupt)|gic_handle_irq|do_interrupt_handler|'
			       r'generic_handle_domain_irq|call_on_irq_stack|irq_enter|handle_percpu_devid_irq|__do_softirq)')

	def at(self, function):
		# Debian's kernels have two NOPs at the begin of each function that the debugging information knows nothing
		# of: gdb takes the ELF symbol for another function of that name, and would stop at both
		return '*' + function

	def in_user_mode(self, gdb):
		return gdb.reg('cpsr') & 0xf == 0

	def is_user(self, pc):
		return pc < 1 << 48

	def in_interrupt(self, stop):
		for table in 'vectors', '__bp_harden_el1_vectors':
			offset = stop.pc - self.symbol(table)
			if 0 <= offset < VECTORS and offset // ENTRY % ENTRIES_OF_KIND:
				return True
		low, high = self.symbol('__irqentry_text_start'), self.symbol('__irqentry_text_end')
		return low <= stop.pc < high or self.irq_names.match(stop.func or '')

	def leave_with(self, gdb, value):
		gdb.cmd('set $x0 = %d' % value)
		gdb.cmd('set $pc = $x30')


linux = Arm64('arm64')
NEEDS = linux.needs
CURRENT = '((struct task_struct *)$SP_EL0)'


def task(gdb):
	return gdb.value(CURRENT + '->comm').split('\\000')[0].strip('"')


# ---- the Image, waiting for gdb ----

@tap.test('Image: break at start_kernel from the first instruction, backtrace, next, finish', NEEDS, BOOT)
def _():
	guest = linux.boot('/vmlinuz', '', 'quiet panic=-1')
	with linux.debugger() as gdb:
		tap.contains(gdb.threads()[0]['details'], 'MMU off', 'mode at the entry')
		tap.equal(gdb.reg('cpsr') & 0x3cf, 0x3c5, 'EL1h and DAIF at the entry')
		tap.equal(gdb.reg('x1') | gdb.reg('x2') | gdb.reg('x3'), 0, 'X1 to X3')
		tap.equal(gdb.int('*(unsigned int *)$x0'), 0xedfe0dd0, 'the device tree in X0')
		linux.start_kernel_is_reached(gdb)
		tap.equal(task(gdb), 'swapper', 'the current task')
		gdb.cmd('tbreak ' + linux.at('setup_arch'))
		hit(gdb, 'setup_arch')
		tap.contains(gdb.cmd('bt'), 'cmdline_p', 'arguments in the backtrace')
		gdb.cmd('tbreak ' + linux.at('early_fixmap_init'))
		hit(gdb, 'early_fixmap_init')
		stop = gdb.run('finish')
		tap.equal((stop.reason, stop.func), ('function-finished', 'setup_arch'), 'finish')
		gdb.cmd('tbreak ' + linux.at('setup_per_cpu_areas'))
		hit(gdb, 'setup_per_cpu_areas')
		tap.contains(gdb.cmd('p boot_command_line'), 'console=ttyAMA0 nokaslr quiet panic=-1', 'command line')
		tap.contains(gdb.cmd('p linux_banner'), 'Linux version 6', 'banner')
		gdb.cmd('kill')
	tap.equal(guest.wait(BOOT), 14, 'exit status')
	guest.close()


@tap.fixture
def entered():
	guest = linux.boot('/vmlinuz', '', 'quiet panic=-1')
	tap.cleanup(guest.close)
	return guest


@tap.test('Image: break at start_kernel, then on the second CPU; a watchpoint; user space', NEEDS, BOOT)
def _():
	guest = entered()
	with linux.debugger() as gdb:
		gdb.cmd('hbreak ' + linux.at('start_kernel'))
		hit(gdb, 'start_kernel')
		gdb.cmd('delete')
		linux.second_cpu_is_reached(gdb, linux.second_cpu)
		gdb.cmd('watch jiffies_64')
		for _ in range(2):
			before = gdb.int('jiffies_64')
			stop = gdb.run('continue')
			tap.equal(stop.reason, 'watchpoint-trigger', 'stop')
			tap.check(gdb.int('jiffies_64') > before, 'it was written')
			tap.check('tick' in str(gdb.frames()), 'who wrote it: %s' % gdb.frames())
		gdb.cmd('delete')
		gdb.resume('continue')
		linux.user_space(guest, 'Image, under gdb')
		alive(guest)
		interrupted(gdb)
		gdb.cmd('detach')
	tap.equal(guest.check('cat /proc/cmdline'), 'console=ttyAMA0 nokaslr quiet panic=-1\n', 'command line')


@tap.test('Image: user mode: memory under TTBR0, steps, the current task, a system call', NEEDS, BOOT)
def _():
	guest = entered()
	text, turns = linux.spinning(guest, 1)
	with linux.debugger() as gdb:
		linux.catch_in_user_mode(gdb, 2)
		tap.check(text < 1 << 48 and gdb.reg('TTBR0_EL1') & ~0xffff, 'the program is in the lower half')
		linux.user_memory_is_seen(gdb, text, turns)
		linux.break_syscall(gdb, 'getppid')
		gdb.resume('continue')
		guest.type('inside parent; echo do""ne\n')
		linux.entered(gdb.wait_stop(), 'getppid')
		tap.equal(task(gdb), 'inside', 'the current task, by SP_EL0')
		tap.check('el0t_64_sync' in gdb.frames(), 'a backtrace to the entry: %s' % gdb.frames())
		gdb.cmd('detach')
	guest.expect('done', BOOT)
	guest.shell('kill $!')


@tap.test('Image: its own steps and watchpoints, with and without a debugger attached', NEEDS, BOOT)
def _():
	guest = entered()

	def uses():
		tap.equal(guest.check('inside steps 50'), 'steps=50\n', 'ptrace')
		tap.equal(guest.check('inside watch 50'), 'seen=50 turns=50\n', 'perf')
	uses()
	with linux.debugger() as gdb:
		gdb.resume('continue')
		uses()
		interrupted(gdb)
		linux.break_syscall(gdb, 'getuid')
		linux.break_syscall(gdb, 'getgid', 'hbreak')
		gdb.resume('continue')
		# with breakpoints about, what the guest has set by the next stop counts
		guest.type('inside watch 50 6\n')
		guest.expect('watching', BOOT)
		interrupted(gdb)
		gdb.resume('continue')
		seen = guest.expect(rb'seen=(\d+) turns=50', BOOT).group(1)
		tap.equal(int(seen), 50, 'of its 50 accesses')
		interrupted(gdb)
		gdb.cmd('detach')
	uses()


@tap.test('Image: a panic is broken into, then its reset ends with status 0', NEEDS, BOOT)
def _():
	guest = entered()
	with linux.debugger() as gdb:
		gdb.cmd('break ' + linux.at('panic'))
		gdb.resume('continue')
		guest.type('echo c >/proc/sysrq-trigger\n')
		stop = gdb.wait_stop()
		tap.equal((stop.reason, stop.func), ('breakpoint-hit', 'panic'), 'stop')
		tap.check('sysrq_handle_crash' in gdb.frames(), 'a backtrace: %s' % gdb.frames())
		gdb.cmd('delete')
		stop = gdb.run('continue')
		tap.equal(stop.reason, 'exited-normally', 'end')
	tap.equal(guest.wait(BOOT), 0, 'exit status')
	guest.close()


# ---- vmlinux, waiting for gdb ----

@tap.test('vmlinux: break at start_kernel, user space; reboot seen by gdb; run again', NEEDS, BOOT)
def _():
	guest = linux.boot('/vmlinux')
	with linux.debugger(extended=True) as gdb:
		linux.start_kernel_is_reached(gdb)
		gdb.resume('continue')
		linux.user_space(guest, 'vmlinux, under gdb')
		linux.reboot_and_run_again(guest, gdb)
	tap.equal(guest.wait(BOOT), 14, 'exit status: killed')
	guest.close()


# ---- pvpanic ----

@tap.test('pvpanic of the device tree: SIGABRT in gdb, then status 8', NEEDS, BOOT)
def _():
	guest = linux.boot('/vmlinuz', '--gdb-attach')
	linux.user_space(guest, 'Image, quiet')
	# Debian's kernel for clouds has no driver for it
	node = guest.check('grep -l qemu,pvpanic-mmio /proc/device-tree/*/compatible').split()
	tap.equal(len(node), 1, 'nodes')
	reg = guest.check('hexdump -v -e \'/1 "%%02x"\' %s/reg' % os.path.dirname(node[0]))
	address = int(reg[:16], 16)
	with linux.debugger() as gdb:
		gdb.resume('continue')
		tap.equal(int(guest.check('devmem %#x 8' % address), 16) & 1, 1, 'what it can tell: a panic')
		guest.type('devmem %#x 8 1\n' % address)
		stop = gdb.wait_stop()
		tap.equal((stop.reason, stop.signal), ('signal-received', 'SIGABRT'), 'stop')
		stop = gdb.run('continue')
		tap.equal((stop.reason, stop.status), ('exited', 8), 'end')
	tap.equal(guest.wait(BOOT), 8, 'exit status')
	tap.contains(guest.process.output(), 'panic', 'what minivmm says')
	guest.close()


# ---- the Image, which moves itself ----

def about_to_jump(gdb, slide):
	tap.check(gdb.pc() < 1 << 47, 'still at its physical address: %#x' % gdb.pc())
	stop = gdb.run('stepi')
	tap.equal(stop.pc, linux.symbol('__primary_switched') + slide, 'and then at its place')


linux_kaslr.register(linux, about_to_jump)


# ---- the Image, attached to later ----

@tap.fixture
def running():
	guest = linux.boot('/vmlinuz', '--gdb-attach', 'loglevel=4')
	tap.cleanup(guest.close)
	linux.user_space(guest, 'Image')
	return guest


@tap.test('Image: user space without a debugger: CPUs, clock, device tree, no complaints', NEEDS, BOOT)
def _():
	guest = running()
	linux_common.machine(guest)
	tap.equal(guest.check('cat /sys/devices/system/clocksource/clocksource0/current_clocksource'),
		  'arch_sys_counter\n', 'clock source')
	tap.contains(guest.check('cat /sys/class/rtc/rtc0/name'), 'rtc-pl031', 'RTC')
	log = guest.check('dmesg')
	tap.equal(linux.complaints(log), [], 'complaints of the kernel')
	for words in ('psci: PSCIv1', 'KASLR disabled', 'GICv3:', 'CPU: All CPU(s) started at EL1',
		      'ttyAMA0 at MMIO 0x9000000'):
		tap.contains(log, words, 'dmesg')
	tap.check('crng init done' in log, 'the seed of the device tree is used')


linux_scripts.register(linux, running)
linux_common.register(linux, running)
tap.main()
