#!/usr/bin/env python3
"""Boot and break: what becomes of a run, by its exit status, its closing line and its report."""

import contextlib
import json
import os
import re
import signal
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from elfsyms import symbols     # noqa: E402
from gdbclient import Gdb       # noqa: E402
from rsp import Rsp     # noqa: E402
from vm import ARCH, X86, Vm, guest_path, listening, wait_for          # noqa: E402

USAGE, HOST, PANIC, TRIPLE, KILLED, ENDED = 2, 6, 8, 10, 14, 16
FAIL, REJECT, OOPS, LOCKUP, EARLY, DEADLINE, ORDER, TIMEOUT = 20, 22, 24, 26, 28, 30, 32, 124
PC, ARGUMENT = {'x86_64': ('rip', 'rdi'), 'arm64': ('pc', 'x0')}[ARCH]
TIMES_MAX = 16
SERIAL_MAX = 65536


@contextlib.contextmanager
def folder():
	"""Nothing is left in it but what was asked for."""
	with tempfile.TemporaryDirectory(prefix='verdict-') as path:
		yield path


def lab(scene, *args, **options):
	return Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=' + scene, *args], **options)


def read_report(path):
	with open(path, encoding='utf-8') as f:
		whole = json.load(f)
	tap.equal(len(whole['results']), 1, 'cases')
	return whole['results'][0]


class Run:
	"""A whole run with a report: r.status, r.out, r.err, r.json, r.goal('main')."""

	def __init__(self, scene, *args, kernel=None, **options):
		with folder() as path:
			line = ['--kernel', kernel or guest_path('lab'), '--report', path + '/r.json', *args]
			line += ['--cmdline', 'lab=' + scene] if scene else []
			with Vm(line, **options) as p:
				self.status, self.out, self.err = p.wait(), p.output(), p.errors()
			tap.equal(os.listdir(path), ['r.json'], 'what is left')
			self.json = read_report(path + '/r.json')
		self.honest()

	def goal(self, text):
		return next(g for g in self.json['goals'] if g['text'] == text)

	def honest(self):
		"""What holds for every report."""
		r = self.json
		tap.equal(r['status'], self.status, 'status in the report; errors: ' + self.err)
		tap.equal(r['passed'], self.status == 0, 'passed')
		tap.check(r['reason'] and '\n' not in r['reason'], 'a reason: %r' % r['reason'])
		for g in r['goals']:
			times = g['times_s']
			tap.equal(len(times), min(g['count'], TIMES_MAX), 'times of ' + g['text'])
			tap.equal(times, sorted(times), 'times of %s ascend' % g['text'])
			if times:
				tap.check(times[-1] <= g['last_s'] <= r['duration_s'], 'the last hit of ' + g['text'])
			else:
				tap.equal((g['last_s'], g['cpu']), (None, None), 'no hit of ' + g['text'])

	def ends(self, kind, status, reason):
		"""The verdict, everywhere."""
		closing = self.err.splitlines()[-1] if self.err else ''
		tap.equal((self.json['verdict'], self.status), (kind, status), 'verdict; errors: ' + self.err)
		tap.check(re.search(reason, self.json['reason']), 'reason %r is %r' % (self.json['reason'], reason))
		tap.check(re.search(r'^minivmm: %s: .* after \d+\.\d{3} s$' % (
			r'PASS \S+' if status == 0 else r'FAIL \S+ \(%s, status %d\)' % (kind, status)), closing)
			if kind not in ('ended', 'killed') else True, 'closing line: ' + closing)
		tap.contains(closing, self.json['reason'][:60], 'closing line')
		return self


# ---- the matrix ----

def matrix(name, scene, kind, status, reason, *args, needs=(), check=None):
	@tap.test(name, list(needs), timeout=60)
	def _():
		r = Run(scene, *args).ends(kind, status, reason)
		if status and status not in (ENDED, KILLED):
			tap.contains(r.json['evidence'], 'CPU 0', 'evidence')
		if check:
			check(r)


def serial_is(text):
	def check(r):
		tap.equal(r.json['serial'].replace('\r', ''), text, 'the serial line')
	return check


def flooded(r):
	tap.equal(len(r.json['serial']), SERIAL_MAX, 'bytes of the tail')
	tap.check(r.json['serial'].endswith('YZ01\n'), 'it is the end: %r' % r.json['serial'][-40:])
	tap.equal(r.goal('^00002999 ')['count'], 1, 'the last line was seen')


