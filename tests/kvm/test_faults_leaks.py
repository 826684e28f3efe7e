#!/usr/bin/env python3
"""minivmm built with AddressSanitizer and UndefinedBehaviorSanitizer: no byte is lost, however it ends.

FAULTS=all: every call of the set-up fails once, instead of some."""

import errno
import os
import random
import resource
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import bad_elf          # noqa: E402
import tap              # noqa: E402
from faults import Faults       # noqa: E402
from rsp import Rsp     # noqa: E402
from vm import ARCH, Vm as SandboxedVm, guest_path, listening, wait_for          # noqa: E402

os.environ['MINIVMM'] = os.path.join(os.environ['BUILD'], 'minivmm-asan')
COMPLAINT = 99
# the faults' library comes before the sanitizer's
os.environ['ASAN_OPTIONS'] = 'detect_leaks=1:exitcode=%d:verify_asan_link_order=0' % COMPLAINT
os.environ['UBSAN_OPTIONS'] = 'halt_on_error=1:exitcode=%d' % COMPLAINT
BOUND = 60
ROUNDS = 200
USAGE, IMAGE, HOST, PANIC, KILLED, FAIL, JOB = 2, 4, 6, 8, 14, 20, 34


def Vm(args, **options):        # pylint: disable=invalid-name
	"""LeakSanitizer makes calls of its own at the end."""
	return SandboxedVm(['--no-sandbox', *args], **options)


IS_THERE = (os.access(os.environ['MINIVMM'], os.X_OK), 'build/*/minivmm-asan')


@tap.fixture
def folder():
	d = tempfile.mkdtemp(prefix='leaks-')
	tap.cleanup(shutil.rmtree, d)
	return d


def clean(p, *statuses):
	"""It has ended with one of these, and the sanitizers have nothing to say."""
	status = p.wait(BOUND)
	tap.check('Sanitizer' not in p.errors() and status != COMPLAINT, p.errors()[-3000:])
	tap.check(status in statuses, 'status %d of %s; %s' % (status, ' '.join(p.args), p.errors()[-500:]))


def lab(scene, *args):
	return ['--kernel', guest_path('lab'), '--serial', 'null', '--cmdline', 'lab=' + scene, *args]


def write(name, data):
	path = os.path.join(folder(), name)
	with open(path, 'wb') as f:
		f.write(data)
	return path


@tap.test('ends of every kind', [IS_THERE], timeout=120)
def _():
	at = os.path.join(folder(), '')
	job = write('job', b'kernel = %s\nserial = null\n[a]\ncmdline = lab=calls,3\n[b]\ncmdline = lab=panic\n' %
		    guest_path('lab').encode())
	for args, status in ((['--serial', 'null', '--break', 'work=count', '--break', 'count=pass', '--report', at + 'r.json'], 0),
			     (['--serial', 'file:' + at + 's', '--break', 'work=fail', '--dump', at + 'core', '--report', at + 'r.xml'], FAIL),
			     (lab('calls,3', '--cpus', '4'), 0), (lab('panic'), PANIC), (lab('debugexit,21'), 43),
			     (lab('spin', '--timeout', '1ms', '--report', at + 'r.tap'), 124),
			     (['--job', job, '-j', '2', '--report', at + 'j.xml'], JOB),
			     (['--probe-host'], 0), (['--help'], 0)):
		with Vm(args) as p:
			clean(p, status)


@tap.test('starts that fail, each at another place', [IS_THERE], timeout=120)
def _():
	missing, plain = os.path.join(folder(), 'no', 'file'), write('plain', b'precious')
	bad = list(bad_elf.variants(bad_elf.X86_64, 0x100000).items()) if ARCH == 'x86_64' else []
	for args, status in ((['--nonsense'], USAGE), (['--kernel', missing], IMAGE), (['--kernel', plain], IMAGE),
			     (lab('off', '--initrd', missing), IMAGE), (lab('off', '--symbols', plain), IMAGE),
			     (lab('off', '--mem', '1000G'), HOST), (lab('off', '--gdb', missing), HOST),
			     (lab('off', '--gdb', plain), HOST), (lab('off', '--serial', 'unix:' + missing), HOST),
			     (lab('off', '--break', 'nowhere'), USAGE), (lab('off', '--expect', '('), USAGE),
			     (lab('off', '--break', 'main', '--report', missing + '.xml'), HOST),
			     (lab('off', '--break', 'main', '--dump', missing), HOST), (['--job', plain], USAGE),
			     *[(['--kernel', write('bad%d' % i, data)], IMAGE) for i, (_, data) in enumerate(bad[::8])]):
		with Vm(args) as p:
			clean(p, status)
	for files in 5, 7, 9, 11:
		with Vm(lab('off', '--gdb', os.path.join(folder(), 'sock')),
			preexec=lambda n=files: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))) as p:
			clean(p, IMAGE, HOST)


@tap.test('calls that fail, at the start and in a restart', [IS_THERE], timeout=600)
def _():
	remote = os.path.join(folder(), 'faults')
	args = lab('calls,3', '--cpus', '2', '--gdb', remote)

	def session(f):
		"""Starts, runs anew, is killed."""
		with Vm(args, wrap=f.wrap) as p:
			wait_for(lambda: listening(remote) or not p.alive(), p.describe, BOUND)
			if p.alive():
				with Rsp(remote, BOUND) as c:
					try:
						c.hello()
						c.ask('!')
						c.send('vRun;')
						c.reply()
						c.ask('vKill;1')
					except OSError:
						pass            # it has ended
					except Exception as e:  # noqa: BLE001, the same, told by the client
						if 'hung up' not in str(e):
							raise
			clean(p, IMAGE, HOST, KILLED, 12, 0)

	with Faults() as f:
		session(f)
		calls = f.calls()
	faults = [(name, at) for name, n in sorted(calls.items()) for at in range(1, n + 1) if name != 'KVM_RUN']
	seed = int(os.environ.get('SEED', random.randrange(1 << 32)))
	if os.environ.get('FAULTS') != 'all':
		tap.diag('SEED=%d' % seed)
		faults = random.Random(seed).sample(faults, 8)
	for name, at in faults:
		with Faults() as f:
			f.fail(name, errno.EAGAIN if name == 'pthread_create' else errno.ENOMEM, at)
			session(f)
	tap.diag('%d faults' % len(faults))


@tap.test('%d machines in one process, %d processes' % (ROUNDS, ROUNDS // 10), [IS_THERE], timeout=300)
def _():
	remote = os.path.join(folder(), 'rounds')
	with Vm(lab('spin,2', '--cpus', '2', '--gdb', remote)) as p:
		wait_for(lambda: listening(remote), p.describe, BOUND)
		with Rsp(remote, BOUND) as c:
			c.hello()
			c.ask('!')
			for i in range(ROUNDS):
				tap.equal(c.resume('vRun;').signal, 5, 'run')
				if i % 2:
					c.ask('vKill;1')
				if i == 20:
					before = len(os.listdir('/proc/%d/fd' % p.pid))
			after = len(os.listdir('/proc/%d/fd' % p.pid))
			tap.check(after <= before + 3, 'descriptors: %d, then %d' % (before, after))
			c.ask('vKill;1')
		clean(p, KILLED)
	for _ in range(ROUNDS // 10):
		with Vm(lab('off')) as p:
			clean(p, 0)


tap.main()
