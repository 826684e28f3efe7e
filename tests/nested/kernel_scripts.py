"""Linux's own gdb scripts (scripts/gdb of its source) made usable without a build of the kernel.

	script = kernel_scripts.prepare(source, kernel, folder)         # then in gdb: source SCRIPT

A kernel's build makes scripts/gdb/linux/constants.py from constants.py.in with its headers and configuration. Here the
few numbers are read off the same headers by their #define lines. source: what tests/setup.sh takes out of Debian's
linux-source package.
"""

import os
import re
import shutil

HEADERS = 'clk-provider.h', 'fs.h', 'mount.h', 'of_fdt.h'
END_OF_HEADERS = '<!-- end-c-headers -->'


def config(path):
	"""{CONFIG_NAME: value} of a kernel's configuration."""
	with open(path) as f:
		return dict(re.findall(r'(?m)^(CONFIG_\w+)=(.*)$', f.read()))


def numbers(source, settings):
	"""{NAME: number} of what the scripts want to know of the headers."""
	found = {'NR_CPUS': int(settings['CONFIG_NR_CPUS'])}
	for name in HEADERS:
		with open(os.path.join(source, 'include', 'linux', name)) as f:
			text = f.read()
		for macro, value in re.findall(r'(?m)^#define\s+(\w+)\s+(0x[0-9a-fA-F]+|\d+)\s*(?:/\*|$)', text):
			found[macro] = int(value, 0)
		for macro, bit in re.findall(r'(?m)^#define\s+(\w+)\s+BIT\((\d+)\)', text):
			found[macro] = 1 << int(bit)
	return found


def constants(template, values, settings):
	"""The text of constants.py. What is no macro is a variable of the kernel: gdb is asked for it."""
	def builtin(match):
		return str(int(settings.get(match.group(1)) == 'y'))

	def value(match):
		name = match.group(1)
		return 'LX_%s = %s' % (name, values.get(name) if name in values else 'gdb.parse_and_eval("%s")' % name)
	text = template.split(END_OF_HEADERS, 1)[1]
	text = re.sub(r'/\*.*?\*/', '', text)
	text = re.sub(r'IS_BUILTIN\((\w+)\)', builtin, text)
	text = re.sub(r'LX_CONFIG\((\w+)\)', lambda m: 'LX_%s = %s' % (m.group(1), builtin(m)), text)
	return re.sub(r'LX_(?:VALUE|GDBPARSED)\((\w+)\)', value, text)


def prepare(source, kernel, folder):
	"""Writes the scripts for that vmlinux.Kernel to a folder; the file that gdb is to source."""
	scripts = os.path.join(folder, 'scripts', 'gdb')
	shutil.copytree(os.path.join(source, 'scripts', 'gdb'), scripts)
	settings = config(os.path.join(kernel.folder, 'config'))
	with open(os.path.join(scripts, 'linux', 'constants.py.in')) as f:
		text = constants(f.read(), numbers(source, settings), settings)
	with open(os.path.join(scripts, 'linux', 'constants.py'), 'w') as f:
		f.write(text)
	main = os.path.join(folder, 'vmlinux-gdb.py')
	shutil.copy(os.path.join(scripts, 'vmlinux-gdb.py'), main)
	return main
