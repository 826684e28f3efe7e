#!/usr/bin/env python3
"""Calls that fail: KVM's ioctls one after the other, memory, threads, descriptors. What is retried is as if nothing had
been; else minivmm ends with a line that names the call, or tells its debugger and the machine goes on.

FAULTS=all: each call of the session, with each error, instead of a sample."""

import collections
import contextlib
import errno
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from elfsyms import symbols     # noqa: E402
from faults import FOREVER, Faults      # noqa: E402
from rsp import Closed, Rsp, RspError   # noqa: E402
from vm import X86, Host, Vm, VmError, guest_path, listening, read_file, wait_for      # noqa: E402

ALL = os.environ.get('FAULTS') == 'all'
BOUND = 20              # seconds within which everything ends or answers
IMAGE, HOST, KVM = 4, 6, 12
KVM_CAP_SYNC_REGS, KVM_CAP_IMMEDIATE_EXIT = 74, 136
SIGILL = 4              # KVM cannot go on, as gdb is told
SYM = symbols(guest_path('lab'))


@tap.fixture
def folder():
	d = tempfile.mkdtemp(prefix='faults-')
	tap.cleanup(shutil.rmtree, d)
	return d


@tap.fixture
def facts():
	h = Host()
	tap.cleanup(h.close)
	return h.facts


# ---- a session, step by step ----

class Session:
	"""A lab guest and a client that looks at everything, with these faults."""

	def __init__(self, faults):
		self.folder = tempfile.mkdtemp(dir=folder())
		self.remote, self.serial = os.path.join(self.folder, 'gdb'), os.path.join(self.folder, 'serial')
		self.said = []          # (step, reply)
		self.client = None
		self.vm = Vm(['--kernel', guest_path('lab'), '--cpus', '2', '--cmdline', 'lab=calls,3', '--gdb', self.remote,
			      '--serial', 'file:' + self.serial], wrap=faults.wrap)

	def connect(self):
		wait_for(lambda: listening(self.remote) or not self.vm.alive(), self.vm.describe, BOUND)
		if not self.vm.alive():
			raise Closed('it has ended')
		self.client = Rsp(self.remote, BOUND)
		return self.client.hello().text

	def steps(self):
		"""(name, what to do): the whole session."""
		c = self.client
		yield 'extended', lambda: c.ask('!')
		yield 'Z0', lambda: c.z('Z0', SYM['inner'])
		yield 'hit', lambda: self.resume()
		yield 'g', lambda: c.ask('g')
		for name in ('cr3', 'lstar', 'xmm0', 'dr7') if c.pc_name == 'rip' else ('TTBR0_EL1', 'VBAR_EL1', 'v0'):
			yield 'read ' + name, lambda n=name: c.ask('p%x' % c.number(n))
		for name in ('r15', 'lstar', 'xmm0', 'fs_base') if c.pc_name == 'rip' else ('x28', 'TPIDR_EL0', 'v0'):
			yield 'write ' + name, lambda n=name: c.set_reg(n, 0x1000)
		yield 'step', lambda: self.resume('vCont;s:1')
		yield 'Z1', lambda: c.z('Z1', SYM['shared'])
		if facts()['readonly_mem']:
			yield 'Z2', lambda: c.ask('Z2,%x,8' % SYM['alphas'])
		for i in range(4):
			yield 'hit %d' % i, lambda: self.resume()
		if facts()['readonly_mem']:
			yield 'z2', lambda: c.ask('z2,%x,8' % SYM['alphas'])
		yield 'z1', lambda: c.z('z1', SYM['shared'])
		yield 'memory', lambda: c.ask('m%x,40' % SYM['inner'])
		yield 'run', lambda: self.resume('vRun;')
		yield 'hit again', lambda: self.resume()
		yield 'z0', lambda: c.z('z0', SYM['inner'])
		yield 'range step', lambda: self.resume('vCont;r%x,%x:1' % (SYM['inner'], SYM['inner'] + 16))
		yield 'detach', lambda: c.ask('D')

	def resume(self, packet='vCont;c'):
		"""The stop; with it, what gdb's user is shown."""
		self.client.send(packet)
		shown = ''
		while True:
			text = self.client.reply()
			if text[:1] != 'O' or text == 'OK':
				return text + shown
			shown += bytes.fromhex(text[1:]).decode('latin-1')

	def play(self, wanted=None):
		"""True: it has come to its end, each reply as wanted. False: it was told of a fault, or it has ended."""
		wanted = dict(wanted or {})
		try:
			self.note('hello', self.connect())
			for name, do in self.steps():
				self.note(name, do())
				# a host whose probe failed, with a warning, uses slots
				if wanted and wanted[name] != self.said[-1][1].replace('hwbreak', 'swbreak'):
					return False
			return True
		except (Closed, ConnectionError):
			self.note('closed', '')
			return False

	def note(self, name, reply):
		self.said.append((name, reply))

	def shown(self):
		"""All that anybody was told of a fault."""
		return self.vm.errors() + ''.join(reply for _, reply in self.said[-1:])

	def close(self):
		if self.client:
			self.client.close()
		self.vm.close()
		shutil.rmtree(self.folder)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()


