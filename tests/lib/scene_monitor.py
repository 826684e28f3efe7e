"""Scenarios: the monitor's commands, and events that stop the machine."""

import re

import tap
from scene import ends, ends_in_gdb, ends_raw, gdb_session, hit, isa, raw_session, runs_to, scenario

MAPPING = re.compile(r'^([0-9a-f]{16})-(1?[0-9a-f]{16}) ([0-9a-f]{16}) ([u-])(r)([w-])([x-])$')
SIGUSR1, SIGPWR = 30, 32                # as gdb numbers them
# what lab=touch writes to, as a catch and as its text
TOUCH = {'x86_64': ('io 0x80', 'io: CPU %d wrote 0x%02x (1 byte) to port 0x80'),
	 'arm64': ('mmio 0xc000000', 'mmio: CPU %d wrote 0x%08x (4 bytes) to address 0xc000000')}


def mappings(text):
	"""[(start, end, rights)] of `info mem`: each line is as the readers of other machine monitors want it."""
	out = []
	for line in text.splitlines():
		m = MAPPING.match(line)
		tap.check(m, 'a line of info mem: %r' % line)
		start, end, size = (int(m.group(i), 16) for i in (1, 2, 3))
		tap.equal(end - start, size, 'size of ' + line)
		tap.check(not out or out[-1][1] <= start, 'in order: ' + line)
		out.append((start, end, ''.join(m.groups()[3:])))
	return out


def mapped(ranges, addr):
	return [r for r in ranges if r[0] <= addr < r[1]]


def resume(c, packet='vCont;c'):
	"""A raw client's stop, and what went to its console before."""
	c.send(packet)
	text = ''
	while True:
		reply = c.reply()
		if reply[:1] != 'O' or reply == 'OK':
			return c.stop(reply), text
		text += bytes.fromhex(reply[1:]).decode()


def caught(c, wanted, packet='vCont;c'):
	stop, text = resume(c, packet)
	signal = SIGPWR if wanted.startswith('reset') else SIGUSR1
	tap.equal((stop.kind, stop.signal), ('T', signal), 'stop (%s)' % text)
	tap.equal(text, 'caught %s\n' % wanted, 'on the console')
	return stop


# ---- what it shows ----

@scenario('monitor: what is mapped and what is where', 'breakpoints')
def monitor_memory(host):
	with gdb_session(host, 'lab=calls,1') as (m, g):
		g.cmd('break *alpha')
		hit(g, 'alpha')
		ranges = mappings(g.cmd('monitor info mem'))
		for addr in (g.address('alpha'), g.address('pages'), g.int('$sp')):
			tap.equal(len(mapped(ranges, addr)), 1, '%#x in %s' % (addr, ranges))
		tap.equal(mapped(ranges, g.address('pages'))[0][2][2], 'w', 'right to write pages')
		tap.equal(mappings(g.cmd('monitor info mem %#x' % ranges[-1][0])), ranges[-1:], 'info mem from there')
		tap.contains(g.cmd('monitor info mem here'), 'usage: info mem', 'usage')
		tlb = g.cmd('monitor info tlb').splitlines()
		tap.check(len(tlb) >= len(ranges), 'info tlb has as many lines')
		tap.check(re.match('[0-9a-f]{16}: [0-9a-f]{16} [0-9a-f]{16} ', tlb[0]), tlb[0])
		tree = g.cmd('monitor info mtree')
		tap.contains(tree, '%016x-' % isa(host).ram, 'info mtree: RAM')
		for part in ('(ram): ram', 'pvpanic', 'by KVM itself', '03f8-03ff (i/o): uart16550' if host.arch == 'x86_64' else
			     '0000000009000000-0000000009000fff (i/o): pl011'):
			tap.contains(tree, part, 'info mtree')
		gpa = isa(host).ram + 0x200000
		text = g.cmd('monitor gpa2hva %#x' % gpa)
		tap.check(re.fullmatch(r'Host virtual address for %#x \(ram\) is 0x[0-9a-f]+\n' % gpa, text), text)
		tap.contains(g.cmd('monitor gpa2hva 0xff00000000000000'), 'No memory is mapped', 'gpa2hva of nothing')
		for line in g.cmd('monitor help').splitlines():
			tap.check(len(line) <= 80, 'a line of help of 80 columns: ' + line)
		ends_in_gdb(m, g, serial='sum')


