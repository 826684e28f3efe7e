"""What arm64's loader does with files: every kind of image, what state its entry gets, and what is refused.

	boot_arm64.register(host)               # host() as vm.Host, made with files=boot_arm64.files()
"""

import re
import struct

import bad_elf
import tap

USAGE, IMAGE, HOST = 2, 4, 6
MIB, GIB = 1 << 20, 1 << 30
RAM = 0x40000000
DEFAULT_MEMORY = 256 * MIB

# README.md, "What a guest finds"
STATE = {'el': 1, 'spsel': 1, 'daif': 0x3c0, 'sctlr.m': 0, 'sctlr.c': 0, 'sctlr.i': 0, 'x1': 0, 'x2': 0, 'x3': 0,
	 'memory.addr': RAM, 'psci.method': 'hvc', 'seeded': 1}
INITRD = b'the initial RAM disk' + bytes(range(256)) * 400


def image(text_offset=0, image_size=MIB, flags=0xa, magic=b'ARM\x64', size=8192):
	"""Linux's header (Documentation/arm64/booting.rst) before code that does nothing."""
	head = struct.pack('<IIQQQQQQ', 0x14000010, 0, text_offset, image_size, flags, 0, 0, 0) + magic + bytes(4)
	return (head + b'\x00\x00\x00\x14' * size)[:size]


def zboot(how):
	return b'MZ\0\0zimg' + struct.pack('<IIII', 0x1000, 0x2000, 0, 0) + how.ljust(32, b'\0') + bytes(8192)


PACKED = {'gzip': b'\x1f\x8b\x08', 'xz': b'\xfd7zXZ\0', 'zstd': b'\x28\xb5\x2f\xfd', 'bzip2': b'BZh9',
	  'lz4': b'\x02\x21\x4c\x18'}
# name: (file, words of the error)
FOREIGN = {
	'zboot': (zboot(b'zstd'), ('zboot', 'zstdcat')),
	'zboot-odd': (zboot(b'\x1b[2J%s'), ('zboot',)),
	'bzimage': (bytes(0x202) + b'HdrS' + bytes(8192), ('x86',)),
	'uboot': (b'\x27\x05\x19\x56' + bytes(8192), ('U-Boot', 'tail')),
	'tree': (b'\xd0\x0d\xfe\xed' + bytes(8192), ('device tree',)),
	'text': (b'hello world\n' * 100, ('text',)),
	'zeros': (bytes(8192), ('not a kernel',)),
	'x86.elf': (bad_elf.elf64(bad_elf.X86_64, [(4096, 0x100000, 0x100000, 4096, 4096)], 0x100000), ('x86',)),
	'empty': (b'', ()),
}
ABSURD = {
	'big-endian': image(flags=0xb),
	'offset-odd': image(text_offset=0x123),
	'offset-huge': image(text_offset=1 << 62),
	'offset-wraps': image(text_offset=(1 << 64) - 0x1000),
	'size-huge': image(image_size=1 << 62),
	'size-wraps': image(image_size=(1 << 64) - 1),
	'both-wrap': image(text_offset=1 << 63, image_size=1 << 63),
	'size-of-all-ram': image(image_size=DEFAULT_MEMORY),
	'no-room-for-the-tree': image(image_size=DEFAULT_MEMORY, flags=0x2),
}
BAD_ELF = {name.replace(' ', '-'): data for name, data in bad_elf.variants(bad_elf.AARCH64, RAM + 0x200000).items()}
BIG_INITRD = 40 * MIB


def files():
	found = {'initrd': INITRD, 'initrd-big': bytes(BIG_INITRD - 2) + b'\1\2'}
	found.update({'packed-' + name: magic + bytes(100) for name, magic in PACKED.items()})
	found.update({name: data for name, (data, _) in FOREIGN.items()})
	found.update(ABSURD)
	found.update(BAD_ELF)
	return found


