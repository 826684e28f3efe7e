#!/usr/bin/env python3
"""minivmm on KVM as real hardware has it (VMX), inside of Bochs: an INT3 in the guest
exits. One machine for all tests; gdb is outside, on the far end of a serial line."""

import collections
import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import bochs                            # noqa: E402
import elfsyms                          # noqa: E402
import rsp                              # noqa: E402
import tap                              # noqa: E402
from vmlinux import Kernel              # noqa: E402

BUILD = os.environ['BUILD']
CACHE = os.path.join(BUILD, 'tests/cache')
KERNEL = os.path.join(CACHE, 'linux-amd64')
STATIC = os.path.join(BUILD, 'minivmm-static')
LAB = os.path.join(BUILD, 'guests/tests/lab.elf')
DEMO = os.path.join(BUILD, 'guests/demo.elf')
NEEDS = ['gdb', '/bin/busybox', KERNEL + '/vmlinux', CACHE + '/bochs/release', STATIC, LAB, DEMO]
LINE = bochs.Bochs.inside('gdb0')
GDB_SECONDS = 90                        # a net against hangs

Session = collections.namedtuple('Session', 'text status serial')


@tap.fixture
def machine():
	m = bochs.Bochs(Kernel(KERNEL), files=[('/bin/minivmm', STATIC), ('/lab.elf', LAB)])
	tap.cleanup(m.close)
	tap.diag('Bochs machine up after %.1f s' % m.boot_seconds)
	return m


class Guest:
	"""minivmm inside, playing one scene of the lab (guests/tests/lab.h; None: the built-in
	guest), with its gdb line."""

	last = None

	def __init__(self, scene):
		if Guest.last:
			Guest.last.job.kill('KILL')     # if a failed test has left it
		Guest.last = self
		self.elf = LAB if scene else DEMO
		what = '--kernel /lab.elf --cmdline lab=%s' % scene if scene else ''
		self.job = machine().start(
			'exec minivmm %s --serial file:/tmp/serial --gdb chardev:%s' % (what, LINE))
		# what gdb says before the line is open would be lost
		machine().check('until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q %s; do '
				'[ -e %s.status ] && break; sleep 0.01; done' % (LINE, self.job.base))

	def gdb_start(self, *commands):
		argv = ['gdb', '-nx', '-q', '-batch', self.elf]
		for c in ('set pagination off', 'set confirm off', 'set style enabled off',
			  'set width 0', 'set remotetimeout 20',
			  'target remote ' + machine().outside('gdb0')) + commands:
			argv += ['-ex', c]
		env = {k: v for k, v in os.environ.items() if k != 'DEBUGINFOD_URLS'}
		p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
				     stderr=subprocess.STDOUT, text=True, errors='replace', env=env)
		tap.cleanup(p.kill)
		return p

	def gdb(self, *commands):
		"""Runs gdb with these commands; its output."""
		return self.finish_gdb(self.gdb_start(*commands))

	def finish_gdb(self, p):
		try:
			return p.communicate(timeout=GDB_SECONDS)[0]
		except subprocess.TimeoutExpired:
			p.kill()
			tap.fail('gdb hangs; it said:\n%s\nminivmm said:\n%s'
				 % (p.communicate()[0], self.job.output()))

	def serial(self):
		return machine().check('cat /tmp/serial').replace('\r', '')

	def end(self, text):
		"""Waits for minivmm's end. Session(gdb's text, exit status, serial output)."""
		try:
			status = self.job.wait(30)
		except bochs.outer.CommandTimeout as e:
			self.job.kill('KILL')
			tap.fail('%s\ngdb said:\n%s' % (e, text))
		return Session(text, status, self.serial())


def session(scene, *commands):
	guest = Guest(scene)
	return guest.end(guest.gdb(*commands))


