#!/usr/bin/env python3
"""arm64's loader inside the outer machine."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import boot_arm64       # noqa: E402
import nested_host      # noqa: E402
import tap              # noqa: E402

boot_arm64.register(nested_host.fixture('arm64', boot_arm64.files()))
tap.main()
