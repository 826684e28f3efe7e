"""Initramfs builder: busybox, kernel modules in load order, files, /init.

Writes the "newc" cpio format itself (Documentation/driver-api/early-userspace/
buffer-format.rst in Linux), so no cpio command and no root are needed, device
nodes included. The result depends on its inputs only: no times, no uids.

	ird = Initramfs()
	ird.busybox()
	ird.modules('/path/lib/modules/6.1.0-9-cloud-amd64', ['kvm-amd'])
	ird.file('/bin/minivmm', 'build/x86_64/minivmm')
	ird.init('echo READY >/dev/console\nexec sh\n')
	ird.write('/tmp/initramfs')             # compress=True for gzip

The ready-made ones at the end of this file: outer_initramfs() (the machine
that has KVM) and inner_initramfs() (the guest of minivmm).
"""

import gzip
import os
import stat
import struct
import subprocess

BUSYBOX = ('/bin/busybox', '/usr/bin/busybox')

# /init starts with this. devtmpfs is mounted here because the kernel does not
# do it for an initramfs. $MODULES is filled in by Initramfs.init().
PROLOGUE = '''#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root /bin /sbin /etc
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin:/sbin HOME=/root TERM=dumb
'''


class MissingFile(Exception):
	"""Something the image needs is not there; the text names it."""


def find_busybox():
	"""Path of a statically linked busybox, or MissingFile."""
	for path in BUSYBOX:
		if os.path.exists(path) and is_static(path):
			return path
	raise MissingFile('no static busybox: install busybox-static')


def is_static(path):
	"""True if path is an ELF64 program without an interpreter (PT_INTERP)."""
	with open(path, 'rb') as f:
		head = f.read(64)
		if len(head) < 64 or head[:5] != b'\x7fELF\x02':
			return False
		phoff, = struct.unpack_from('<Q', head, 32)
		phentsize, phnum = struct.unpack_from('<HH', head, 54)
		f.seek(phoff)
		table = f.read(phentsize * phnum)
	types = [struct.unpack_from('<I', table, i * phentsize)[0]
		 for i in range(phnum)]
	return 3 not in types


# ---- kernel modules ----

def _decompress(path):
	with open(path, 'rb') as f:
		data = f.read()
	if path.endswith('.ko'):
		return data
	tool = {'.xz': 'xz', '.gz': 'gzip', '.zst': 'zstd'}[os.path.splitext(path)[1]]
	return subprocess.run([tool, '-dc'], input=data, check=True,
			      stdout=subprocess.PIPE).stdout


def _modinfo(data):
	"""The key=value strings of a module's .modinfo section."""
	shoff, = struct.unpack_from('<Q', data, 40)
	shentsize, shnum, shstrndx = struct.unpack_from('<HHH', data, 58)
	sections = [struct.unpack_from('<IIQQQQ', data, shoff + i * shentsize)
		    for i in range(shnum)]
	names = sections[shstrndx][4]
	for name, _, _, _, offset, size in sections:
		start = names + name
		if data[start:data.index(b'\0', start)] == b'.modinfo':
			text = data[offset:offset + size].decode('ascii', 'replace')
			return dict(e.split('=', 1) for e in text.split('\0') if '=' in e)
	return {}


def module_index(modules_dir):
	"""{module name with underscores: path} of a lib/modules/VERSION tree."""
	index = {}
	for folder, _, files in sorted(os.walk(modules_dir)):
		for name in files:
			base = name.split('.ko')[0]
			if name.endswith(('.ko', '.ko.xz', '.ko.gz', '.ko.zst')):
				index[base.replace('-', '_')] = os.path.join(folder, name)
	return index


