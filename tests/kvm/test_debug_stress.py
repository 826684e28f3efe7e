#!/usr/bin/env python3
"""Scenarios on this host's KVM: thousands of stops, hits on all CPUs, clients that die at random moments."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import scenarios        # noqa: E402

scenarios.run_here('scene_stress')
