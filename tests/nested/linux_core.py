"""--dump of Debian's kernel, for every ISA: the core leaves the outer machine by a port and is opened here.

	linux_core.register(linux)      # a Linux() that nothing else uses
"""

import os
import re
import shutil
import subprocess
import tempfile

import tap
from corefile import MACHINES, NT_FPREGSET, NT_PRSTATUS, CoreFile
from gdbclient import Gdb
from linux_session import BOOT, CPUS
from vm import wait_for

REJECTED, PANIC = 22, 8
MIB = 1 << 20
MEMORY = 96
PORTS = 'dump0', 'dump1'
INSIDE = '/tmp/core'
WORDS = 'the words that a debugger finds in user memory'


def run(linux, kernel, options):
	guest = linux.nest().guest('--kernel %s --initrd /inner --cpus %d --mem %dM --dump %s %s'
				   % (kernel, CPUS, MEMORY, INSIDE, options))
	tap.equal(guest.user_space(BOOT), CPUS, 'CPUs')
	return guest


def fetch(linux, guest, status, port):
	"""The path outside of the dump that a run with that end has left."""
	outer = linux.nest().outer
	tap.equal(guest.wait(BOOT), status, 'exit status; it says: ' + guest.process.output())
	size = int(outer.check('stat -c %s ' + INSIDE))
	tap.diag('%d KiB of %d in the dump' % (int(outer.check('du -k ' + INSIDE).split()[0]), size // 1024))
	outer.check('cat %s >%s' % (INSIDE, outer.inside(port)), BOOT)
	path = linux.outputs[port]
	wait_for(lambda: os.path.getsize(path) == size, 'the whole dump', BOOT)
	guest.close()
	return path


def vmcoreinfo(core):
	"""{name: value} of what the kernel says of itself."""
	notes = core.note('VMCOREINFO', 0)
	tap.equal(len(notes), 1, 'notes VMCOREINFO')
	return dict(line.split('=', 1) for line in notes[0].decode().splitlines() if '=' in line)


def opened(linux, path, offset=0):
	gdb = Gdb(patience=4, program=linux.isa.gdb)
	gdb.cmd('symbol-file %s%s' % (linux.isa.kernel.debug, ' -o %#x' % offset if offset else ''))
	gdb.cmd('core-file ' + path)
	return gdb


def kernel_is_seen(linux, gdb):
	"""What has come to be since the kernel was started, so that it is not the file's own."""
	tap.equal(len(gdb.threads()), CPUS, 'threads')
	tap.contains(gdb.cmd('p init_uts_ns.name.release'), linux.isa.kernel.release, 'release')
	tap.check(gdb.int('nr_threads') > 20, 'threads of the kernel')
	# through the direct map, and in the kernel's own mapping
	tap.contains(gdb.cmd('p ((struct task_struct *)((char *)init_task.tasks.next - '
			     '(unsigned long)&((struct task_struct *)0)->tasks))->comm'), '"sh"', 'the first program')
	tap.contains(gdb.error('x/x 0x8000000000000000'), 'Cannot access memory', 'an address that is none')


def crash(linux, path, commands):
	"""What Debian's crash says to that."""
	with tempfile.NamedTemporaryFile('w', suffix='.crash') as script:
		script.write('\n'.join([*commands, 'quit', '']))
		script.flush()
		out = subprocess.run(['crash', '-s', '-i', script.name, linux.isa.kernel.debug, path], timeout=BOOT,
				     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
				     env={**os.environ, 'TERM': 'dumb', 'PAGER': 'cat'}, check=False)
	return out.stdout.decode('utf-8', 'replace')


def crash_opens(linux, path, core, log):
	said = crash(linux, path, ['sys', 'p init_uts_ns.name.release', 'help -r', 'kmem -i', 'log'])
	tap.check(re.search(r'DUMPFILE: %s\n' % re.escape(path), said), 'crash says: %.2000s' % said)
	tap.check(re.search(r'CPUS: %d\b' % CPUS, said), 'CPUs: %.2000s' % said)
	tap.check(re.search(r'RELEASE: %s\n' % re.escape(linux.isa.kernel.release), said), 'release: %.2000s' % said)
	tap.check(re.search(r'TOTAL MEM +\d{4,}', said), 'its count of pages: %.4000s' % said)
	tap.contains(said, log, "the kernel's log")
	regs = core.note('CORE', NT_PRSTATUS)
	for cpu in range(CPUS):
		rsp = int.from_bytes(regs[cpu][112 + 19 * 8:112 + 20 * 8], 'little')
		tap.contains(said, 'RSP: %016x' % rsp, 'registers of CPU %d' % cpu)


def register(linux, crash_needed):
	"""crash_needed: for tap.test, or None where there is no crash for this ISA on this host."""
	@tap.fixture
	def folder():
		path = tempfile.mkdtemp(prefix='core-')
		tap.cleanup(lambda: shutil.rmtree(path))
		linux.outputs = {port: os.path.join(path, port) for port in PORTS}
		return path

	@tap.fixture
	def rejected():
		"""A guest that is stopped at once by what it says, while a program is in user mode on its second CPU."""
		folder()
		guest = run(linux, '/vmlinux', '--cmdline "loglevel=4" --reject "stop here"')
		guest.type('inside spin 1 &\n')
		match = guest.expect(rb'text=0x(\w+) turns=0x(\w+)\s', BOOT)
		# the shell itself stays on the first one
		guest.type('taskset -p 1 $$ >/dev/null; sleep 1; echo stop" "here\n')
		return fetch(linux, guest, REJECTED, 'dump0'), int(match.group(1), 16)

	@tap.fixture
	def panicked():
		folder()
		guest = run(linux, '/vmlinuz', '--kaslr --cmdline "loglevel=4"')
		guest.type('echo c >/proc/sysrq-trigger\n')
		return fetch(linux, guest, PANIC, 'dump1')

	@tap.test('Linux stopped in its tracks: the dump is well-formed, with VMCOREINFO', linux.needs, BOOT)
	def _():
		with CoreFile(rejected()[0]) as core:
			tap.equal(core.machine, MACHINES[linux.isa.name], 'machine')
			info = vmcoreinfo(core)
			tap.equal(info['OSRELEASE'], linux.isa.kernel.release, 'release in VMCOREINFO')
			tap.equal(int(info['SYMBOL(_stext)'], 16), linux.symbol('_stext'), '_stext in VMCOREINFO')
			tap.equal(sum(load.size for load in core.loads if load.va >> 52 == 1), MEMORY * MIB, 'memory')
			for kind in NT_PRSTATUS, NT_FPREGSET:
				tap.equal(len(core.note('CORE', kind)), CPUS, 'notes of CPUs')
			banner = core.virtual(linux.symbol('linux_banner'), 13)
			tap.equal(banner, b'Linux version', "the kernel's banner at its virtual address")

	@tap.test('Linux stopped in its tracks: gdb sees kernel and user memory', linux.needs, BOOT)
	def _():
		path, text = rejected()
		with opened(linux, path) as gdb:
			kernel_is_seen(linux, gdb)
			gdb.cmd('thread 2')
			if linux.in_user_mode(gdb):
				tap.contains(gdb.cmd('x/s %#x' % text), WORDS, 'user memory')
			else:
				tap.diag('the second CPU was in the kernel just then: %s' % gdb.frames())
			frames = gdb.frames()
			gdb.cmd('thread 1')
			frames += gdb.frames()
			tap.check(linux.write_frames & set(frames), 'the writer in the backtraces: %s' % frames)

	@tap.test('Linux panicked, moved by KASLR: gdb finds it where VMCOREINFO says', linux.needs, BOOT)
	def _():
		path = panicked()
		with CoreFile(path) as core:
			offset = int(vmcoreinfo(core)['KERNELOFFSET'], 16)
		tap.diag('it is %#x away' % offset)
		with opened(linux, path, offset) as gdb:
			kernel_is_seen(linux, gdb)
			frames = []
			for thread in range(1, CPUS + 1):
				gdb.cmd('thread %d' % thread)
				frames += gdb.frames()
			tap.check('panic' in frames, 'backtraces: %s' % frames)

	if crash_needed is None:
		return

	@tap.test("Debian's crash opens the dump of a kernel that was stopped", [*linux.needs, *crash_needed], BOOT)
	def _():
		path, _text = rejected()
		with CoreFile(path) as core:
			crash_opens(linux, path, core, 'Run /init as init process')

	@tap.test("Debian's crash opens the dump of one that panicked, moved by KASLR", [*linux.needs, *crash_needed], BOOT)
	def _():
		path = panicked()
		with CoreFile(path) as core:
			crash_opens(linux, path, core, 'sysrq: Trigger a crash')
