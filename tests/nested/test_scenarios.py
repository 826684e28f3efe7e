#!/usr/bin/env python3
"""The debugger's scenarios inside the outer machine of x86_64: kvm-amd."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import nested_host      # noqa: E402

# what is about packets and not about the machine is seen on the host and on arm64
nested_host.run('x86_64', leave_out=('scene_lldb', 'scene_packets'))
