"""Tests of a kernel that is up and running, for every ISA.

	linux_common.register(linux, running)   # running(): the guest, which the tests share; the last one ends it
"""

import base64
import hashlib
import re
import struct
import tempfile
import time

import tap
from linux_session import BLOB, BOOT, CPUS, alive, interrupted

PIECE = 25000           # bytes


def same_lines(got, wanted):
	for number, (line, expected) in enumerate(zip(got.split('\n'), wanted.split('\n'))):
		tap.equal(line, expected, 'line %d that came over the serial line' % number)
	tap.equal(len(got), len(wanted), 'bytes that came over the serial line')


def serial(linux, guest):
	begin = time.monotonic()
	tap.equal(guest.check('sha256sum </blob').split()[0], hashlib.sha256(BLOB).hexdigest(), 'file in the initrd')
	# In pieces: this line is never busy, so a slow emulator's CPU 0 sees nothing but its interrupts while it lasts,
	# and the guest's watchdog would complain, on this very line.
	for at in range(0, linux.pieces * PIECE, PIECE):
		same_lines(guest.check('tail -c +%d /blob | head -c %d | base64' % (at + 1, PIECE), BOOT),
			   base64.encodebytes(BLOB[at:at + PIECE]).decode())
	# and 40 KB the other way: each piece is taken before the next one
	for part in range(2):
		lines = ''.join('%06d %d %s\n' % (i, part, 'x' * 40) for i in range(400))
		guest.type('head -c %d | (sleep 1; md5sum)\n' % len(lines))
		guest.type(lines)
		match = guest.expect(rb'([0-9a-f]{32}) ', BOOT)
		tap.equal(match.group(1).decode(), hashlib.md5(lines.encode()).hexdigest(), 'sum of what the guest got')
	tap.diag('%.1f s' % (time.monotonic() - begin))


def idle(linux, guest):
	with linux.debugger() as gdb:
		gdb.resume('continue')
		for _ in range(5):
			alive(guest)
			interrupted(gdb)
			tap.equal([t['name'] for t in gdb.threads()], ['CPU 0', 'CPU 1'], 'threads')
			for thread in (1, 2):
				gdb.cmd('thread %d' % thread)
				frames = gdb.frames()
				tap.check(linux.idle_frames & set(frames) or linux.in_user_mode(gdb),
					  'a whole backtrace: %s' % frames)
			gdb.resume('continue')
		interrupted(gdb)
		gdb.cmd('detach')
	alive(guest)


def attached_again(linux, guest):
	for end in ('detach', 'disconnect', 'kill stopped', 'kill running', 'detach'):
		with linux.debugger() as gdb:
			linux.break_syscall(gdb, 'getppid')
			gdb.run('stepi')
			gdb.resume('continue')
			guest.type('inside parent; echo do""ne\n')
			linux.entered(gdb.wait_stop(), 'getppid')
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


def counted(linux, guest):
	rounds = 20
	with linux.debugger() as gdb:
		linux.break_syscall(gdb, 'getppid')
		gdb.resume('continue')
		guest.type('inside calls %d 0 & inside calls %d 1 & wait; echo all do""ne\n' % (rounds, rounds))
		seen = {1: 0, 2: 0}
		for _ in range(2 * (rounds + 1)):
			stop = gdb.wait_stop()
			linux.entered(stop, 'getppid')
			seen[stop.thread] += 1
			gdb.resume('continue')
		guest.expect('all done', BOOT)
		tap.equal(gdb.stops, [], 'stops after the last call')
		tap.check(min(seen.values()) >= rounds, 'hits by CPU: %s' % seen)
		interrupted(gdb)
		gdb.cmd('detach')
	alive(guest)


