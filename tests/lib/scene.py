"""What the scenarios have in common: how one is declared, and how it begins and ends."""

import collections
import contextlib

import tap
from elfsyms import symbols
from gdbclient import Gdb
from rsp import Rsp

Scenario = collections.namedtuple('Scenario', 'name needs timeout run')

# what a scenario may need: how it is called in a SKIP, and whether the probe's facts have it
NEEDS = {
	'breakpoints': ('breakpoints of any kind (swbreak, hw_break_slots)',
			lambda f: f['swbreak'] != 'none' or f['hw_break_slots'] > 0),
	'planted': ('planted breakpoints that trap (swbreak)', lambda f: f['swbreak'] != 'none'),
	'hardware': ('hardware breakpoints (hw_break_slots)', lambda f: f['hw_break_slots'] > 0),
	'watch': ('watchpoints that fire (watch_write_slots)', lambda f: f['watch_write_slots'] > 0),
	'step': ('single-step (single_step)', lambda f: f['single_step']),
	'block_irq': ('steps that hold interrupts off (block_irq)', lambda f: f['block_irq']),
	# not the KVM's, but of the line to the debugger: a serial line has one client and no hanging up
	'connections': ('a line with connections', lambda f: f.get('connections', True)),
	'own_break': ("a guest's own INT3 (own_break, inject_break)",
		      lambda f: f['own_break'] or f['inject_break'] != 'none'),
}

ALL = []
BREAKS = ('swbreak', 'hwbreak')    # why a Z0 stops: planted, or served by a slot


def scenario(name, *needs, timeout=60):
	def add(func):
		ALL.append(Scenario(name, needs, timeout, func))
		return func
	return add


# ---- helpers ----

@contextlib.contextmanager
def gdb_session(host, cmdline=None, guest='lab', **options):
	"""A machine and a gdb that is connected to it."""
	m = host.start(guest, cmdline, **options)
	with Gdb(host.guest(guest), patience=host.patience) as g:
		g.connect(m.remote)
		yield m, g


@contextlib.contextmanager
def raw_session(host, cmdline=None, guest='lab', symbols_of=None, **options):
	"""The same with a raw client; the third is the guest's symbols."""
	m = host.start(guest, cmdline, **options)
	with Rsp(m.remote, 30 * host.patience) as c:
		c.hello()
		yield m, c, symbols(host.guest(symbols_of or guest))


def interpreted(host):
	"""Its KVM executes guests in software, with ways of its own."""
	return host.facts['swbreak'] == 'emulation-fails'


def ends(m, status=0, serial=''):
	tap.equal(m.wait(), status, 'exit status')
	tap.contains(m.serial(), serial, 'serial output')


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
