"""What a debugger does to minivmm, independent of where it runs.

	import scenarios
	scenarios.run_here('scene_steps', 'scene_cpus')         # or register(), for another kind of host

A scenario is a function of a host (see vm.Host for what that has to have) and names the facts
about the host's KVM that it needs; a host that lacks one skips it by that name. Scenarios use
the guest `lab` (guests/tests/lab.c): the command line chooses its scene. They live in scene_*.py;
NAMED finds one by its function's name. Those that only one ISA has (scene_x86*, scene_arm64) are no tests elsewhere.
"""

import tap
import scene_arm64      # noqa: F401: what is imported registers its scenarios
import scene_breaks     # noqa: F401
import scene_clients    # noqa: F401
import scene_cpus       # noqa: F401
import scene_lldb       # noqa: F401
import scene_packets    # noqa: F401
import scene_monitor    # noqa: F401
import scene_restart    # noqa: F401
import scene_session    # noqa: F401
import scene_state      # noqa: F401
import scene_stress     # noqa: F401
import scene_steps      # noqa: F401
import scene_watch      # noqa: F401
import scene_x86        # noqa: F401
import scene_x86_regs   # noqa: F401
import vm
from scene import ALL, NEEDS

NAMED = {s.run.__name__: s for s in ALL}


def of(*modules):
	"""The scenarios of these files."""
	return [s for s in ALL if s.run.__module__ in modules]


def register(get_host, chosen, arch=vm.ARCH):
	"""Makes a test of each of the chosen scenarios that hosts of this ISA have."""
	def one(s):
		@tap.test(s.name, timeout=s.timeout * 3)
		def _():
			host = get_host()
			if tap.missing(host.gdb):
				tap.skip('missing ' + host.gdb)
			for need in s.needs:
				text, has = NEEDS[need]
				if not has(host.facts):
					tap.skip('this host lacks ' + text)
			try:
				s.run(host)
			finally:
				host.reap()
	for s in chosen:
		if s.arch in (None, arch):
			one(s)


def run_here(*modules):
	"""A whole test program: the scenarios of these files on this host's KVM. Does not return."""
	@tap.fixture
	def host():
		h = vm.Host()
		tap.cleanup(h.close)
		return h
	register(host, of(*modules))
	tap.main()
