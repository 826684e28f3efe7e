#!/usr/bin/env python3
"""Extended mode on this host's KVM: the scenarios, and what a restart leaves behind in the process: nothing."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import scenarios        # noqa: E402

scenarios.run_here('scene_restart')
