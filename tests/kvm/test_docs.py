#!/usr/bin/env python3
"""What the manual page, the README, the completion and --help say, against the program and each other."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True          # the source tree stays clean
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))

import tap              # noqa: E402
from rsp import Rsp     # noqa: E402
from vm import PATIENCE, Host, Vm, binary, read_file  # noqa: E402

SRC = os.environ['SRC']
PAGE, COMPLETION = 'vmm/minivmm.1', 'vmm/minivmm.bash'
OPTION = re.compile(r'(?<![\w-])--[a-z][a-z-]*')
INSTALLED = ['bin/minivmm', 'share/man/man1/minivmm.1', 'share/bash-completion/completions/minivmm']


def source(path):
	with open(os.path.join(SRC, path), encoding='utf-8') as f:
		return f.read()


def plain(text):
	"""roff text without fonts and escapes."""
	for seq, char in (('\\-', '-'), ('\\(aq', "'"), ('\\e', '\\')):
		text = text.replace(seq, char)
	return re.sub(r'\\f[A-Z]', '', text)


def help_text():
	with Vm(['--help']) as p:
		tap.equal(p.wait(), 0, 'status of --help')
		return p.output()


def long_options():
	"""Those of the table that getopt gets."""
	return {'--' + name for name in re.findall(r'^\t\{"([a-z-]+)", \w+_argument', source('vmm/cli.c'), re.M)}


def same(got, wanted, where):
	tap.equal(sorted(wanted - got), [], 'not in ' + where)
	tap.equal(sorted(got - wanted), [], 'only in ' + where)


def missing(names, text, where):
	tap.check(names, 'nothing to look for')
	lost = [n for n in names if not re.search(r'(?<![\w.])%s(?![\w.])' % re.escape(n), text)]
	tap.equal(lost, [], 'not in ' + where)


@tap.test('every long option is in --help, the manual page and the completion, and no other')
def _():
	options = long_options()
	tap.check(len(options) > 20, 'options: %s' % options)
	same({o for line in help_text().split('Others:')[0].splitlines() + help_text().splitlines()
	      for o in re.findall(r'^ {2}(?:-\w, |    )(--[a-z-]+)', line)}, options, '--help')
	page = plain(source(PAGE)).split('.SH OPTIONS')[1].split('.SH PLACES')[0]
	same({o for head in re.findall(r'^\.TP\n(.*)$', page, re.M) for o in OPTION.findall(head)}, options, PAGE)
	listed = re.search(r"local options='(.*?)'", source(COMPLETION), re.S).group(1)
	same(set(listed.split()), options, COMPLETION)


@tap.test('--help has at most 80 columns')
def _():
	tap.equal([line for line in help_text().splitlines() if len(line) > 80], [], 'too long')


@tap.test('every exit status is in --help, the manual page and the README')
def _():
	statuses = set(re.findall(r'^\tSTATUS_\w+ = (\d+),', source('vmm/exit_status.h'), re.M))
	tap.check(len(statuses) > 10, 'statuses: %s' % statuses)
	page = source(PAGE).split('.SH EXIT STATUS')[1].split('.SH')[0]
	same(set(re.findall(r'^\.B (\d+)$', page, re.M)), statuses, PAGE)
	readme = source('README.md').split('### Exit status')[1].split('\n## ')[0]
	same(set(re.findall(r'^\| (\d+) \|', readme, re.M)), statuses, 'README.md')
	text = help_text().split('Exit status:')[1]
	same(set(re.findall(r'^ +(\d+)  ', text, re.M)), statuses, '--help')


@tap.test('every packet that the stub answers is in the manual page')
def _():
	names = re.findall(r'^\t\{"([^"]+)", ARGS_\w+', source('gdb/commands.c'), re.M)
	tap.check(len(names) > 40, 'packets: %s' % names)
	page = plain(source(PAGE)).split('.SH PACKETS')[1].split('.SH')[0]
	words = set(re.split(r'[\s",\\]+', page))
	tap.equal([n for n in names if n not in words], [], 'not in ' + PAGE)


@tap.test('every monitor command is in the manual page', needs=['/dev/kvm'], timeout=90)
def _():
	host = Host()
	tap.cleanup(host.close)
	m = host.start('lab', 'lab=calls,3')
	c = Rsp(m.remote)
	text = bytes.fromhex(c.ask('qRcmd,' + b'help'.hex())).decode()
	c.close()
	host.reap()
	names = [re.match(r'monitor ((?:info |catch )?[a-z0-9]+)', line).group(1) for line in text.splitlines()]
	tap.check(len(names) > 15, 'commands: %s' % names)
	missing(['monitor ' + n for n in names], plain(source(PAGE)), PAGE)
	# those of the other ISA, too
	table = source('gdb/monitor.c').split('monitor_commands[] = {')[1].split('};')[0]
	missing(['monitor ' + n for n in re.findall(r'\{"([^"]+)"', table)], plain(source(PAGE)), PAGE)


@tap.test('the manual page is clean', needs=['man', 'groff'])
def _():
	out = subprocess.run(['man', '--warnings', '-l', os.path.join(SRC, PAGE)], stdout=subprocess.PIPE,
			     stderr=subprocess.PIPE, timeout=PATIENCE, check=False,
			     env=dict(os.environ, MANPAGER='cat', MANWIDTH='80'))
	tap.equal((out.returncode, out.stderr), (0, b''), 'status, warnings')


@tap.test('the completion completes options, values and files', needs=['bash'])
def _():
	def complete(line):
		words = [w for w in re.split(r'([=:])|\s+', line) if w]
		words += [''] * line.endswith(' ')
		script = ('shopt -s extglob; source %s; COMP_LINE=%s; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(%s)\n'
			  'COMP_CWORD=%d; _minivmm 2>/dev/null; printf "%%s\\n" "${COMPREPLY[@]}"' % (
				  os.path.join(SRC, COMPLETION), shlex.quote(line),
				  ' '.join(shlex.quote(w) for w in words), len(words) - 1))
		out = subprocess.run(['bash', '-c', script], stdout=subprocess.PIPE, timeout=PATIENCE, check=True, cwd=SRC)
		return sorted(out.stdout.decode().split())
	tap.equal(complete('minivmm --until '), ['all', 'any', 'end'], '--until')
	tap.equal(complete('minivmm --dead'), ['--deadline-between-hits'], 'an option')
	tap.equal(complete('minivmm --boot li'), ['linux'], '--boot')
	tap.equal(complete('minivmm --ignore oops,lo'), ['oops,lockup'], 'a list')
	tap.equal(complete('minivmm --kernel Makef'), ['Makefile'], 'a file')
	tap.equal(complete('minivmm --serial file:Makef'), ['Makefile'], 'a file behind a colon')
	tap.equal(complete('minivmm --until=an'), ['any'], 'a value behind =')
	tap.check('stdio' in complete('minivmm --gdb st'), '--gdb stdio')


@tap.test('make install and uninstall', needs=['make'], timeout=90)
def _():
	folder = tempfile.mkdtemp(prefix='install-')
	tap.cleanup(shutil.rmtree, folder, True)
	build = os.path.dirname(os.path.abspath(os.environ['BUILD']))
	# what is built is not built again
	make = ['make', '-s', '-C', SRC, 'O=' + os.path.relpath(build, SRC), 'DESTDIR=' + folder, 'PREFIX=/usr']

	def files():
		return sorted(os.path.relpath(os.path.join(d, f), folder + '/usr')
			      for d, _, names in os.walk(folder) for f in names)
	subprocess.run(make + ['install'], check=True, timeout=80, stdout=subprocess.DEVNULL)
	tap.equal(files(), sorted(INSTALLED), 'installed')
	tap.equal(read_file(os.path.join(folder, 'usr', INSTALLED[1])), source(PAGE).encode(), 'the page')
	out = subprocess.run([os.path.join(folder, 'usr/bin/minivmm'), '--version'], check=True, stdout=subprocess.PIPE,
			     timeout=PATIENCE)
	tap.contains(out.stdout.decode(), 'minivmm', 'version')
	subprocess.run(make + ['uninstall'], check=True, timeout=PATIENCE)
	tap.equal(files(), [], 'left behind')


def examples(kind):
	"""[(where, text)] of the examples that are marked so, invisibly to readers."""
	found = [('README.md', text) for mark, text in re.findall(
		r'^<!-- example: (\w+) -->\n```\w*\n(.*?)^```', source('README.md'), re.M | re.S) if mark == kind]
	page = re.findall(r'^\.\\" example: (\w+)\n\.nf\n\.RS\n(.*?)^\.RE', source(PAGE), re.M | re.S)
	return found + [(PAGE, plain(text)) for mark, text in page if mark == kind]


@tap.test('the examples with the built-in guest end with the status that is told', needs=['/dev/kvm'], timeout=120)
def _():
	for status, wanted in (('0', 3), ('20', 2)):
		found = examples(status)
		tap.equal(len(found), wanted, 'examples with status ' + status)
		for where, text in found:
			folder = tempfile.mkdtemp(prefix='example-')
			tap.cleanup(shutil.rmtree, folder, True)
			words = shlex.split(text.replace('\\\n', ' '))
			tap.equal(words[0], 'minivmm', 'the command')
			with Vm(words[1:], cwd=folder) as p:
				tap.equal(p.wait(), int(status), '%s: %s\n%s' % (where, text, p.errors()))
				tap.contains(p.errors(), 'FAIL' if int(status) else 'PASS', where)
			for option, value in zip(words, words[1:]):
				if option in ('--report', '--dump'):
					tap.check(os.path.getsize(os.path.join(folder, value)), value)


@tap.test('the job files of the README and the manual page pass', timeout=120, needs=[
	'/dev/kvm', (os.path.exists(os.path.join(SRC, 'vmm/job.h')), 'job files')])
def _():
	found = examples('job')
	tap.equal(len(found), 2, 'examples')
	for where, text in found:
		with tempfile.TemporaryDirectory(prefix='job-') as folder:
			with open(os.path.join(folder, 'boot.job'), 'w', encoding='utf-8') as f:
				f.write(text)
			with Vm(['--job', os.path.join(folder, 'boot.job')]) as p:
				tap.equal(p.wait(), 0, '%s\n%s%s' % (where, p.output(), p.errors()))
				tap.equal((p.output() + p.errors()).count('PASS'), text.count('\n['), 'cases that passed')


tap.check(os.path.exists(binary()), 'no ' + binary())
tap.main()