matrix('passes at a break', 'calls,3', 'pass', 0, '^reached inner on CPU 0$', '--break', 'inner')
matrix('passes at a line', 'calls,3', 'pass', 0, '^saw ', '--expect', '^betas [0-9]+$')
matrix('passes at a line that has no end', 'says,4,1', 'pass', 0, '^saw .login: ', '--expect', '^login: ')
matrix('passes at its own end, which is awaited', 'calls,3', 'pass', 0, 'powered off, all goals reached',
       '--break', 'inner', '--expect', 'sum 174', '--until', 'end', check=serial_is('alphas 3\nbetas 3\nsum 174\n'))
matrix('passes in order', 'calls,3', 'pass', 0, 'saw sum, the last of all', '--ordered', '--break', 'alpha',
       '--break', 'beta', '--break', 'outer', '--expect', 'sum')
matrix('fails: not in order', 'calls,3', 'order', ORDER, '^reached alpha on CPU 0 before break beta', '--ordered',
       '--break', 'beta', '--break', 'alpha')
matrix('fails at a break', 'calls,3', 'fail', FAIL, '^reached beta on CPU 0$', '--break', 'beta=fail',
       '--break', 'scene_off')
matrix('fails at a line', 'calls,3', 'reject', REJECT, "matches '\\^bet.*: betas 3$", '--reject', '^bet')
matrix('panics', 'panic', 'panic', PANIC, 'reported a panic', '--break', 'inner')
matrix('panics, by its words', 'says,2', 'panic', PANIC, '^the kernel said: Kernel panic - not syncing: no working',
       '--break', 'inner')
matrix('panics, by its words, and hangs', 'says,2,1', 'panic', PANIC, 'said: Kernel panic', '--timeout', '50')
matrix('an oops, by its words', 'says,0,1', 'oops', OOPS, '^the kernel said: Oops: 0002', '--timeout', '50')
matrix('a lockup, by its words', 'says,1', 'lockup', LOCKUP, 'soft lockup', '--break', 'inner')
matrix('a stall, by its words, and hangs', 'says,3,1', 'lockup', LOCKUP, 'stall', '--timeout', '50')
matrix('an oops and a lockup that are ignored', 'says,0', 'pass', 0, 'powered off', '--ignore', 'oops,lockup')
matrix('a triple fault', 'triple', 'triple-fault', TRIPLE, 'triple fault', '--break', 'inner', needs=[X86])
matrix('hangs, interrupts off', 'hang', 'timeout', TIMEOUT, r'^no verdict within 0\.400 s; missing: break inner',
       '--timeout', '400ms', '--break', 'inner', check=serial_is('hanging\n'))
matrix('hangs on two CPUs', 'spin,2', 'timeout', TIMEOUT, 'no verdict', '--timeout', '400ms', '--cpus', '2',
       check=lambda r: tap.contains(r.json['evidence'], 'CPU 1', 'evidence'))
matrix('halts for ever', 'idle', 'timeout', TIMEOUT, 'no verdict', '--timeout', '400ms')
matrix('never prints', 'hang,1', 'timeout', TIMEOUT, 'missing: expect anything', '--timeout', '400ms',
       '--expect', 'anything', check=serial_is(''))
matrix('hits nothing for too long', 'hang', 'deadline', DEADLINE, r'^nothing was hit for 0\.300 s$', '--timeout', '50',
       '--deadline-between-hits', '300ms', '--break', 'scene_hang=count')
matrix('ends early', 'off', 'early', EARLY, 'powered off before: break inner, expect never', '--break', 'inner',
       '--expect', 'never', '--break', 'main=count', check=lambda r: tap.equal(r.goal('main')['count'], 1, 'main'))
matrix('floods the serial line', 'flood,3000', 'pass', 0, 'powered off', '--expect', '^00002999 ', '--until', 'end',
       '--serial', 'null', check=flooded)
matrix('has the exit code 0', 'debugexit,0', 'pass', 0, 'exit code 0', '--break', 'main=count')
matrix('has the exit code 0 before its goals', 'debugexit,0', 'early', EARLY, 'exit code 0 before', '--break', 'inner')
matrix('has an exit code of its own', 'debugexit,21', 'guest', 43, 'exit code is 21', '--break', 'main=count')


# ---- counting ----

