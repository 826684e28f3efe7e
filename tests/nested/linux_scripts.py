"""Linux's own gdb scripts against a running kernel, compared with what its user space says: for every ISA.

	linux_scripts.register(linux, running)
"""

import os
import re
import tempfile

import kernel_scripts
import tap
import vm
from linux_session import BOOT, CPUS, alive

SOURCE = vm.cache('linux-scripts')
BUSY = 'inside'


def said_by(gdb, command):
	return gdb.cmd(command, 60).replace('\r', '')


def tasks(text, columns):
	"""{pid: name} of a process list; names as short as both can say them."""
	return {int(pid): name for pid, name in re.findall(columns, text)}


def kernel_alone(names):
	"""Without what comes and goes, and the name to which a worker's present work is added."""
	return {pid: name[:9] for pid, name in names.items() if not re.match(r'kworker|ps$|sh$|cat$|head$', name)}


def current(linux, gdb, pid):
	"""CPU 1 runs a program that makes system calls."""
	linux.catch(gdb, 2, lambda: not linux.in_user_mode(gdb) and BUSY in gdb.cmd('p $lx_current().comm'), 'in the kernel')
	tap.contains(gdb.cmd('p $lx_current().comm'), '"%s' % BUSY, 'current task of CPU 1')
	tap.contains(gdb.cmd('p $lx_current().pid'), '= %d' % pid, 'its pid')
	tap.contains(gdb.cmd('p $lx_task_by_pid(%d).comm' % pid), '"%s' % BUSY, 'a task by its pid')
	for thread in range(1, CPUS + 1):
		gdb.cmd('thread %d' % thread)
		tap.contains(gdb.cmd('p $lx_per_cpu("cpu_number")'), '= %d' % (thread - 1), 'a per-CPU variable')
	tap.contains(gdb.cmd('p $lx_per_cpu("cpu_number", 1)'), '= 1', "another CPU's")


def scripts(linux, guest):
	guest.type('%s calls 1000000000 1 &\n' % BUSY)
	listed = guest.check('ps -o pid,comm')
	pid = int(guest.check('pidof ' + BUSY))
	version = guest.check('cat /proc/version')
	online = guest.check('cat /sys/devices/system/cpu/online').strip()
	log = guest.check('dmesg | head -n 20').splitlines()
	cmdline = guest.check('cat /proc/cmdline')
	with tempfile.TemporaryDirectory() as folder, linux.debugger() as gdb:
		gdb.cmd('source ' + kernel_scripts.prepare(SOURCE, linux.isa.kernel, folder), 60)
		current(linux, gdb, pid)
		tap.equal(said_by(gdb, 'lx-version'), version, 'lx-version')
		tap.equal(said_by(gdb, 'lx-cmdline'), cmdline, 'lx-cmdline')
		tap.equal(online, '0-%d' % (CPUS - 1), 'CPUs online')
		tap.contains(said_by(gdb, 'lx-cpus'), 'Online CPUs   : %s' % list(range(CPUS)), 'lx-cpus')
		seen = tasks(said_by(gdb, 'lx-ps'), r'(?m)^0x\w+ +(\d+) +(.*)$')
		wanted = tasks(listed, r'(?m)^ *(\d+) (.*)$')
		tap.equal(seen.pop(0)[:9], 'swapper/0', 'lx-ps: the first task')
		tap.equal(kernel_alone(seen), kernel_alone(wanted), 'lx-ps')
		shown = said_by(gdb, 'lx-dmesg')
		tap.check(len(log) == 20, 'lines of dmesg: %s' % log)
		for line in log:                # the scripts round the time, the kernel cuts it off
			tap.check(line.split('] ', 1)[-1] in shown, 'lx-dmesg lacks %r' % line)
		gdb.cmd('detach')
	guest.shell('kill $!')
	alive(guest)


def register(linux, running):
	needs = [*linux.needs, os.path.join(SOURCE, 'scripts', 'gdb', 'vmlinux-gdb.py')]
	tap.test("the kernel's own gdb scripts: lx-version, lx-cpus, lx-ps, lx-dmesg, $lx_current(), $lx_per_cpu()",
		 needs, 2 * BOOT)(lambda: scripts(linux, running()))
