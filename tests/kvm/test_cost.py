#!/usr/bin/env python3
"""What minivmm costs that is no matter of speed: CPU time while nothing happens, memory over the guest's own."""

import os
import re
import sys
import tempfile
import time

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from rsp import Rsp     # noqa: E402
from vm import Host, Vm, guest_path, wait_for   # noqa: E402

OVERHEAD_KB = 3 * 1024
IDLE_TICKS = 2          # of 10 ms, in a second


@tap.fixture
def host():
	h = Host()
	tap.cleanup(h.close)
	return h


def ticks(pid):
	with open('/proc/%d/stat' % pid) as f:
		words = f.read().rsplit(')', 1)[1].split()
	return int(words[11]) + int(words[12])


def asleep(p, what):
	"""All its threads sleep: less than two ticks of CPU time in a second. What went on before may still settle."""
	for attempt in range(3):
		time.sleep(0.1)
		before = ticks(p.pid)
		time.sleep(1)
		used = ticks(p.pid) - before
		if used < IDLE_TICKS:
			return
	tap.fail('%s: %d ticks in a second' % (what, used))


def overhead(pid, mem):
	"""KiB resident, without the guest's RAM: mappings of its whole size."""
	total, skip, found = 0, False, False
	with open('/proc/%d/smaps' % pid) as f:
		for line in f:
			m = re.match(r'([0-9a-f]+)-([0-9a-f]+) ', line)
			if m:
				skip = int(m.group(2), 16) - int(m.group(1), 16) >= mem
				found |= skip
			elif line.startswith('Rss:') and not skip:
				total += int(line.split()[1])
	tap.check(found, "the guest's RAM is one mapping")
	return total


@tap.test('no CPU time while it waits for a debugger, is stopped, sleeps with one attached, and after it left', timeout=60)
def _():
	for cpus in 1, 4:
		m = host().start('lab', 'lab=idle', cpus=cpus)
		asleep(m, 'waiting for a client')
		with Rsp(m.remote) as c:
			c.hello()
			asleep(m, 'stopped')
			c.send('vCont;c')
			m.wait_serial('idle')
			asleep(m, 'halted, a client is waiting')
			c.interrupt()
			c.wait_stop()
			asleep(m, 'stopped again')
		asleep(m, 'the client is gone')
		host().reap()


@tap.test('no CPU time of a guest that sleeps: pty, unix socket, pipe at its end', timeout=60)
def _():
	with tempfile.TemporaryDirectory() as d:
		for args in (['--serial', 'pty'], ['--serial', 'unix:%s/s' % d], ['--serial', 'null'], [],
			     ['--serial', 'pty', '--gdb', d + '/gdb', '--gdb-attach']):
			with Vm(['--kernel', guest_path('lab'), '--cmdline', 'lab=halt', *args]) as p:
				wait_for(lambda: os.path.exists('/proc/%d/task' % p.pid), 'the process')
				time.sleep(0.5)
				asleep(p, ' '.join(args))


@tap.test('no CPU time with steps behind it', timeout=60)
def _():
	m = host().start('lab', 'lab=spin')
	with Rsp(m.remote) as c:
		c.hello()
		for _ in range(300):
			c.resume('vCont;s:1')
		asleep(m, 'after 300 steps')
	host().reap()


@tap.test("less than 3 MiB resident over the guest's own memory", timeout=60)
def _():
	mem = 256 << 20
	for cpus in 1, 4:
		m = host().start('lab', 'lab=spin,%d' % cpus, cpus=cpus)
		with Rsp(m.remote) as c:
			c.hello()
			c.send('vCont;c')
			m.wait_serial('spinning')
			c.interrupt()
			c.wait_stop()
			first = overhead(m.pid, mem)
			for _ in range(100):
				c.read(0x200000, 256)
				c.resume('vCont;s:1')
			after = overhead(m.pid, mem)
		tap.diag('%d CPUs: %d KiB at the first stop, %d KiB after a session' % (cpus, first, after))
		tap.check(after < OVERHEAD_KB, '%d KiB with %d CPUs' % (after, cpus))
		host().reap()


@tap.test('memory does not grow with steps, stops, clients and memory reads', timeout=90)
def _():
	mem = 256 << 20
	m = host().start('lab', 'lab=spin')
	sizes = []
	for _ in range(5):
		for _ in range(5):
			with Rsp(m.remote) as c:
				c.hello()
				for _ in range(100):
					c.ask('Z0,200000,1')
					c.resume('vCont;s:1')
					c.ask('z0,200000,1')
				c.read_binary(0x200000, 0x10000)
				c.ask('D')
		sizes.append(overhead(m.pid, mem))
	tap.diag('KiB: %r' % sizes)
	# all threads share one heap, which may take a step up when two of them first need it at once
	tap.check(sizes[-1] - sizes[1] < 64, 'no growth: %r' % sizes)
	host().reap()


@tap.test('no file descriptor leaks with clients', timeout=60)
def _():
	m = host().start('lab', 'lab=spin')

	def count():
		return len(os.listdir('/proc/%d/fd' % m.pid))

	with Rsp(m.remote) as c:
		c.hello()
		before = count()
	for _ in range(50):
		with Rsp(m.remote) as c:
			c.hello()
	with Rsp(m.remote) as c:
		c.hello()
		wait_for(lambda: count() <= before, lambda: 'descriptors: %d, %d' % (before, count()), 10)
	host().reap()


tap.main()
