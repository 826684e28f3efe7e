#!/usr/bin/env python3
"""The outer machine itself: KVM inside, commands, and the debugger's line."""

import os
import socket
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import initramfs                        # noqa: E402
import tap                              # noqa: E402
from outer import MACHINES, CommandTimeout, Outer       # noqa: E402
from vmlinux import Kernel              # noqa: E402

ARCH = 'x86_64'
CACHE = os.path.join(os.environ['BUILD'], 'tests', 'cache')
KERNEL = os.path.join(CACHE, 'linux-amd64')
NEEDS = [MACHINES[ARCH]['emulator'], KERNEL + '/vmlinux', '/bin/busybox']


@tap.fixture
def machine():
	kernel = Kernel(KERNEL)
	temp = tempfile.mkdtemp()
	image = os.path.join(temp, 'initramfs')
	try:
		initramfs.outer_initramfs(image, kernel.modules, MACHINES[ARCH]['modules'])
		m = Outer(kernel, image, ARCH)
	finally:
		if os.path.exists(image):
			os.unlink(image)
		os.rmdir(temp)
	tap.cleanup(m.close)
	tap.diag('outer machine up after %.1f s' % m.boot_seconds)
	return m


def talk(data):
	"""Sends data down the line and returns as many bytes that come back."""
	with socket.socket(socket.AF_UNIX) as s:
		s.settimeout(60)
		s.connect(machine().outside('gdb0'))
		got = b''
		for at in range(0, len(data), 4096):
			part = data[at:at + 4096]
			s.sendall(part)
			want = len(got) + len(part)
			while len(got) < want:
				more = s.recv(want - len(got))
				if not more:
					return got
				got += more
		return got


@tap.test('the outer machine has /dev/kvm and two CPUs', NEEDS, timeout=180)
def _():
	tap.equal(machine().check('test -c /dev/kvm; nproc'), '2\n', 'output')


@tap.test('a command gives its output and status', NEEDS, timeout=180)
def _():
	tap.equal(machine().run('printf "no newline"; echo err >&2; exit 3'),
		  (3, 'no newlineerr\n'), 'result')
	tap.equal(machine().run('if then').status, 2, 'status of a syntax error')
	tap.equal(machine().run('kill -9 $$').status, 137, 'status of a killed command')
	big = machine().check('head -c 300000 /dev/zero | tr "\\0" x')
	tap.equal(len(big), 300000, 'length of a long output')


@tap.test('a command that hangs is killed and the next one works', NEEDS, timeout=180)
def _():
	try:
		machine().run('echo before; sleep 1000', timeout=2)
	except CommandTimeout as e:
		tap.contains(str(e), 'before')
	else:
		tap.fail('no CommandTimeout')
	tap.equal(machine().run('echo after'), (0, 'after\n'), 'result')


@tap.test('a background program has output, status and an end', NEEDS, timeout=180)
def _():
	job = machine().start('echo begun; sleep 0.5; exit 5')
	tap.equal(job.wait(60), 5, 'status')
	tap.equal(job.output(), 'begun\n', 'output')
	job = machine().start('sleep 1000')
	tap.equal(job.poll(), None, 'status while it runs')
	job.kill('KILL')
	tap.equal(machine().run('for i in $(seq 50); do kill -0 -%d || exit 9; sleep 0.1; done'
				% job.pid).status, 9, 'status once the program is gone')


@tap.test('every byte passes the line both ways, and a second client too', NEEDS, timeout=180)
def _():
	# end of file (nobody outside) ends cat; a port can be open only once
	job = machine().start('exec 9<>%s; while :; do cat <&9 >&9; sleep 0.1; done'
			      % machine().inside('gdb0'))
	data = bytes(range(256)) * 64
	tap.check(talk(data) == data, 'bytes come back unchanged')
	tap.check(talk(data) == data, 'bytes come back unchanged after a re-attach')
	job.kill('KILL')


tap.main()
