#!/usr/bin/env python3
"""Bad input: exactly one line on standard error that names the thing, the documented status, nothing left behind."""

import fcntl
import os
import pty
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import termios

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import bad_elf          # noqa: E402
import tap              # noqa: E402
from vm import X86, Vm, VmError, binary, die_with_parent, guest_path  # noqa: E402

USAGE, IMAGE, HOST = 2, 4, 6


@tap.fixture
def folder():
	d = tempfile.mkdtemp(prefix='bad-')
	tap.cleanup(shutil.rmtree, d)
	return d


def write(name, data):
	path = os.path.join(folder(), name)
	with open(path, 'wb') as f:
		f.write(data)
	return path


def refused(args, status, *words, wrap=(), quiet=True, preexec=None):
	"""Starts it on a terminal and with sockets to leave behind, and looks at all it did."""
	master, slave = pty.openpty()
	before = termios.tcgetattr(slave)
	work = tempfile.mkdtemp(prefix='bad-cwd-')

	def child():
		fcntl.ioctl(0, termios.TIOCSCTTY, 0)
		if preexec:
			preexec()
	try:
		with Vm(args, stdin=slave, preexec=child, wrap=wrap, cwd=work) as p:
			what = ' '.join(str(a) for a in args)[:200]
			tap.equal(p.wait(10), status, 'status of %s; errors: %s' % (what, p.errors()))
			errors = p.errors()
			tap.equal(errors.count('\n'), 1, 'lines of error from %s: %r' % (what, errors))
			tap.check(errors.startswith('minivmm: '), 'the program names itself: %r' % errors)
			tap.check(len(errors) < 600, 'the line has a bearable length: %r' % errors)
			for word in words:
				tap.contains(errors, word, 'error of ' + what)
			if quiet:
				tap.equal(p.output(), '', 'standard output')
		tap.equal(os.listdir(work), [], 'what is left in its folder')
		tap.equal(termios.tcgetattr(slave), before, 'terminal')
	finally:
		shutil.rmtree(work)
		os.close(master)
		os.close(slave)


def lab(*args):
	return ['--kernel', guest_path('lab'), *args]


# ---- the command line ----

@tap.test('unknown, incomplete and contradictory options: status 2', timeout=60)
def _():
	for args, word in ((['--nonsense'], '--nonsense'), (['--kernel'], '--kernel'), (['stray'], 'stray'), (['-z'], '-z'),
			   (['--help=1'], '--help'), (['--kernel', ''], '--kernel'), (['--initrd', 'x'], '--initrd'),
			   (['--boot', 'elf'], '--boot'), (['--kaslr'], '--kaslr'), (['--gdb-attach'], '--gdb-attach'),
			   (lab('--boot', 'grub'), 'grub'), (lab('--serial', 'lpt1'), 'lpt1'), (lab('--serial', 'file:'), 'file:'),
			   (lab('--gdb', ''), '--gdb'), (lab('--gdb', 'chardev:'), 'chardev:'),
			   (lab('--gdb', 'stdio', '--serial', 'stdio'), 'stdio'),
			   (lab('--cpu-features', 'cx16'), 'cpu-features'), (lab('--cpu-features', '-nosuch'), 'nosuch')):
		refused(args, USAGE, word)


@tap.test('CPU counts that cannot be: status 2', timeout=60)
def _():
	for n in '0', '-1', '65', 'two', '', '1x', '4294967297', '99999999999999999999':
		refused(lab('--cpus', n), USAGE, '--cpus')


@tap.test('memory sizes that cannot be: status 2, more than the host has: 6', timeout=60)
def _():
	for size in '0', '0M', '-1', 'lots', '', '1', '64Q', '64MM', '1000001', '99999999999999999999G', '17179869184G', '2000T':
		refused(lab('--mem', size), USAGE, '--mem')
	refused(lab('--mem', '1000G'), HOST, 'mem')
	refused(lab('--mem', '100000G'), USAGE, 'mem')


@tap.test('ports that cannot be: status 2', timeout=60)
def _():
	for spec in 'tcp:', 'tcp:0', 'tcp:65536', 'tcp:x', 'tcp:localhost:', 'tcp:localhost:x':
		refused(lab('--gdb', spec), USAGE, '--gdb')


# ---- files ----

@tap.test('a kernel that is missing, a folder, unreadable, empty: status 4', timeout=60)
def _():
	missing = os.path.join(folder(), 'missing')
	refused(['--kernel', missing], IMAGE, missing)
	refused(['--kernel', folder()], IMAGE, folder())
	refused(['--kernel', missing + '/vmlinux'], IMAGE, missing)
	refused(['--kernel', write('empty', b'')], IMAGE, 'empty')
	refused(['--kernel', '/dev/null'], IMAGE, '/dev/null')


