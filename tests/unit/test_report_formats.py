#!/usr/bin/env python3
"""Reports as other people's programs read them: results full of hostile bytes go through report_driver into JUnit XML,
TAP and JSON, and come back through parsers that know nothing of minivmm."""

import decimal
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import xml.etree.ElementTree

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402

DRIVER = os.path.join(os.environ['BUILD'], 'tests', 'unit', 'report_driver')
PYTHON = '/usr/bin/python3'             # the distribution's, which has its modules
SERIAL_MAX = 65536
# of vmm/result.h: name, outcome
KINDS = [('none', 'error'), ('pass', 'passed'), ('fail', 'failed'), ('reject', 'failed'), ('order', 'failed'),
	 ('timeout', 'failed'), ('deadline', 'failed'), ('early', 'failed'), ('guest', 'failed'), ('panic', 'failed'),
	 ('oops', 'failed'), ('lockup', 'failed'), ('triple-fault', 'failed'), ('kvm', 'error'), ('killed', 'error'),
	 ('ended', 'error'), ('error', 'error')]
BEGAN = 1700000000                      # 2023-11-14T22:13:20Z

# What a guest might say to whoever reads about it.
FORGERIES = b''']]></system-out></testcase><testcase name="forged"/>\r
<![CDATA[ &amp; &#0; <!-- ]]> ]]&gt; <?xml version="1.0"?>\r
ok 1 - forged\r
not ok 99\r
    ok 2 - forged subtest\r
Bail out! forged\r
1..0 # SKIP forged\r
TAP version 13\r
  ...\r
...\r
---\r
\r
    \r
\t tab\r
pragma +strict\r
", "passed": true, "x": "\\", \\u0041 \\n \\x41 \\\\x41\r
'quotes' ''two'' "double" # SKIP # TODO: no\r
key: value\r
- item: 'x'\r
[[ATTACHMENT|/etc/passwd]]\r
a\rb\r\rc\r\r\n\x00\x01\x07\x08\x0b\x0c\x1b[31mred\x1b]0;title\x07\x7f\r
\xc2\x85\xc2\x9b31m\xe2\x80\xa8ok 3\xe2\x80\xa9ok 4\xe2\x80\xaereversed\xe2\x81\xa6\xef\xbb\xbf\xef\xbf\xbe\xef\xbf\xbf\r
\xff\xfe\x80\xbf\xc0\xaf\xc1\xbf\xed\xa0\x80\xed\xbf\xbf\xf0\x80\x80\x80\xf4\x90\x80\x80\xf8\x88\x80\x80\x80\xe2\x82\r
Gr\xc3\xbc\xc3\x9fe \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf\xf3\xa0\x81\x81
end without newline \xf0\x9f\x98'''


class Goal:
	def __init__(self, option, text, action='', times=(), count=None, cpu=-1):
		self.option, self.text, self.action, self.times, self.cpu = option, text, action, list(times), cpu
		self.count = len(self.times) if count is None else count
		self.last = self.times[-1] if self.times else 0


class Case:
	def __init__(self, kind, name=b'case', status=0, reason=b'', began=BEGAN, duration_us=0, text=b'', serial=b'', goals=()):
		self.kind, self.name, self.status, self.reason = kind, name, status, reason
		self.began, self.duration_us, self.text, self.serial, self.goals = began, duration_us, text, serial, list(goals)

	def outcome(self):
		return 'skipped' if self.kind == 0 and not self.began else KINDS[self.kind][1]

	def lines(self):
		yield 'case'
		for key in ('name', 'reason', 'text', 'serial'):
			yield '%s %s' % (key, getattr(self, key).hex())
		for key in ('kind', 'status', 'began', 'duration_us'):
			yield '%s %d' % (key, getattr(self, key))
		for g in self.goals:
			yield 'goal'
			for key in ('option', 'text', 'action'):
				value = getattr(g, key)
				yield 'goal.%s %s' % (key, (value if isinstance(value, bytes) else value.encode()).hex())
			for t in g.times[:16]:
				yield 'goal.time %d' % t
			yield 'goal.count %d\ngoal.last %d\ngoal.cpu %d' % (g.count, g.last, g.cpu)