for cpus in 2, 4:
	@tap.test('every hit is counted once, %d CPUs at once' % cpus, timeout=60)
	def _(cpus=cpus):
		n = 400
		r = Run('crowd,%d,%d' % (n, cpus), '--cpus', cpus, '--break', 'crowd_all=count', '--break',
			'crowd_1=count', '--break', 'smp_ready=count')
		r.ends('pass', 0, 'powered off')
		calls = [int(line.split()[1]) for line in r.out.splitlines() if line.startswith('calls ')]
		tap.equal(calls, [n] * cpus, "the guest's own count")
		tap.equal(r.goal('crowd_all')['count'], n * cpus, 'crowd_all')
		tap.equal(r.goal('crowd_1')['count'], n, 'crowd_1')
		tap.check(0 < r.goal('crowd_1')['cpu'] < cpus, 'its CPU')
		tap.equal(r.goal('smp_ready')['count'], 1, 'smp_ready')
		sums = [line for line in r.out.splitlines() if line.startswith('sum ')]
		with lab('crowd,%d,%d' % (n, cpus), '--cpus', cpus) as p:
			p.wait()
			tap.equal(sums, [line for line in p.output().splitlines() if line.startswith('sum ')],
				  'what it computes without breaks')


@tap.test('several breaks at one place all count, each with its own action', timeout=60)
def _():
	r = Run('calls,5', '--break', 'inner=count', '--break', 'inner=log:' + PC, '--break',
		'*0x%x=count' % symbols(guest_path('lab'))['inner'], '--break', 'inner+0=count')
	r.ends('pass', 0, 'powered off')
	tap.equal([g['count'] for g in r.json['goals']], [10] * 4, 'counts')
	tap.equal(len(re.findall(r'CPU 0: inner ', r.err)), 10, 'lines')


@tap.test('a log line has time, CPU, place and registers', timeout=60)
def _():
	at = symbols(guest_path('lab'))['shared']
	r = Run('calls,4', '--break', 'shared=log:%s,%s' % (PC, ARGUMENT.upper())).ends('pass', 0, 'powered off')
	lines = re.findall(r'^minivmm: (\d+\.\d{6}) CPU 0: shared %s=0x([0-9a-f]{16}) %s=0x([0-9a-f]{16})$' % (PC, ARGUMENT),
			   r.err, re.M)
	tap.equal(len(lines), 8, 'lines in: ' + r.err)
	tap.equal([int(pc, 16) for _, pc, _ in lines], [at] * 8, PC)
	tap.equal([int(a, 16) for _, _, a in lines], [0, 0, 1, 1, 2, 2, 3, 3], ARGUMENT)
	tap.equal([t for t, _, _ in lines], sorted(t for t, _, _ in lines), 'times')


@tap.test('breaks before paging, in 32-bit code', [X86], timeout=60)
def _():
	r = Run(None, '--break', 'image_start=count', '--break', 'main32=count', '--break', 'info_processor',
		kernel=guest_path('pvh64'))
	r.ends('pass', 0, '^reached info_processor')
	tap.equal([g['count'] for g in r.json['goals']], [1, 1, 1], 'counts')


@tap.test("breaks at the first instruction, and in another CPU's real mode", timeout=60)
def _():
	r = Run('cpus,2', '--cpus', '2', '--break', '_start=count', '--break', 'cpu_counts_itself')
	r.ends('pass', 0, '^reached cpu_counts_itself on CPU 1$')
	tap.equal((r.goal('_start')['count'], r.goal('_start')['cpu']), (1, 0), '_start')


@tap.test("an address that nothing maps is never hit", timeout=60)
def _():
	r = Run('calls,3', '--break', '*0xffff900000000000=count', '--break', '*0x7000000000=fail')
	tap.equal([g['count'] for g in r.ends('pass', 0, 'powered off').json['goals']], [0, 0], 'counts')


# ---- with a debugger ----

@contextlib.contextmanager
def debugged(scene, *args, extended=False):
	"""(minivmm, gdb, read the report) with gdb connected before the first instruction."""
	with folder() as path:
		with lab(scene, '--gdb', path + '/gdb', '--report', path + '/r.json', *args) as p:
			wait_for(lambda: listening(path + '/gdb') or not p.alive(), p.describe)
			g = Gdb(symbols=guest_path('lab'))
			try:
				g.connect(path + '/gdb', extended=extended)
				yield p, g, lambda: read_report(path + '/r.json')
			finally:
				g.close()


