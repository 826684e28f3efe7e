#!/usr/bin/env python3
"""--job: many cases in a file, a verdict for each, one report for all."""

import json
import os
import shutil
import signal
import sys
import tempfile
import xml.etree.ElementTree as ET

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from vm import X86, Vm, guest_path, listening, wait_for         # noqa: E402

# case: (its lines, the verdict's kind, exit status of the same alone)
CASES = {
	'reaches main': ('break = main=pass\ncmdline = lab=spin', 'pass', 0),
	'says hello': ('expect = ^spinning\ncmdline = lab=spin', 'pass', 0),
	'ends by itself': ('cmdline = lab=off', 'pass', 0),
	'must not': ('break = main=fail\ncmdline = lab=off', 'fail', 20),
	'must not say': ('reject = spin+ing\ncmdline = lab=spin', 'reject', 22),
	'panics': ('expect = never\ncmdline = lab=panic', 'panic', 8),
	'ends early': ('expect = never\ncmdline = lab=off', 'early', 28),
	'hangs': ('expect = never\ncmdline = lab=spin\ntimeout = 1s', 'timeout', 124),
	'exits': ('expect = never\ncmdline = lab=debugexit,3', 'guest', 7),
	'no such place': ('break = nosuch_place', 'error', 2),
}
if X86[0]:
	CASES['resets'] = ('expect = never\ncmdline = lab=triple', 'triple-fault', 10)


class Folder:
	"""A repository with tests beside its code: guests/lab.elf, jobs/NAME."""

	def __init__(self):
		self.path = tempfile.mkdtemp(prefix='job-')
		for name in 'guests', 'jobs':
			os.mkdir(self.at(name))
		shutil.copy(guest_path('lab'), self.at('guests/lab.elf'))
		tap.cleanup(lambda: shutil.rmtree(self.path, ignore_errors=True))

	def at(self, name):
		return os.path.join(self.path, name)

	def job(self, text, defaults='kernel = ../guests/lab.elf\ntimeout = 50s\n'):
		with open(self.at('jobs/test.job'), 'w', encoding='utf-8') as f:
			f.write(defaults + text)
		return self.at('jobs/test.job')


def cases(names):
	return ''.join('[%s]\n%s\n' % (name, CASES[name][0]) for name in names)


def run(args, status, **options):
	"""Standard output and standard error."""
	with Vm(args, **options) as p:
		tap.equal(p.wait(), status, 'exit status; %s' % p.describe())
		return p.output(), p.errors()


def children(pid):
	try:
		with open('/proc/%d/task/%d/children' % (pid, pid), encoding='ascii') as f:
			return [int(word) for word in f.read().split()]
	except OSError:
		return []


def gone(pid):
	try:
		with open('/proc/%d/stat' % pid, encoding='latin-1') as f:
			return f.read().rpartition(')')[2].split()[0] in 'ZX'
	except OSError:
		return True


for parallel in '1', '3', '0':
	@tap.test('every verdict, on its line and in the report, -j %s' % parallel, timeout=120)
	def _(parallel=parallel):
		folder = Folder()
		report = folder.at('report.json')
		out, errors = run(['--job', folder.job(cases(CASES)), '-j', parallel, '--report', report], 34)
		lines = [line for line in out.splitlines() if not line.startswith(' ')]
		tap.equal(len(lines), len(CASES) + 1, 'lines that are no evidence in: ' + out)
		tap.equal(errors, '', 'errors')
		with open(report, encoding='utf-8') as f:
			results = json.load(f)['results']
		tap.equal([r['name'] for r in results], list(CASES), 'cases in the report')
		for r in results:
			_, kind, status = CASES[r['name']]
			tap.equal((r['verdict'], r['status']), (kind, status), r['name'] + ': ' + r['reason'])
			word = {'pass': 'PASS', 'error': 'ERROR'}.get(kind, 'FAIL')
			tap.check(any(line.startswith('%s %s' % (word, r['name'])) for line in lines), out)
		passed = sum(kind == 'pass' for _, kind, _ in CASES.values())
		tap.contains(lines[-1], '%d passed, %d failed of %d in ' % (passed, len(CASES) - passed, len(CASES)))
		tap.contains(out, "    minivmm: --break nosuch_place: no symbol nosuch_place")
		tap.contains(out, "    spinning")


@tap.test('all pass: 0; JUnit names them all; -j is 1', timeout=60)
def _():
	folder = Folder()
	names = [name for name in CASES if CASES[name][1] == 'pass']
	out, _ = run(['--job', folder.job(cases(names)), '--report', folder.at('r.xml')], 0)
	tap.equal([line.split(':')[0] for line in out.splitlines()[:-1]], ['PASS ' + name for name in names], 'lines')
	found = [case.get('name') for case in ET.parse(folder.at('r.xml')).iter('testcase')]
	tap.equal(found, names, 'cases in the report')


@tap.test('files are relative to the job file, of standard input to the working directory', timeout=60)
def _():
	folder = Folder()
	text = '[a]\ncmdline = lab=off\nserial = file:%n.log\n'
	job = folder.job(text)
	run(['--job', job], 0, cwd='/')
	tap.check(os.path.exists(folder.at('jobs/a.log')), 'the serial output beside the job')
	run(['--job', 'jobs/test.job'], 0, cwd=folder.path)
	with open(job, 'rb') as f:
		run(['--job', '-'], 0, cwd=folder.at('guests'), stdin=f)
	tap.check(os.path.exists(folder.at('guests/a.log')), 'the serial output in the working directory')