def stepped(linux, guest):
	guest.type('inside calls 1000000000 1 &\n')
	begin = time.monotonic()
	with linux.debugger() as gdb:
		linux.break_syscall(gdb, 'getppid')
		# the first call is made before the program goes to its CPU
		for _ in range(20):
			stop = gdb.run('continue')
			linux.entered(stop, 'getppid')
			if stop.thread == 2:
				break
		tap.equal(stop.thread, 2, 'thread')
		gdb.cmd('delete')
		ticks = gdb.int('jiffies')
		user = done = 0
		# the way out of the kernel may be long: by way of the scheduler, or of work that was put off
		while done < linux.steps or (not user and done < 10 * linux.steps):
			stop = gdb.run('stepi')
			tap.equal((stop.reason, stop.thread), ('end-stepping-range', 2), 'step %d' % done)
			tap.check(not linux.in_interrupt(stop), 'step %d came to %s at %#x' % (done, stop.func, stop.pc))
			user += linux.is_user(stop.pc)
			done += 1
		tap.check(user, '%d steps came through user mode' % done)
		linux.break_syscall(gdb, 'getppid', 'tbreak')
		linux.entered(gdb.run('continue'), 'getppid')
		tap.check(gdb.int('jiffies') > ticks, 'time has passed in the guest')
		funcs = []
		for _ in range(linux.nexts):
			stop = gdb.run('next')
			funcs.append(stop.func)
			tap.equal((stop.reason, stop.thread), ('end-stepping-range', 2), 'next from %s' % funcs[-2:])
			tap.check(not linux.in_interrupt(stop), 'next came to %s' % stop.func)
			if stop.func in linux.syscall_entries:
				break
		tap.diag('next: %s' % ' '.join(map(str, funcs)))
		gdb.cmd('detach')
	tap.diag('%d steps and %d next took %.1f s' % (done, len(funcs), time.monotonic() - begin))
	guest.shell('kill $!')
	alive(guest)


def registers_written(linux, guest):
	with linux.debugger() as gdb:
		gdb.cmd('break *' + linux.syscall('getppid'))
		gdb.resume('continue')
		guest.type('inside parent\n')
		linux.entered(gdb.wait_stop(), 'getppid')
		gdb.cmd('delete')
		linux.leave_with(gdb, 424242)
		gdb.cmd('detach')
	guest.expect('parent=424242', BOOT)


def own_breaks(linux, guest):
	tap.equal(guest.check('inside break 100'), 'traps=100\n', 'without a debugger')
	with linux.debugger() as gdb:
		linux.break_syscall(gdb, 'getuid')
		linux.break_syscall(gdb, 'getgid')
		gdb.resume('continue')
		tap.equal(guest.check('inside break 100'), 'traps=100\n', 'with one')
		interrupted(gdb)
		gdb.cmd('detach')


def slots_run_out(linux, guest):
	slots = linux.facts()['hw_break_slots']
	tap.diag('%d hardware breakpoints' % slots)
	names = ('getppid', 'getresuid', 'getresgid', 'setreuid', 'sethostname', 'setdomainname', 'umask', 'setpgid',
		 'getsid', 'setsid', 'times', 'setregid', 'setuid', 'setgid', 'setfsuid', 'setfsgid', 'getpgid')[:slots + 1]
	with linux.debugger() as gdb:
		for name in names:
			linux.break_syscall(gdb, name, 'hbreak')
		gdb.resume('continue')
		gdb.cmd('info breakpoints')             # by then it has been refused
		tap.contains('\n'.join(gdb.log[-40:]), 'Cannot insert hardware breakpoint', 'refusal')
		addresses = re.findall(r'keep y +0x(\w+)', gdb.cmd('info breakpoints'))
		for i, address in enumerate(addresses): # gdb has left the others, and keeps the stub's words
			said = gdb.cmd('maint packet Z1,%s,%d' % (address, linux.break_kind))
			tap.contains(said, 'OK' if i < slots else 'slots are in use', 'answer %d' % (i + 1))
		gdb.cmd('delete %d' % (slots + 1))
		gdb.resume('continue')
		guest.type('inside parent; echo do""ne\n')
		linux.entered(gdb.wait_stop(), 'getppid')
		gdb.cmd('detach')
	guest.expect('done', BOOT)


