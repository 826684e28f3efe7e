#!/usr/bin/env python3
"""The sandbox around a running machine: who is in it, what happens to who leaves it, and that an unprivileged user needs
no more than /dev/kvm. That it refuses nothing that is needed is what all other tests here say: they run in it."""

import glob
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from gdbclient import Gdb       # noqa: E402
from rsp import Rsp     # noqa: E402
from vm import PATIENCE, Host, Vm, binary, guest_path, listening, read_file, wait_for   # noqa: E402

STATUS = 36             # STATUS_SANDBOX
NOBODY = 65534
FILTERED = ({'NoNewPrivs': 1, 'Seccomp': 2})


def numbers(path):
	"""The numbers of a /proc/.../status."""
	return {k: int(v) for k, v in re.findall(r'^(\w+):\t(\d+)$', read_file(path).decode(), re.M)}


def tasks(pid):
	"""{name: numbers} of a process's threads, without those that KVM has added."""
	found = {read_file(t + '/comm').decode().strip(): numbers(t + '/status') for t in glob.glob('/proc/%d/task/*' % pid)}
	return {name: task for name, task in found.items() if not name.startswith('kvm-')}


def children(pid):
	return [int(c) for c in read_file('/proc/%d/task/%d/children' % (pid, pid)).split()]


def files(pid):
	"""Where its descriptors lead."""
	found = {}
	for name in os.listdir('/proc/%d/fd' % pid):
		try:
			found[int(name)] = os.readlink('/proc/%d/fd/%s' % (pid, name))
		except OSError:
			pass
	return found


def status_of(task):
	return {k: task[k] for k in FILTERED}


needs_filters = ['/dev/kvm', ('Seccomp_filters' in numbers('/proc/self/status'), 'a kernel that counts seccomp filters')]


@tap.fixture
def host():
	h = Host()
	tap.cleanup(h.close)
	return h


@tap.test('the process, each of its threads and its broker are in the sandbox', needs=needs_filters, timeout=90)
def _():
	m = host().start('lab', 'lab=calls,3', cpus=2, extra=['--verbose'])
	c = Rsp(m.remote)
	c.hello()
	found = tasks(m.pid)
	tap.equal(sorted(found), ['console', 'gdb', 'minivmm', 'vcpu0', 'vcpu1'], 'threads')
	before = numbers('/proc/self/status')['Seccomp_filters']
	for name, task in found.items():
		tap.equal(status_of(task), FILTERED, name)
		tap.equal(task['Seccomp_filters'] - before, 1 if name == 'minivmm' else 2, 'filters of ' + name)
	broker, = children(m.pid)
	tap.equal(status_of(tasks(broker)['broker']), FILTERED, 'broker')
	own = {path for path in files(broker).values() if not path.startswith('socket:')}
	tap.equal(own, {'/dev/null'}, "the broker's files")
	tap.contains(m.errors(), 'sandbox: system calls are filtered', '--verbose')
	c.close()


@tap.test('--no-sandbox: nothing of it', needs=needs_filters, timeout=60)
def _():
	m = host().start('lab', 'lab=calls,3', extra=['--no-sandbox'])
	before = numbers('/proc/self/status')
	for name, task in tasks(m.pid).items():
		tap.equal(status_of(task), {k: before[k] for k in FILTERED}, name)
	tap.equal(children(m.pid), [], 'children')


@tap.test('SIGKILL leaves nothing behind: no socket, no broker', needs=['/dev/kvm'], timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		with Vm(['--gdb', d + '/gdb', '--serial', 'unix:' + d + '/serial', '--report', d + '/report.xml']) as p:
			wait_for(lambda: listening(d + '/gdb'), 'the socket')
			broker, = children(p.pid)
			p.signal(signal.SIGKILL)
			p.wait()
			wait_for(lambda: not os.path.exists('/proc/%d/exe' % broker), "the broker's end")
			tap.equal(os.listdir(d), [], 'what is left')


@tap.test('inherited descriptors are closed, but for those that options name', needs=['/dev/kvm'], timeout=60)
def _():
	with tempfile.NamedTemporaryFile(prefix='secret') as secret, open(guest_path('lab'), 'rb') as kernel, \
			tempfile.TemporaryDirectory() as d:
		with Vm(['--kernel', '/dev/fd/%d' % kernel.fileno(), '--cmdline', 'lab=debugexit,3', '--serial', 'null',
			 '--gdb', d + '/gdb'], keep=(secret.fileno(), kernel.fileno())) as p:
			wait_for(lambda: listening(d + '/gdb'), 'the socket')
			open_files = files(p.pid)
			tap.equal([f for f in open_files.values() if 'secret' in f], [], 'what is open')
			tap.check(kernel.fileno() in open_files, 'the kernel is not')
			with Gdb() as g:
				g.connect(d + '/gdb', extended=True)
				tap.equal(g.run('continue').status, 7, 'status')
				tap.equal(g.run('run').status, 7, 'status of the second machine')
			tap.equal(p.wait(), 7, 'exit status')


def violate(pid, thread):
	"""Makes that thread call socket()."""
	out = subprocess.run(['gdb', '-nx', '-q', '-batch', '-p', str(pid), '-ex', 'handle SIGSYS nostop noprint pass',
			      '-ex', 'python [t.switch() for t in gdb.selected_inferior().threads() if t.name == "%s"]' % thread,
			      '-ex', 'call ((int (*)(int, int, int))socket)(1, 1, 0)'],
			     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=PATIENCE,
			     check=False)
	return out.stdout.decode()


@tap.test('a call that is not allowed: one line that names it, status 36, nothing left', needs=['gdb', *needs_filters],
	  timeout=120)
def _():
	who = {'vcpu0': "a vCPU's thread", 'gdb': "the debugger's thread", 'console': "the console's thread",
	       'minivmm': 'the main thread'}
	for thread, name in who.items():
		with tempfile.TemporaryDirectory() as d, \
				Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=spin', '--gdb', d + '/gdb',
				    '--serial', 'unix:' + d + '/serial', '--gdb-attach']) as p:
			wait_for(lambda d=d: listening(d + '/gdb'), 'the socket')
			wait_for(lambda p=p: set(tasks(p.pid)) == set(who), lambda p=p: str(tasks(p.pid).keys()))
			said = violate(p.pid, thread)
			tap.equal(p.wait(), STATUS, 'status: ' + said)
			tap.check(re.fullmatch(r'minivmm: sandbox: %s called socket \(number \d+\), which it may not; '
					       r'.*--no-sandbox.*\n' % name, p.errors()), p.errors())
			tap.equal(os.listdir(d), [], 'what is left')