def values(text):
	"""{name: number or text} of its NAME=VALUE lines."""
	found = {}
	for name, value in re.findall(r'^([\w.]+)=(.*)$', text, re.M):
		found[name] = int(value, 16) if value.startswith('0x') else value.strip('"')
	return found


def boots(host, guest, *args, status=0):
	"""What it printed, as numbers."""
	got, output, errors = host.once('--kernel', '{guests}/' + guest, *args)
	tap.equal(got, status, 'exit status of %s; errors: %s' % (guest, errors))
	return values(output)


def state(got, wanted):
	tap.equal({k: got.get(k) for k in wanted}, wanted, 'state')


def refused(host, status, args, *words):
	got, output, errors = host.once(*args)
	what = ' '.join(args)
	tap.equal(got, status, 'status of %s; errors: %s' % (what, errors))
	tap.equal(errors.count('\n'), 1, 'lines of error from %s: %r' % (what, errors))
	tap.check(errors.startswith('minivmm: ') and len(errors) < 600, 'a line that names the program: %r' % errors)
	tap.check(all(32 <= ord(c) < 127 or c == '\n' for c in errors), 'characters that a terminal shows: %r' % errors)
	for word in words:
		tap.contains(errors, word, 'error of ' + what)
	tap.equal(output.strip(), '', 'standard output')


def images(host):
	wanted = dict(STATE, **{'memory.size': DEFAULT_MEMORY, 'cpus': 1, 'modules': 0, 'data': 0x12345678, 'bss.dirty': 0,
				'cmdline': 'console=ttyAMA0 nokaslr a b'})
	for guest, base, tree in (('image.bin', None, RAM), ('image-low.bin', RAM, None), ('image-old.bin', RAM + 0x80000, RAM)):
		got = boots(host, guest, '--cmdline', 'a b')
		state(got, wanted)
		tap.equal(got['x0'], got['tree.addr'], "the tree's address in X0 of " + guest)
		if base:
			tap.equal(hex(got['base']), hex(base), 'address of ' + guest)
		else:
			tap.equal(got['base'] % (2 * MIB), 0, 'alignment of ' + guest)
		if tree:
			tap.equal(got['tree.addr'], tree, "the tree's address")
		tap.equal(got['tree.addr'] % 8, 0, "the tree's alignment")
	state(boots(host, 'image.bin', '--kaslr'), {'cmdline': 'console=ttyAMA0'})


def raw(host):
	got = boots(host, 'raw.bin')
	state(got, dict(STATE, base=RAM + 0x80000, x0=RAM, cmdline='console=ttyAMA0', cpus=1))
	state(boots(host, 'image-old.bin', '--boot', 'raw'), {'base': RAM + 0x80000})


def elf(host):
	state(boots(host, 'lab.elf', '--cmdline', 'lab=info'), dict(STATE, x0=RAM, cmdline='console=ttyAMA0 lab=info', cpus=1))
	state(boots(host, 'higher.elf'), {'loaded': 0x40600000, 'high_calls': 0x6013})
	got = boots(host, 'vmlinux.elf')
	tap.equal(got['high_calls'], 0x6013, 'its data')
	tap.check(RAM <= got['loaded'] < RAM + DEFAULT_MEMORY, 'a vmlinux in RAM, at %#x' % got['loaded'])


def kinds(host):
	for guest, kind in (('lab.elf', 'linux'), ('image.bin', 'elf'), ('raw.bin', 'linux'), ('raw.bin', 'elf')):
		refused(host, IMAGE, ['--kernel', '{guests}/' + guest, '--boot', kind], '--boot ' + kind)
	refused(host, USAGE, ['--kernel', '{guests}/lab.elf', '--boot', 'pvh'], 'pvh')