@tap.test('no kernel at all, and kernels for others: status 4 and what they are', [X86], timeout=60)
def _():
	refused(['--kernel', write('text', b'hello world\n' * 100)], IMAGE, 'text')
	refused(['--kernel', write('gz', b'\x1f\x8b\x08' + bytes(100))], IMAGE, 'gzip')
	refused(['--kernel', write('arm64', bytes(0x38) + b'ARM\x64' + bytes(100))], IMAGE, 'arm64')
	refused(['--kernel', binary()], IMAGE, binary())
	with open(guest_path('lab'), 'rb') as f:
		elf = bytearray(f.read())
	for machine, name in ((183, 'aarch64'), (243, ''), (3, '')):
		other = bytearray(elf)
		struct.pack_into('<H', other, 18, machine)
		refused(['--kernel', write('machine%d' % machine, other)], IMAGE, 'machine%d' % machine, name)
	big = bytearray(elf)
	big[5] = 2
	refused(['--kernel', write('bigendian', big)], IMAGE, 'bigendian')
	plain32 = bytearray(open(guest_path('multiboot32'), 'rb').read())
	at = plain32.index(struct.pack('<I', 0x1badb002))
	plain32[at] ^= 0xff
	refused(['--kernel', write('plain32', plain32)], IMAGE, '32-bit')


@tap.test('ELF files that are truncated or absurd: status 4', [X86], timeout=120)
def _():
	bad = {**bad_elf.variants(bad_elf.X86_64, 0x100000), **bad_elf.unmappable(bad_elf.X86_64, 0x100000)}
	bad['in the PCI hole'] = bad_elf.elf64(bad_elf.X86_64, [(4096, 0xfee00000, 0xfee00000, 4096, 4096)], 0xfee00000)
	bad['over the ACPI tables'] = bad_elf.elf64(bad_elf.X86_64, [(4096, 0xe0000, 0xe0000, 4096, 4096)], 0xe0000)
	wrong = []
	for name, data in bad.items():
		path = write(name.replace(' ', '-'), data)
		try:
			refused(['--kernel', path], IMAGE, name.replace(' ', '-'))
		except (tap.Failure, VmError) as e:
			wrong.append('%s: %s' % (name, e))
	tap.check(not wrong, '\n'.join(wrong))


@tap.test('Multiboot and bzImage headers that are absurd: status 4', [X86], timeout=60)
def _():
	def multiboot(flags, *addresses):
		head = struct.pack('<III', 0x1badb002, flags, -(0x1badb002 + flags) & 0xffffffff)
		return head + struct.pack('<%dI' % len(addresses), *addresses) + bytes(4096)
	for name, data in {
			'mb-below': multiboot(0x10000, 0x100000, 0x200000, 0, 0, 0x100000),
			'mb-beyond-file': multiboot(0x10000, 0x100000, 0x100000, 0x10000000, 0, 0x100000),
			'mb-bss-first': multiboot(0x10000, 0x100000, 0x100000, 0x101000, 0x100800, 0x100000),
			'mb-above-ram': multiboot(0x10000, 0xf0000000, 0xf0000000, 0, 0, 0xf0000000),
			'mb-no-addresses': multiboot(0),
			'mb-unknown-flag': multiboot(0x10008, 0x100000, 0x100000, 0, 0, 0x100000),
			'mb-huge-bss': multiboot(0x10000, 0x100000, 0x100000, 0, 0xfffff000, 0x100000)}.items():
		refused(['--kernel', write(name, data)], IMAGE, name)
	head = bytearray(4096)
	head[0x1fe:0x200] = b'\x55\xaa'
	head[0x202:0x206] = b'HdrS'
	for name, version, setup, tail in (('bz-old', 0x200, 4, 8192), ('bz-no-64', 0x20c, 4, 8192), ('bz-cut', 0x20f, 64, 0)):
		image = bytearray(head)
		struct.pack_into('<H', image, 0x206, version)
		image[0x1f1] = setup
		image[0x211] = 1
		refused(['--kernel', write(name, bytes(image) + bytes(tail))], IMAGE, name)


@tap.test('a real bzImage that is cut short: status 4', [X86, os.path.join(os.environ['BUILD'], 'tests/cache/linux-amd64/vmlinuz')],
	  timeout=60)
def _():
	with open(os.path.join(os.environ['BUILD'], 'tests/cache/linux-amd64/vmlinuz'), 'rb') as f:
		data = f.read(1 << 20)
	for size in (600, 20000, 1 << 20):
		refused(['--kernel', write('cut%d' % size, data[:size])], IMAGE, 'cut%d' % size)


@tap.test('symbols that are missing, none, or of something else: status 4', [X86], timeout=60)
def _():
	missing = os.path.join(folder(), 'no-vmlinux')
	refused(lab('--symbols', missing), IMAGE, missing)
	refused(lab('--symbols', folder()), IMAGE, folder())
	refused(lab('--symbols', write('text', b'not a kernel')), IMAGE, 'not an ELF file')
	refused(lab('--symbols', guest_path('lab')), IMAGE, 'not the vmlinux of a Linux kernel')


