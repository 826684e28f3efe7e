"""Scenarios: questions about memory and threads, by gdb and by packets that no gdb of today sends."""

import os
import re

import tap
from scene import ends_in_gdb, ends_raw, gdb_session, hit, isa, raw_session, runs_to, scenario

CRC_OF_DIGITS = 'C376e6e7'              # the check value of this CRC-32: of "123456789"
# a device that a debugger's read must not reach: local APIC, PL011's data register
DEVICES = {'x86_64': 0xfee00000, 'arm64': 0x09000000}


# ---- memory ----

@scenario("gdb's find and compare-sections are answered by the stub", 'breakpoints')
def find_and_compare(host):
	with gdb_session(host, 'lab=calls,1,1') as (m, g):
		text = g.cmd('compare-sections .text')
		tap.check('matched' in text and 'MIS' not in text, 'compare-sections: ' + text)
		g.cmd('set var *(unsigned char *)%#x ^= 0xff' % g.address('beta'))
		tap.contains(g.cmd('compare-sections .text'), 'MIS-MATCHED', 'compare-sections of changed code')
		g.cmd('set var *(unsigned char *)%#x ^= 0xff' % g.address('beta'))
		g.cmd('break alpha')
		hit(g, 'alpha')
		pages = g.address('pages')
		word = int.from_bytes(bytes((i * 7 ^ i >> 8) & 0xff for i in range(4094, 4098)), 'little')
		text = g.cmd('find /w %#x, +12288, (unsigned)%#x' % (pages, word))
		tap.contains(text, '%#x' % (pages + 4094), 'find of bytes on two pages')
		tap.contains(g.cmd('find /w1 %#x, +12288, (unsigned)0x0b0b0b0b' % pages), 'not found', 'find of nothing')
		tap.contains(g.cmd('show remote search-memory-packet'), 'enabled', "gdb's use of the packet")
		g.cmd('delete')
		ends_in_gdb(m, g, serial='alphas 1\n')


@scenario("gdb has a memory map, and reaches every address with it", 'breakpoints')
def memory_map(host):
	with gdb_session(host, guest='higher') as (m, g):
		text = g.cmd('info mem')
		tap.contains(text, 'provided by the target', 'info mem')
		tap.equal(re.findall(r'^\d+\s+y\s+(0x\w+)\s+(0x\w+)', text, re.M),
			  [('0x0000000000000000', '0x8000000000000000'), ('0x8000000000000000', '0x10000000000000000')],
			  'info mem: ' + text)
		g.cmd('set mem inaccessible-by-default on')
		g.cmd('set breakpoint auto-hw off')
		g.cmd('break high_work')
		hit(g, 'high_work')
		tap.equal(g.int('high_calls'), 0x600d, 'a variable of the kernel half')
		tap.check(g.address('high_calls') >> 63, 'which is that')
		tap.contains(g.error('x/x 0xffff800000001000'), 'Cannot access memory', 'what is not mapped')
		g.cmd('set var high_calls = 1')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='high_calls=0x7\n')


def binary(c, packet, data):
	"""A packet that ends in bytes; its answer."""
	escaped = b''.join(b'}' + bytes([b ^ 0x20]) if b in b'}#$*' else bytes([b]) for b in data)
	return c.ask(packet.encode() + escaped)


