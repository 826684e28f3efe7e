#!/usr/bin/env python3
"""Signals at any moment: the process ends soon, and leaves no raw terminal, socket, half-written file or child behind.
Stopped and continued, it goes on where it was.

SIGNALS=N: so many rounds, instead of some. SEED=N: these rounds again."""

import contextlib
import fcntl
import json
import os
import pty
import random
import shutil
import signal
import struct
import sys
import tempfile
import termios
import threading
import time

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from elfsyms import symbols     # noqa: E402
from rsp import Rsp, RspError   # noqa: E402
from vm import Vm, VmError, guest_path, listening, wait_for          # noqa: E402

ROUNDS = int(os.environ.get('SIGNALS', '28'))
BOUND = 20
ENDED, FAIL, REJECT, JOB, TIMEOUT = 16, 20, 22, 34, 124
SIGNALS = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
F_SETPIPE_SZ, PIPE = 1031, 4096
SYM = symbols(guest_path('lab'))


# ---- a process on a terminal ----

def pause(seconds):
	"""As exact as it goes: the moments of interest are close to each other."""
	end = time.monotonic() + seconds
	time.sleep(max(0, seconds - 0.001))
	while time.monotonic() < end:
		pass


def queued(pipe):
	return struct.unpack('i', fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def session_of(pid):
	"""Processes of its session: Vm begins one."""
	found = []
	for name in os.listdir('/proc'):
		with contextlib.suppress(OSError, IndexError, ValueError):
			with open('/proc/%s/stat' % name, encoding='latin-1') as f:
				words = f.read().rsplit(')', 1)[1].split()
			if int(words[3]) == pid and words[0] != 'Z':
				found.append(int(name))
	return found


class Terminal:
	"""minivmm on a terminal of its own, in a folder of its own; {} in an argument is that."""

	def __init__(self, *args, fifo=None):
		self.folder = tempfile.mkdtemp(prefix='signals-')
		with open(self.path('job'), 'w', encoding='utf-8') as f:
			f.write(CASES)
		self.master, self.slave = pty.openpty()
		self.before = termios.tcgetattr(self.slave)
		self.fifo = None
		self.drain = threading.Thread(target=self.read, daemon=True)
		self.drain.start()
		if fifo:
			os.mkfifo(self.path(fifo))
			self.fifo = os.open(self.path(fifo), os.O_RDONLY | os.O_NONBLOCK)
			fcntl.fcntl(self.fifo, F_SETPIPE_SZ, PIPE)
		self.vm = Vm([a.format(self.folder) for a in args], stdin=self.slave, stdout=self.slave,
			     preexec=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

	def read(self):
		with contextlib.suppress(OSError):
			while os.read(self.master, 65536):
				pass

	def raw(self):
		return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

	def path(self, name):
		return os.path.join(self.folder, name)

	def close(self):
		self.vm.close()
		os.close(self.slave)
		self.drain.join()
		os.close(self.master)
		if self.fifo is not None:
			os.close(self.fifo)
		shutil.rmtree(self.folder)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()


# ---- what it is doing when the signal comes ----

def client(t, packets):
	"""Talks to the stub until that has gone."""
	def talk():
		with contextlib.suppress(RspError, OSError):
			wait_for(lambda: listening(t.path('gdb')) or not t.vm.alive(), 'the socket', BOUND)
			with Rsp(t.path('gdb'), BOUND) as c:
				c.hello()
				c.ask('!')
				while True:
					for packet in packets:
						c.resume(packet)
	thread = threading.Thread(target=talk, daemon=True)
	thread.start()
	return thread


def lab(scene, *args):
	return ['--kernel', guest_path('lab'), '--cmdline', 'lab=' + scene, *args]


LINES = ['--gdb', '{}/gdb', '--serial', 'unix:{}/serial']
CASES = '''kernel = %s
serial = null
[spins]
cmdline = lab=spin
timeout = 40ms
[counts]
cmdline = lab=calls,3
break = shared=count
[fails]
cmdline = lab=calls,3
break = shared=fail
[floods]
cmdline = lab=flood,40
expect = ^00000039
''' % guest_path('lab')
VERDICT = ['--serial', 'null', '--report', '{}/r.json', '--dump', '{}/core']
# (name, command line, what a client does, other ends than by the signal, seconds that it takes)
DOINGS = [
	('terminal', lab('spin,2', '--cpus', '2'), None, (), 0.05),
	('waits for gdb', lab('spin', *LINES), None, (), 0.05),
	('steps', lab('spin,2', '--cpus', '2', *LINES), ['vCont;s:1;c'], (), 0.15),
	('runs anew', lab('spin', *LINES), ['vRun;', 'vCont;s'], (), 0.25),
	('fails', lab('calls,3', '--break', 'shared=fail', *VERDICT), None, (FAIL,), 0.06),
	('passes', lab('calls,3', '--break', 'shared=count', *VERDICT), None, (0,), 0.05),
	('job', ['--job', '{}/job', '-j', '3', '--report', '{}/r.json'], None, (JOB,), 0.15),
]


def check_files(t, status):
	"""No socket, and no file that is not whole."""
	left = sorted(set(os.listdir(t.folder)) - {'job'})
	tap.check(set(left) <= {'r.json', 'core'}, 'left behind: %s' % left)
	if 'r.json' in left:
		with open(t.path('r.json'), encoding='utf-8') as f:
			results = json.load(f)['results']
		if len(results) == 1:
			tap.equal(results[0]['status'], status, 'status in the report')
	if 'core' in left:
		tap.equal((status in (ENDED, FAIL), os.path.getsize(t.path('core')) > 0), (True, True), 'a whole dump')
	if status in (0, FAIL, JOB) and 'r.json' not in left:
		tap.fail('no report')


def one_round(r, doing):
	name, args, packets, ends, span = doing
	delay, sig, again = r.uniform(0, span * 1.3), r.choice(SIGNALS), r.choice((None, 0, 0.002, 0.02))
	what = '%s, %s after %.4f s, again %s' % (name, sig.name, delay, again)
	with Terminal(*args) as t:
		talking = client(t, packets) if packets else None
		pause(delay)
		# a reaped process's number is nobody's: Vm has not waited for it yet
		t.vm.signal(sig)
		if again is not None:
			pause(again)
			t.vm.signal(r.choice(SIGNALS))
		try:
			status = t.vm.wait(BOUND)
			# before its handlers are there, it has nothing that could be left
			early = status in [-s for s in SIGNALS]
			tap.check(early or status in (ENDED, *ends), 'status %d' % status)
			tap.equal(termios.tcgetattr(t.slave), t.before, 'terminal')
			wait_for(lambda: not session_of(t.vm.pid), lambda: 'children: %s' % session_of(t.vm.pid), 5)
			check_files(t, status)
			if talking:
				talking.join(BOUND)
				tap.check(not talking.is_alive(), 'the client is told')
			return 'before it is ready' if early else status
		except (tap.Failure, VmError, ValueError) as e:
			tap.fail('%s: %s; errors: %s' % (what, e, t.vm.errors()[-500:]))


@tap.test('%d times one or two of SIGTERM, SIGINT, SIGHUP at a random moment' % ROUNDS, timeout=60 + ROUNDS)
def _():
	seed = int(os.environ.get('SEED', random.randrange(1 << 32)))
	tap.diag('SEED=%d' % seed)
	r = random.Random(seed)
	seen = {}
	for i in range(ROUNDS):
		doing = DOINGS[i % len(DOINGS)]
		status = one_round(r, doing)
		ends = seen.setdefault(doing[0], {})
		ends[status] = ends.get(status, 0) + 1
	tap.diag('statuses: %s' % seen)


@tap.test('a report that nobody reads on: a signal ends the wait', timeout=60)
def _():
	for args, status in (lab('flood,100', '--serial', 'null', '--reject', '^00000099'), REJECT), (['--job', '{}/job'], JOB):
		with Terminal(*args, '--report', 'junit:{}/pipe', fifo='pipe') as t:
			wait_for(lambda: queued(t.fifo) == PIPE, lambda: 'a full pipe; ' + t.vm.describe(), BOUND)
			tap.check(t.vm.alive(), 'it waits')
			t.vm.signal(signal.SIGTERM)
			tap.equal(t.vm.wait(BOUND), status, 'status; ' + t.vm.errors())
			tap.contains(t.vm.errors(), 'Interrupted system call')


@tap.test('a kernel that is a pipe, with nobody to write it for the next machine: a signal ends the wait', timeout=60)
def _():
	with tempfile.TemporaryDirectory(prefix='pipe-') as folder:
		pipe = os.path.join(folder, 'kernel')
		os.mkfifo(pipe)

		def write():
			with open(guest_path('lab'), 'rb') as source, open(pipe, 'wb') as sink:
				sink.write(source.read())
		writer = threading.Thread(target=write, daemon=True)
		writer.start()
		with Terminal('--kernel', pipe, '--cmdline', 'lab=spin', *LINES) as t:
			wait_for(lambda: listening(t.path('gdb')) or not t.vm.alive(), 'the socket', BOUND)
			writer.join()
			with Rsp(t.path('gdb'), BOUND) as c:
				c.hello()
				c.ask('!')
				c.send('vRun;')
				tap.equal(c.take(0.2), None, 'a reply so far')
				t.vm.signal(signal.SIGTERM)
				tap.equal(t.vm.wait(BOUND), ENDED, 'status; ' + t.vm.errors())
			check_files(t, ENDED)


# ---- stopped and continued ----

def stopped(pid):
	"""Any thread: one that waits in the kernel for another stops only after that."""
	for task in os.listdir('/proc/%d/task' % pid):
		with open('/proc/%d/task/%s/stat' % (pid, task), encoding='latin-1') as f:
			if f.read().rsplit(')', 1)[1].split()[0] == 'T':
				return True
	return False


def suspend(t, seconds):
	t.vm.signal(signal.SIGSTOP)
	wait_for(lambda: stopped(t.vm.pid), 'that it stops')
	time.sleep(seconds)
	t.vm.signal(signal.SIGCONT)


@tap.test('SIGSTOP and SIGCONT while gdb steps, runs, and interrupts: each stop is told, once', timeout=60)
def _():
	r = random.Random(int(os.environ.get('SEED', random.randrange(1 << 32))))
	with Terminal(*lab('spin,2', '--cpus', '2', '--gdb', '{}/gdb', '--serial', 'file:{}/serial')) as t:
		wait_for(lambda: listening(t.path('gdb')), 'the socket')
		with Rsp(t.path('gdb'), BOUND) as c:
			c.hello()
			c.z('Z0', SYM['main'])
			c.resume()
			tap.equal(c.pc(), SYM['main'], 'pc at the breakpoint')
			ending = threading.Event()

			def disturb():
				while not ending.is_set():
					pause(r.uniform(0, 0.01))
					suspend(t, r.uniform(0, 0.005))
			thread = threading.Thread(target=disturb)
			thread.start()
			try:
				for _ in range(150):
					tap.equal(c.resume('vCont;s:1').signal, 5, 'signal of a step')
				for _ in range(20):
					c.send('vCont;c')
					pause(r.uniform(0, 0.01))
					c.interrupt()
					tap.equal(c.wait_stop().signal, 2, 'signal of an interrupt')
			finally:
				ending.set()
				thread.join()
			tap.equal(c.take(0.1), None, 'a packet that nobody asked for')
			tap.equal(c.ask('D'), 'OK', 'detach')
		turns = t.path('serial')
		wait_for(lambda: os.path.getsize(turns) > 0, 'the guest goes on')
		t.vm.signal(signal.SIGTERM)
		tap.equal(t.vm.wait(BOUND), ENDED, 'status')


@tap.test('SIGSTOP, SIGTSTP, SIGCONT on a terminal: raw again after a shell has had it', timeout=60)
def _():
	with Terminal(*lab('spin')) as t:
		wait_for(t.raw, 'a raw terminal')
		for sig in signal.SIGSTOP, signal.SIGTSTP:
			t.vm.signal(sig)
			wait_for(lambda: stopped(t.vm.pid), 'that it stops')
			if sig == signal.SIGTSTP:
				tap.equal(termios.tcgetattr(t.slave), t.before, 'terminal while it is stopped')
			termios.tcsetattr(t.slave, termios.TCSANOW, t.before)   # as a shell does
			t.vm.signal(signal.SIGCONT)
			wait_for(t.raw, 'a raw terminal after SIGCONT')
		t.vm.signal(signal.SIGSTOP)
		t.vm.signal(signal.SIGTERM)
		t.vm.signal(signal.SIGCONT)
		tap.equal(t.vm.wait(BOUND), ENDED, 'status')
		tap.equal(termios.tcgetattr(t.slave), t.before, 'terminal at the end')


@tap.test('the time for which it is stopped counts for --timeout', timeout=60)
def _():
	with Terminal(*lab('spin', '--serial', 'file:{}/serial', '--expect', 'never', '--timeout', '1s')) as t:
		wait_for(lambda: os.path.exists(t.path('serial')) and os.path.getsize(t.path('serial')), 'that it runs')
		begun = time.monotonic()
		suspend(t, 1.2)
		tap.equal(t.vm.wait(BOUND), TIMEOUT, 'status')
		tap.check(time.monotonic() - begun < 1.2 + 2, 'it ends at once when it is continued')


tap.main()