def finished(s, serial):
	"""The guest has powered off by itself and said what it should."""
	if s.status != 0 or s.serial != serial:
		tap.fail('status %s, serial %r, wanted 0, %r; gdb said:\n%s'
			 % (s.status, s.serial, serial, s.text))


def hits(text):
	return re.findall(r'[Bb]reakpoint \d+, (?:0x[0-9a-f]+ in )?(\w+) ?\(', text)


def totals(n):
	"""What the scene calls,N says."""
	def inner(d):
		return 3 * d + 3
	total = sum((2 * i + 1 + 1) + (2 * i + 2 + 2) + inner(i + 1) + inner(i + 11)
		    for i in range(n))
	return 'alphas %d\nbetas %d\nsum %d\n' % (n, n, total)


@tap.test('this KVM can do everything for a debugger', NEEDS, timeout=300)
def _():
	text = machine().check('minivmm --probe-host', timeout=120)
	got = dict(line.split('=', 1) for line in text.splitlines() if '=' in line)
	for name, value in (('swbreak', 'traps'), ('swbreak_user', 'traps'), ('own_break', 'yes'),
			    ('single_step', 'yes'), ('block_irq', 'yes'), ('hw_break_slots', '4'),
			    ('watch_write_slots', '4')):
		tap.equal(got.get(name), value, name)


@tap.test('more breakpoints than hardware has slots, hit in order', NEEDS, timeout=300)
def _():
	order = ['alpha', 'shared', 'beta', 'shared', 'outer', 'middle', 'inner', 'inner']
	names = sorted(set(order))
	s = session('calls,1', *['break ' + n for n in names], *['continue'] * (len(order) + 1))
	tap.equal(hits(s.text), order, 'breakpoints hit')
	finished(s, totals(1))


@tap.test('a planted breakpoint hits on both call sites and is stepped over', NEEDS, timeout=300)
def _():
	s = session('calls,2', 'break shared', 'continue', 'up', 'continue', 'up',
		    'stepi', 'stepi', 'info symbol $pc', 'continue', 'up', 'continue', 'up', 'delete',
		    'continue')
	tap.equal(hits(s.text), ['shared'] * 4, 'breakpoints hit')
	tap.equal(re.findall(r'^#1 .* in (\w+) \(', s.text, re.M), ['alpha', 'beta'] * 2, 'callers')
	tap.check(re.search(r'^shared \+ \d+ in section', s.text, re.M), 'stepi stays in shared()')
	finished(s, totals(2))


def dumps(text, *names):
	"""What each x/16xb of these functions showed, without the addresses."""
	found = {n: [] for n in names}
	for name, offset, row in re.findall(r'^0x[0-9a-f]+ <(\w+)(?:\+(\d+))?>:\s+(.*)$', text, re.M):
		if name in found:
			found[name].append(row.split())
	return [sum(found[n], []) for n in names]


@tap.test('breakpoint bytes never show, and are gone after delete', NEEDS, timeout=300)
def _():
	look = ['x/16xb shared', 'x/16xb beta']
	s = session('calls,2', *look, 'set breakpoint always-inserted on', 'break *shared', 'break *beta',
		    'continue', *look, 'continue', *look, 'delete', *look, 'continue')
	tap.equal(hits(s.text), ['shared', 'beta'], 'breakpoints hit')
	for name, got in zip(('shared', 'beta'), dumps(s.text, 'shared', 'beta')):
		tap.equal(got, got[:16] * 4, 'bytes of %s, before, twice planted, after' % name)
		tap.check('0xcc' not in got, 'no INT3 in %s' % name)
	finished(s, totals(2))


OWN = 'int3 3 int80 3 ud2 3 strays 0\n'


@tap.test("the guest's own INT3 goes to the guest", NEEDS, timeout=300)
def _():
	s = session('int3,3', 'continue')
	tap.equal(hits(s.text), [], 'breakpoints hit')
	finished(s, OWN)