def counts(report):
	return [g['count'] for g in report['goals']]


@tap.test("gdb's breakpoint and --break at one place: both see every hit", ['gdb'], timeout=60)
def _():
	with debugged('calls,5', '--break', 'inner=count', '--break', 'shared=count', '--timeout', '50') as (p, g, report):
		g.cmd('break *inner')
		for i in range(6):
			stop = g.run('continue')
			tap.equal((stop.reason, stop.func), ('breakpoint-hit', 'inner'), 'stop')
			if i % 2:
				g.run('stepi')
		tap.equal(g.cmd('info breakpoints').count('breakpoint already hit 6'), 1, 'hits in gdb')
		g.cmd('delete')
		g.cmd('detach')
		tap.equal(p.wait(), 0, 'status: ' + p.errors())
		tap.equal(counts(report()), [10, 10], 'counts')


@tap.test('gdb reads the code, not the breaks in it', ['gdb'], timeout=60)
def _():
	with contextlib.closing(Gdb(symbols=guest_path('lab'))) as g:
		code = g.cmd('x/40xb inner')
	with debugged('calls,5', '--break', 'inner=count', '--break', 'shared=count') as (p, g, _report):
		tap.equal(g.cmd('x/40xb inner'), code, 'before the first instruction')
		g.cmd('break *alpha')
		g.run('continue')
		tap.equal(g.run('continue').func, 'alpha', 'stop')
		tap.equal(g.cmd('x/40xb inner'), code, 'later')
		tap.contains(g.cmd('info breakpoints'), 'already hit 2', 'gdb knows its own alone')
		g.send_only('kill')
		tap.equal(p.wait(), KILLED, 'status')


@tap.test('what gdb steps over, and where it leaves, is counted once', ['gdb'], timeout=60)
def _():
	with debugged('calls,5', '--break', 'inner=count', '--break', 'shared=count', '--break', 'beta=log') as (p, g, report):
		g.cmd('break *shared')
		g.run('continue')
		g.cmd('tbreak *inner')
		tap.equal(g.run('continue').func, 'shared', 'stop')
		g.cmd('delete')
		g.cmd('break scene_off')
		g.run('stepi 200')
		g.cmd('tbreak *inner')
		tap.equal(g.run('continue').func, 'inner', 'stop')
		g.cmd('detach')
		tap.equal(p.wait(), 0, 'status: ' + p.errors())
		tap.equal(counts(report()), [10, 10, 5], 'counts')


@tap.test('a step onto a failing break, and the next one, end the run', ['gdb'], timeout=60)
def _():
	with debugged('calls,5', '--break', 'inner=fail') as (p, g, report):
		g.cmd('break middle')
		g.run('continue')
		for _ in range(40):
			if g.run('stepi').reason.startswith('exited'):
				break
		tap.equal(p.wait(), FAIL, 'status: ' + p.errors())
		tap.contains(report()['reason'], 'reached inner', 'reason')


@tap.test('run from gdb begins anew: counts, times and verdict', ['gdb'], timeout=60)
def _():
	with debugged('calls,5', '--break', 'inner=count', '--break', 'beta=count', extended=True) as (p, g, report):
		g.cmd('break outer')
		for _ in range(3):
			g.run('continue')
		for _ in range(2):
			tap.equal(g.run('run').func, 'outer', 'stop')
		g.cmd('delete')
		tap.equal(g.run('continue').reason, 'exited-normally', 'its end')
		g.cmd('disconnect')
		tap.equal(p.wait(), 0, 'status: ' + p.errors())
		tap.equal(counts(report()), [10, 5], 'counts of the last machine')


@tap.test('the timeout does not run while gdb has the machine stopped', ['gdb'], timeout=60)
def _():
	with debugged('spin', '--timeout', '600ms', '--break', 'main=count') as (p, g, report):
		g.cmd('break *spin_loop')
		tap.equal(g.run('continue').func, 'spin_loop', 'stop')
		tap.check(g.quiet(1.2), 'it stays stopped, longer than the timeout')
		tap.check(p.alive(), 'and alive')
		g.cmd('delete')
		g.send_only('continue')
		tap.equal(p.wait(), TIMEOUT, 'status')
		tap.check(0.6 <= report()['duration_s'] < 1.2, 'duration %r' % report()['duration_s'])


