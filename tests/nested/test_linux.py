#!/usr/bin/env python3
"""Debian's kernel in minivmm under real KVM (kvm-amd, nested), gdb outside.

Three boots to user space, one for each way of booting: vmlinux by PVH runs at
once and is attached to later; vmlinux by the Linux entry and the bzImage wait
for gdb. The tests of a boot go on with what the one before has left.
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
from linux_session import BOOT, Linux, alive, hit, interrupted    # noqa: E402


class X86(Linux):
	modules = ['pvpanic_mmio']
	# there is no PCI here; the outer machine's CPUs have TSCs of their own
	expected = re.compile(r'PCI: Fatal: No config space access function found|'
			      r'tsc: Marking TSC unstable due to TSCs unsynchronized|'
			      r'DMI not present or invalid|Early table checksum verification disabled|'
			      r'AppArmor|Max phase no-delay|Speculative|RETBleed|Spectre|mitigat|'
			      r'nocrs|TLB invalidation|x2apic|ima: |evm: |Key type|integrity|/proc/kcore|self-tests|Debian')
	entry_frame = 'secondary_startup_64'
	not_started = 'waiting for INIT'
	isolation = 'pti=on'
	second_cpu = 'start_secondary'
	syscall_prefix = '__x64_sys_'
	syscall_entries = ('entry_SYSCALL_64',)
	idle_frames = {'secondary_startup_64', 'ret_from_fork', 'entry_SYSCALL_64'}
	break_kind = 1
	irq_names = re.compile(r'^(asm_)?(sysvec_|common_interrupt|asm_exc_|exc_|__sysvec|irq_enter|handle_irq|__do_softirq)')

	def in_user_mode(self, gdb):
		return gdb.reg('cs') & 3 == 3

	def is_user(self, pc):
		return pc < 1 << 47

	def in_interrupt(self, stop):
		low, high = self.symbol('__irqentry_text_start'), self.symbol('__irqentry_text_end')
		return low <= stop.pc < high or self.irq_names.match(stop.func or '')

	def leave_with(self, gdb, value):
		gdb.cmd('set $rax = %d' % value)
		gdb.cmd('set $rip = *(unsigned long *)$rsp')
		gdb.cmd('set $rsp = $rsp + 8')


linux = X86('x86_64')
NEEDS = linux.needs


# ---- PVH, waiting for gdb ----

@tap.test('PVH: break at start_kernel from the first instruction, backtrace, next, finish; kill', NEEDS, BOOT)
def _():
	guest = linux.boot('/vmlinux')
	with linux.debugger() as gdb:
		tap.contains(gdb.threads()[0]['details'], '32-bit', 'mode at the entry')
		linux.start_kernel_is_reached(gdb)
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
	guest = linux.boot('/vmlinux', '--boot linux', 'quiet pti=on')
	tap.cleanup(guest.close)
	return guest


@tap.test('Linux entry: break at start_kernel, then on the second CPU; user space', NEEDS, BOOT)
def _():
	guest = entered()
	with linux.debugger() as gdb:
		tap.contains(gdb.threads()[0]['details'], '64-bit', 'mode at the entry')
		linux.start_kernel_is_reached(gdb)
		linux.second_cpu_is_reached(gdb, linux.second_cpu)
		gdb.resume('continue')
		linux.user_space(guest, 'Linux entry, under gdb')
		alive(guest)
		interrupted(gdb)
		gdb.cmd('detach')
	tap.equal(guest.check('cat /proc/cmdline'), 'console=ttyS0 quiet pti=on\n', 'command line')


@tap.test('Linux entry: user mode under page-table isolation: memory, steps, kernel addresses', NEEDS, BOOT)
def _():
	guest = entered()
	tap.contains(guest.check('dmesg'), 'page tables isolation: enabled', 'dmesg')
	text, turns = linux.spinning(guest, 1)
	with linux.debugger() as gdb:
		linux.catch_in_user_mode(gdb, 2)
		tap.contains(gdb.cmd('monitor gva2gpa %#x' % linux.symbol('start_kernel')), 'Unmapped', 'kernel text')
		linux.user_memory_is_seen(gdb, text, turns)
		# a breakpoint in the kernel, asked for by way of page tables that lack it
		gdb.cmd('break ' + linux.syscall('getppid'))
		gdb.resume('continue')
		guest.type('inside parent; echo do""ne\n')
		linux.entered(gdb.wait_stop(), 'getppid')
		gdb.cmd('detach')
	guest.expect('done', BOOT)
	guest.shell('kill $!')


@tap.test('Linux entry: a panic stops in gdb, then ends with status 8', NEEDS, BOOT)
def _():
	guest = entered()
	with linux.debugger() as gdb:
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

@tap.test('bzImage: break at start_kernel before it is unpacked; user space; reboot seen by gdb; run again', NEEDS, BOOT)
def _():
	guest = linux.boot('/vmlinuz')
	with linux.debugger(extended=True) as gdb:
		linux.start_kernel_is_reached(gdb)
		gdb.resume('continue')
		linux.user_space(guest, 'bzImage, under gdb')
		tap.equal(guest.check('cat /proc/cmdline'), 'console=ttyS0 nokaslr quiet\n', 'command line')
		linux.reboot_and_run_again(guest, gdb)
	tap.equal(guest.wait(BOOT), 14, 'exit status: killed')
	guest.close()


# ---- the bzImage, which moves itself ----

def just_moved(gdb, slide):
	tap.equal(gdb.frames()[0], 'secondary_startup_64', 'where it stopped')
	tap.equal(gdb.address('current_task'), linux.symbol('current_task'), 'a per-CPU variable')


linux_kaslr.register(linux, just_moved)


# ---- PVH, attached to later ----

@tap.fixture
def running():
	guest = linux.boot('/vmlinux', '--gdb-attach', 'loglevel=4')
	tap.cleanup(guest.close)
	linux.user_space(guest, 'PVH')
	return guest


@tap.test('PVH: user space without a debugger: CPUs, clock, tables, no complaints', NEEDS, BOOT)
def _():
	guest = running()
	linux_common.machine(guest)
	info = guest.check('cat /proc/cpuinfo')
	for name, values in (('apicid', ['0', '1']), ('core id', ['0', '1']), ('physical id', ['0', '0']),
			     ('siblings', ['2', '2']), ('cpu cores', ['2', '2'])):
		tap.equal(re.findall(r'(?m)^%s\s*: (\d+)$' % name, info), values, name)
	tap.equal(guest.check('cat /sys/devices/system/clocksource/clocksource0/current_clocksource'),
		  'kvm-clock\n', 'clock source')
	tap.equal(guest.check('cat /sys/class/rtc/rtc0/name'), 'rtc_cmos 00:01\n', 'RTC')
	log = guest.check('dmesg')
	tap.equal(linux.complaints(log), [], 'complaints of the kernel')
	tap.contains(log, 'Hypervisor detected: KVM', 'dmesg')
	tap.contains(log, '1 ACPI AML tables successfully acquired', 'dmesg')


linux_scripts.register(linux, running)
linux_common.register(linux, running)
tap.main()