@tap.fixture
def folder():
	d = tempfile.mkdtemp(prefix='report-')
	tap.cleanup(shutil.rmtree, d)
	return d


def run(args, **how):
	p = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
	tap.check(p.returncode == 0, '%s: status %d: %s' % (args[0], p.returncode, p.stderr.decode('utf-8', 'replace')[-2000:]))
	tap.equal(p.stderr, b'', 'complaints of ' + args[0])
	return p.stdout


def report(suffix, cases, suite=b'suite'):
	"""The path of a report, checked for what holds for every format."""
	path = os.path.join(folder(), 'report.' + suffix)
	lines = ['suite ' + suite.hex()] + [line for c in cases for line in c.lines()]
	run([DRIVER, path], input=('\n'.join(lines) + '\n').encode())
	with open(path, 'rb') as f:
		raw = f.read()
	for c in set(raw.decode('utf-8', 'strict')):    # fails where it is not UTF-8
		if not (c in '\n\t' or shown(c)):
			tap.fail('%s: U+%04X is in it as it is' % (path, ord(c)))
	return path


def shown(c):
	"""Is that a character which does nothing to a terminal or a reader of lines?"""
	return unicodedata.category(c) not in ('Cc', 'Zl', 'Zp') and not unicodedata.bidirectional(c) in (
		'LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI') and ord(c) & 0xfffe != 0xfffe and \
		not 0xe0000 <= ord(c) < 0xe0080 and c not in '\u200b\u200e\u200f\ufeff\u061c'


def string(data, size):
	"""What an array of C keeps of it."""
	return data[:size].split(b'\0')[0]


def undo(text):
	"""The bytes that were written, from what a reader got."""
	return re.sub(rb'\\x([0-9a-f]{2})', lambda m: bytes([int(m.group(1), 16)]), text.encode('utf-8'))


def plain(serial):
	"""XML and TAP do not keep carriage returns in front of newlines."""
	return re.sub(rb'\r+\n', b'\n', serial)


def seconds(us):
	return decimal.Decimal(us) / 1000000


def wide_cases():
	"""Every verdict, names and reasons with anything in them, goals, evidence."""
	goals = [Goal('break', 'start_kernel', 'pass', [412345], cpu=0),
		 Goal('expect', b'^a+\\d "quoted" <x> & \'y\' # SKIP: [z]', '', [1, 999999, 1000000]),
		 Goal('reject', b'Oops: \x1b\\x41\xff', '', []),
		 Goal('break', '*0xffffffff81000000', 'count', range(0, 16000000, 1000001), count=2**64 - 1, cpu=1023)]
	cases = [Case(n, name.encode(), 2 * n, b'reason: ' + name.encode(), duration_us=1000001 * n, goals=goals)
		 for n, (name, _) in enumerate(KINDS)]
	cases.append(Case(0, b'never begun', began=0))
	cases.append(Case(5, FORGERIES[:127], 124, FORGERIES[:511], duration_us=2**64 - 1 - 60000000, began=253402300799,
			  text=FORGERIES, serial=FORGERIES, goals=goals))
	cases.append(Case(9, FORGERIES[-128:], 8, FORGERIES[-512:], text=b'\n\n', serial=b'\n', began=-1))
	cases.append(Case(0, b'not # begun \\# SKIP', reason=b'since "boot" # TODO failed\nok 5', began=0))
	cases.append(Case(1, b'', serial=b'\r\n', began=2**62))
	return cases