@tap.test('a report on standard output is alone there', timeout=60)
def _():
	out, errors = run(['--job', Folder().job(cases(['ends by itself'])), '--report', 'tap:-'], 0)
	tap.equal(out.splitlines()[:2], ['TAP version 13', '1..1'], 'TAP')
	tap.check('PASS' not in out, out)
	tap.contains(errors, 'PASS ends by itself')


@tap.test('a bad job: file, line and reason, before the first guest starts', timeout=60)
def _():
	folder = Folder()
	first = '[first]\ncmdline = lab=off\nserial = file:first.log\n[second]\n'
	for line, said in (('mem = lots', '--mem lots: not a size'), ('expect = (', "--expect '(': not a POSIX"),
			   ('brake = x', 'unknown key brake, did you mean break?'), ('break', 'break: the = is missing'),
			   ('break = x=boom', '--break x=boom: the action is one of'), ('initrd = none', 'initrd: %s/jobs/none cannot be read' % folder.path),
			   ('[first]', '[first]: a case of this name is in line 3')):
		job = folder.job(first + line + '\n')
		out, errors = run(['--job', job, '--report', folder.at('r.xml')], 2)
		tap.contains(errors, 'minivmm: %s:7: %s' % (job, said))
		tap.equal(errors.count('\n'), 1, 'lines of: ' + errors)
		tap.equal(out, '', 'output')
	tap.check(not os.path.exists(folder.at('jobs/first.log')), 'the first case was not run')
	tap.check(not os.path.exists(folder.at('r.xml')), 'there is no report')
	_, errors = run(['--job', folder.at('none')], 2)
	tap.contains(errors, 'No such file')
	_, errors = run(['--job', folder.job(first), '--report', '/no/such/folder/r.xml'], 6)
	tap.contains(errors, '/no/such/folder/r.xml')
	tap.check(not os.path.exists(folder.at('jobs/first.log')), 'the first case was not run')


@tap.test('what belongs into the file is refused beside --job', timeout=60)
def _():
	job = Folder().job(cases(['ends by itself']))
	for option in (['--kernel', 'x'], ['--cmdline', 'x'], ['--cpus', '3'], ['--mem', '1G'], ['--serial', 'null'],
		       ['--break', 'x'], ['--timeout', '3'], ['--ordered'], ['--ignore', 'oops']):
		_, errors = run(['--job', job, *option], 2)
		tap.contains(errors, option[0])


@tap.test('two really are side by side; one that dies is no pass, the other goes on', timeout=90)
def _():
	folder = Folder()
	text = ('[dies]\nbreak = main=count\nexpect = never\ncmdline = lab=spin\n'
		'[stays]\nbreak = main=count\nexpect = never\ncmdline = lab=spin\n[next]\ncmdline = lab=off\n')
	with Vm(['--job', folder.job(text), '-j', '2', '--report', folder.at('r.json')]) as p:
		wait_for(lambda: len(children(p.pid)) == 2, p.describe)
		pids = sorted(children(p.pid))
		os.kill(pids[0], signal.SIGKILL)
		p.wait_output('PASS next')
		tap.contains(p.output(), 'ERROR dies')
		tap.contains(p.output(), 'minivmm itself died of signal 9')
		tap.equal(children(p.pid), [pids[1]], 'the other one')
		p.signal(signal.SIGTERM)
		tap.equal(p.wait(), 16, 'exit status')
	with open(folder.at('r.json'), encoding='utf-8') as f:
		verdicts = {r['name']: r['verdict'] for r in json.load(f)['results']}
	tap.equal(verdicts, {'dies': 'error', 'stays': 'ended', 'next': 'pass'}, 'the report')


@tap.test('SIGINT: cases end, the rest is not begun, the report is written, 16', timeout=90)
def _():
	folder = Folder()
	text = ''.join('[%d]\nexpect = never\ncmdline = lab=spin\n' % n for n in range(4))
	with Vm(['--job', folder.job(text), '-j', '2', '--report', folder.at('r.json')]) as p:
		wait_for(lambda: len(children(p.pid)) == 2, p.describe)
		pids = children(p.pid)
		p.signal(signal.SIGINT)
		tap.equal(p.wait(), 16, 'exit status')
		tap.contains(p.output(), '0 passed, 2 failed, 2 not run of 4 in ')
	tap.check(all(gone(pid) for pid in pids), 'nobody is left')
	with open(folder.at('r.json'), encoding='utf-8') as f:
		outcomes = [r['outcome'] for r in json.load(f)['results']]
	tap.equal(outcomes[2:], ['skipped', 'skipped'], 'the report')


@tap.test('SIGKILL: no case outlives the job', timeout=60)
def _():
	text = ''.join('[%d]\nexpect = never\ncmdline = lab=spin\n' % n for n in range(2))
	with Vm(['--job', Folder().job(text), '-j', '2']) as p:
		wait_for(lambda: len(children(p.pid)) == 2, p.describe)
		pids = children(p.pid)
		p.signal(signal.SIGKILL)
		p.wait()
		wait_for(lambda: all(gone(pid) for pid in pids), 'the cases end')


@tap.test('gdb in a case: says where while it waits; with -j 1 only', timeout=60)
def _():
	folder = Folder()
	job = folder.job('[a]\ngdb = line\ncmdline = lab=off\n')
	with Vm(['--job', job]) as p:
		wait_for(lambda: listening(folder.at('jobs/line')), p.describe)
		tap.contains(p.errors(), '[a] has its line for gdb at ' + folder.at('jobs/line'))
		p.signal(signal.SIGINT)
		tap.equal(p.wait(), 16, 'exit status')
	tap.check(not os.path.exists(folder.at('jobs/line')), 'the socket is gone')
	_, errors = run(['--job', job, '-j', '2'], 2)
	tap.contains(errors, 'test.job:3: gdb in a job needs -j 1')


tap.main()