@tap.test('a verdict while gdb is there ends the run for both', ['gdb'], timeout=60)
def _():
	for action, status in ('pass', 0), ('fail', FAIL):
		with debugged('calls,5', '--break', 'inner=' + action) as (p, g, report):
			stop = g.run('continue')
			tap.check(stop.reason.startswith('exited'), 'in gdb: %r' % (stop,))
			tap.equal(stop.status, status, 'status in gdb')
			tap.equal(p.wait(), status, 'status')
			tap.equal(report()['verdict'], action, 'verdict')


@tap.test('SIGTERM: 16, in the report too', timeout=60)
def _():
	with folder() as path:
		with lab('spin', '--break', 'main=count', '--expect', 'x', '--report', path + '/r.json') as p:
			p.wait_output('spinning')
			p.signal(signal.SIGTERM)
			tap.equal(p.wait(), ENDED, 'status')
		r = read_report(path + '/r.json')
		tap.equal((r['verdict'], r['status'], r['outcome']), ('ended', ENDED, 'error'), 'report')
		tap.equal(r['goals'][0]['count'], 1, 'and what it had reached')


@tap.test('what a guest says does nothing to a terminal that shows why it failed', timeout=60)
def _():
	r = Run('says,5', '--serial', 'null')
	tap.equal((r.json['verdict'], r.status), ('oops', OOPS), 'verdict; errors: ' + r.err)
	tap.equal(r.json['serial'].rstrip(), 'Oops: \x1b[31mred\\x9b2J', 'in the report, as JSON has it')
	tap.contains(r.err, ' bytes:\nOops: \\x1b[31mred\\x9b2J\n', 'evidence')
	tap.contains(r.err, 'the kernel said: Oops: \\x1b[31mred\\x9b2J', 'closing line')
	tap.check(r.err.replace('\n', '').isprintable(), 'only that: %r' % r.err)
	with failed('says,5', '--serial', 'null') as (p, _sock, _report):
		tap.contains(p.errors(), 'Oops: \\x1b[31mred\\x9b2J; waiting for gdb', 'why it waits')


# ---- --stop-on-fail ----

@contextlib.contextmanager
def failed(scene, *args):
	"""A run that has failed and waits; (minivmm, socket, read the report)."""
	with folder() as path:
		sock = path + '/gdb'
		with lab(scene, '--gdb', sock, '--gdb-attach', '--stop-on-fail', '--report', path + '/r.json', *args) as p:
			wait_for(lambda: 'waiting for gdb' in p.errors() or not p.alive(), p.describe)
			tap.check(p.alive(), 'it waits: ' + p.describe())
			yield p, sock, lambda: read_report(path + '/r.json')


@tap.test('--stop-on-fail: a gdb that comes later finds it as it failed', ['gdb'], timeout=90)
def _():
	for leave in 'detach', 'continue', 'kill':
		with failed('calls,5', '--break', 'inner=fail', '--break', 'outer=count') as (p, sock, report):
			with contextlib.closing(Gdb(symbols=guest_path('lab'))) as g:
				stop = g.connect(sock)
				tap.equal(stop.func, 'inner', 'stop')
				tap.contains(g.cmd('info program'), 'SIGABRT', 'why')
				tap.equal(g.pc(), g.address('inner'), 'pc')
				tap.equal(g.int('alphas'), 1, 'a variable')
				tap.equal(g.frames()[:3], ['inner', 'middle', 'outer'], 'frames')
				tap.contains(g.cmd('monitor info fault'), 'reached inner on CPU 0', 'the reason')
				g.send_only(leave)
				tap.equal(p.wait(), FAIL, 'status after ' + leave)
				tap.contains(p.errors().splitlines()[-1], 'FAIL lab.elf (fail, status 20)', 'closing line')
			r = report()
			tap.equal((r['verdict'], counts(r)), ('fail', [1, 1]), 'report')


@tap.test('--stop-on-fail: a hang, two CPUs; gdb looks, leaves, and the status is 124', ['gdb'], timeout=60)
def _():
	with failed('spin,2', '--cpus', '2', '--timeout', '300ms') as (p, sock, report):
		with contextlib.closing(Gdb(symbols=guest_path('lab'))) as g:
			g.connect(sock)
			tap.contains(g.cmd('info program'), 'SIGABRT', 'why')
			tap.equal([t['frame']['func'] for t in g.threads()], ['spin_loop'] * 2, 'threads')
			tap.contains(g.cmd('monitor info fault'), 'no verdict within 0.300 s', 'the reason')
			g.cmd('detach')
			tap.equal(p.wait(), TIMEOUT, 'status')
		tap.equal(report()['verdict'], 'timeout', 'report')


