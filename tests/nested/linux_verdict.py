"""Boot-and-break with Debian's kernel under real KVM: verdicts, exit statuses, closing lines and reports, for every ISA.

	linux_verdict.register('arm64', register='x0', exit_with='devmem 0x09f00000 32 %d')

No gdb, no console: minivmm runs inside the outer machine as it would in somebody's CI.
"""

import json
import os
import re
import tempfile

import initramfs
import tap
from isa import ISAS
from outer import Outer
from vmlinux import has_symbols, with_symbols

BOOT = 180              # seconds, a net
WAITS = 'while :; do sleep 1; done\n'
# What a kernel says when it breaks, by way of its own log.
OOPS = '''for line in "BUG: kernel NULL pointer dereference, address: 0000000000000000" "CPU: 0 PID: 1 Comm: init" \\
	"Call Trace:" " made_up+0x1/0x2" "---[ end trace 0000000000000000 ]---"; do
	echo "<0>$line" >/dev/kmsg
done
'''


def scripts(exit_with):
	"""What the guest's init does, by name: `verdict=NAME` on the kernel's command line."""
	return {
		'off': 'poweroff -f\n',
		'panic': 'exit 3\n',
		'oops': OOPS + 'echo went on\npoweroff -f\n',
		'opcode': 'echo "<0>invalid opcode: 0000 [#1] SMP" >/dev/kmsg\n' + WAITS,
		'sleep': WAITS,
		'exit3': exit_with % 3 + '\n' + WAITS,
		'exit0': exit_with % 0 + '\n' + WAITS,
	}


class Machine:
	"""The outer machine, and the ways to run minivmm in it."""

	def __init__(self, isa, exit_with):
		self.isa = isa
		self.kernels_trace = []
		with tempfile.TemporaryDirectory() as temp:
			inner, image = os.path.join(temp, 'inner'), os.path.join(temp, 'outer')
			cases = 'case $verdict in\n' + ''.join(
				'%s)\n%s;;\n' % case for case in scripts(exit_with).items()) + 'esac\n'
			initramfs.inner_initramfs(inner, cases, busybox=isa.busybox)
			initramfs.outer_initramfs(
				image, isa.kernel.modules, isa.modules,
				[('/bin/minivmm', isa.minivmm), ('/vmlinuz', isa.kernel.image), ('/inner', inner),
				 *self._vmlinuxes(temp)], busybox=isa.busybox)
			self.outer = Outer(isa.kernel, image, isa.name, lines=(), memory='2G', cpus=1)

	def _vmlinuxes(self, folder):
		"""/vmlinux has symbols, /stripped has none."""
		with open(self.isa.kernel.vmlinux, 'rb') as f:
			data = f.read()
		if not has_symbols(data):
			both = with_symbols(data, self.isa.kernel.symbols), data
		else:
			both = data, data[:40] + bytes(8) + data[48:58] + bytes(6) + data[64:]  # no table of sections
		for name, content in zip(('vmlinux', 'stripped'), both):
			with open(os.path.join(folder, name), 'wb') as f:
				f.write(content)
			yield '/' + name, os.path.join(folder, name)

	def run(self, kernel, verdict, options):
		"""One run; (status, what minivmm says, the report's result or None)."""
		self.outer.check('rm -f /tmp/r.json')
		status, said = self.outer.run(
			"minivmm --kernel %s --initrd /inner --mem 256M --serial null --cmdline 'quiet verdict=%s' "
			'--report /tmp/r.json %s </dev/null' % (kernel, verdict, options), BOOT)
		text = self.outer.run('cat /tmp/r.json 2>/dev/null')[1]
		results = json.loads(text)['results'] if text.strip() else []
		tap.diag('status %d: %s' % (status, closing(said)))
		return status, said, results[0] if results else None

	def expect(self, kernel, verdict, options, status, kind, reason):
		"""A run that ends so, in its status, its closing line and its report; (what it says, the result)."""
		got, said, result = self.run(kernel, verdict, options)
		tap.equal(got, status, 'exit status; it says:\n%s\n' % said[-3000:])
		tap.check(result, 'there is a report')
		tap.equal((result['verdict'], result['status'], result['passed']), (kind, status, status == 0), 'report')
		tap.check(re.search(reason, result['reason']), 'reason: %s' % result['reason'])
		line = closing(said)
		tap.check(line.startswith('PASS' if status == 0 else 'FAIL'), 'closing line: %s' % line)
		tap.check(re.search(reason, line), 'closing line: %s' % line)
		return said, result


def closing(said):
	lines = [line for line in said.splitlines() if re.search(r'\b(PASS|FAIL|ERROR)\b', line)]
	return re.sub(r'^minivmm: ', '', lines[-1]) if lines else '(none)'


def goals(result):
	return {goal['text']: goal for goal in result['goals']}


def booted(m, kernel, register, more=''):
	said, result = m.expect(kernel, 'off', '--break start_kernel --break rest_init=count --break kernel_init_freeable=log:%s '
				'--break run_init_process=pass --ordered --until all %s' % (register, more),
				0, 'pass', 'run_init_process')
	hits = goals(result)
	tap.equal([hits[name]['count'] for name in ('start_kernel', 'rest_init', 'kernel_init_freeable', 'run_init_process')],
		  [1, 1, 1, 1], 'hits')
	times = [hits[name]['times_s'][0] for name in ('start_kernel', 'rest_init', 'run_init_process')]
	tap.equal(times, sorted(times), 'times')
	tap.check(re.search(r'CPU 0: kernel_init_freeable %s=0x[0-9a-f]{16}\n' % register, said), 'what is logged: %s' % said)