@scenario('monitor: the interrupt controllers', 'breakpoints', 'step')
def monitor_chips(host):
	with gdb_session(host, 'lab=ticks,100', cpus=2) as (m, g):
		g.cmd('break tick')
		hit(g, 'tick')
		if host.arch == 'x86_64':
			text = g.cmd('monitor info lapic')
			tap.contains(text, 'local APIC of CPU 0 at 0xfee00000: enabled', 'info lapic')
			tap.check(re.search(r'LVT timer    vector 0x[0-9a-f]+, periodic$', text, re.M) or
				  re.search(r'ISR \(served\)  0x', text), 'the timer: ' + text)
			tap.equal(len(re.findall('^pin ', g.cmd('monitor info ioapic'), re.M)), 24, 'pins of the I/O APIC')
			tap.contains(g.cmd('monitor info pic'), 'pic1: irr=', 'info pic')
			tap.contains(g.cmd('monitor info gic'), 'no gic; it has: lapic, ioapic, pic', 'info gic')
		else:
			text = g.cmd('monitor info gic')
			tap.check(re.search(r'^ +27  PPI 11  virtual timer .*, enabled.*, active', text, re.M), 'the timer: ' + text)
			tap.contains(g.cmd('monitor info lapic'), 'no lapic; it has: gic', 'info lapic')
			tap.check('lapic' not in g.cmd('monitor help'), 'help has what is there')
		g.cmd('delete')
		g.cmd('set var stop = 1')
		ends_in_gdb(m, g, serial='ticked\n')


# ---- what it does ----

@scenario('monitor poweroff ends the machine as the guest would')
def monitor_poweroff(host):
	with raw_session(host, 'lab=spin') as (m, c, sym):
		tap.contains(c.monitor('poweroff now'), 'no argument', 'an argument')
		tap.contains(c.monitor('poweroff'), 'off', 'poweroff')
		ends(m, 0)


@scenario('monitor nmi', 'breakpoints', arch='x86_64')
def monitor_nmi(host):
	with gdb_session(host, 'lab=nmi,1', cpus=2) as (m, g):
		g.cmd('break shared')
		hit(g, 'shared')
		g.cmd('delete')
		tap.contains(g.cmd('monitor nmi 7'), 'usage: nmi', 'usage')
		tap.equal(g.cmd('monitor nmi all'),
			  'CPU 0 takes an NMI when it runs next\nCPU 1: not started yet, it gets none\n', 'nmi all')
		ends_in_gdb(m, g, serial='waiting\nnmis=0x1\n')


@scenario('monitor nmi is refused', arch='arm64')
def no_nmi(host):
	with raw_session(host, 'lab=off') as (m, c, sym):
		tap.equal(c.monitor('nmi'), 'arm64 has no NMI\n', 'nmi')
		for event in ('io 0x80', 'msr 0x176', 'triple-fault'):
			tap.contains(c.monitor('catch ' + event), 'arm64 has no', event)
		ends_raw(m, c)


# ---- events ----

@scenario('catches are set, listed, deleted, refused by name')
def catch_list(host):
	x86 = host.arch == 'x86_64'
	with raw_session(host, 'lab=off') as (m, c, sym):
		tap.contains(c.monitor('catch'), 'nothing is caught', 'catch')
		for line in ('catch what', 'catch mmio', 'catch mmio x', 'catch reset 1', 'catch mmio 0x1,0', 'catch panicking'):
			tap.contains(c.monitor(line), 'usage: catch', line)
		tap.contains(c.monitor('catch mmio %#x' % (isa(host).ram + 0x1000)), 'that is RAM: use watch', 'RAM')
		inside = ['mmio 0xfee00300', 'mmio 0xfec00000', 'io 0x20', 'io 0x40,4', 'io 0x60,2', 'io 0xa1', 'io 0x4d0',
			  'msr 0x800', 'msr 0x8ff'] if x86 else ['mmio 0x8000000', 'mmio 0x80a0100,4']
		for event in inside:
			tap.contains(c.monitor('catch ' + event), 'which KVM serves by itself', event)
		tap.contains(c.monitor('catch mmio 0xfffffffffffffffe,4'), 'no range', 'a range that wraps')
		tap.equal(c.monitor('catch reset'), '1: reset stops the machine\n', 'reset')
		hole = 0xd00000f0 if x86 else 0xc0000f0
		tap.equal(c.monitor('catch mmio %#x,16' % hole),
			  '2: mmio %#x to %#x stops the machine\n' % (hole, hole + 15), 'mmio')
		tap.equal(c.monitor('catch reset'), '1: reset stops the machine\n', 'the same again')
		tap.contains(c.monitor('catch panic'), '3: panic stops', 'panic')
		tap.equal(len(c.monitor('catch').splitlines()), 3, 'lines of the list')
		tap.contains(c.monitor('catch delete 7'), 'no catch 7', 'delete what is not there')
		tap.contains(c.monitor('catch delete'), 'usage', 'delete nothing')
		tap.equal(c.monitor('catch delete 2'), 'catch 2 is gone\n', 'delete')
		tap.equal([line[0] for line in c.monitor('catch').splitlines()], ['1', '3'], 'what is left')
		c.monitor('catch off')
		tap.contains(c.monitor('catch'), 'nothing is caught', 'after off')
		ends_raw(m, c)