@tap.test("the guest's own INT3 goes to the guest, with another one planted", NEEDS, timeout=300)
def _():
	s = session('int3,3', 'break shared', *['continue'] * 4)
	tap.equal(hits(s.text), ['shared'] * 3, 'breakpoints hit')
	finished(s, OWN)


# Without gdb: it would take the pc past an INT3 that the program itself has.
@tap.test("a breakpoint on the guest's own INT3: both happen", NEEDS, timeout=300)
def _():
	guest = Guest('int3,3')
	at = elfsyms.symbols(LAB)['own_exceptions']
	with rsp.Rsp(machine().outside('gdb0'), timeout=GDB_SECONDS) as c:
		c.hello()
		tap.equal(c.ask('Z0,%x,1' % at), 'OK', 'Z0')
		for _ in range(3):
			stop = c.resume('vCont;c')
			tap.equal((stop.reason, stop.regs['rip']), ('swbreak', at), 'stop')
		tap.equal(c.resume('vCont;c').text[:3], 'W00', 'last stop')
	finished(guest.end(''), OWN)


# Run by gdb. A repeated string instruction may take several steps; MOV to SS and the
# instruction after it are one.
STEPS = '''
import gdb

def word(text):
	return int(gdb.parse_and_eval(text))

def words(start, end):
	start, end = (word('(unsigned long)&' + x) for x in (start, end))
	return [word('*(unsigned long *)%d' % at) for at in range(start, end, 8)]

table = words('step_table', 'step_table_end')
reps = words('step_table_rep', 'step_table_ss')
mov_ss = words('step_table_ss', 'step_table_ss_end')
gdb.execute('break *%d' % table[0])
gdb.execute('continue')
gdb.execute('delete')
at, steps, wrong = 0, 0, 0
while at < len(table) - 1 and steps < 400:
	gdb.execute('stepi', to_string=True)
	steps += 1
	pc = word('$pc')
	if pc == table[at] and pc in reps:
		continue
	skipped = 2 if table[at] in mov_ss and pc == table[at + 2] else 1
	if pc != table[at + skipped]:
		print('strayed from %x to %x, wanted %x' % (table[at], pc, table[at + 1]))
		wrong += 1
		if pc not in table:
			break
		skipped = table.index(pc) - at
	at += skipped
print('%d of %d instructions, %d wrong' % (at + 1, len(table), wrong))
'''


@tap.test('each instruction is one step, with a timer ticking', NEEDS, timeout=400)
def _():
	script = os.path.join(machine().folder, 'steps.py')
	with open(script, 'w') as f:
		f.write(STEPS)
	s = session('insns,1000', 'source ' + script, 'continue')
	done = re.search(r'^(\d+) of (\d+) instructions, (\d+) wrong', s.text, re.M)
	tap.check(done and done[1] == done[2] and done[3] == '0', 'steps went astray:\n' + s.text)
	tap.contains(s.serial, 'copied abcdefgh', 'serial output')
	tap.contains(s.serial, 'flags.tf=0x0\n', 'serial output')
	tap.equal(s.status, 0, 'exit status')


# Bochs never interrupts a guest that has been entered with interrupts off: what is busy
# here has them on (bochs.py).

@tap.test('two CPUs hit one breakpoint, no hit is lost', NEEDS, timeout=300)
def _():
	turns = 'printf "CPU %d after %lu turns\\n", $_thread, cpus[$_thread - 1].turns'
	rounds = 10
	s = session(None, 'break work', *['continue', turns] * rounds, 'delete', 'set var rounds = 1',
		    'continue')
	got = [(int(c), int(n)) for c, n in re.findall(r'^CPU (\d) after (\d+) turns', s.text, re.M)]
	tap.equal(len(got), rounds, 'breakpoints hit')
	for cpu in 1, 2:
		mine = [n for c, n in got if c == cpu]
		tap.check(mine, 'CPU %d hits' % cpu)
		tap.equal(mine, list(range(len(mine))), 'turns of CPU %d at its hits' % cpu)
	tap.equal(s.status, 0, 'exit status')
	tap.contains(s.serial, 'pieces of work on 2 CPUs', 'serial output')