@tap.fixture
def byte_cases():
	"""Every character of four planes (others have none that matter), then noise."""
	every = b''.join(chr(plane << 16 | c).encode('utf-8', 'surrogatepass') for plane in (0, 1, 14, 16) for c in range(0x10000))
	noise = random.Random(5)
	texts = [every[i:i + SERIAL_MAX] for i in range(0, len(every), SERIAL_MAX)]
	texts += [noise.randbytes(SERIAL_MAX) for _ in range(4)]
	words = [b'\\', b'x', b'4', b'1', b'\r', b'\n', b'[', b'[[ATTACHMENT|', b']]>', b'\xe2\x80', b'\xa8', b"'", b' ', b': ', b'-', b'ok 1']
	texts += [b''.join(noise.choices(words, k=15000))[:SERIAL_MAX] for _ in range(4)]
	return [Case(5, b'text %d' % i, 124, serial=text, text=text[::-1]) for i, text in enumerate(texts)]


def totals(cases):
	count = {name: 0 for name in ('passed', 'failed', 'error', 'skipped')}
	for c in cases:
		count[c.outcome()] += 1
	return count


def default_reason(c, got):
	"""Where none was given, it says something."""
	return undo(got) == string(c.reason, 512) if c.reason else len(got) > 3


# ---- JSON ----

def no_duplicates(pairs):
	tap.equal(len(dict(pairs)), len(pairs), 'keys of an object, each once')
	return dict(pairs)


def load_json(cases):
	with open(report('json', cases), encoding='utf-8') as f:
		return json.load(f, parse_float=decimal.Decimal, parse_constant=tap.fail, object_pairs_hook=no_duplicates)


@tap.test('JSON: every verdict, goal and number as it was', timeout=60)
def _():
	cases = wide_cases()
	doc = load_json(cases)
	count = totals(cases)
	tap.equal(doc['version'], 1, 'version')
	tap.equal(doc['suite'], 'suite', 'suite')
	for key, outcome in (('passed', 'passed'), ('failed', 'failed'), ('errors', 'error'), ('skipped', 'skipped')):
		tap.equal(doc['totals'][key], count[outcome], key)
	tap.equal(doc['totals']['cases'], len(cases), 'cases')
	for c, r in zip(cases, doc['results'], strict=True):
		tap.equal(undo(r['name']), string(c.name, 128) or b'run', 'name')
		tap.equal(r['verdict'], KINDS[c.kind][0], 'verdict')
		tap.equal((r['outcome'], r['passed']), (c.outcome(), c.outcome() == 'passed'), 'outcome')
		tap.equal(r['status'], None if c.outcome() == 'skipped' else c.status, 'status')
		tap.check(default_reason(c, r['reason']), 'reason: %r' % r['reason'])
		wanted = {BEGAN: '2023-11-14T22:13:20Z', 253402300799: '9999-12-31T23:59:59Z'}.get(c.began)
		tap.equal(r['began'], wanted, 'began')
		tap.equal(r['duration_s'], seconds(c.duration_us), 'duration')
		tap.equal(undo(r['evidence']), c.text, 'evidence')
		tap.equal(undo(r['serial']), c.serial, 'serial')
		for g, s in zip(c.goals, r['goals'], strict=True):
			text = g.text if isinstance(g.text, bytes) else g.text.encode()
			tap.equal((s['option'], undo(s['text']), s['action'], s['count']), (g.option, text, g.action, g.count), 'goal')
			tap.equal(s['times_s'], [seconds(t) for t in g.times[:16]], 'times')
			tap.equal(s['last_s'], seconds(g.last) if g.count else None, 'last')
			tap.equal(s['cpu'], g.cpu if g.count and g.cpu >= 0 else None, 'cpu')


@tap.test('JSON: every character and noise come back as the same bytes', timeout=100)
def _():
	cases = byte_cases()
	for c, r in zip(cases, load_json(cases)['results'], strict=True):
		tap.check(undo(r['serial']) == c.serial and undo(r['evidence']) == c.text, '%s is not what it was' % c.name)


@tap.test('JSON: no results is a report, too', timeout=60)
def _():
	doc = load_json([])
	tap.equal((doc['results'], doc['totals']['cases']), ([], 0), 'report')


@tap.test('JSON: jq', needs=['jq'], timeout=60)
def _():
	cases = wide_cases()
	path = report('json', cases)
	got = run(['jq', '-r', '.results[] | select(.outcome == "failed") | .verdict', path]).decode().split()
	tap.equal(got, [KINDS[c.kind][0] for c in cases if c.outcome() == 'failed'], 'failed verdicts')