@scenario('catch: accesses of two CPUs at once, each reported, none lost, none twice')
def catch_two_cpus(host):
	event, text = TOUCH[host.arch]
	n = 8
	with raw_session(host, 'lab=touch,%d,2' % n, cpus=2) as (m, c, sym):
		tap.contains(c.monitor('catch ' + event), 'stops the machine', event)
		seen = [0, 0]
		for _ in range(2 * n):
			stop, said = resume(c)
			tap.equal((stop.kind, stop.signal), ('T', SIGUSR1), 'stop: ' + said)
			cpu = stop.thread - 1
			tap.equal(said, 'caught ' + text % (cpu, cpu << 4 | seen[cpu]) + '\n', 'on the console')
			seen[cpu] += 1
		tap.equal(seen, [n, n], 'events of each CPU')
		ends_raw(m, c, 'touched\n')


@scenario('catch: gone with its client')
def catch_gone(host):
	event, _ = TOUCH[host.arch]
	with raw_session(host, 'lab=touch,2,1') as (m, c, sym):
		c.monitor('catch ' + event)
		c.monitor('catch reset')
		resume(c)               # one of two is seen
		tap.equal(c.ask('D'), 'OK', 'detach')
		ends(m, 0, 'touched\n')
	if host.arch == 'x86_64':
		with raw_session(host, 'lab=events') as (m, c, sym):
			c.monitor('catch msr 0xc0000102')
			tap.equal(c.ask('D'), 'OK', 'detach')
			ends(m, 0, EVENTS_END)


@scenario('catch reset: the machine stops first, then resets')
def catch_reset(host):
	scene = {'x86_64': 'reset-cf9', 'arm64': 'reset'}[host.arch]
	with gdb_session(host, 'lab=' + scene) as (m, g):
		g.cmd('monitor catch reset')
		stop = g.run('continue')
		tap.equal(stop.signal, 'SIGPWR', 'signal')
		tap.contains('\n'.join(g.log), 'caught reset: CPU 0 resets the machine', 'what gdb shows')
		tap.contains(' '.join(f or '?' for f in g.frames()), 'scene_reset', 'backtrace')
		ends_in_gdb(m, g, 0)


@scenario('catch panic: stops as it does, and goes on as without')
def catch_panic(host):
	with gdb_session(host, 'lab=panic') as (m, g):
		tap.contains(g.cmd('monitor catch panic'), 'panic stops the machine', 'catch panic')
		tap.equal(g.run('continue').signal, 'SIGABRT', 'signal')
		ends_in_gdb(m, g, 8)


@scenario('catch of the very access that panics: both are told')
def catch_panic_access(host):
	where, text = {'x86_64': ('io 0x505', 'io: CPU 0 wrote 0x01 (1 byte) to port 0x505'),
		       'arm64': ('mmio 0x9e00000', 'mmio: CPU 0 wrote 0x01 (1 byte) to address 0x9e00000')}[host.arch]
	with raw_session(host, 'lab=panic') as (m, c, sym):
		c.monitor('catch ' + where)
		caught(c, text)
		stop, said = resume(c)
		tap.equal((stop.kind, stop.signal), ('T', 6), 'the panic: ' + said)
		stop, _ = resume(c)
		tap.equal((stop.kind, stop.signal), ('W', 8), 'the end')
		ends(m, 8)


@scenario('catch of the very access that ends the machine, or resets it')
def catch_last_access(host):
	x86 = host.arch == 'x86_64'
	with raw_session(host, 'lab=debugexit,21') as (m, c, sym):
		c.monitor('catch ' + ('io 0xf4' if x86 else 'mmio 0x9f00000'))
		caught(c, 'io: CPU 0 wrote 0x15 (1 byte) to port 0xf4' if x86 else
		       'mmio: CPU 0 wrote 0x00000015 (4 bytes) to address 0x9f00000')
		stop, _ = resume(c)
		tap.equal((stop.kind, stop.signal), ('W', 43), 'the end')
		ends(m, 43)
	if not x86:                     # its reset is no access
		return
	with raw_session(host, 'lab=reset-i8042') as (m, c, sym):
		c.monitor('catch io 0x64')
		caught(c, 'io: CPU 0 wrote 0xfe (1 byte) to port 0x64')
		ends_raw(m, c)
	with raw_session(host, 'lab=reset-i8042') as (m, c, sym):
		for event in ('io 0x64', 'reset'):
			c.monitor('catch ' + event)
		caught(c, 'io: CPU 0 wrote 0xfe (1 byte) to port 0x64')
		caught(c, 'reset: CPU 0 resets the machine, which happens when it is resumed')
		ends_raw(m, c)