@tap.fixture
def baseline():
	"""(the replies, the guest's output, how often each call is made)"""
	with Faults() as f, Session(f) as s:
		tap.check(s.play(), 'the session without faults: %s\n%s' % (s.said, s.vm.describe()))
		s.client.close()
		tap.equal(s.vm.wait(BOUND), 0, 'its status')
		said = [(name, reply.replace('hwbreak', 'swbreak')) for name, reply in s.said]
		return said, read_file(s.serial), f.calls()


# What may fail without a word, and why.
SILENT = {
	'KVM_CHECK_EXTENSION': 'is then taken for missing',
	'KVM_GET_CPUID2': 'what the guest was to have is taken for what it has',
	'KVM_KVMCLOCK_CTRL': 'fails for every guest without a kvmclock',
}


def sane(s):
	"""It goes on after a fault: all is there, and the guest comes to its end."""
	c = s.client
	if c.ask('?')[:1] != 'T':
		tap.equal(c.stop(c.ask('vRun;')).signal, 5, 'run, after one that failed')
	tap.equal(c.ask('m%x,40' % SYM['inner']), dict(baseline()[0])['memory'], 'code in memory')
	tap.check(c.ask('g')[:1] != 'E', 'registers')
	tap.equal(c.ask('D'), 'OK', 'detach')


def judge(s, name, error, ended):
	"""One fault: what came of it."""
	text = os.strerror(error)
	if not ended and s.client:
		with contextlib.suppress(Closed, ConnectionError):
			sane(s)
	s.client.close() if s.client else None
	status = s.vm.wait(BOUND)
	tap.check(status in (0, HOST, KVM), 'status %d' % status)
	if status == 0:
		tap.equal(read_file(s.serial)[-8:], baseline()[1][-8:], "the guest's last words")
	request = name.split()[0]
	lines = [line for line in s.vm.errors().splitlines() if text in line or request in line]
	told = any(reply[:1] == 'E' for _, reply in s.said) or any(reply[:3] == 'T%02x' % SIGILL for _, reply in s.said)
	tap.check(lines or told or request in SILENT, 'nobody is told of it')
	if status or (lines and not told):
		tap.check(any(request in line and text in line for line in lines), 'it is not named with its error')
		tap.check(len(lines) == 1, 'it is told more than once')
	tap.check(not os.path.exists(s.remote), 'the socket is left')


def try_one(name, at, error, answers=None):
	"""None, or what is wrong when that call fails."""
	with Faults() as f:
		for question, value in (answers or {}).items():
			f.answer(question, value)
		if name not in (answers or {}):
			f.fail(name, error, at)
		with Session(f) as s:
			try:
				whole = s.play(baseline()[0])
				if whole:
					s.client.close()
					s.vm.wait(BOUND)
				if error == errno.EINTR or (name, error) == ('KVM_RUN', errno.EAGAIN) or not f.failed(name):
					tap.check(whole, 'it is not as if nothing had been')
					tap.equal(s.vm.wait(BOUND), 0, 'status')
					tap.equal(read_file(s.serial), baseline()[1], "the guest's output")
					tap.equal(s.vm.errors(), '', 'errors')
				else:
					judge(s, name, error, whole)
			except (tap.Failure, RspError, VmError) as e:
				return '%s number %d, %s: %s; last: %s; errors: %r' % (
					name, at, errno.errorcode[error], e, s.said[-1:], s.vm.errors())
			return None


ERRORS = collections.defaultdict(lambda: (errno.ENOMEM, errno.EINTR), {
	'KVM_RUN': (errno.ENOMEM, errno.EINTR, errno.EFAULT, errno.EIO, errno.EAGAIN),
	'KVM_SET_GUEST_DEBUG': (errno.ENOMEM, errno.EINTR, errno.EIO),
	'KVM_GET_REGS': (errno.ENOMEM, errno.EINTR, errno.EIO),
	'KVM_CREATE_VM': (errno.ENOMEM, errno.EINTR, errno.EMFILE),
	'KVM_CREATE_VCPU': (errno.ENOMEM, errno.EINTR, errno.EMFILE),
})


