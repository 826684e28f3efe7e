#!/usr/bin/env python3
"""Line coverage by folder, from a build with --coverage whose tests have run: coverage.py BUILDDIR

A line counts once, however many objects it was compiled into. -v lists files, too. arch/arm64 on another host: the
files that its unit tests are made of."""

import collections
import json
import os
import subprocess
import sys

ROOMS = 'vmm', 'gdb', 'devices', 'arch', 'arch/x86_64', 'arch/arm64'


def notes(build):
	for folder, _, names in os.walk(build):
		for name in names:
			if name.endswith('.gcno') and '/tests/' not in folder[len(build):]:
				yield os.path.join(folder, name)


def lines_of(note):
	"""(source, line, how often) of one object."""
	out = subprocess.run(['gcov', '--json-format', '--stdout', note], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
			     check=True).stdout
	for text in out.splitlines():
		for source in json.loads(text)['files']:
			for line in source['lines']:
				yield os.path.normpath(source['file']), line['line_number'], line['count']


def main():
	build = next(a for a in sys.argv[1:] if a != '-v')
	hits = collections.defaultdict(dict)
	for note in notes(build):
		for source, line, count in lines_of(note):
			if source.startswith(('vmm/', 'gdb/', 'devices/', 'arch/')):
				hits[source][line] = hits[source].get(line, 0) + count
	if not hits:
		sys.exit('coverage.py: %s has no coverage in it' % build)
	rooms = collections.defaultdict(lambda: [0, 0])
	for source, lines in sorted(hits.items()):
		run = sum(count > 0 for count in lines.values())
		for room in os.path.dirname(source), 'all':
			rooms[room][0] += run
			rooms[room][1] += len(lines)
		if '-v' in sys.argv:
			print('%5.1f %%  %5d of %5d lines  %s' % (100 * run / len(lines), run, len(lines), source))
	for room in (*ROOMS, 'all'):
		if room in rooms:
			print('%5.1f %%  %5d of %5d lines  %s' % (100 * rooms[room][0] / rooms[room][1], *rooms[room], room))


main()
