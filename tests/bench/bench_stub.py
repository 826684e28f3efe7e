#!/usr/bin/env python3
"""The stub's operations against QEMU's in the same run: the same guest, the same client (rsp_bench.c), the same host.

A row is a figure of minivmm's, the one it is held against, and their ratio. Nothing is asserted about time.
"""

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from elfsyms import symbols     # noqa: E402
from vm import guest_path       # noqa: E402

QEMU = shutil.which('qemu-system-x86_64')
CLIENT = os.path.join(os.environ['BUILD'], 'tests', 'bench', 'rsp_bench')
STARTS = 15
BULK = 16 << 20

# what, its name, the peer's figure ('kvm': one step by KVM_RUN alone), what the ratio should be
ROWS = [
	('exec to first stop reply, ms', 'start', 'start', ''),
	('all registers (g), us', 'g', 'g', ''),
	('4 bytes (m), us', 'm4', 'm4', ''),
	('step, us', 'step', 'step', '<= 0.33'),
	('step and g, us', 'step+g', 'step+g', ''),
	('step, insert, hit, remove, us', 'breakpoint', 'breakpoint', '<= 0.33'),
	('bulk reading by m, MiB/s', 'bulk-m', 'bulk-m', '>= 5'),
	('bulk reading by x, MiB/s (QEMU: m)', 'bulk-x', 'bulk-m', '>= 10'),
	('range step, us an instruction (QEMU: step)', 'range-step', 'step', ''),
	('the same, against KVM_RUN alone', 'range-step', 'kvm', '<= 2'),
	('resident, KiB', 'rss', 'rss', ''),
]


class Peer:
	"""One machine under its stub, on a unix socket."""

	def __init__(self, name, argv):
		self.dir = tempfile.TemporaryDirectory()
		self.path = os.path.join(self.dir.name, 'gdb')
		self.name, self.argv = name, [a.replace('SOCKET', self.path) for a in argv]
		self.start()

	def start(self):
		begin = time.perf_counter()
		self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
					stderr=subprocess.DEVNULL, close_fds=False)
		while True:
			s = socket.socket(socket.AF_UNIX)
			try:
				s.connect(self.path)
				break
			except OSError:
				s.close()
				time.sleep(0.0002)
		s.sendall(b'$?#3f')
		data = b''
		while not re.search(rb'#..', data):
			data += s.recv(4096)
		self.first_stop = time.perf_counter() - begin
		s.close()

	def end(self):
		self.process.kill()
		self.process.wait()
		with contextlib.suppress(FileNotFoundError):    # minivmm's broker may be removing it
			os.unlink(self.path)

	def restart_median(self):
		times = []
		for _ in range(STARTS):
			self.end()
			time.sleep(0.1)
			self.start()
			times.append(self.first_stop)
		return statistics.median(times)

	def rss_kb(self):
		with open('/proc/%d/status' % self.process.pid) as f:
			return int(re.search(r'VmRSS:\s*(\d+)', f.read()).group(1))


def run(*args):
	"""The client's figures by name."""
	out = subprocess.run([CLIENT, *args], check=True, stdout=subprocess.PIPE, timeout=300).stdout.decode()
	return {name: float(value) for name, value in (line.split() for line in out.splitlines())}


def figures(peer, sym):
	result = {'start': peer.restart_median() * 1e3}
	result.update(run('stub', peer.path, '%x' % sym['straight'], '%x' % sym['straight_end'],
			  '%x' % sym['bulk'], '%x' % BULK))
	result['rss'] = peer.rss_kb()
	return result


@tap.test('the stub against QEMU', timeout=900)
def _():
	if not QEMU or not os.access('/dev/kvm', os.W_OK):
		tap.skip('qemu-system-x86_64 or a writable /dev/kvm')
	guest = guest_path('bench')
	sym = symbols(guest)
	peers = [
		Peer('minivmm', [os.environ['MINIVMM'], '--kernel', guest, '--gdb', 'SOCKET', '--serial', 'null']),
		Peer('QEMU', [QEMU, '-accel', 'kvm', '-m', '256', '-display', 'none', '-nodefaults', '-S', '-kernel', guest,
			      '-gdb', 'unix:SOCKET,server=on,wait=off']),
	]
	try:
		floor = run('kvm')['kvm-step']
		ours, theirs = [figures(p, sym) for p in peers]
	finally:
		for p in peers:
			p.end()
	tap.diag('%-44s %10s %10s %10s %8s' % ('', 'minivmm', 'QEMU', 'ratio', 'wanted'))
	for what, name, peer, wanted in ROWS:
		mine = ours[name]
		other = floor if peer == 'kvm' else theirs[peer]
		ratio = mine / other
		text = '%.2f' % ratio if ratio < 1 or peer == 'kvm' else '%.1f x' % ratio
		tap.diag('%-44s %10.1f %10.1f %10s %8s' % (what, mine, other, text, wanted))


sys.exit(tap.main())