def plan(calls, sample):
	"""[(name, which call, error)]: all of them, or so many."""
	whole = [(name, at, error) for name, n in sorted(calls.items()) if name.startswith('KVM_')
		 for at in range(1, n + 1) for error in ERRORS[name]]
	if ALL:
		return whole
	seed = int(os.environ.get('SEED', random.randrange(1 << 32)))
	tap.diag('SEED=%d' % seed)
	return random.Random(seed).sample(whole, sample)


def sweep(calls, sample, attempt):
	todo = plan(calls, sample)
	wrong = [bad for bad in (attempt(*one) for one in todo) if bad]
	tap.diag('%d faults: %s' % (len(todo), dict(collections.Counter(name for name, _, _ in todo))))
	tap.check(not wrong, '%d of %d\n%s' % (len(wrong), len(todo), '\n'.join(wrong)))


@tap.test('each ioctl of a session fails, one at a time', timeout=1200)
def _():
	sweep(baseline()[2], 24, try_one)


@tap.test('a host whose KVM hands no registers over with KVM_RUN: the same session', [X86], timeout=1200)
def _():
	with Faults() as f:
		f.answer('KVM_CHECK_EXTENSION %d' % KVM_CAP_SYNC_REGS, 0)
		with Session(f) as s:
			tap.check(s.play(baseline()[0]), 'the session: %s' % s.said[-1:])
			s.client.close()
			tap.equal(s.vm.wait(BOUND), 0, 'status')
			calls = f.calls()
		tap.check(calls['KVM_GET_REGS'] > baseline()[2]['KVM_GET_REGS'], 'it reads registers by themselves: %s' % calls)
	tap.diag('then each of its ioctls')
	sweep(calls, 6, lambda *one: try_one(*one, answers={'KVM_CHECK_EXTENSION %d' % KVM_CAP_SYNC_REGS: 0}))


# ---- a run that has to prove something ----

def run_verdict(faults, action):
	"""(status, count of the hits or None without a report, errors, is there a dump)"""
	report, dump = os.path.join(folder(), 'r.json'), os.path.join(folder(), 'core')
	with Vm(['--kernel', guest_path('lab'), '--cpus', '2', '--cmdline', 'lab=calls,3', '--serial', 'null',
		 '--break', 'shared=' + action, '--report', report, '--dump', dump], wrap=faults.wrap) as p:
		status = p.wait(BOUND)
		count = None
		if os.path.exists(report):
			with open(report, encoding='utf-8') as f:
				result = json.load(f)['results'][0]
			tap.equal(result['status'], status, 'status in the report')
			count = result['goals'][0]['count']
		tap.equal(os.path.exists(dump), count is not None and status != 0, 'a dump; ' + p.errors())
		for path in report, dump:
			with contextlib.suppress(FileNotFoundError):
				os.unlink(path)
		return status, count, p.errors()


for action, wanted in ('count', 0), ('fail', 20):
	@tap.test('each ioctl of a run with a verdict fails: no verdict is wrong (%s)' % action, timeout=1200)
	def _(action=action, wanted=wanted):
		with Faults() as f:
			status, hits, errors = run_verdict(f, action)
			tap.equal(status, wanted, 'status without faults; ' + errors)
			calls = f.calls()

		def attempt(name, at, error):
			with Faults() as f:
				f.fail(name, error, at)
				try:
					status, count, errors = run_verdict(f, action)
					retried = error == errno.EINTR or (name, error) == ('KVM_RUN', errno.EAGAIN) or not f.failed(name)
					tap.check(status in ((wanted,) if retried else (wanted, HOST, KVM)), 'status %d' % status)
					tap.check(status != wanted or count == hits, 'hits: %s' % count)
					request = name.split()[0]
					if not retried and request not in SILENT:
						named = [line for line in errors.splitlines() if os.strerror(error) in line
							 and (request in line or 'registers' in line)]
						tap.check(named or re.search(r'^  .*\w+ +\?', errors, re.M),
							  'it is not named with its error, nor is a register shown as missing')
				except (tap.Failure, VmError) as e:
					return '%s number %d, %s: %s; errors: %r' % (name, at, errno.errorcode[error], e, errors)
				return None
		sweep(calls, 10, attempt)


# ---- memory, threads, descriptors ----

OTHERS = {'mmap': errno.ENOMEM, 'pthread_create': errno.EAGAIN, 'eventfd': errno.EMFILE}


