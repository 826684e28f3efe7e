#!/usr/bin/env python3
"""The stub's operations against QEMU's in the same run: the same client, the same host, medians and their ratio.

QEMU waits at its reset vector (-accel kvm -S), minivmm at its guest's first instruction. Nothing is asserted about time.
"""

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
from rsp import Rsp     # noqa: E402

QEMU = shutil.which('qemu-system-x86_64')
STARTS, ROUNDS = 15, 1000


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
		if os.path.exists(self.path):
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


def median(client, packet, rounds=ROUNDS):
	times = []
	for _ in range(rounds):
		begin = time.perf_counter()
		client.ask(packet)
		times.append(time.perf_counter() - begin)
	return statistics.median(times)


def figures(peer):
	result = {'exec to first stop reply, ms': peer.restart_median() * 1e3}
	with Rsp(peer.path) as client:
		client.hello()
		result['registers (g), us'] = median(client, 'g') * 1e6
		result['4 bytes (m), us'] = median(client, 'm1000,4') * 1e6
		result['2 KiB (m), us'] = median(client, 'm1000,800') * 1e6
		result['step, us'] = median(client, 'vCont;s:1') * 1e6
	result['resident, KiB'] = peer.rss_kb()
	return result


@tap.test('the stub against QEMU', timeout=300)
def _():
	if not QEMU or not os.access('/dev/kvm', os.W_OK):
		tap.skip('qemu-system-x86_64 or a writable /dev/kvm')
	peers = [
		Peer('minivmm', [os.environ['MINIVMM'], '--gdb', 'SOCKET', '--serial', 'null']),
		Peer('QEMU', [QEMU, '-accel', 'kvm', '-m', '256', '-display', 'none', '-nodefaults', '-S',
			      '-gdb', 'unix:SOCKET,server=on,wait=off']),
	]
	try:
		ours, theirs = [figures(p) for p in peers]
	finally:
		for p in peers:
			p.end()
	tap.diag('%-32s %10s %10s %8s' % ('', 'minivmm', 'QEMU', 'ratio'))
	for what, value in ours.items():
		tap.diag('%-32s %10.1f %10.1f %8.2f' % (what, value, theirs[what], theirs[what] / value))


sys.exit(tap.main())