# ---- JUnit XML ----

def case_of(path):
	return xml.etree.ElementTree.parse(path).getroot().findall('./testsuite/testcase')


@tap.test('JUnit: counts, verdicts, reasons, goals', timeout=60)
def _():
	cases = wide_cases()
	path = report('xml', cases, b'suite "<&>\'\n\t\x01\xff')
	root = xml.etree.ElementTree.parse(path).getroot()
	count = totals(cases)
	tap.equal([e.tag for e in root.iter()][:2], ['testsuites', 'testsuite'], 'elements')
	for suite in (root, root[0]):
		tap.equal(suite.get('name'), 'suite "<&>\'\n\t\\x01\\xff', 'suite')
		tap.equal({k: int(suite.get(k)) for k in ('tests', 'failures', 'errors', 'skipped')},
			  {'tests': len(cases), 'failures': count['failed'], 'errors': count['error'], 'skipped': count['skipped']}, 'counts')
	tap.equal(root[0].get('timestamp'), '2023-11-14T22:13:20', 'timestamp')
	for c, e in zip(cases, case_of(path), strict=True):
		tap.equal(undo(e.get('name')), string(c.name, 128) or b'run', 'name')
		tap.equal(e.get('classname'), root.get('name'), 'classname')
		tap.equal(decimal.Decimal(e.get('time')), seconds(c.duration_us), 'time')
		bad = [x for x in e if x.tag in ('failure', 'error', 'skipped')]
		wanted = {'failed': ['failure'], 'error': ['error'], 'skipped': ['skipped'], 'passed': []}[c.outcome()]
		tap.equal([x.tag for x in bad], wanted, 'what is wrong with ' + str(c.name))
		if bad:
			tap.check(default_reason(c, bad[0].get('message')), 'message: %r' % bad[0].get('message'))
		if bad and bad[0].tag != 'skipped':
			tap.equal(bad[0].get('type'), KINDS[c.kind][0], 'type')
			tap.contains(bad[0].text, 'exit status %d' % c.status, 'text')
		order = ['properties', 'failure', 'error', 'skipped', 'system-out', 'system-err']
		tap.equal([x.tag for x in e], [t for t in order if e.find(t) is not None], 'order of elements')
		properties = [(p.get('name'), p.get('value')) for p in e.find('properties')]
		tap.equal(properties[0], ('verdict', KINDS[c.kind][0]), 'verdict')
		tap.equal(len(properties), (1 if c.outcome() == 'skipped' else 2) + len(c.goals), 'properties')
		if c.goals:
			tap.equal(properties[2], ('break start_kernel=pass', 'count=1 times_s=0.412345 last_s=0.412345 cpu=0'), 'goal')
			tap.equal(undo(properties[3][0]), b'expect ' + c.goals[1].text, 'expression')
			tap.equal(properties[4][1], 'count=0', 'goal that was not reached')


def check_xml_bytes(cases, path):
	for c, e in zip(cases, case_of(path), strict=True):
		for tag, wanted in (('system-out', c.serial), ('system-err', c.text)):
			got = e.findtext(tag, default='')
			tap.check(undo(got) == plain(wanted), '%s of %s is not what it was' % (tag, c.name))
			tap.check('[[ATTACHMENT|' not in got, 'a file could be asked for')


@tap.test('JUnit: every character and noise come back as the same bytes', timeout=100)
def _():
	for cases in (wide_cases(), byte_cases()):
		check_xml_bytes(cases, report('xml', cases))


@tap.test('JUnit: xmllint', needs=['xmllint'], timeout=100)
def _():
	for cases in ([], wide_cases(), byte_cases()):
		tap.equal(run(['xmllint', '--noout', report('xml', cases)]), b'', 'output')