@tap.test('memory, threads and eventfds that are not to be had: an error that says so, or it goes on without', timeout=120)
def _():
	def attempt(name, at, error):
		with Faults() as f:
			f.fail(name, error, at)
			with Session(f) as s:
				try:
					whole = s.play(baseline()[0])
					if s.client and not whole:
						with contextlib.suppress(Closed, ConnectionError):
							sane(s)
					s.client.close() if s.client else None
					status = s.vm.wait(BOUND)
					lines = s.vm.errors().splitlines()
					tap.check(status in (0, IMAGE, HOST), 'status %d' % status)
					tap.check(f.failed(name), 'it has not failed')
					tap.check(whole or [x for x in lines if os.strerror(error) in x or 'out of memory' in x], 'nobody is told')
					tap.check(len(lines) <= 1, 'more than one line')
					tap.check(not os.path.exists(s.remote), 'the socket is left')
				except (tap.Failure, RspError, VmError) as e:
					return '%s number %d: %s; last: %s; errors: %r' % (name, at, e, s.said[-1:], s.vm.errors())
		return None
	wrong = [attempt(name, at, error) for name, error in OTHERS.items() for at in range(1, baseline()[2][name] + 1)]
	tap.diag('%d faults' % len(wrong))
	tap.check(not any(wrong), '\n'.join(filter(None, wrong)))


@tap.test('no descriptor left for a client: it waits without a spin, and has its turn', timeout=60)
def _():
	for option in '--gdb', '--serial':
		path = os.path.join(folder(), 'line')
		with Faults() as f, Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=echo', '--serial', 'null',
					option, path if option == '--gdb' else 'unix:' + path], wrap=f.wrap) as p:
			wait_for(lambda: listening(path), p.describe, BOUND)
			f.fail('accept4', errno.EMFILE, times=FOREVER)
			with socket.socket(socket.AF_UNIX) as c:
				c.connect(path)
				wait_for(lambda: f.failed('accept4'), 'an attempt', BOUND)
				before, began = f.failed('accept4'), time.monotonic()
				time.sleep(0.5)
				rate = (f.failed('accept4') - before) / (time.monotonic() - began)
				tap.check(rate < 100, '%s: %d attempts a second' % (option, rate))
				f.fail('accept4', errno.EMFILE, times=0)
				wait_for(lambda: f.calls()['accept4'] > f.failed('accept4'), 'its turn', BOUND)
			tap.equal(p.errors().count('Too many open files'), 1, 'lines about it: ' + p.errors())


# ---- /dev/kvm ----

@tap.test("/dev/kvm of another version, without what is needed, or something else: status 6 and what it is", timeout=60)
def _():
	for name, value, word in (('KVM_GET_API_VERSION', 11, 'API version 11, 12 is needed'),
				  ('KVM_CHECK_EXTENSION %d' % KVM_CAP_IMMEDIATE_EXIT, 0, 'too old')):
		with Faults() as f:
			f.answer(name, value)
			for args in ['--kernel', guest_path('lab')], ['--probe-host']:
				with Vm(args, wrap=f.wrap) as p:
					tap.equal(p.wait(BOUND), HOST, 'status')
					tap.contains(p.errors(), word)
					tap.equal(p.errors().count('\n'), 1, 'lines')
	with Faults() as f:
		f.fail('KVM_GET_API_VERSION', errno.ENOTTY)
		with Vm([], wrap=f.wrap) as p:
			tap.equal(p.wait(BOUND), HOST, 'status')
			tap.contains(p.errors(), "something else than KVM's device")


# A /dev of its own, with KVM's device, in a mount namespace of its own.
OWN_DEV = ['unshare', '-m', 'sh', '-c', 'mount --make-rprivate / && mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && '
	   'mknod /dev/kvm c %d %d && exec "$@"', 'sh']


@tap.test('/dev/kvm goes away while it runs: another machine is made all the same', [
	(os.getuid() == 0 and bool(shutil.which('nsenter')), 'root and nsenter')], timeout=60)
def _():
	device = os.stat('/dev/kvm').st_rdev
	wrap = [a.replace('%d %d', '%d %d' % (os.major(device), os.minor(device))) for a in OWN_DEV]
	remote = os.path.join(folder(), 'gone')
	with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=spin', '--gdb', remote, '--serial', 'null'], wrap=wrap) as p:
		wait_for(lambda: listening(remote) or not p.alive(), p.describe, BOUND)
		if not p.alive():
			tap.skip('no mount namespaces: ' + p.errors())
		with Rsp(remote, BOUND) as c:
			c.hello()
			c.ask('!')
			subprocess.run(['nsenter', '-t', str(p.pid), '-m', 'rm', '/dev/kvm'], check=True)
			for _ in range(3):
				tap.equal(c.resume('vRun;').signal, 5, 'run')
			tap.equal(c.ask('vKill;1'), 'OK', 'kill')
		tap.equal(p.wait(BOUND), 14, 'status; ' + p.errors())


tap.main()
