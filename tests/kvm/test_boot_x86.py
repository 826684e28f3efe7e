#!/usr/bin/env python3
"""Every kind of image that x86_64 has, what state its entry gets, memory, CPUs, command line, modules."""

import os
import re
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from vm import Vm, guest_path           # noqa: E402

ACPI = 'acpi RSDP ok\nacpi XSDT ok\nacpi FACP ok\nacpi DSDT ok\nacpi APIC ok\n'
MAP = re.compile(r'^map (\w+) (\w+) (\w+)$', re.M)
RAM, RESERVED, TABLES = 1, 2, 3
MIB, GIB = 1 << 20, 1 << 30

# README.md, "What a guest finds"
PROTECTED = {'mode': 'protected', 'bits': 0x20, 'cr0': 0x11, 'cr4': 0, 'efer': 0, 'rflags': 2, 'cs': 0x10, 'ds': 0x18,
	     'es': 0x18, 'ss': 0x18, 'tr': 0x20, 'idt.base': 0, 'idt.limit': 0, 'data': 0x12345678, 'bss.dirty': 0}
LONG = {'mode': 'long,paging', 'bits': 0x40, 'cr0': 0x80000013, 'cr4': 0x620, 'efer': 0x500, 'cs': 0x10, 'ds': 0x18,
	'es': 0x18, 'ss': 0x18, 'tr': 0x20}


def boot(guest, *args, status=0, cmdline=None):
	"""What it printed."""
	args = ['--kernel', guest_path(guest), *args]
	with Vm(args + (['--cmdline', cmdline] if cmdline else [])) as p:
		tap.equal(p.wait(), status, 'exit status; errors: %s' % p.errors())
		return p.output()


def values(text):
	"""{name: number or text} of its NAME=VALUE lines."""
	found = {}
	for name, value in re.findall(r'^([\w.]+)=(.*)$', text, re.M):
		found[name] = int(value, 16) if value.startswith('0x') else value.strip('"')
	return found


def state(text, wanted):
	got = values(text)
	tap.equal({k: got.get(k) for k in wanted}, wanted, 'state')
	return got


def memory_map(text):
	return [tuple(int(x, 16) for x in m) for m in MAP.findall(text)]


def check_map(text, size):
	"""The map is in order, does not overlap itself, has exactly the RAM that was asked for but for the hole at 640 KiB."""
	entries = memory_map(text)
	end = 0
	for addr, length, kind in entries:
		tap.check(addr >= end and length > 0, 'entry at %#x is in order and does not overlap' % addr)
		end = addr + length
	ram = sum(length for _, length, kind in entries if kind == RAM)
	lost = size - ram
	tap.check(0 < lost <= 0x60400, 'RAM: %#x of %#x' % (ram, size))
	tap.check(not any(a < 4 * GIB and a + n > 3 * GIB for a, n, k in entries if k == RAM), 'RAM in the PCI hole')
	tap.check(any(k == TABLES and a <= 0xe0000 < a + n for a, n, k in entries), 'the tables are in the map')
	low = [(a, n) for a, n, k in entries if k == RAM and a < MIB]
	tap.equal(low, [(0, 0x9fc00)], 'RAM below 1 MiB')
	high = [(a, n) for a, n, k in entries if k == RAM and a >= 4 * GIB]
	tap.equal(high, [(4 * GIB, size - 3 * GIB)] if size > 3 * GIB else [], 'RAM above 4 GiB')


def temp_file(data):
	f = tempfile.NamedTemporaryFile(prefix='boot-')
	f.write(data)
	f.flush()
	return f


# ---- kinds of images ----

for image in 'pvh32', 'pvh64':
	@tap.test('PVH: %s' % image, timeout=60)
	def _(image=image):
		text = boot(image, cmdline='some words')
		state(text, dict(PROTECTED, cmdline='console=ttyS0 some words', modules=0, eax=0))
		tap.contains(text, 'start_info ok\n')
		tap.contains(text, ACPI)
		tap.contains(text, '\nend\n')
		check_map(text, 256 * MIB)