READ_JUNIT = '''
import json, sys, junitparser as j
def kind(c):
	r = c.result
	r = r[0] if isinstance(r, list) and r else r
	return type(r).__name__ if r else 'passed'
doc = j.JUnitXml.fromfile(sys.argv[1])
print(json.dumps([[s.name, s.tests, s.failures, s.errors, s.skipped, s.time,
	[[c.name, c.classname, kind(c), c.system_out] for c in s]] for s in doc]))
'''


def has_module(name):
	return os.path.exists(PYTHON) and subprocess.run([PYTHON, '-c', 'import ' + name], stderr=subprocess.DEVNULL).returncode == 0


@tap.test('JUnit: junitparser', needs=[(has_module('junitparser'), 'python3-junitparser')], timeout=60)
def _():
	cases = wide_cases()
	[suite] = json.loads(run([PYTHON, '-c', READ_JUNIT, report('xml', cases)]))
	count = totals(cases)
	tap.equal(suite[:5], ['suite', len(cases), count['failed'], count['error'], count['skipped']], 'suite')
	for c, (name, group, kind, out) in zip(cases, suite[6], strict=True):
		tap.equal((undo(name), group), (string(c.name, 128) or b'run', 'suite'), 'name')
		tap.equal(kind, {'passed': 'passed', 'failed': 'Failure', 'error': 'Error', 'skipped': 'Skipped'}[c.outcome()], 'result')
		tap.equal(undo(out or ''), plain(c.serial), 'serial')


# ---- TAP ----

READ_TAP = '''
use strict; use warnings; use TAP::Parser; use JSON::PP;
my $p = TAP::Parser->new({ source => $ARGV[0] });
my (@tests, @unknown);
while (my $r = $p->next) {
	if ($r->is_test) { push @tests, { ok => $r->is_ok ? 1 : 0, number => $r->number, name => $r->description, directive => $r->directive,
		why => $r->explanation }; }
	elsif ($r->is_yaml) { $tests[-1]{yaml} = $r->data; }
	elsif (!$r->is_plan && !$r->is_version && !$r->is_comment) { push @unknown, $r->as_string; }
}
# it reads bytes, not characters, and so they are handed on
print JSON::PP->new->encode({ tests => \\@tests, unknown => \\@unknown, errors => [$p->parse_errors], planned => $p->tests_planned,
	good => $p->has_problems ? 0 : 1, version => $p->version });
'''
READ_YAML = '''
import json, sys, yaml
print(json.dumps([yaml.load(text, yaml.BaseLoader) for text in json.load(sys.stdin)]))
'''
HAS_TAP = (shutil.which('perl') and subprocess.run(
	['perl', '-MTAP::Parser', '-MJSON::PP', '-e', '1'], stderr=subprocess.DEVNULL).returncode == 0, "perl's TAP::Parser")


def load_tap(cases):
	got = json.loads(run(['perl', '-e', READ_TAP, report('tap', cases)]))
	tap.equal((got['errors'], got['unknown']), ([], []), 'what the parser did not understand')
	tap.equal((got['version'], got['planned']), (13, len(cases)), 'version and plan')
	tap.equal(len(got['tests']), len(cases), 'tests')
	return got


def unblock(text):
	"""What is behind the bars."""
	lines = (text or '').split('\n')[:-1] if text else []
	for line in lines:
		tap.check(line.startswith('| '), 'a line without its bar: %r' % line)
	return undo('\n'.join(line[2:] for line in lines))


def check_block(c, doc):
	for key, wanted in (('serial', c.serial), ('evidence', c.text)):
		wanted = plain(wanted)
		wanted = wanted[:-1] if wanted.endswith(b'\n') else wanted
		got = unblock(doc.get(key))
		at = len(os.path.commonprefix([got, wanted]))
		tap.check(got == wanted, '%s of %s is not what it was: %r, not %r' % (key, c.name, got[at:at + 20], wanted[at:at + 20]))


