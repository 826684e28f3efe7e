"""What the scenarios have in common: how one is declared, what differs between ISAs, how one begins and ends."""

import collections
import contextlib

import tap
from elfsyms import symbols
from gdbclient import Gdb
from rsp import Rsp

Scenario = collections.namedtuple('Scenario', 'name needs timeout arch run')

# what a scenario may need: how it is called in a SKIP, and whether the probe's facts have it
NEEDS = {
	'breakpoints': ('breakpoints of any kind (swbreak, hw_break_slots)',
			lambda f: f['swbreak'] != 'none' or f['hw_break_slots'] > 0),
	'planted': ('planted breakpoints that trap (swbreak)', lambda f: f['swbreak'] != 'none'),
	'hardware': ('hardware breakpoints (hw_break_slots)', lambda f: f['hw_break_slots'] > 0),
	'hw_watch': ('watchpoints in hardware that fire (watch_write_slots)', lambda f: f['watch_write_slots'] > 0),
	'watch': ('write watchpoints of any kind (watch_write_slots, readonly_mem)',
		  lambda f: f['watch_write_slots'] > 0 or f['readonly_mem']),
	'protect': ('read-only memory slots (readonly_mem)', lambda f: f['readonly_mem']),
	'step': ('single-step (single_step)', lambda f: f['single_step']),
	'block_irq': ('steps that hold interrupts off (block_irq)', lambda f: f['block_irq']),
	# not the KVM's, but of the line to the debugger: a serial line has one client and no hanging up
	'connections': ('a line with connections', lambda f: f.get('connections', True)),
	'own_break': ("a guest's own breakpoint instruction (own_break, inject_break)",
		      lambda f: f['own_break'] or f['inject_break'] != 'none'),
}

ALL = []
BREAKS = ('swbreak', 'hwbreak')    # why a Z0 stops: planted, or served by a slot


def scenario(name, *needs, timeout=60, arch=None):
	"""arch: the only ISA that it is for."""
	def add(func):
		ALL.append(Scenario(name, needs, timeout, arch, func))
		return func
	return add


# ---- what differs between ISAs ----

class Isa:
	"""pc, sp, arg: names of registers, arg is that of a function's first argument. brk, nop, ret: instructions.
	insn_max: bytes of the longest. others: registers that a function's first instruction leaves alone. flags:
	register, bits, and what gdb prints for them. ram: where it begins. unstarted: the state of a CPU that waits
	for its start."""

	def __init__(self, **facts):
		self.__dict__.update(facts)

	def return_address(self, c):
		"""At the first instruction of a function."""
		return c.reg('x30') if self.sp == 'sp' else c.read_int(c.reg(self.sp))


ISAS = {
	'x86_64': Isa(pc='rip', sp='rsp', arg='rdi', brk=b'\xcc', nop=b'\x90', ret=b'\xc3', insn_max=15, ram=0,
		      others=('rax', 'rbx', 'rcx', 'rdx', 'rsi', 'r8', 'r9', 'r15'),
		      flags=('eflags', 0xd5, 'CF PF AF ZF SF'), unstarted='waiting for INIT'),
	'arm64': Isa(pc='pc', sp='sp', arg='x0', brk=bytes.fromhex('000020d4'), nop=bytes.fromhex('1f2003d5'),
		     ret=bytes.fromhex('c0035fd6'), insn_max=4, ram=0x40000000,
		     others=('x1', 'x2', 'x9', 'x17', 'x18', 'x19', 'x27', 'x28'),
		     flags=('cpsr', 0xf0000000, 'V C Z N'), unstarted='powered off'),
}


def isa(host):
	return ISAS[host.arch]


# ---- helpers ----

def gdb(host, guest='lab'):
	"""A gdb that has the guest's symbols and is not connected."""
	return Gdb(host.guest(guest), patience=host.patience, program=host.gdb)


@contextlib.contextmanager
def _first_words(m):
	"""A session that does not begin: what the machine has to say of it."""
	try:
		yield
	except Exception:
		tap.diag('minivmm %s; it says: %r; its guest: %r' % ('runs' if m.alive() else 'has ended', m.errors(), m.serial()))
		raise


@contextlib.contextmanager
def gdb_session(host, cmdline=None, guest='lab', extended=False, **options):
	"""A machine and a gdb that is connected to it."""
	m = host.start(guest, cmdline, **options)
	with gdb(host, guest) as g:
		with _first_words(m):
			g.connect(m.remote, extended=extended)
		yield m, g


@contextlib.contextmanager
def raw_session(host, cmdline=None, guest='lab', symbols_of=None, **options):
	"""The same with a raw client; the third is the guest's symbols."""
	m = host.start(guest, cmdline, **options)
	with Rsp(m.remote, 30 * host.patience) as c:
		with _first_words(m):
			c.hello()
		yield m, c, symbols(host.guest(symbols_of or guest))


def fill_slots(host, c, sym):
	"""Takes the registers for watchpoints that are free: on code, which nobody writes. Returns what to remove."""
	taken = []
	for i in range(host.facts['watch_write_slots']):
		before = c.monitor('info breakpoints').count('write-protected')
		spot = '%x,8' % ((sym['main'] & ~7) + 8 * i)
		tap.equal(c.ask('Z2,' + spot), 'OK', 'watchpoint number %d' % i)
		if c.monitor('info breakpoints').count('write-protected') > before:
			tap.equal(c.ask('z2,' + spot), 'OK', 'z2')
			break
		taken.append(spot)
	return taken


def interpreted(host):
	"""Its KVM executes guests in software, with ways of its own."""
	return host.facts['swbreak'] == 'emulation-fails'


def ends(m, status=0, serial=''):
	tap.equal(m.wait(), status, 'exit status')
	tap.contains(m.serial(), serial, 'serial output')


def ends_raw(m, c, serial=''):
	"""Lets the guest run to its end."""
	stop = c.resume()
	tap.equal((stop.kind, stop.signal), ('W', 0), 'stop')
	ends(m, serial=serial)


def ends_in_gdb(m, g, status=0, serial=''):
	stop = g.run('continue')
	tap.check(stop.reason in ('exited', 'exited-normally'), 'gdb sees the end, not %s' % (stop,))
	tap.equal(stop.status, status, 'status in gdb')
	ends(m, status, serial)


def hit(g, func, line='continue'):
	"""Resumes and wants a breakpoint in func."""
	stop = g.run(line)
	tap.equal((stop.reason, stop.func), ('breakpoint-hit', func), 'stop')
	return stop


def runs_to(c, addr):
	"""A raw client's guest runs to that instruction, where no breakpoint is left."""
	c.plant(addr)
	tap.equal(hex(c.resume().pc), hex(addr), 'pc')
	c.unplant(addr)