def module_order(modules_dir, names):
	"""[(name, module bytes)]: names and all they depend on, in load order.

	Dependencies come from the modules themselves: Debian's packages have no
	modules.dep before depmod has run. A name that is not a file is taken to
	be built in if modules.builtin lists it, else it is a MissingFile.
	"""
	index = module_index(modules_dir)
	builtin = set()
	try:
		with open(os.path.join(modules_dir, 'modules.builtin')) as f:
			builtin = {os.path.basename(line.strip())[:-3].replace('-', '_')
				   for line in f}
	except FileNotFoundError:
		pass
	done = {}

	def visit(name):
		name = name.replace('-', '_')
		if name in done or (name in builtin and name not in index):
			return
		if name not in index:
			raise MissingFile('no kernel module %s in %s' % (name, modules_dir))
		data = _decompress(index[name])
		for dep in _modinfo(data).get('depends', '').split(','):
			if dep:
				visit(dep)
		done[name] = data

	for name in names:
		visit(name)
	return list(done.items())


# ---- the archive ----

class Initramfs:
	def __init__(self):
		self._entries = {}      # path without leading slash: (mode, rdev, content)
		self._modules = []
		for d in ('dev', 'proc', 'sys', 'tmp', 'bin', 'sbin', 'etc', 'root'):
			self.dir(d)
		# the kernel opens /dev/console for /init before devtmpfs is there
		self.node('/dev/console', 'c', 5, 1, 0o600)

	def _add(self, path, mode, rdev, content):
		path = path.strip('/')
		parent = os.path.dirname(path)
		if parent and parent not in self._entries:
			self.dir(parent)
		self._entries[path] = (mode, rdev, content)

	def dir(self, path, mode=0o755):
		if path.strip('/'):
			self._add(path, stat.S_IFDIR | mode, (0, 0), b'')

	def data(self, dest, content, mode=0o644):
		"""A file with the given content (str or bytes)."""
		if isinstance(content, str):
			content = content.encode()
		self._add(dest, stat.S_IFREG | mode, (0, 0), content)

	def file(self, dest, src, mode=None):
		"""A copy of a file of the host; mode is the host's unless given."""
		try:
			with open(src, 'rb') as f:
				content = f.read()
			if mode is None:
				mode = stat.S_IMODE(os.stat(src).st_mode)
		except FileNotFoundError:
			raise MissingFile('no file %s for the initramfs' % src) from None
		self.data(dest, content, mode)

	def link(self, dest, target):
		self._add(dest, stat.S_IFLNK | 0o777, (0, 0), target.encode())

	def node(self, dest, kind, major, minor, mode=0o600):
		fmt = {'c': stat.S_IFCHR, 'b': stat.S_IFBLK}[kind]
		self._add(dest, fmt | mode, (major, minor), b'')

	def busybox(self, src=None):
		"""busybox as /bin/busybox; /init makes the links to it."""
		self.file('/bin/busybox', src or find_busybox(), 0o755)

	def modules(self, modules_dir, names):
		"""Modules and their dependencies, decompressed, loaded by /init in
		this order. May be called several times."""
		for name, content in module_order(modules_dir, names):
			path = '/modules/%s.ko' % name
			if path not in self._modules:
				self._modules.append(path)
				self.data(path, content)

	def init(self, body, prologue=PROLOGUE):
		"""/init: mounts, links, modules, then body (shell text). Call it
		last: it loads the modules known by then. An insmod that fails is
		said on the console and does not end the boot."""
		loads = ''.join('insmod %s || echo "insmod %s failed" >/dev/console\n' % (m, m)
				for m in self._modules)
		self.data('/init', prologue + loads + body, 0o755)

	def _pack(self):
		out = []
		order = sorted(self._entries)
		for ino, path in enumerate(order + ['TRAILER!!!'], 1):
			mode, (major, minor), content = \
				self._entries.get(path, (0, (0, 0), b''))
			name = path.encode() + b'\0'
			nlink = 2 if stat.S_ISDIR(mode) else 1
			fields = (ino, mode, 0, 0, nlink, 0, len(content),
				  0, 0, major, minor, len(name), 0)
			header = b'070701' + b''.join(b'%08X' % f for f in fields)
			out.append(header + name + bytes(-(len(header) + len(name)) % 4))
			out.append(content + bytes(-len(content) % 4))
		return b''.join(out)

	def write(self, path, compress=False):
		"""Writes the archive to path. Uncompressed is the quicker boot
		under an emulator; gzip where the image has to be read slowly."""
		blob = self._pack()
		if compress:
			blob = gzip.compress(blob, 6, mtime=0)
		temp = '%s.%d' % (path, os.getpid())
		with open(temp, 'wb') as f:
			f.write(blob)
		os.rename(temp, path)
		return path