def check_yaml(c, doc):
	tap.check(default_reason(c, doc['message']), 'message: %r' % doc['message'])
	tap.equal((doc['verdict'], int(doc['status'])), (KINDS[c.kind][0], c.status), 'verdict')
	tap.equal(decimal.Decimal(doc['duration_s']), seconds(c.duration_us), 'duration')
	for g, s in zip(c.goals, doc.get('goals', []), strict=True):
		text = g.text if isinstance(g.text, bytes) else g.text.encode()
		tap.equal((s['option'], undo(s['text']), s['action'], int(s['count'])), (g.option, text, g.action, g.count), 'goal')
	check_block(c, doc)


@tap.test('TAP: TAP::Parser reads every verdict and its YAML block', needs=[HAS_TAP], timeout=60)
def _():
	cases = wide_cases()
	got = load_tap(cases)
	for number, (c, t) in enumerate(zip(cases, got['tests'], strict=True), 1):
		tap.equal((t['number'], t['ok']), (number, int(c.outcome() in ('passed', 'skipped'))), 'result of %r' % t['name'])
		tap.equal(t['directive'], 'SKIP' if c.outcome() == 'skipped' else '', 'directive of %r' % t['name'])
		name = re.sub(r'\\(.)', r'\1', t['name'])
		tap.equal(undo(name), b'- ' + (string(c.name, 128) or b'run'), 'name')
		if c.outcome() != 'skipped':
			check_yaml(c, t['yaml'])


@tap.test('TAP: TAP::Parser reads every character and noise', needs=[HAS_TAP], timeout=100)
def _():
	cases = byte_cases()
	for c, t in zip(cases, load_tap(cases)['tests'], strict=True):
		check_block(c, t['yaml'])


@tap.test('TAP: the blocks are YAML for a whole YAML parser', needs=[(has_module('yaml'), 'python3-yaml')], timeout=100)
def _():
	cases = [c for c in wide_cases() + byte_cases()[::9] if c.outcome() != 'skipped']
	with open(report('tap', cases), encoding='utf-8', newline='') as f:
		blocks = re.findall(r'^  ---\n.*?^  \.\.\.\n', f.read(), re.M | re.S)
	# the block is indented as a whole, its marks included
	blocks = [re.sub('^  ', '', block, flags=re.M) for block in blocks]
	docs = json.loads(run([PYTHON, '-c', READ_YAML], input=json.dumps(blocks).encode()))
	for c, doc in zip(cases, docs, strict=True):
		check_yaml(c, doc)
		for g, s in zip(c.goals, doc.get('goals', []), strict=True):
			tap.equal([decimal.Decimal(t) for t in s['times_s']], [seconds(t) for t in g.times[:16]], 'times')


def prove(cases):
	path = report('tap', cases)
	p = subprocess.run(['prove', '--exec', 'cat', path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
	return p.returncode, p.stdout.decode('utf-8', 'replace')


@tap.test('TAP: prove', needs=['prove'], timeout=60)
def _():
	good = Case(1, b'good', serial=FORGERIES, text=FORGERIES)
	bad = Case(5, b'bad # SKIP', 124, serial=FORGERIES, text=FORGERIES)
	status, out = prove([good, Case(0, began=0), good])
	tap.check(status == 0 and 'Result: PASS' in out, 'passes: %s' % out)
	status, out = prove([good, bad, good])
	tap.check(status != 0 and 'Failed test:  2' in out and 'Parse errors' not in out, 'one fails: %s' % out)
	status, out = prove([])
	tap.check(status == 0 and 'NOTESTS' in out, 'none: %s' % out)


@tap.test('TAP: no line of the guest reads as TAP where YAML is not known', timeout=60)
def _():
	with open(report('tap', wide_cases() + byte_cases()), encoding='utf-8', newline='') as f:
		lines = f.read().splitlines()   # at anything that somebody might take for the end of a line
	results = [line for line in lines if re.match(r'\s*(not )?ok\b', line)]
	tap.equal(len(results), len(wide_cases() + byte_cases()), 'results')
	tap.equal([line for line in lines if re.match(r'\s*(Bail out|pragma)', line)], [], 'orders')
	tap.equal(len([line for line in lines if re.match(r'\s*(\d+\.\.\d+|TAP version)', line)]), 2, 'version and plan')


tap.main()