def sites_of(linux, gdb, key):
	"""The instructions that this static key turns from NOP to jump and back (struct jump_entry, relative)."""
	begin, end = linux.symbol('__start___jump_table'), linux.symbol('__stop___jump_table')
	wanted, found = linux.symbol(key), []
	with tempfile.NamedTemporaryFile() as f:
		gdb.cmd('dump binary memory %s %#x %#x' % (f.name, begin, end))
		table = f.read()
	for at in range(0, len(table), 16):
		code, _, offset = struct.unpack_from('<iiq', table, at)
		if (begin + at + 8 + offset) % (1 << 64) & ~3 == wanted:
			found.append(begin + at + code)
	return found


def patched(linux, guest):
	"""Breakpoints on what the kernel patches while it runs; none of these places is executed but the last."""
	guest.check('dmesg -c >/dev/null; mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; true')
	traced = 'function' in guest.shell('cat /sys/kernel/tracing/available_tracers')[1]
	function = linux.syscall('sethostname')
	slots = linux.facts()['hw_break_slots']
	many = slots - 1 if linux.facts()['swbreak'] == 'none' else 4 * slots
	with linux.debugger() as gdb:
		gdb.cmd('set breakpoint always-inserted on')
		sites = sites_of(linux, gdb, 'bpf_stats_enabled_key')[:many]
		tap.check(len(sites) > 1, 'places of a static key: %d' % len(sites))
		before = [gdb.cmd('x/5xb %#x' % at) for at in sites]
		for at in sites:
			gdb.cmd('break *%#x' % at)
		served = gdb.cmd('monitor info breakpoints')
		tap.diag('%d places, %d planted; function tracer: %s' % (len(sites), served.count('planted'), traced))
		gdb.resume('continue')
		guest.check('echo 1 >/proc/sys/kernel/bpf_stats_enabled')
		interrupted(gdb)
		now = [gdb.cmd('x/5xb %#x' % at) for at in sites]
		tap.check(all(a != b for a, b in zip(before, now)), 'every place was patched: %s' % now)
		gdb.resume('continue')
		guest.check('echo 0 >/proc/sys/kernel/bpf_stats_enabled')
		interrupted(gdb)
		tap.equal([gdb.cmd('x/5xb %#x' % at) for at in sites], before, 'and patched back')
		gdb.cmd('delete')
		gdb.cmd('break *' + function)
		gdb.resume('continue')
		if traced:
			guest.check('cd /sys/kernel/tracing; echo %s >set_ftrace_filter && echo function >current_tracer' % function)
		guest.type('hostname here; echo do""ne\n')
		linux.entered(gdb.wait_stop(), 'sethostname')
		gdb.cmd('detach')
	guest.expect('done', BOOT)
	if traced:
		tap.contains(guest.check('cd /sys/kernel/tracing; cat trace; echo nop >current_tracer; echo >set_ftrace_filter'),
			     'sethostname', 'the trace')
	tap.equal(linux.complaints(guest.check('dmesg')), [], 'complaints of the kernel')


def watched_without_slots(linux, guest):
	with linux.debugger() as gdb:
		code = linux.symbol('start_kernel') & ~7
		for i in range(linux.facts()['watch_write_slots']):
			gdb.cmd('watch *(long *)%#x' % (code + 8 * i))          # nobody writes there
		gdb.cmd('watch panic_timeout')
		for value in (41, 0):
			gdb.resume('continue')
			guest.type('echo %d >/proc/sys/kernel/panic; echo do""ne\n' % value)
			stop = gdb.wait_stop(BOOT)
			tap.equal(stop.reason, 'watchpoint-trigger', 'stop')
			tap.equal(gdb.int('panic_timeout'), value, 'what was written')
			frames = gdb.frames()
			tap.check([f for f in frames if 'proc_do' in f], 'who wrote it: %s' % frames)
		gdb.resume('continue')
		guest.expect('done', BOOT)
		interrupted(gdb)
		# in a page with locks, and written by whichever CPU takes the tick
		gdb.cmd('watch jiffies_64')
		for _ in range(5):
			before = gdb.int('jiffies_64')
			tap.equal(gdb.run('continue').reason, 'watchpoint-trigger', 'stop')
			tap.check(gdb.int('jiffies_64') > before, 'it was written')
		gdb.cmd('delete')
		gdb.resume('continue')
		alive(guest)
		interrupted(gdb)
		gdb.cmd('detach')
	alive(guest)