@scenario('catch triple-fault', arch='x86_64')
def catch_triple_fault(host):
	with gdb_session(host, 'lab=triple') as (m, g):
		tap.contains(g.cmd('monitor catch triple-fault'), 'stops the machine', 'catch')
		tap.equal(g.run('continue').signal, 'SIGSEGV', 'signal')
		ends_in_gdb(m, g, 10)


EVENTS_END = 'in=0xff\nmmio=0xffff\nmsr=0xffff8000abcd1234\ngps=0x1\n'


@scenario('catch io and mmio: direction, size, value; both accesses of one instruction', arch='x86_64')
def catch_accesses(host):
	with raw_session(host, 'lab=events') as (m, c, sym):
		for event in ('io 0x80', 'mmio 0xd0000000,16'):
			tap.contains(c.monitor('catch ' + event), 'stops the machine', event)
		stop = caught(c, 'io: CPU 0 wrote 0x5a (1 byte) to port 0x80')
		tap.equal(hex(stop.pc), hex(sym['event_out'] + 2), 'pc behind the OUT')
		caught(c, 'io: CPU 0 read 0xff (1 byte) from port 0x80')
		caught(c, 'mmio: CPU 0 wrote 0x12345678 (4 bytes) to address 0xd0000000')
		caught(c, 'mmio: CPU 0 read 0xffff (2 bytes) from address 0xd0000004')
		caught(c, 'mmio: CPU 0 read 0xff (1 byte) from address 0xd0000008')
		caught(c, 'mmio: CPU 0 wrote 0x00 (1 byte) to address 0xd0000008')
		for letter in b'abcd':
			caught(c, 'io: CPU 0 wrote 0x%02x (1 byte) to port 0x80' % letter)
		ends_raw(m, c, EVENTS_END)


@scenario('catch: a step over the access reports once', 'breakpoints', 'step', arch='x86_64')
def catch_step(host):
	with raw_session(host, 'lab=events') as (m, c, sym):
		runs_to(c, sym['event_out'])
		c.monitor('catch io 0x80,1')
		stop = caught(c, 'io: CPU 0 wrote 0x5a (1 byte) to port 0x80', 'vCont;s:1')
		tap.equal(hex(stop.pc), hex(sym['event_out'] + 2), 'pc behind the OUT')
		stop = caught(c, 'io: CPU 0 read 0xff (1 byte) from port 0x80', 'vCont;s:1')
		tap.equal(hex(stop.pc), hex(sym['event_out'] + 4), 'pc behind the IN')
		stop, said = resume(c, 'vCont;s:1')
		tap.equal((stop.signal, said), (5, ''), 'a step that is nothing but a step')
		c.monitor('catch off')
		ends_raw(m, c, EVENTS_END)


@scenario('catch msr: read, written, refused; and a step over it', 'breakpoints', 'step', arch='x86_64')
def catch_msr(host):
	with raw_session(host, 'lab=events') as (m, c, sym):
		for event in ('msr 0xc0000102', 'msr 0x3fff0000'):
			tap.contains(c.monitor('catch ' + event), 'stops the machine', event)
		caught(c, 'msr: CPU 0 wrote 0xffff8000abcd1234 (8 bytes) to MSR 0xc0000102')
		caught(c, 'msr: CPU 0 read 0xffff8000abcd1234 (8 bytes) from MSR 0xc0000102')
		caught(c, 'msr: CPU 0 read 0x0000000000000000 (8 bytes) from MSR 0x3fff0000: refused, the guest gets #GP')
		ends_raw(m, c, EVENTS_END)
	with raw_session(host, 'lab=events') as (m, c, sym):
		runs_to(c, sym['event_msr_write'])
		c.monitor('catch msr 0xc0000102')
		stop = caught(c, 'msr: CPU 0 wrote 0xffff8000abcd1234 (8 bytes) to MSR 0xc0000102', 'vCont;s:1')
		tap.equal(hex(stop.pc), hex(sym['event_msr_write'] + 2), 'pc behind the WRMSR')
		stop, said = resume(c, 'vCont;s:1')
		tap.equal((stop.signal, said), (5, ''), 'a step that is nothing but a step')
		c.monitor('catch off')
		ends_raw(m, c, EVENTS_END)
