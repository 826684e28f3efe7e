#!/usr/bin/env python3
"""The core of Debian's kernel in minivmm under real KVM (kvm-amd, nested): gdb and crash open it."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import linux_core                       # noqa: E402
import tap                              # noqa: E402
from linux_session import Linux         # noqa: E402


class X86(Linux):
	modules = ['pvpanic_mmio']
	write_frames = {'serial8250_tx_chars', 'serial8250_start_tx', 'uart_write', 'serial8250_interrupt', 'io_serial_out'}

	def in_user_mode(self, gdb):
		return gdb.reg('cs') & 3 == 3


linux_core.register(X86('x86_64'), ['crash'])
tap.main()