@scenario('physical mode: every memory packet goes by physical address', 'breakpoints')
def physical_mode(host):
	with raw_session(host, guest='higher') as (m, c, sym):
		runs_to(c, sym['high_work'])
		at = sym['high_calls']
		gpa = int(re.search(r'gpa: 0x([0-9a-f]+)', c.monitor('gva2gpa %#x' % at)).group(1), 16)
		tap.equal(c.ask('qqemu.PhyMemMode'), '0', 'the mode at first')
		before = c.read(at, 8)
		tap.equal(before, bytes.fromhex('0d60000000000000'), 'by virtual address')
		tap.contains(c.ask('qXfer:memory-map:read::0,1000'), '0x8000000000000000', 'the map of virtual addresses')
		tap.equal(c.ask('Qqemu.PhyMemMode:1'), 'OK', 'physical mode')
		tap.equal(c.ask('qqemu.PhyMemMode'), '1', 'the mode')
		tap.equal(c.read(gpa, 8), before, 'm')
		tap.equal(c.read_binary(gpa, 8), before, 'x')
		for packet in ('m%x,8', 'x%x,8', 'M%x,1:00', 'X%x,1:a', 'qSearch:memory:%x;8;a', 'qCRC:%x,8'):
			tap.equal(c.ask(packet % at)[:1], 'E', packet % at)
		tap.equal(c.ask('M%x,9:%s' % (gpa, b'123456789'.hex())), 'OK', 'M')
		tap.equal(c.ask('qCRC:%x,9' % gpa), CRC_OF_DIGITS, 'qCRC')
		tap.equal(binary(c, 'qSearch:memory:%x;1000;' % (gpa - 2), b'6789'), '1,%x' % (gpa + 5), 'qSearch')
		tap.equal(binary(c, 'X%x,9:' % gpa, b'}#$*}#$*}'), 'OK', 'X')
		tap.equal(binary(c, 'qSearch:memory:%x;1000;' % gpa, b'*}#'), '1,%x' % (gpa + 3), 'qSearch of odd bytes')
		text = c.ask('qXfer:memory-map:read::0,1000')
		regions = [(int(s, 16), int(n, 16)) for s, n in re.findall(r'start="(0x\w+)" length="(0x\w+)"', text)]
		tap.check(any(s <= gpa < s + n for s, n in regions), 'the map of RAM: ' + text)
		tap.check(not any(s <= DEVICES[host.arch] < s + n for s, n in regions), 'has no device: ' + text)
		tap.equal(c.ask('Qqemu.PhyMemMode:0'), 'OK', 'virtual mode')
		tap.equal(c.read_binary(at, 9), b'}#$*}#$*}', 'x of what was written')
		tap.equal(c.ask('M%x,9:%s00' % (at, before.hex())), 'OK', 'M by virtual address')
		ends_raw(m, c, 'high_calls=0x6013\n')


@scenario('devices are not read: neither by virtual nor by physical address', timeout=30)
def devices(host):
	device = DEVICES[host.arch]
	with raw_session(host, 'lab=off') as (m, c, _):
		for mode in '01':
			tap.equal(c.ask('Qqemu.PhyMemMode:' + mode), 'OK', 'mode')
			for packet in ('m%x,4', 'x%x,4', 'M%x,4:00000000', 'X%x,1:a', 'qCRC:%x,4', 'qSearch:memory:%x;4;a',
				       'm%x,1000'):
				tap.equal(c.ask(packet % device)[:1], 'E', packet % device)
		tap.equal(c.ask('Qqemu.PhyMemMode:0'), 'OK', 'mode')
		ends_raw(m, c)


@scenario('a search of much memory does not hold up the end', timeout=60)
def search_and_end(host):
	with raw_session(host, 'lab=spin', mem='700M') as (m, c, _):
		ram = isa(host).ram
		start = ram + (1 << 20)         # x86: behind the hole below 1 MiB
		tap.equal(c.ask('qSearch:memory:%x;20000001;never\x01there' % start)[:1], 'E', 'more than is allowed')
		tap.equal(c.ask('qSearch:memory:%x;20000000;never\x01there' % start), '0', 'as much as is allowed')
		c.send('qSearch:memory:%x;20000000;never\x01there' % start)
		c.send('k')
		tap.equal(m.wait(), 14, 'exit status')


# ---- threads ----

