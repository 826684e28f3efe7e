#!/usr/bin/env python3
"""What a counted --break costs: one CPU, and two that meet it at the same time. Nothing is asserted about time."""

import os
import re
import resource
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from vm import guest_path       # noqa: E402

CALLS = 10000           # by each CPU


def run(cpus, *args):
	"""CPU time in us, and switches between threads, of one run."""
	before = resource.getrusage(resource.RUSAGE_CHILDREN)
	subprocess.run([os.environ['MINIVMM'], '--kernel', guest_path('lab'), '--cmdline', 'lab=smp,%d,%d' % (CALLS, cpus),
			'--cpus', str(cpus), '--serial', 'null', *args], check=True, stdin=subprocess.DEVNULL,
		       stderr=subprocess.DEVNULL, timeout=300)
	after = resource.getrusage(resource.RUSAGE_CHILDREN)
	spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
	return spent * 1e6, after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw


@tap.test('a counted breakpoint', timeout=900)
def _():
	if not os.access('/dev/kvm', os.W_OK):
		tap.skip('a writable /dev/kvm')
	each = {}
	for cpus in (1, 2):
		with tempfile.TemporaryDirectory() as d:
			report = os.path.join(d, 'r.tap')
			plain = run(cpus)
			counted = run(cpus, '--break', 'smp_work=count', '--report', report)
			with open(report) as f:
				hits = int(re.search(r'count: (\d+)', f.read()).group(1))
		tap.equal(hits, CALLS * cpus, 'every call by %d CPUs is counted' % cpus)
		each[cpus] = [(c - p) / hits for c, p in zip(counted, plain)]
		tap.diag('%d CPUs: %8.1f us of CPU time a hit, %6.2f switches of threads' % (cpus, *each[cpus]))
	tap.diag('two CPUs against one: %.2f x the CPU time of a hit (wanted: about 1)' % (each[2][0] / each[1][0]))


sys.exit(tap.main())