@tap.test('--stop-on-fail: panic; SIGTERM while it waits keeps the verdict', timeout=60)
def _():
	with failed('panic') as (p, _sock, report):
		p.signal(signal.SIGTERM)
		tap.equal(p.wait(), PANIC, 'status')
		tap.equal(report()['verdict'], 'panic', 'report')


@tap.test('--stop-on-fail: a gdb that is there already', ['gdb'], timeout=60)
def _():
	with debugged('spin', '--reject', '^spun', '--stop-on-fail') as (p, g, report):
		g.cmd('set var stop = 1')
		stop = g.run('continue')
		tap.equal((stop.reason, stop.signal), ('signal-received', 'SIGABRT'), 'stop')
		tap.contains('\n'.join(g.log), 'the output matches', "the reason on gdb's console")
		g.cmd('detach')
		tap.equal(p.wait(), REJECT, 'status')
		tap.equal(report()['verdict'], 'reject', 'report')


@tap.test('--stop-on-fail: a raw client that vanishes ends it', timeout=60)
def _():
	with failed('calls,5', '--break', 'inner=fail') as (p, sock, _report):
		c = Rsp(sock)
		tap.check(c.ask('?').startswith('T06'), 'SIGABRT')
		c.close()
		tap.equal(p.wait(), FAIL, 'status')


# ---- bad input: said before the guest says anything ----

def refused(status, words, *args, scene='calls,3', kernel=None):
	with folder() as path:
		line = [a.replace('{}', path) for a in args]
		with Vm(['--kernel', kernel or guest_path('lab'), '--cmdline', 'lab=' + scene, *line]) as p:
			got = p.wait()
			text = p.errors()
			tap.equal(got, status, 'status of %s: %s' % (' '.join(args), text))
			tap.equal(text.count('\n'), 1, 'one line: ' + text)
			for w in words.split('|'):
				tap.contains(text, w)
			tap.equal(p.output(), '', 'the guest has not run')
		tap.equal(os.listdir(path), [], 'what is left')


@tap.test('bad places', timeout=60)
def _():
	refused(USAGE, '--break sharde: no symbol sharde|did you mean shared?', '--break', 'sharde')
	refused(USAGE, 'no symbol', '--break', 'Shared=fail')
	refused(USAGE, 'no symbol zzzzzzzzzz', '--break', 'zzzzzzzzzz')
	refused(USAGE, 'shared+0x100000|beyond its end', '--break', 'shared+0x100000')
	refused(USAGE, 'has no register foo', '--break', 'shared=log:%s,foo' % PC)
	refused(USAGE, '16 registers can be logged', '--break', 'shared=log:' + ','.join([PC] * 17))
	refused(USAGE, 'has no symbols|--symbols', '--break', 'main', kernel=guest_path('pvh32')) if X86[0] else None


@tap.test('a symbol that occurs twice is refused with its places, and one of them is said', [X86], timeout=60)
def _():
	refused(USAGE, 'set_gate occurs 2 times in lab.elf: 0x|say which: *0x', '--break', 'set_gate')


@tap.test('bad expressions and rules', timeout=60)
def _():
	refused(USAGE, "--expect '('", '--expect', '(')
	refused(USAGE, '--reject: the regular expression is empty', '--reject', '')
	refused(USAGE, '--until soon', '--expect', 'x', '--until', 'soon')
	refused(USAGE, '--job do not go together', '--job', 'f')


@tap.test('reports and dumps that cannot be written', timeout=60)
def _():
	refused(HOST, '--report|/no/r.json|make its folder', '--break', 'main', '--report', '{}/no/r.json')
	refused(HOST, '--report', '--break', 'main', '--report', 'json:{}')
	refused(HOST, '--report|which format', '--break', 'main', '--report', '{}/r.doc')
	refused(HOST, '--dump', '--break', 'main', '--dump', '{}/no/core')
	refused(USAGE, 'no symbol nowhere', '--break', 'nowhere', '--dump', '{}/core')


tap.main()
