#!/usr/bin/env python3
"""Boot-and-break of Debian's kernel under real KVM in an emulated x86_64 machine; see linux_verdict.py."""

import os
import sys

sys.dont_write_bytecode = True          # the source tree stays clean
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'lib')]

import linux_verdict                    # noqa: E402
import tap                              # noqa: E402

linux_verdict.register('x86_64', 'rdi', 'devmem 0xfe9f0000 32 %d')
tap.main()