def unknown(m, kernel):
	status, said, result = m.run(kernel, 'off', '--break start_kernal=fail --break rest_init=log --timeout 100s')
	tap.equal(status, 2, 'exit status; it says: %s' % said)
	tap.check(not result or not result['passed'], 'report: %s' % result)
	tap.check('CPU 0: rest_init' not in said, 'the guest has not come further: %s' % said)
	tap.contains(said, 'start_kernal', 'the name')
	tap.check(re.search(r'start_kernel\b', said), 'near matches: %s' % said)


def panicked(m, options, status, kind, reason):
	_, result = m.expect('/vmlinuz', 'panic', options, status, kind, reason)
	frames = re.findall(r'(?m)^#\d+ +0x[0-9a-f]{16}(?: \?)? ([\w.]+)\+', result['evidence'])
	return result, frames


def panic_is_told(m):
	result, frames = panicked(m, '', 8, 'panic', 'panic|Attempted to kill init')
	tap.contains(result['serial'], 'Attempted to kill init', 'serial output')
	tap.check('panic' in frames, 'backtrace: %s' % result['evidence'])
	# those with a question mark are not calls
	m.kernels_trace = re.findall(r'(?m)^\[[ \d.]+\] +([\w.]+)\+0x(\w+)', result['serial'].replace('\r', ''))


def panic_is_a_break(m):
	_, frames = panicked(m, '--break panic=fail', 20, 'fail', 'reached panic on CPU 0')
	tap.check(frames[:1] == ['panic'], 'the culprit: %s' % frames)
	# the compiler keeps what is hardly ever run elsewhere: do_exit.cold
	called = [f.split('.')[0] for f in frames[1:3]]
	tap.equal(called, ['do_exit', 'do_group_exit'], 'who called it, in: %s' % frames)
	# what the kernel itself has found, in the other run
	trace = [name for name, _ in m.kernels_trace]
	tap.check('panic' in trace, "the kernel's own trace: %s" % trace)
	trace = m.kernels_trace[trace.index('panic'):]
	tap.check(len(trace) >= len(frames) > 5, 'frames: %s' % frames)
	# a call that is its function's last instruction: arm64's kernel tells the function behind that
	tap.equal(frames, [name if offset != '0' else frame for frame, (name, offset) in zip(frames, trace)],
		  "the kernel's own trace")


def oops(m):
	_, result = m.expect('/vmlinuz', 'oops', '', 24, 'oops', 'NULL pointer dereference')
	tap.contains(result['serial'], 'made_up+0x1/0x2', 'the middle of the report')
	tap.contains(result['serial'], '---[ end trace', 'its end')
	m.expect('/vmlinuz', 'opcode', '--timeout 100s', 24, 'oops', 'invalid opcode')
	m.expect('/vmlinuz', 'oops', "--ignore oops --expect 'went on'", 0, 'pass', 'went on')


def expectations(m):
	marker = initramfs.INNER_MARKER
	m.expect('/vmlinuz', 'sleep', "--expect '%s: 1 cpus'" % marker, 0, 'pass', marker)
	m.expect('/vmlinuz', 'off', "--expect 'never written'", 28, 'early', 'before: expect never written')
	m.expect('/vmlinuz', 'off', "--reject '%s'" % marker, 22, 'reject', marker)


def timeout(m):
	_, result = m.expect('/vmlinuz', 'sleep', "--expect 'never written' --timeout 3s", 124, 'timeout',
			     'missing: expect never written')
	tap.contains(result['evidence'], 'CPU 0', 'evidence')
	tap.check(result['duration_s'] >= 3, 'duration: %s' % result['duration_s'])


def exit_codes(m):
	m.expect('/vmlinuz', 'exit3', '--timeout 100s', 7, 'guest', 'exit code is 3')
	m.expect('/vmlinuz', 'exit0', '--timeout 100s', 0, 'pass', 'exit code 0')


def register(arch, log, exit_with):
	"""log: a register. exit_with: shell text that ends the guest with %d."""
	isa = ISAS[arch]

	def make():
		m = Machine(isa, exit_with)
		tap.cleanup(m.outer.close)
		tap.diag('the outer machine was up after %.1f s' % m.outer.boot_seconds)
		return m

	machine = tap.fixture(make)
	needs = isa.needs()

	def add(name, body):
		tap.test('%s: %s' % (arch, name), needs, 3 * BOOT)(lambda: body(machine()))

	add('vmlinuz with its own kallsyms: breaks in order, a log, counts', lambda m: booted(m, '/vmlinuz', log))
	add('a stripped vmlinux likewise', lambda m: booted(m, '/stripped', log))
	add('a vmlinux with symbols likewise', lambda m: booted(m, '/vmlinux', log))
	add('KASLR: breaks in the moved kernel', lambda m: booted(m, '/vmlinuz', log, '--kaslr --symbols /vmlinux'))
	add('an unknown symbol is status 2 with near matches, of each file',
	    lambda m: [unknown(m, kernel) for kernel in ('/vmlinuz', '/vmlinux', '/stripped')])
	add("init ends: panic, status 8; a break on panic is 20, with the backtrace that is the kernel's own",
	    lambda m: (panic_is_told(m), panic_is_a_break(m)))
	add('the whole report of an oops, status 24; --ignore oops', oops)
	add('--expect passes, an early end is 28, --reject 22', expectations)
	add('--timeout is 124, with evidence', timeout)
	add("the guest's own exit code, from its shell", exit_codes)