@tap.test('an initrd that is missing, a folder, or does not fit: status 4', [X86], timeout=60)
def _():
	missing = os.path.join(folder(), 'no-initrd')
	refused(lab('--initrd', missing), IMAGE, missing)
	refused(lab('--initrd', folder()), IMAGE, folder())
	big = write('big', b'')
	os.truncate(big, 60 << 20)
	refused(lab('--mem', '32M', '--initrd', big), IMAGE, big)
	refused(['--kernel', guest_path('multiboot32'), '--mem', '32M', '--initrd', big], IMAGE, big)
	refused(['--kernel', guest_path('multiboot32'), '--initrd', ','.join([write('mod', b'm')] * 33)], IMAGE, 'modules')


@tap.test('an image that does not fit, a command line that is too long: status 4', [X86], timeout=60)
def _():
	refused(lab('--mem', '2M'), IMAGE, 'lab.elf')
	refused(lab('--cmdline', 'x' * 5000), IMAGE, '--cmdline')


# ---- the host ----

@tap.test('sockets and files that cannot be made: status 6', timeout=60)
def _():
	missing = os.path.join(folder(), 'no', 'sock')
	plain = write('plain', b'precious')
	for option, prefix in (('--gdb', ''), ('--serial', 'unix:')):
		refused(lab(option, prefix + missing), HOST, missing)
		refused(lab(option, prefix + plain), HOST, plain)
		refused(lab(option, prefix + folder()), HOST, folder())
		refused(lab(option, prefix + '/' + 'y' * 200), HOST, 'y' * 100)
	refused(lab('--serial', 'file:' + missing), HOST, missing)
	refused(lab('--serial', 'file:' + folder()), HOST, folder())
	refused(lab('--gdb', 'chardev:' + missing), HOST, missing)
	refused(lab('--gdb', 'chardev:' + plain), HOST, plain)
	with open(plain, 'rb') as f:
		tap.equal(f.read(), b'precious', 'the file in the way')


def nobody():
	os.setgid(65534)
	os.setuid(65534)


# A private copy of /dev in a mount namespace of its own: SCRIPT sees to /dev/kvm, then the program runs.
def in_namespace(script):
	return ['unshare', '-m', 'sh', '-c', 'mount --make-rprivate / && { %s; } && exec "$@"' % script, 'sh']


CAN_UNSHARE = (os.getuid() == 0 and shutil.which('unshare') is not None and
	       subprocess.run(['unshare', '-m', 'mount', '--make-rprivate', '/'], stderr=subprocess.DEVNULL,
			      preexec_fn=die_with_parent, check=False).returncode == 0, 'root and mount namespaces')


@tap.test('no /dev/kvm: status 6 and what to do', [CAN_UNSHARE], timeout=60)
def _():
	refused(lab(), HOST, '/dev/kvm', wrap=in_namespace('mount -t tmpfs none /dev'))
	refused(['--probe-host'], HOST, '/dev/kvm', wrap=in_namespace('mount -t tmpfs none /dev'))
	refused(lab(), HOST, '/dev/kvm', wrap=in_namespace('mount --bind /dev/null /dev/kvm'))


@tap.test('no permission for /dev/kvm: status 6 and what to do', [(os.getuid() == 0, 'root')], timeout=60)
def _():
	mode = os.stat('/dev/kvm').st_mode
	if mode & stat.S_IROTH:
		tap.skip('everybody may use /dev/kvm here')
	refused([], HOST, '/dev/kvm', 'permission', preexec=nobody)


@tap.test('a kernel without read permission: status 4', [(os.getuid() == 0, 'root')], timeout=60)
def _():
	path = write('secret', b'x' * 100)
	os.chmod(path, 0)
	os.chmod(folder(), 0o755)
	if os.stat('/dev/kvm').st_mode & stat.S_IROTH == 0:
		tap.skip('who may not read the file may not use /dev/kvm either')
	refused(['--kernel', path], IMAGE, path, preexec=nobody)


@tap.test('limits of the process: no memory, no files, no threads: status 6', timeout=60)
def _():
	import resource

	def limit(what, value):
		return lambda: resource.setrlimit(what, (value, value))
	refused(lab('--mem', '2G'), HOST, preexec=limit(resource.RLIMIT_AS, 512 << 20))
	for files in 4, 5, 6, 8, 10:
		# the file that cannot be opened may be the kernel
		with Vm(lab('--gdb', os.path.join(folder(), 'sock')), preexec=limit(resource.RLIMIT_NOFILE, files)) as p:
			tap.check(p.wait(10) in (IMAGE, HOST), 'status with %d files: %s' % (files, p.describe()))
			tap.equal(p.errors().count('\n'), 1, 'lines of error with %d files: %s' % (files, p.errors()))
			tap.check(not os.path.exists(os.path.join(folder(), 'sock')), 'no socket is left')


@tap.test('help and version are no errors', timeout=30)
def _():
	for option, word in (('--help', '--kernel'), ('-h', '--gdb'), ('--version', 'minivmm')):
		with Vm([option]) as p:
			tap.equal(p.wait(20), 0, 'status')
			tap.contains(p.output(), word)
			tap.equal(p.errors(), '', 'errors')


tap.main()
