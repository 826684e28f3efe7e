#!/usr/bin/env python3
"""The core of Debian's arm64 kernel in minivmm under real KVM (an emulated machine with EL2): gdb opens it.

Debian's crash for x86_64 opens x86_64's dumps alone, and the one for arm64 only runs there.
"""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import linux_core                       # noqa: E402
import tap                              # noqa: E402
from linux_session import Linux         # noqa: E402


class Arm64(Linux):
	write_frames = {'pl011_tx_chars', 'pl011_start_tx', 'uart_write', 'pl011_int', 'pl011_write'}

	def in_user_mode(self, gdb):
		return gdb.reg('cpsr') & 0xf == 0


linux_core.register(Arm64('arm64'), None)
tap.main()