def long_stop(linux, guest):
	guest.check('dmesg -c >/dev/null; echo 1 >/proc/sys/kernel/watchdog_thresh;'
		    'echo 3 >/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout')
	guest.type('inside spin 0 & spin=$!; inside calls 1000000000 1 &\n')
	guest.expect(rb'text=.*\n', BOOT)
	with linux.debugger() as gdb:
		gdb.resume('continue')
		time.sleep(0.5)
		interrupted(gdb)
		time.sleep(10)          # soft lockup 2 s, RCU stall 3 s
		gdb.resume('continue')
		guest.check('sleep 3')
		interrupted(gdb)
		gdb.cmd('thread 2')
		gdb.cmd('set scheduler-locking on')
		end = time.monotonic() + 5      # one is stepped, the other one stands
		while time.monotonic() < end:
			gdb.run('stepi')
		gdb.cmd('set scheduler-locking off')
		gdb.resume('continue')
		guest.check('sleep 3')
		interrupted(gdb)
		gdb.cmd('detach')
	guest.shell('kill $spin $!; echo 10 >/proc/sys/kernel/watchdog_thresh')
	tap.equal(linux.complaints(guest.check('dmesg')), [], 'complaints of the kernel')


def power_off(linux, guest):
	begin = time.monotonic()
	guest.type('poweroff -f\n')
	tap.equal(guest.wait(BOOT), 0, 'exit status')
	tap.diag('%.1f s from the command to the end' % (time.monotonic() - begin))
	tap.equal(guest.process.output(), '', 'what minivmm says')


def machine(guest):
	"""CPUs, memory and clock as the guest should see them."""
	tap.equal(guest.check('nproc'), '%d\n' % CPUS, 'nproc')
	tap.check(abs(int(guest.check('date +%s')) - time.time()) < 300, 'the clock is right')
	tap.check(abs(int(guest.check('cat /sys/class/rtc/rtc0/since_epoch')) - time.time()) < 300, 'the RTC is right')
	total = int(re.search(r'MemTotal: +(\d+)', guest.check('cat /proc/meminfo')).group(1))
	tap.check(400000 < total < 512 * 1024, 'MemTotal is %d kB' % total)


def register(linux, running):
	def add(name, body):
		# several waits of BOOT each; the serial line alone takes a minute or two on a busy host
		tap.test(name, linux.needs, 3 * BOOT)(lambda: body(linux, running()))
	add('serial: %d KB out, 40 KB in, not a byte lost; the initrd is intact'
	    % (linux.pieces * PIECE // 750), serial)
	add('Ctrl-C while both CPUs are idle: backtraces, names, on again', idle)
	add('attached again and again over one line; a gdb that dies leaves no breakpoints', attached_again)
	add('hits on both CPUs are counted exactly, the function arguments can be looked at', counted)
	add('%d steps and %d next through system calls under a running timer: never in an interrupt'
	    % (linux.steps, linux.nexts), stepped)
	add('registers written: a function is left with another result', registers_written)
	add("breakpoint instructions of the guest's user space, with a debugger's breakpoints about", own_breaks)
	add('one hardware breakpoint more than there are slots is refused in words, the others work', slots_run_out)
	add('a sysctl is watched, all slots being taken: the write comes from user space', watched_without_slots)
	add('breakpoints on static keys and traced functions: the kernel patches them, and says nothing', patched)
	add('a stop of 10 s, and steps of one CPU for 5 s, are no lockup, stall or clock trouble to the guest', long_stop)
	add('power off ends minivmm with status 0', power_off)
