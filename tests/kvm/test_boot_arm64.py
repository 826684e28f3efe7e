#!/usr/bin/env python3
"""arm64's loader on this host's KVM."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import boot_arm64       # noqa: E402
import tap              # noqa: E402
import vm               # noqa: E402


@tap.fixture
def host():
	h = vm.Host(boot_arm64.files())
	tap.cleanup(h.close)
	return h


boot_arm64.register(host)
tap.main()