for image in 'multiboot32', 'multiboot64', 'kludge.bin':
	@tap.test('Multiboot: %s' % image, timeout=60)
	def _(image=image):
		text = boot(image, cmdline='some words')
		got = state(text, dict(PROTECTED, eax=0x2badb002, mem_lower=0x27f, modules=0, loader='minivmm'))
		tap.equal(got['cmdline'], guest_path(image) + ' console=ttyS0 some words', 'command line')
		tap.equal(got['mem_upper'], (256 * MIB - MIB) // 1024, 'mem_upper')
		tap.contains(text, ACPI)
		tap.contains(text, '\nend\n')
		check_map(text, 256 * MIB)

@tap.test('plain ELF64', timeout=60)
def _():
	text = boot('lab', cmdline='lab=info')
	state(text, dict(LONG, cmdline='console=ttyS0 lab=info', modules=0))
	tap.contains(text, 'start_info ok\n')
	tap.equal(text.count(ACPI), 2, 'ways to find the ACPI tables')
	check_map(text, 256 * MIB)


@tap.test('plain ELF64 in the kernel half', timeout=60)
def _():
	text = boot('higher', '--boot', 'elf')
	got = state(text, LONG)
	tap.equal(got['pc'] >> 31, 0x1ffffffff, 'upper half of pc')
	tap.equal(got['high_calls'], 0x6013, 'its data')


@tap.test('bzImage: the 64-bit entry of the Linux boot protocol', timeout=60)
def _():
	linux = dict(LONG, cr0=0x80000011, cr4=0x20, boot_flag=0xaa55, header=0x53726448, loader=0xff)
	text = boot('bz.bin', cmdline='some words')
	state(text, dict(linux, cmdline='console=ttyS0 nokaslr some words'))
	tap.contains(text, ACPI)
	tap.contains(text, '\nend\n')
	check_map(text, 256 * MIB)
	with temp_file(bytes(5000)) as f:
		text = boot('bz.bin', '--kaslr', '--initrd', f.name, '--mem', '4G')
	state(text, dict(linux, cmdline='console=ttyS0', **{'ramdisk.size': 5000}))
	check_map(text, 4 * GIB)


@tap.test('--boot: PVH comes first, then Linux, Multiboot, plain; another kind can be had', timeout=60)
def _():
	tap.contains(boot('pvh32'), 'start_info ok')
	tap.contains(boot('pvh32', '--boot', 'multiboot'), 'eax=0x2badb002')
	tap.contains(boot('pvh64', '--boot', 'multiboot'), 'eax=0x2badb002')
	# the note's entry sets up its own paging and GDT, the other one gets ours
	tap.equal(values(boot('higher'))['cs'], 8, 'code segment after the PVH entry')
	tap.equal(values(boot('higher', '--boot', 'pvh'))['cs'], 8, 'code segment after the PVH entry, forced')
	tap.equal(values(boot('higher', '--boot', 'elf'))['cs'], 0x10, 'code segment after the plain entry')


@tap.test('--boot with what the file is not is refused', timeout=60)
def _():
	for guest, kind in (('multiboot32', 'pvh'), ('multiboot32', 'elf'), ('lab', 'multiboot'), ('lab', 'linux'),
			    ('kludge.bin', 'elf')):
		with Vm(['--kernel', guest_path(guest), '--boot', kind]) as p:
			tap.equal(p.wait(), 4, 'status of %s as %s' % (guest, kind))
			tap.equal(p.errors().count('\n'), 1, 'lines of error')
			tap.contains(p.errors(), '--boot ' + kind)


# ---- memory ----

for size, text_size in ((2 * MIB, '2M'), (64 * MIB, '64M'), (3 * GIB, '3G'), (3 * GIB + MIB, '3073M'), (4 * GIB, '4G'),
			(5 * GIB, '5G')):
	@tap.test('--mem %s: the map, and all ends of it can be written' % text_size, timeout=60)
	def _(size=size, text_size=text_size):
		text = boot('multiboot32' if size < 4 * MIB else 'lab', '--mem', text_size, cmdline='lab=info')
		check_map(text, size)
		if size >= 64 * MIB:
			got = values(boot('lab', '--mem', text_size, cmdline='lab=high'))
			tap.equal(got['places.wrong'], 0, 'places that lost what was written')
			tap.equal(got['places.high'], 8 if size > 3 * GIB else 0, 'places above 4 GiB')


# ---- CPUs ----

for cpus in 1, 2, 4, 16:
	@tap.test('--cpus %d: listed and started, all of them' % cpus, timeout=60)
	def _(cpus=cpus):
		text = boot('lab', '--cpus', str(cpus), cmdline='lab=info')
		tap.equal(values(text)['madt.cpus'], cpus, 'CPUs in the MADT')
		text = boot('lab', '--cpus', str(cpus), cmdline='lab=cpus,%d' % cpus)
		tap.equal(text, 'online %d\n' % cpus, 'output')


@tap.test('--cpu-features hides what it names and nothing else', timeout=60)
def _():
	plain = values(boot('lab', cmdline='lab=info'))
	tap.equal(plain['cpuid.1.apicid'], 0, 'APIC id of the boot CPU')
	cx16, x2apic, apic = 1 << 13, 1 << 21, 1 << 9
	tap.check(plain['cpuid.1.edx'] & apic, 'there is an APIC')
	got = values(boot('lab', '--cpu-features', '-cx16,-x2apic', cmdline='lab=info'))
	tap.equal(got['cpuid.1.ecx'], plain['cpuid.1.ecx'] & ~(cx16 | x2apic), 'ECX of leaf 1')
	tap.equal(got['cpuid.1.edx'], plain['cpuid.1.edx'], 'EDX of leaf 1')


# ---- command line, initrd, modules ----

@tap.test('a long command line arrives whole', timeout=60)
def _():
	words = ' '.join('word%d' % i for i in range(150))
	tap.equal(values(boot('lab', cmdline=words + ' lab=info'))['cmdline'], 'console=ttyS0 %s lab=info' % words,
		  'command line')


@tap.test('--initrd for PVH and plain ELF64', timeout=60)
def _():
	data = b'the initial RAM disk' + bytes(range(256)) * 400
	for guest, cmdline in (('pvh32', None), ('lab', 'lab=info')):
		with temp_file(data) as f:
			got = values(boot(guest, '--initrd', f.name, cmdline=cmdline))
		tap.equal((got['modules'], got['module.size'], got['module.sum'], got['module.misaligned']),
			  (1, len(data), sum(data), 0), 'the module in ' + guest)
		tap.equal(got['module.text'], 'the initial RAM disk', 'begin of the module in ' + guest)


@tap.test('--initrd as Multiboot modules with arguments', timeout=60)
def _():
	with temp_file(b'first') as a, temp_file(b'second' * 1000) as b:
		spec = '%s one two,%s' % (a.name, b.name)
		text = boot('multiboot32', '--initrd', spec)
		tap.equal(values(text)['modules'], 2, 'modules')
		tap.equal(re.findall(r'^module\.string="(.*)"$', text, re.M), [a.name + ' one two', b.name], 'strings')
		tap.equal(re.findall(r'^module\.size=(.*)$', text, re.M), ['0x5', hex(6000)], 'sizes')
		tap.equal(re.findall(r'^module\.misaligned=(.*)$', text, re.M), ['0x0'] * 2, 'alignment')
		tap.equal(re.findall(r'^module\.text=(.*)$', text, re.M), ['first', ('second' * 7)[:40]], 'contents')


@tap.test('an initrd of most of the memory', timeout=60)
def _():
	# the guest adds up 64 KiB at either end
	with temp_file(bytes(48 * MIB - 2) + b'\1\2') as f:
		got = values(boot('pvh32', '--mem', '64M', '--initrd', f.name))
		tap.equal((got['module.size'], got['module.sum']), (48 * MIB, 3), 'size and sum')


tap.main()