def memory(host):
	for size, text in ((32 * MIB, '32M'), (64 * MIB, '64M'), (GIB, '1G')):
		got = boots(host, 'lab.elf', '--mem', text, '--cmdline', 'lab=info')
		tap.equal(got['memory.size'], size, 'memory')
		got = boots(host, 'lab.elf', '--mem', text, '--cmdline', 'lab=high')
		tap.equal(got['places.wrong'], 0, 'places that lost what was written')
	for cpus in 1, 2, 4, 16:
		tap.equal(boots(host, 'lab.elf', '--cpus', str(cpus), '--cmdline', 'lab=info')['cpus'], cpus, 'CPUs in the tree')
		got = host.once('--kernel', '{guests}/lab.elf', '--cpus', str(cpus), '--cmdline', 'lab=cpus,%d' % cpus)
		tap.equal(got, (0, 'online %d\n' % cpus, ''), 'what the CPUs do')


def initrd(host):
	for guest, cmdline in (('image.bin', 'x'), ('lab.elf', 'lab=info'), ('raw.bin', 'x')):
		got = boots(host, guest, '--initrd', '{files}/initrd', '--cmdline', cmdline)
		state(got, {'modules': 1, 'module.size': len(INITRD), 'module.sum': sum(INITRD), 'module.misaligned': 0,
			    'module.text': 'the initial RAM disk'})
	got = boots(host, 'image.bin', '--mem', '64M', '--initrd', '{files}/initrd-big')
	state(got, {'module.size': BIG_INITRD, 'module.sum': 3})
	words = ' '.join('word%d' % i for i in range(150))
	tap.equal(boots(host, 'lab.elf', '--cmdline', words + ' lab=info')['cmdline'], 'console=ttyAMA0 %s lab=info' % words,
		  'a long command line')
	refused(host, IMAGE, ['--kernel', '{guests}/image.bin', '--mem', '32M', '--initrd', '{files}/initrd-big'], 'initrd-big')
	refused(host, IMAGE, ['--kernel', '{guests}/image.bin', '--initrd', '{files}/none'], 'none')
	refused(host, IMAGE, ['--kernel', '{guests}/image.bin', '--cmdline', 'x' * 5000], '--cmdline')


def all_refused(host, cases):
	wrong = []
	for name, words in cases.items():
		try:
			refused(host, IMAGE, ['--kernel', '{files}/' + name], name, *words)
		except tap.Failure as e:
			wrong.append('%s: %s' % (name, e))
	tap.check(not wrong, '\n'.join(wrong))


def foreign(host):
	all_refused(host, {'packed-' + name: (name, 'unpack') for name in PACKED})
	all_refused(host, {name: words for name, (_, words) in FOREIGN.items()})


def absurd(host):
	all_refused(host, {name: () for name in ABSURD})


def elf_files(host):
	all_refused(host, {name: () for name in BAD_ELF})


def ends(host):
	for scene, status in (('off', 0), ('reset', 0), ('panic', 8), ('debugexit,3', 7), ('debugexit,0', 1), ('pair', 12)):
		got, _, errors = host.once('--kernel', '{guests}/lab.elf', '--cmdline', 'lab=' + scene)
		tap.equal(got, status, 'status of %s; errors: %s' % (scene, errors))
		tap.check(bool(errors) == (status in (8, 12)), 'errors of %s: %r' % (scene, errors))


def register(host):
	for name, body in (('Image: anywhere, at the start of RAM, of before Linux 3.17: place, tree, state', images),
			   ('a raw binary, at RAM + 0x80000', raw),
			   ('ELF64: physical, linked high, a vmlinux', elf),
			   ('--boot with what the file is not is refused', kinds),
			   ('--mem and --cpus: in the tree, and there', memory),
			   ('--initrd and --cmdline: whole, or refused', initrd),
			   ('compressed and foreign files: status 4, what they are and the way out', foreign),
			   ('absurd headers of an Image, no room for the tree: status 4', absurd),
			   ('ELF files that are truncated or absurd: status 4', elf_files),
			   ("every end has its status: off, reset, panic, exit device, an access that KVM cannot decode", ends)):
		tap.test(name, timeout=180)(lambda body=body: body(host()))