@tap.test('Ctrl-C stops a busy guest', NEEDS, timeout=300)
def _():
	guest = Guest('ticks,100')
	p = guest.gdb_start('print "going"', 'continue', 'info symbol $pc', 'print turns > 0',
			    'set var stop = 1', 'continue')
	begun = ''
	while 'going' not in begun:
		line = p.stdout.readline()
		if not line:
			tap.fail('gdb ended early; it said:\n' + begun)
		begun += line
	# still inside of continue? what follows says so, or the test fails
	time.sleep(2)
	p.send_signal(signal.SIGINT)
	s = guest.end(begun + guest.finish_gdb(p))
	tap.contains(s.text, 'received signal SIGINT', "gdb's words")
	tap.contains(s.text, '$2 = 1', "gdb's words")
	finished(s, 'ticked\n')


@tap.test('detach lets the guest run without breakpoints; a second gdb attaches', NEEDS, timeout=300)
def _():
	guest = Guest('ticks,100')
	first = guest.gdb('x/16xb tick_loop', 'break *tick_loop', 'break *tick', 'continue', 'delete 2',
			  'detach')
	tap.equal(hits(first), ['tick_loop'], 'breakpoints hit')
	second = guest.gdb('x/16xb tick_loop', 'break *tick', 'continue', 'print turns > 0',
			   'set var stop = 1', 'delete', 'continue')
	s = guest.end(second)
	got, = dumps(first + second, 'tick_loop')
	tap.equal(got, got[:16] * 2, 'bytes of tick_loop before and after')
	tap.equal(hits(second), ['tick'], 'breakpoints hit')
	tap.contains(s.text, '$1 = 1', "gdb's words")
	finished(s, 'ticked\n')


@tap.test('kill from gdb ends minivmm with the status of that', NEEDS, timeout=300)
def _():
	s = session('calls,1', 'break shared', 'continue', 'kill')
	tap.equal(hits(s.text), ['shared'], 'breakpoints hit')
	tap.equal(s.status, 14, 'exit status')


@tap.test('SSE works here, so compiled kernels do', NEEDS, timeout=300)
def _():
	finished(session('sse', 'continue'), 'sse works\n')


@tap.test("AVX, the guest's debug registers and MSRs are seen and written", NEEDS, timeout=300)
def _():
	s = session('vectors,1', 'break *vectors_avx_at', 'continue', 'print $ymm15.v4_int64[3] - $ymm0.v4_int64[0]',
		    'set var $ymm3.v8_int32[5] = 77', 'print $zmm0', 'delete', 'continue')
	tap.contains(s.text, '$1 = 3\n', "gdb's words")
	tap.contains(s.text, '$2 = void\n', "gdb's words")
	first = 0x0123456789abcde0
	words = [first + i for i in range(4)] * 2 + [0, 0, 77 << 32, 0]
	finished(s, ''.join('avx=%#x\n' % w for w in words) + 'end\n')
	s = session('sysregs', 'break *shared', 'continue', 'print/x $dr0', 'print/x $lstar', 'set var $dr1 = 0x222000',
		    'set var $dr7 = 0x404ul', 'set var $star = 0x33002000000000', 'set var $dr7 = 0ul', 'delete', 'continue')
	tap.contains(s.text, '$1 = 0x111000\n$2 = 0xffffffff81234000\n', "gdb's words")
	tap.contains(s.text, 'Could not write register "dr7"', "gdb's words")
	tap.equal(s.status, 0, 'exit status')
	for said in 'dr1=0x222000\n', 'dr7=0x404\n', 'star=0x33002000000000\n':
		tap.contains(s.serial, said, 'serial output')


tap.main()