# ---- the two machines ----

# Serves one port: a line is "TOKEN BASE64", the command runs with this port as
# its output, in a process group whose number is in /tmp/pid.TOKEN, and
# "\nTOKEN STATUS\n" closes it. A port can be open only once, so for both ways
# together. A read while nobody is at the other end gives end of file at once,
# hence the sleep.
AGENT = r'''#!/bin/sh
port=$1
while :; do
	exec <>"$port" >&0 2>&0
	while read -r token text; do
		echo "$text" | base64 -d >/tmp/cmd.$token
		setsid sh /tmp/cmd.$token </dev/null 2>&1 &
		echo $! >/tmp/pid.$token
		wait $!
		printf '\n%s %s\n' "$token" "$?"
		rm -f /tmp/*.$token
	done
	sleep 0.1
done
'''

# Ports get their names as links in /dev/virtio-ports, as udev makes them. They
# appear some time after the driver; outer.ports=N on the command line says how
# many to wait for (10 seconds at most).
OUTER_INIT = r'''
ip link set lo up
mkdir -p /dev/virtio-ports
ports=$(sed -n 's/.*outer\.ports=\([0-9]*\).*/\1/p' /proc/cmdline)
tries=200
while [ $(cat /sys/class/virtio-ports/*/name 2>/dev/null | wc -l) -lt ${ports:-0} ] && [ $((tries--)) -gt 0 ]; do
	sleep 0.05
done
for p in /sys/class/virtio-ports/*; do
	[ -e $p/name ] && ln -s ../${p##*/} /dev/virtio-ports/$(cat $p/name)
done
for p in /dev/virtio-ports/shell*; do
	[ -e $p ] && setsid sh /bin/agent $p &
done
%s
echo outer machine ready >/dev/console
while :; do sleep 1000; done
'''

INNER_MARKER = 'inner guest reached user space'

# ttyS0 is the guest's console: commands typed there run after the marker.
INNER_INIT = '''
mount -t tmpfs tmpfs /tmp
echo "%s: $(grep -c ^processor /proc/cpuinfo) cpus"
%s
'''


def outer_initramfs(path, modules_dir, modules, files=(), body='', busybox=None):
	"""The machine with KVM: loads modules, names the ports, serves a shell
	on each port called shellN. files is [(dest, src)]; body is more shell
	text for /init, run before "outer machine ready" is printed."""
	ird = Initramfs()
	ird.busybox(busybox)
	ird.modules(modules_dir, modules)
	ird.data('/bin/agent', AGENT, 0o755)
	for dest, src in files:
		ird.file(dest, src)
	ird.init(OUTER_INIT % body)
	return ird.write(path)


def inner_initramfs(path, commands='poweroff -f\n', files=(), modules_dir=None,
		    modules=(), busybox=None):
	"""The guest of minivmm: prints INNER_MARKER and the number of CPUs, runs
	commands (shell text), which should end in poweroff -f or in
	"exec setsid cttyhack sh" for an interactive shell on the console."""
	ird = Initramfs()
	ird.busybox(busybox)
	if modules:
		ird.modules(modules_dir, modules)
	for dest, src in files:
		ird.file(dest, src)
	ird.init(INNER_INIT % (INNER_MARKER, commands))
	return ird.write(path)
