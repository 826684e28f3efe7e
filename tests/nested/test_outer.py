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
from isa import ISAS                    # noqa: E402
from outer import CommandTimeout, Outer         # noqa: E402

MANY = ['line%d' % i for i in range(12)]        # more than any test has; 30 at once overrun QEMU


def boot(isa):
	with tempfile.TemporaryDirectory() as temp:
		image = os.path.join(temp, 'initramfs')
		initramfs.outer_initramfs(image, isa.kernel.modules, isa.modules, busybox=isa.busybox)
		m = Outer(isa.kernel, image, isa.name, lines=['gdb0', *MANY])
	tap.cleanup(m.close)
	tap.diag('%s: outer machine up after %.1f s' % (isa.name, m.boot_seconds))
	return m


machines = {name: tap.fixture(lambda isa=isa: boot(isa)) for name, isa in ISAS.items()}


def test(name):
	"""A test of the machine of each ISA."""
	def register(func):
		for arch, machine in machines.items():
			tap.test('%s: %s' % (arch, name), ISAS[arch].needs(run=False), timeout=180)(
				lambda machine=machine: func(machine))
	return register


# end of file (nobody outside) ends cat; a port can be open only once
ECHO = 'exec 9<>%s; while :; do cat <&9 >&9; sleep 0.1; done'


def talk(machine, data, line='gdb0'):
	"""Sends data down the line and returns as many bytes that come back."""
	with socket.socket(socket.AF_UNIX) as s:
		s.settimeout(60)
		s.connect(machine().outside(line))
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


@test('the outer machine has /dev/kvm and two CPUs')
def _(machine):
	tap.equal(machine().check('test -c /dev/kvm; nproc'), '2\n', 'output')


@test('a command gives its output and status')
def _(machine):
	tap.equal(machine().run('printf "no newline"; echo err >&2; exit 3'),
		  (3, 'no newlineerr\n'), 'result')
	tap.equal(machine().run('if then').status, 2, 'status of a syntax error')
	tap.equal(machine().run('kill -9 $$').status, 137, 'status of a killed command')
	big = machine().check('head -c 300000 /dev/zero | tr "\\0" x')
	tap.equal(len(big), 300000, 'length of a long output')


@test('a command that hangs is killed and the next one works')
def _(machine):
	try:
		machine().run('echo before; sleep 1000', timeout=2)
	except CommandTimeout as e:
		tap.contains(str(e), 'before')
	else:
		tap.fail('no CommandTimeout')
	tap.equal(machine().run('echo after'), (0, 'after\n'), 'result')


@test('a background program has output, status and an end')
def _(machine):
	job = machine().start('echo begun; sleep 0.5; exit 5')
	tap.equal(job.wait(60), 5, 'status')
	tap.equal(job.output(), 'begun\n', 'output')
	job = machine().start('sleep 1000')
	tap.equal(job.poll(), None, 'status while it runs')
	job.kill('KILL')
	tap.equal(machine().run('for i in $(seq 50); do kill -0 -%d || exit 9; sleep 0.1; done'
				% job.pid).status, 9, 'status once the program is gone')


@test('every byte passes the line both ways, and a second client too')
def _(machine):
	job = machine().start(ECHO % machine().inside('gdb0'))
	data = bytes(range(256)) * 64
	tap.check(talk(machine, data) == data, 'bytes come back unchanged')
	tap.check(talk(machine, data) == data, 'bytes come back unchanged after a re-attach')
	job.kill('KILL')


@test('15 ports: the first and the last one carry data')
def _(machine):
	ports = machine().check('ls /dev/virtio-ports').split()
	tap.equal(sorted(ports), sorted(['gdb0', 'shell0', 'shell1', *MANY]), 'ports')
	for line in MANY[0], MANY[-1]:
		job = machine().start(ECHO % machine().inside(line))
		tap.equal(talk(machine, b'hello', line), b'hello', 'what comes back from ' + line)
		job.kill('KILL')


tap.main()
