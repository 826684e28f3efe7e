#!/usr/bin/env python3
"""Ways to end, and the exit status of each (vmm/exit_status.h)."""

import os
import re
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from vm import RESETS, X86, Vm, guest_path, wait_for         # noqa: E402


def lab(scene, *args, **options):
	return Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=' + scene, *args], **options)


def ends(scene, status, *args):
	"""What it said on standard error."""
	with lab(scene, *args) as p:
		tap.equal(p.wait(), status, 'exit status of %s; errors: %s' % (scene, p.errors()))
		return p.errors()


def threads(pid):
	return len(os.listdir('/proc/%d/task' % pid))


for cpus in '1', '4':
	@tap.test('power off and every kind of reset end with 0, %s CPU(s)' % cpus, timeout=60)
	def _(cpus=cpus):
		for scene in 'off', *RESETS, 'cpus,' + cpus:
			tap.equal(ends(scene, 0, '--cpus', cpus), '', 'errors of ' + scene)


@tap.test('debug-exit: twice the value and one, whatever the value', timeout=60)
def _():
	for value in 0, 1, 2, 21, 127, 128, 255:
		tap.equal(ends('debugexit,%d' % value, (value * 2 + 1) & 0xff), '', 'errors')


@tap.test('a guest that panics: 8, and where', timeout=60)
def _():
	text = ends('panic', 8)
	tap.contains(text, 'panic')
	tap.check(re.search(r'0x(40)?2[0-9a-f]{5}', text), 'its pc in: ' + text)


@tap.test('a triple fault: 10, and where', [X86], timeout=60)
def _():
	text = ends('triple', 10)
	tap.contains(text, 'triple fault')
	tap.contains(text, '0f 0b', 'code bytes')


@tap.test('an exit that KVM cannot go on from: 12, its pc, its bytes', [X86], timeout=60)
def _():
	with lab('sse') as p:
		status = p.wait()
		if status == 0 and 'sse works' in p.output():
			tap.skip('this host executes SSE')
		tap.equal(status, 12, 'exit status')
		text = p.errors()
		tap.contains(text, '66 0f fe c1', 'the bytes of paddd')
		tap.contains(text, '64-bit', 'the mode')
		tap.check(re.search(r'0x(40)?2[0-9a-f]{5}', text), 'its pc in: ' + text)


for cpus in '1', '2':
	@tap.test('SIGTERM, SIGINT, SIGHUP end it with 16, %s CPU(s): busy, halted, stopped' % cpus, timeout=90)
	def _(cpus=cpus):
		for scene, said in (('spin,' + cpus, 'spinning'), ('idle', 'idle'), ('halt', 'halting')):
			for sig in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
				with lab(scene, '--cpus', cpus) as p:
					p.wait_output(said)
					p.signal(sig)
					tap.equal(p.wait(20), 16, '%s after %s' % (scene, sig.name))
		with tempfile.TemporaryDirectory() as folder:
			sock = folder + '/gdb'
			with lab('off', '--cpus', cpus, '--gdb', sock) as p:
				wait_for(lambda: threads(p.pid) >= 2 + int(cpus), 'its threads')
				p.signal(signal.SIGTERM)
				tap.equal(p.wait(20), 16, 'waiting for a debugger')
				tap.equal(os.listdir(folder), [], 'what is left of the socket')


@tap.test('ignored signals stay ignored', timeout=60)
def _():
	def ignore():
		signal.signal(signal.SIGINT, signal.SIG_IGN)
		signal.signal(signal.SIGHUP, signal.SIG_IGN)
	with lab('spin', preexec=ignore) as p:
		p.wait_output('spinning')
		p.signal(signal.SIGINT)
		p.signal(signal.SIGHUP)
		p.signal(signal.SIGCONT)
		time.sleep(0.5)  # an end by a signal takes a few milliseconds
		tap.check(p.alive(), 'it lives')
		p.signal(signal.SIGTERM)
		tap.equal(p.wait(20), 16, 'status')


@tap.test('an end right after the begin, thirty times', timeout=120)
def _():
	for i in range(30):
		tap.equal(ends('off', 0, '--cpus', str(1 + i % 4), '--mem', '8M'), '', 'errors')


tap.main()