@scenario('64 CPUs that have not started: listed, selectable, readable', timeout=60)
def many_threads(host):
	count = 8 if host.facts.get('gic') == 2 else 64
	unstarted = isa(host).unstarted
	with raw_session(host, 'lab=off', cpus=count) as (m, c, _):
		ids = ['%x' % (i + 1) for i in range(count)]
		listed, piece = [], c.ask('qfThreadInfo')
		while piece != 'l':
			tap.equal(piece[:1], 'm', 'qfThreadInfo')
			listed += piece[1:].split(',')
			piece = c.ask('qsThreadInfo')
		tap.equal(listed, ids, 'qfThreadInfo')
		text = c.ask('qXfer:threads:read::0,ffff')
		tap.equal(re.findall(r'<thread id="(\w+)" name="CPU (\d+)"', text),
			  [('%x' % (i + 1), str(i)) for i in range(count)], 'qXfer:threads')
		tap.equal(text.count(unstarted), count - 1, 'CPUs that wait')
		state = bytes.fromhex(c.ask('qThreadExtraInfo,%x' % count)).decode()
		tap.equal(state, 'CPU %d %s' % (count - 1, unstarted), 'qThreadExtraInfo') \
			if '(' not in state else tap.contains(state, unstarted, 'qThreadExtraInfo')
		for i in ids:
			tap.equal(c.ask('T' + i), 'OK', 'T' + i)
			tap.equal(c.ask('Hg' + i), 'OK', 'Hg' + i)
			tap.check(re.fullmatch('[0-9a-fx]+', c.ask('g')), 'registers of thread ' + i)
			tap.check(re.fullmatch('[0-9a-f]+', c.ask('p%x' % c.number(c.pc_name))), 'pc of thread ' + i)
		tap.equal(c.ask('T%x' % (count + 1))[:1], 'E', 'one more')
		ends_raw(m, c)


@scenario('gdb names what each CPU does, and reads the one that has not started', 'step')
def thread_states(host):
	with gdb_session(host, 'lab=idle', cpus=2) as (m, g):
		tap.contains(g.cmd('info threads'), '"CPU 1" (%s' % isa(host).unstarted, 'info threads at the start')
		g.cmd('thread 2')
		text = g.cmd('info registers')
		tap.check(len(text.splitlines()) > 16 and isa(host).pc in text, 'info registers of the second: ' + text)
		g.cmd('info registers system')
		other = isa(host).others[0]
		g.cmd('set var $%s = 77' % other)
		g.cmd('maintenance flush register-cache')
		tap.equal(g.int('$' + other), 77, 'a register of the second, written')
		g.cmd('thread 1')
		g.resume('continue')
		m.wait_serial('idle\n')
		tap.check(g.quiet(0.3), 'it idles')
		g.interrupt()
		g.wait_stop()
		text = g.cmd('info threads')
		tap.contains(text, '"CPU 1" (%s' % isa(host).unstarted, 'info threads')
		if host.facts['swbreak'] != 'emulation-fails':  # a KVM that interprets has no halted state
			tap.contains(text, '"CPU 0" (halted', 'info threads')
		g.cmd('kill')


@scenario('a CPU between INIT and SIPI says so, and can be read', 'hardware', arch='x86_64')
def waiting_for_sipi(host):
	with gdb_session(host, 'lab=cpus,2', cpus=2) as (m, g):
		source = os.path.join(os.path.dirname(__file__), '..', '..', 'guests', 'x86_64', 'platform.c')
		with open(source, encoding='utf-8') as f:
			line = [n for n, text in enumerate(f, 1) if 'ICR_STARTUP_OTHERS | AP_PAGE' in text]
		g.cmd('hbreak platform.c:%d' % line[0])
		g.run('continue')
		tap.contains(g.cmd('info threads'), '"CPU 1" (waiting for SIPI)', 'info threads')
		g.cmd('thread 2')
		tap.contains(g.cmd('info registers rip cs'), '0xfff0', 'registers')
		g.cmd('thread 1')
		g.cmd('delete')
		ends_in_gdb(m, g, serial='online 2\n')


# ---- by what front ends know a stub of a machine ----

@scenario('pwndbg and gef find out what they are talking to', timeout=30)
def detection(host):
	with gdb_session(host, 'lab=off') as (m, g):
		for packet, reply in (('Qqemu.sstepbits', 'ENABLE=1,NOIRQ=2,NOTIMER=4'), ('qqemu.sstepbits', 'ENABLE=1'),
				      ('qqemu.PhyMemMode', '"0"'), ('Qqemu.PhyMemMode:1', '"OK"'),
				      ('qqemu.PhyMemMode', '"1"'), ('Qqemu.PhyMemMode:0', '"OK"'), ('qOffsets', '""')):
			tap.contains(g.cmd('maintenance packet ' + packet), 'received: ' + (
				reply if reply[0] == '"' else '"' + reply), packet)
		ends_in_gdb(m, g)