@tap.test('a call that is not allowed leaves the terminal as it was', needs=['gdb', *needs_filters], timeout=60)
def _():
	master, slave = pty.openpty()
	tap.cleanup(os.close, master)
	tap.cleanup(os.close, slave)
	before = termios.tcgetattr(slave)
	with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=spin'], stdin=slave, stdout=slave) as p:
		wait_for(lambda: termios.tcgetattr(slave) != before, 'raw mode')
		said = violate(p.pid, 'vcpu0')
		tap.equal(p.wait(), STATUS, 'status: ' + said)
	tap.equal(termios.tcgetattr(slave), before, 'modes of the terminal')


@tap.test('a job: each case in its sandbox, the parent without new privileges', needs=needs_filters, timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		with open(d + '/job', 'w', encoding='utf-8') as f:
			f.write('[in]\ngdb = in\n[out]\nno-sandbox = yes\ngdb = out\n')
		for args, wanted in (([], {'in': FILTERED['Seccomp'], 'out': 0}), (['--no-sandbox'], {'in': 0, 'out': 0})):
			with Vm(['--job', d + '/job', *args]) as p:
				for line, seccomp in wanted.items():
					wait_for(lambda line=line: listening(d + '/' + line), 'the socket')
					parent, case = numbers('/proc/%d/status' % p.pid), children(p.pid)[0]
					tap.equal(parent['NoNewPrivs'], int(not args), 'the parent')
					tap.equal(numbers('/proc/%d/status' % case)['Seccomp'], seccomp, 'case ' + line)
					with Rsp(d + '/' + line) as c:
						c.hello()
						c.send('k')
				p.wait()


def as_nobody(folder, kvm):
	"""A command that runs another as a user who has nothing but that folder, and /dev/kvm by its own copy of the node."""
	os.chown(folder, NOBODY, NOBODY)
	text = 'mount --bind "$0" /dev/kvm && exec setpriv --reuid=%d --regid=%d --clear-groups "$@"' % (NOBODY, NOBODY)
	return ['unshare', '-m', 'sh', '-c', text, kvm]


@tap.test('an unprivileged user needs no more than /dev/kvm', timeout=120, needs=[
	'/dev/kvm', 'gdb', 'unshare', 'setpriv', (os.geteuid() == 0, 'root, to become somebody else')])
def _():
	folder, place = tempfile.mkdtemp(prefix='user-'), tempfile.mkdtemp(prefix='node-')
	tap.cleanup(shutil.rmtree, folder, True)
	tap.cleanup(shutil.rmtree, place, True)
	kvm = place + '/kvm'
	os.mknod(kvm, 0o600 | 0o020000, os.stat('/dev/kvm').st_rdev)
	os.chown(kvm, NOBODY, NOBODY)
	os.chmod(place, 0o755)
	program = shutil.copy(binary(), folder)
	shutil.copy(guest_path('lab'), folder)
	wrap = as_nobody(folder, kvm)
	out = subprocess.run([*wrap, program, '--break', 'work=pass', '--report', 'r.xml', '--serial', 'file:log'],
			     cwd=folder, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
	tap.equal(out.returncode, 0, 'the demo: ' + out.stderr.decode())
	tap.equal(os.stat(folder + '/r.xml').st_uid, NOBODY, 'whose report it is')
	m = subprocess.Popen([*wrap, program, '--kernel', 'lab.elf', '--cmdline', 'lab=calls,3', '--gdb', 'gdb',
			      '--serial', 'file:log'], cwd=folder)
	tap.cleanup(m.kill)
	wait_for(lambda: os.path.exists(folder + '/gdb'), 'the socket')
	with Gdb(guest_path('lab')) as g:
		g.connect(folder + '/gdb', extended=True)
		g.cmd('break outer')
		tap.equal(g.run('continue').func, 'outer', 'a breakpoint')
		tap.equal(g.run('run').func, 'outer', 'and of the next machine')
		g.cmd('kill')
	tap.equal(m.wait(PATIENCE), 14, 'status')
	tap.equal(sorted(os.listdir(folder)), ['lab.elf', 'log', 'minivmm', 'r.xml'], 'what is left')


tap.main()
