"""A test file is a list of named functions; this runs them and speaks TAP.

	import tap

	@tap.fixture
	def machine():                  # made when first asked for, by machine()
		m = Machine()
		tap.cleanup(m.close)    # run at the end, last one first, whatever happens
		return m

	@tap.test('adds two numbers', timeout=10)
	def _():
		tap.equal(1 + 1, 2, 'sum')

	@tap.test('needs a debugger', needs=['gdb', '/dev/kvm'])
	def _():
		tap.diag('a line of explanation')
		tap.skip('no moon')     # raises; check() and fail() raise too

	tap.main()

A needed name without a slash is a command, one with a slash a path; a (bool,
'text') pair is a condition. What is missing is named in the SKIP. An exception
in a test is "not ok" with its traceback as diagnostics. SIGTERM, SIGINT and
SIGHUP end the run with "Bail out!", cleanups done. Arguments of the test file:
-l lists the tests, any other runs those whose name contains it.
"""

import os
import shutil
import signal
import sys
import threading
import traceback

_tests = []
_cleanups = []
_number = 0
_failed = 0


class Skip(Exception):
	pass


class Failure(AssertionError):
	"""A failed check: reported by its text, without a traceback."""


class Killed(BaseException):
	"""A signal asked for the end; not for a test to catch."""


class TestTimeout(BaseException):
	"""The test's time is up; BaseException, so that no handler eats it."""


def test(name, needs=(), timeout=None):
	"""Registers a test. timeout in seconds: a net against hangs, not a measure."""
	def register(func):
		_tests.append((name, needs, timeout, func))
		return func
	return register


def fixture(func):
	"""Makes func() run once, when first called; a failure is raised again
	for each caller, so that each of them says why it could not run."""
	state = []

	def get():
		if not state:
			try:
				state.append((func(), None))
			except Exception as e:
				state.append((None, e))
		value, error = state[0]
		if error:
			raise error
		return value
	return get


def cleanup(func, *args):
	_cleanups.append((func, args))


def diag(*lines):
	for text in lines:
		for line in str(text).splitlines() or ['']:
			print('# ' + line, flush=True)


def skip(reason):
	raise Skip(reason)


def fail(text):
	raise Failure(text)


def check(condition, text):
	if not condition:
		raise Failure(text)


def equal(got, wanted, what='value'):
	if got != wanted:
		raise Failure('%s: got %r, wanted %r' % (what, got, wanted))


def contains(text, part, what='text'):
	if part not in text:
		raise Failure('%s: %r not found in:\n%s' % (what, part, text))


def missing(need):
	"""None, or the name of the needed thing that is not there."""
	if isinstance(need, tuple):
		return None if need[0] else need[1]
	if '/' in need:
		return None if os.access(need, os.R_OK) else need
	return None if shutil.which(need) else need


def report(good, name, directive=''):
	"""One line of TAP, for the tests that are not functions."""
	global _number, _failed
	_number += 1
	_failed += not good
	# '#' would start a directive
	name = name.replace('#', '\\#').replace('\n', ' ')
	print('%sok %d - %s%s' % ('' if good else 'not ', _number, name,
				  ' # ' + directive if directive else ''), flush=True)


def _on_alarm(_signum, _frame):
	raise TestTimeout()


def _on_signal(signum, _frame):
	# once: the cleanups must not be interrupted by a second one
	for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
		signal.signal(s, signal.SIG_IGN)
	raise Killed(signal.Signals(signum).name)


def _run(name, needs, timeout, func):
	lacking = [m for m in map(missing, needs) if m]
	if lacking:
		report(True, name, 'SKIP missing %s' % ', '.join(lacking))
		return
	use_alarm = timeout and threading.current_thread() is threading.main_thread()
	try:
		if use_alarm:
			signal.signal(signal.SIGALRM, _on_alarm)
			signal.setitimer(signal.ITIMER_REAL, timeout)
		func()
		signal.setitimer(signal.ITIMER_REAL, 0)
	except Skip as e:
		report(True, name, 'SKIP %s' % e)
	except Failure as e:
		report(False, name)
		frame = [f for f in traceback.extract_tb(e.__traceback__)
			 if f.filename != __file__][-1]
		diag('%s:%d: %s' % (os.path.basename(frame.filename), frame.lineno, e))
	except TestTimeout:
		report(False, name)
		diag('no end after %s seconds; it was here:' % timeout,
		     traceback.format_exc())
	except Exception:
		report(False, name)
		diag(traceback.format_exc())
	else:
		report(True, name)
	finally:
		signal.setitimer(signal.ITIMER_REAL, 0)


def _clean():
	while _cleanups:
		func, args = _cleanups.pop()
		try:
			func(*args)
		except Exception:
			diag('cleanup failed:', traceback.format_exc())


def main(argv=None):
	"""Runs the registered tests, prints the plan, exits: 0 if none failed."""
	argv = sys.argv[1:] if argv is None else argv
	if '-l' in argv:
		print('\n'.join(name for name, _, _, _ in _tests))
		sys.exit(0)
	for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
		signal.signal(s, _on_signal)
	ended = None
	try:
		for name, needs, timeout, func in _tests:
			if not argv or any(a in name for a in argv):
				_run(name, needs, timeout, func)
	except Killed as e:
		ended = str(e)
	finally:
		_clean()
	if ended:
		print('Bail out! %s' % ended, flush=True)
		sys.exit(1)
	print('1..%d' % _number, flush=True)
	sys.exit(1 if _failed else 0)
