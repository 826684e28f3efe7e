#!/usr/bin/env python3
"""No room: full disks and limits under everything that minivmm writes, and standard streams that are closed."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from vm import Vm, die_with_parent, guest_path          # noqa: E402

HOST, FAIL, JOB = 6, 20, 34
FLOOD, LAST = 'lab=flood,80', '^00000079'         # 5 KiB
ROOM = 4 << 10
NO_ROOM, TOO_LARGE = 'No space left on device', 'File too large'


@tap.fixture
def folder():
	d = tempfile.mkdtemp(prefix='disk-')
	tap.cleanup(shutil.rmtree, d)
	return d


# A file system of 4 KiB at $1, in a mount namespace of its own; what is left in it, by name and size, goes to $2.
SMALL_DISK = ['unshare', '-m', 'sh', '-c', '''
	mount --make-rprivate / && mount -t tmpfs -o size=4k none "$1" || exit 99
	disk=$1 list=$2
	shift 2
	"$@"
	status=$?
	(cd "$disk" && stat -c '%n %s' * 2>/dev/null) > "$list"
	exit $status''', 'sh']
CAN_MOUNT = (os.getuid() == 0 and shutil.which('unshare') is not None and
	     subprocess.run(['unshare', '-m', 'mount', '--make-rprivate', '/'], stderr=subprocess.DEVNULL,
			    preexec_fn=die_with_parent, check=False).returncode == 0, 'root and mount namespaces')


class Ended:
	"""A whole run: status, lines of error, what is left in its folder as {name: size}. {disk} in an argument is that."""

	def __init__(self, *args, small=False, limit=None, **options):
		disk = tempfile.mkdtemp(dir=folder())
		left = disk + '.list'
		if limit:
			options['preexec'] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
		line = ['--kernel', guest_path('lab'), *[a.format(disk=disk) for a in args]]
		if '--job' in args:
			line = line[2:]
		with Vm(line, wrap=[*SMALL_DISK, disk, left] if small else (), **options) as p:
			self.status, self.out, self.errors = p.wait(30), p.output(), p.errors()
		if small:
			with open(left, encoding='utf-8') as f:
				self.left = {name: int(size) for name, size in (line.split() for line in f)}
		else:
			self.left = {name: os.path.getsize(os.path.join(disk, name)) for name in os.listdir(disk)}

	def says(self, *words):
		"""Exactly one line has all of that."""
		lines = [line for line in self.errors.splitlines() if all(w in line for w in words)]
		tap.equal(len(lines), 1, 'lines with %s in: %s' % (' and '.join(words), self.errors))
		return self


def ways(option):
	"""(name of the way, words of the complaint, arguments, how to run): each way to have no room for a file."""
	yield 'a device', NO_ROOM, option % '/dev/full', {}
	yield 'a limit', TOO_LARGE, option % '{disk}/file', {'limit': ROOM}
	if CAN_MOUNT[0]:
		yield 'a disk', NO_ROOM, option % '{disk}/file', {'small': True}
	else:
		tap.diag('no small disk: ' + CAN_MOUNT[1])


# ---- the serial line ----

@tap.test('--serial file: the guest goes on, one warning; a verdict still sees every byte', timeout=60)
def _():
	for way, why, serial, how in ways('file:%s'):
		r = Ended('--cmdline', FLOOD, '--serial', serial, **how)
		tap.equal(r.status, 0, 'status, %s; %s' % (way, r.errors))
		tap.equal(len(r.says('serial', why).errors.splitlines()), 1, 'lines of error: ' + r.errors)
		if 'file' in r.left:
			tap.check(0 < r.left['file'] <= ROOM, 'size: %s' % r.left)
		r = Ended('--cmdline', FLOOD, '--serial', serial, '--expect', LAST, **how)
		tap.equal(r.status, 0, 'status of a run with a verdict, %s; %s' % (way, r.errors))
		r.says('serial', why).says('PASS')


# ---- reports ----

@tap.test('--report: no half of one is left; the verdict is said, and a pass is none then', timeout=60)
def _():
	for form, (way, why, path, how) in zip(('junit', 'tap', 'json'), ways('%s')):
		for until, status in (['--expect', LAST], HOST), (['--reject', LAST], 22):
			r = Ended('--cmdline', FLOOD, '--report', form + ':' + path, *until, **how)
			tap.equal(r.status, status, 'status, %s on %s; %s' % (form, way, r.errors))
			r.says('--report', why).says('PASS' if status == HOST else 'FAIL')
			tap.equal(r.left, {}, 'what is left')


@tap.test('--report of a job: the same', timeout=60)
def _():
	job = os.path.join(folder(), 'job')
	with open(job, 'w', encoding='utf-8') as f:
		f.write('kernel = %s\nserial = null\n[one]\ncmdline = %s\nexpect = %s\n' % (guest_path('lab'), FLOOD, LAST) +
			'[two]\ncmdline = %s\nreject = %s\n' % (FLOOD, LAST))
	for way, why, path, how in ways('json:%s'):
		r = Ended('--job', job, '--report', path, **how)
		tap.equal(r.status, JOB, 'status, %s; %s' % (way, r.errors))
		r.says('--report', why)
		tap.check('one' in r.out and 'two' in r.out, 'its lines: ' + r.out)
		tap.equal(r.left, {}, 'what is left')


# ---- dumps ----

@tap.test('--dump: no half of one is left, the verdict stands', timeout=60)
def _():
	for way, why, path, how in ways('%s'):
		r = Ended('--cmdline', 'lab=calls,3', '--serial', 'null', '--break', 'shared=fail', '--dump', path, **how)
		if way == 'a device':
			tap.equal(r.status, HOST, 'status of a device; ' + r.errors)
			continue
		tap.equal(r.status, FAIL, 'status, %s; %s' % (way, r.errors))
		r.says('--dump', why).says('FAIL')
		tap.equal(r.left, {}, 'what is left')


# ---- standard streams ----

def closed(*streams):
	def close():
		for stream in streams:
			os.close(stream)
	return close


@tap.test('standard streams that are closed: nothing else is taken for them', timeout=60)
def _():
	for streams in (0,), (1,), (2,), (0, 1, 2):
		r = Ended('--cmdline', 'lab=calls,3', '--serial', 'file:{disk}/file', '--report', '{disk}/r.json',
			  '--break', 'shared=log', '--expect', 'sum', preexec=closed(*streams))
		tap.equal(r.status, 0, 'status without %s; %s' % (streams, r.errors))
		tap.equal(r.left['file'], len('alphas 3\nbetas 3\nsum 174\n'), 'the serial file without %s' % (streams,))
		r = Ended('--cmdline', 'lab=calls,3', preexec=closed(*streams))
		tap.equal((r.status, r.errors), (0, ''), 'serial on stdio without %s' % (streams,))
	for args in ['--report', 'json:-', '--break', 'shared'], ['--gdb', 'stdio']:
		r = Ended('--serial', 'null', *args, preexec=closed(1))
		tap.equal(r.status, HOST, 'status of %s; %s' % (args, r.errors))
		tap.equal(len(r.errors.splitlines()), 1, 'lines of error: ' + r.errors)


@tap.test('standard output that takes nothing: what was to be read there is no success', timeout=60)
def _():
	job = os.path.join(folder(), 'short')
	with open(job, 'w', encoding='utf-8') as f:
		f.write('kernel = %s\nserial = null\n[one]\ncmdline = lab=calls,3\n' % guest_path('lab'))
	with open('/dev/full', 'wb') as full:
		for args in ['--help'], ['--version'], ['--probe-host'], ['--job', job]:
			with Vm(args, stdout=full) as p:
				tap.equal(p.wait(30), HOST, 'status of %s; %s' % (args, p.errors()))
				tap.equal(p.errors().splitlines()[-1], 'minivmm: standard output: ' + NO_ROOM, 'errors')
		with Vm(['--kernel', guest_path('lab'), '--cmdline', FLOOD], stdout=full) as p:
			tap.equal(p.wait(30), 0, 'status of a guest; ' + p.errors())
			tap.contains(p.errors(), NO_ROOM)


@tap.test('nobody reads standard error or output any more: no signal ends it', timeout=60)
def _():
	ends = [os.pipe() for _ in range(2)]
	for reader, _ in ends:
		os.close(reader)
	with Vm(['--kernel', guest_path('lab'), '--cmdline', FLOOD, '--break', 'never_there', '--verbose'], stdout=ends[0][1],
		preexec=lambda: os.dup2(ends[1][1], 2)) as p:
		tap.equal(p.wait(30), 2, 'status of bad input')
	with Vm(['--kernel', guest_path('lab'), '--cmdline', FLOOD, '--expect', LAST, '--verbose'], stdout=ends[0][1],
		preexec=lambda: os.dup2(ends[1][1], 2)) as p:
		tap.equal(p.wait(30), 0, 'status')
	for _, writer in ends:
		os.close(writer)


tap.main()
