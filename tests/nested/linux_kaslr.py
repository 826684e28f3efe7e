"""A kernel that moves itself: tests for every ISA.

	linux_kaslr.register(linux)

Each test boots with --kaslr; what the guest says of itself (/proc/kallsyms) is what everything is compared with.
"""

import re

import tap
from linux_session import BOOT, CPUS, alive, hit, interrupted

FOUND = re.compile(r'the kernel runs (0x[0-9a-f]+) above where /vmlinux links it; in gdb:\n(.*)', re.S)
WANTED = '_text', 'linux_banner', 'start_kernel', 'init_task'


def found(gdb):
	"""(slide, the commands for gdb) that `monitor kaslr` tells."""
	said = gdb.cmd('monitor kaslr')
	match = FOUND.search(said)
	tap.check(match, 'monitor kaslr says: %s' % said)
	return int(match.group(1), 16), match.group(2).split('\n')


def told_by_guest(guest):
	"""{symbol: address} of the guest's own kallsyms."""
	lines = guest.check("grep -E ' (%s)$' /proc/kallsyms" % '|'.join(WANTED))
	own = {name: int(address, 16) for address, name in re.findall(r'(?m)^(\w+) \w (\w+)$', lines)}
	tap.check('start_kernel' in own, "the guest's kallsyms: %s" % lines)    # data only with KALLSYMS_ALL
	return own


def follow(linux, gdb, commands):
	"""What `monitor kaslr` says to do in gdb, with the file of this side."""
	for line in filter(None, commands):
		gdb.cmd(line.replace('/vmlinux', linux.isa.kernel.debug), 120)


def symbols_fit(linux, gdb, slide):
	"""gdb's own addresses: text, data, read-only data and what is only there while booting."""
	for name in ('init_task', 'linux_banner', 'saved_command_line', 'boot_command_line'):
		tap.equal(gdb.address(name), linux.symbol(name) + slide, name)
	for name in ('schedule', 'start_kernel'):       # a function may begin behind its symbol, see linux.at()
		tap.check(gdb.address(name) - linux.symbol(name) - slide in (0, 8), name)
	tap.contains(gdb.cmd('p linux_banner'), 'Linux version 6', 'banner')


def from_the_begin(linux, first_place):
	"""Waits for gdb, stops once the kernel is at its place; then the usual way with the symbols moved."""
	guest = linux.boot('/vmlinuz', '--kaslr --symbols /vmlinux')
	with linux.debugger() as gdb:
		tap.contains(gdb.cmd('monitor kaslr'), 'not known yet', 'before the first instruction')
		tap.equal(gdb.address('init_task'), linux.symbol('init_task'), 'where it is linked')
		tap.contains(gdb.cmd('monitor kaslr stop'), 'stops once', 'monitor kaslr stop')
		stop = gdb.run('continue')
		tap.equal((stop.reason, stop.signal), ('signal-received', 'SIGINT'), 'stop')
		slide, commands = found(gdb)
		tap.diag('the slide is %#x' % slide)
		follow(linux, gdb, commands)
		symbols_fit(linux, gdb, slide)
		tap.contains(gdb.cmd('monitor info breakpoints'), 'no breakpoints', 'what is left of the stop')
		tap.contains(gdb.cmd('monitor kaslr stop'), 'already', 'asked for too late')
		first_place(gdb, slide)
		linux.start_kernel_is_reached(gdb)
		linux.second_cpu_is_reached(gdb, linux.second_cpu)
		gdb.resume('continue')
		linux.user_space(guest, 'with KASLR, under gdb')
		own = told_by_guest(guest)
		tap.equal(own, {name: linux.symbol(name) + slide for name in own}, 'addresses that the guest knows')
		interrupted(gdb)
		gdb.cmd('kill')
	guest.close()


def later(linux):
	"""The machine runs by itself; a gdb that comes later asks where the kernel is."""
	guest = linux.boot('/vmlinuz', '--kaslr --symbols /vmlinux --gdb-attach', 'quiet ' + linux.isolation)
	linux.user_space(guest, 'with KASLR')
	own = told_by_guest(guest)
	with linux.debugger() as gdb:
		slide, _ = found(gdb)
		tap.equal(own, {name: linux.symbol(name) + slide for name in own}, 'addresses that the guest knows')
		symbols_fit(linux, gdb, slide)
		tap.contains(gdb.cmd('p init_task.comm'), 'swapper/0', 'data')
		linux.break_syscall(gdb, 'getppid')
		gdb.resume('continue')
		guest.type('inside parent; echo do""ne\n')
		linux.entered(gdb.wait_stop(), 'getppid')
		tap.check(linux.idle_frames & set(gdb.frames()), 'a whole backtrace: %s' % gdb.frames())
		gdb.cmd('detach')
	guest.expect('done', BOOT)
	return guest


def in_user_mode(linux, guest):
	"""Both CPUs in programs: the kernel is not mapped then, or only a little of it."""
	guest.type('inside spin 0 & inside spin 1 &\n')
	for _ in range(CPUS):
		guest.expect(rb'text=0x(\w+) turns=0x(\w+)\s', BOOT)
	with linux.debugger() as gdb:
		found(gdb)
		linux.catch_in_user_mode(gdb, 2)
		tap.contains(gdb.cmd('p linux_banner'), 'Linux version 6', 'kernel data seen from a program')
		gdb.cmd('detach')
	guest.shell('kill %1 %2')
	alive(guest)


def mismatch(linux):
	"""The symbols are those of another build: its banner is not the guest's."""
	nest = linux.nest()
	with open(linux.isa.kernel.vmlinux, 'rb') as f:
		at = f.read().rfind(b'Linux version 6.') + len('Linux version ')
	nest.outer.check('cp /vmlinux /tmp/other; printf 5 | dd of=/tmp/other bs=1 seek=%d conv=notrunc' % at)
	guest = linux.boot('/vmlinuz', '--kaslr --symbols /tmp/other --gdb-attach')
	linux.user_space(guest, 'with KASLR')
	with linux.debugger() as gdb:
		said = gdb.cmd('monitor kaslr')
		tap.contains(said, 'another kernel runs than that of /tmp/other', 'monitor kaslr')
		tap.contains(said, 'file:  Linux version 5', 'the banner of the file')
		tap.contains(said, 'guest: Linux version 6', 'that of the guest')
		tap.equal(gdb.address('linux_banner'), linux.symbol('linux_banner'), 'an address in gdb')
		gdb.cmd('detach')
	nest.outer.check('rm /tmp/other')
	guest.close()


def register(linux, first_place):
	"""first_place(gdb, slide) looks around where `monitor kaslr stop` has led to."""
	@tap.test('KASLR: stops once the kernel is at its place, then at start_kernel and on the second CPU', linux.needs, BOOT)
	def _():
		from_the_begin(linux, first_place)

	kept = tap.fixture(lambda: later(linux))

	@tap.test('KASLR: a gdb that comes later finds text, data and breakpoints in place', linux.needs, BOOT)
	def _():
		kept()

	@tap.test('KASLR: the kernel can be read while both CPUs run programs whose tables leave it out', linux.needs, BOOT)
	def _():
		in_user_mode(linux, kept())
		kept().close()

	@tap.test('KASLR: symbols of another build are told by their banner', linux.needs, BOOT)
	def _():
		mismatch(linux)
