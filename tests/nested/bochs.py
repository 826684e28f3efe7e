"""A Linux with real kvm-intel (VMX, EPT) inside of Bochs: the machine where an
INT3 in a guest exits to the host, as it does on real hardware.

	kernel = vmlinux.Kernel(cache + '/linux-amd64')
	with Bochs(kernel, files=[('/bin/minivmm', build + '/minivmm-static')]) as m:
		m.run('ls /dev/kvm')                    # Result(status, output)
		p = m.start('minivmm --kernel /g.elf --gdb chardev:' + m.inside('gdb0'))
		subprocess.run(['gdb', '-ex', 'target remote ' + m.outside('gdb0'), ...])
		print(p.wait(60), p.output())

The same methods as outer.Outer, whose subclass it is. What is different:
- One boot takes 6 to 10 s of wall time, at some 100 million instructions a
  second: boot once, run all guests one after the other.
- One CPU, no network, no disk, no PCI. /tmp is the initramfs.
- The only line is gdb0. Inside it is /dev/ttyS1, a tty: m.start() after boot
  finds it raw and at 115200 baud. Outside it is a unix socket, served by this
  process: clients come and go one after the other, a byte for which there is no
  client is dropped, and inside nobody sees them come or go (no hangup).
- Bochs' clock counts instructions (IPS of them are a second inside), and an idle
  machine's clock leaps to its next timer. So `sleep 10` inside may be over at once
  outside, or take longer than that: no timing in tests, and timeouts inside generous. Bochs takes
  one host CPU all the time, busy or idle: close() it soon.
- Bochs 3.0 does not interrupt a guest of KVM that was entered with IF clear, until
  it sets IF (the mask of events is not renewed on VM entry): one that is busy
  with interrupts off for ever hangs the whole machine. Guests halt, or spin with IF set.
- A serial byte takes 87 us inside, that is IPS * 87e-6 instructions: gdb's packets are
  slow enough to notice (about 0.1 ms a byte), so ask for no megabytes.

How it boots: bochs_rom.S is all the firmware there is. It reads vmlinux, an
initramfs, page tables and boot_params, all prepared here, from a disk image
and jumps to the kernel's 64-bit entry: no BIOS, boot loader or unpacking.

	python3 bochs.py [FILE...]      # boots, shows uname and /dev/kvm; then each
	                                # FILE is put into /bin and run

Environment: BUILD (default build/x86_64 of this tree): $BUILD/tests/cache has
bochs/ and linux-amd64/, put there by tests/setup.sh.
"""

import os
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import initramfs                        # noqa: E402
import outer                            # noqa: E402
import vmlinux                          # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20
SECTOR = 512

# Instructions per emulated second. Fewer: timers and serial lines are quicker in
# wall time; but the kernel's 250 ticks a second take a larger part of it.
IPS = 50000000
MEMORY = 512                            # MiB

# Below: things that cost seconds here and serve nothing. Not "acpi=off": that
# takes the local APIC with it. The blacklist: unpacking keys, tracers, BTF.
CMDLINE = ('console=ttyS3 panic=-1 quiet pci=off mitigations=off nokaslr audit=0 '
	   'tsc=reliable no_timer_check cryptomgr.notests '
	   'initcall_blacklist=load_system_certificate_list,cubictcp_register,'
	   'init_kprobe_trace,init_blk_tracer,bpf_rstat_kfunc_init')

# Where things are in the machine's memory, besides the kernel. The table that
# the ROM reads is at 0x8000 (bochs_rom.S).
BOOT_PARAMS = 0x10000
COMMAND_LINE = 0x20000
PAGE_TABLES = 0x30000
LOW_MEMORY_END = 0x9fc00
ROM_SIZE = 0x10000

# struct boot_params: Documentation/arch/x86/zero-page.rst, boot.rst in Linux
BP_E820_ENTRIES = 0x1e8
BP_BOOT_FLAG = 0x1fe
BP_HEADER = 0x202
BP_TYPE_OF_LOADER = 0x210
BP_LOADFLAGS = 0x211
BP_RAMDISK = 0x218
BP_CMD_LINE_PTR = 0x228
BP_CMDLINE_SIZE = 0x238
BP_E820_TABLE = 0x2d0
E820_RAM = 1

# Disk geometry, only there because Bochs wants one
HEADS = 16
SECTORS_PER_TRACK = 63

MODULE_SIGNATURE = b'~Module signature appended~\n'

PORTS = {'shell0': 'com1', 'gdb0': 'com2', 'shell1': 'com3'}
DEVICES = {'shell0': '/dev/ttyS0', 'gdb0': '/dev/ttyS1', 'shell1': '/dev/ttyS2'}

READY = 'bochs machine ready'

INIT = r'''
for m in %s; do
	insmod /modules/$m.ko || echo "insmod $m failed" >/dev/console
done
dmesg -n 1
for t in 0 1 2; do
	stty -F /dev/ttyS$t 115200 raw -echo
done
# opening a port empties it: open these before READY says that bytes may come
exec 7<>/dev/ttyS0 8<>/dev/ttyS2
%s
for t in 0 2; do
	setsid sh /bin/agent /dev/ttyS$t &
done
echo %s >/dev/console
while :; do sleep 1000; done
'''

BOCHSRC = '''\
display_library: term, options="hideIPS"
romimage: file="{folder}/rom.bin"
vgaromimage: file="{folder}/vga.bin"
pci: enabled=0
cpu: model=corei7_haswell_4770, count=1, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
ata0-master: type=disk, path="{folder}/disk.img", mode=flat, cylinders={cylinders}, heads=16, spt=63
ata1: enabled=0
vga: extension=none, update_freq=1, realtime=0
clock: sync=none, time0=utc
speaker: enabled=1, mode=none
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
com4: enabled=1, mode=file, dev="{log}"
log: "{folder}/bochs.log"
panic: action=report
error: action=ignore
info: action=ignore
debug: action=ignore
'''


class Missing(Exception):
	"""Something this machine is made of is not there; the text names it."""


# ---- what the ROM loads ----

def light_module(data):
	"""A kernel module without its signature, which takes half a second to
	check here, and with its type information under a name nobody reads."""
	if data.endswith(MODULE_SIGNATURE):
		end = len(data) - len(MODULE_SIGNATURE)
		length, = struct.unpack('>I', data[end - 4:end])
		data = data[:end - 12 - length]
	return data.replace(b'\0.BTF\0', b'\0.xTF\0')


def pack_initramfs(path, kernel, files, body):
	ird = initramfs.Initramfs()
	ird.busybox()
	names = []
	for name, data in initramfs.module_order(kernel.modules, ['kvm_intel']):
		ird.data('/modules/%s.ko' % name, light_module(data))
		names.append(name)
	ird.data('/bin/agent', initramfs.AGENT, 0o755)
	for dest, src in files:
		ird.file(dest, src)
	ird.init(INIT % (' '.join(names), body, READY))
	return ird.write(path)


def elf_segments(path):
	"""(entry, [(physical address, bytes)]) of a vmlinux."""
	with open(path, 'rb') as f:
		data = f.read()
	entry, phoff = struct.unpack_from('<QQ', data, 24)
	count, = struct.unpack_from('<H', data, 56)
	out = []
	for i in range(count):
		kind, _, offset, _, paddr, filesz, memsz, _ = \
			struct.unpack_from('<IIQQQQQQ', data, phoff + i * 56)
		if kind == 1:
			out.append((paddr, data[offset:offset + filesz] + bytes(memsz - filesz)))
	return entry, out


def boot_params(memory, ramdisk, ramdisk_size, cmdline):
	bp = bytearray(4096)
	struct.pack_into('<H', bp, BP_BOOT_FLAG, 0xaa55)
	struct.pack_into('<4sH', bp, BP_HEADER, b'HdrS', 0x20f)
	bp[BP_TYPE_OF_LOADER] = 0xff
	bp[BP_LOADFLAGS] = 1
	struct.pack_into('<II', bp, BP_RAMDISK, ramdisk, ramdisk_size)
	struct.pack_into('<I', bp, BP_CMD_LINE_PTR, COMMAND_LINE)
	struct.pack_into('<I', bp, BP_CMDLINE_SIZE, len(cmdline))
	ram = [(0, LOW_MEMORY_END), (MIB, memory - MIB)]
	bp[BP_E820_ENTRIES] = len(ram)
	for i, (start, size) in enumerate(ram):
		struct.pack_into('<QQI', bp, BP_E820_TABLE + 20 * i, start, size, E820_RAM)
	return bytes(bp)


def page_tables():
	"""The first GiB mapped to itself with 2 MiB pages."""
	def table(*entries):
		return struct.pack('<512Q', *entries, *[0] * (512 - len(entries)))
	return table(PAGE_TABLES + 0x1003) + table(PAGE_TABLES + 0x2003) + \
		table(*[i << 21 | 0x83 for i in range(512)])


def write_disk(path, kernel, ramdisk, memory, cmdline):
	"""The image that bochs_rom.S reads; returns its number of cylinders."""
	entry, segments = elf_segments(kernel)
	with open(ramdisk, 'rb') as f:
		rd = f.read()
	rd_at = (memory - len(rd) - 0x10000) & ~0xfff
	line = cmdline.encode() + b'\0'
	segments += [(rd_at, rd), (COMMAND_LINE, line), (PAGE_TABLES, page_tables()),
		     (BOOT_PARAMS, boot_params(memory, rd_at, len(rd), line))]
	table = struct.pack('<4I', len(segments), PAGE_TABLES, entry, BOOT_PARAMS)
	sector = 1
	with open(path, 'wb') as f:
		for paddr, data in segments:
			f.seek(sector * SECTOR)
			f.write(data)
			count = (len(data) + SECTOR - 1) // SECTOR
			table += struct.pack('<3I', paddr, sector, count)
			sector += count
		f.seek(0)
		f.write(table.ljust(SECTOR, b'\0'))
		cylinders = sector // (HEADS * SECTORS_PER_TRACK) + 1
		f.truncate(cylinders * HEADS * SECTORS_PER_TRACK * SECTOR)
	return cylinders


def build_rom(folder):
	"""rom.bin and vga.bin in folder. Bochs insists on a video ROM; nobody runs it."""
	source = os.path.join(HERE, 'bochs_rom.S')
	obj, rom = os.path.join(folder, 'rom.o'), os.path.join(folder, 'rom.bin')
	for cc in [os.environ.get('CC', 'cc'), 'gcc', 'clang']:
		command = shlex.split(cc) + ['-m32', '-c', '-o', obj, source]
		if shutil.which(command[0]) and not subprocess.run(
				command, stderr=subprocess.DEVNULL, check=False).returncode:
			break
	else:
		raise Missing('a compiler that assembles for i386')
	subprocess.run(['objcopy', '-O', 'binary', '-j', '.text', obj, rom], check=True)
	if os.path.getsize(rom) != ROM_SIZE:
		raise Missing('an assembler that makes a ROM of 64 KiB')
	vga = bytearray(SECTOR)
	vga[:4] = b'\x55\xaa\x01\xcb'
	vga[-1] = -sum(vga) & 0xff
	with open(os.path.join(folder, 'vga.bin'), 'wb') as f:
		f.write(vga)


# ---- lines ----

class TcpShell(outer.Shell):
	"""A shell on a serial port: Bochs connects to us on loopback."""

	def __init__(self, machine):
		self.machine = machine
		self.listener = listen_tcp()
		self.sock = None
		self.buffer = b''


def listen_tcp():
	s = socket.socket()
	s.bind(('127.0.0.1', 0))
	s.listen(1)
	return s


class Relay(threading.Thread):
	"""Joins gdb's unix socket and Bochs' serial port, one client at a time, and
	throws away what Bochs draws on its terminal."""

	def __init__(self, path, terminal):
		super().__init__(daemon=True)
		self.port_listener = listen_tcp()
		self.listener = socket.socket(socket.AF_UNIX)
		self.listener.bind(path)
		os.chmod(path, 0o600)
		self.listener.listen(1)
		self.terminal = terminal
		self.port = self.client = None
		self.wake_r, self.wake_w = os.pipe()
		self.copied = [0, 0]            # bytes in, bytes out: for error texts

	def run(self):
		try:
			while self._once():
				pass
		except (OSError, ValueError):
			pass                    # Bochs is gone

	def _once(self):
		wait = [self.wake_r, self.terminal, self.client or self.listener,
			self.port or self.port_listener]
		ready = select.select(wait, [], [])[0]
		if self.wake_r in ready:
			return False
		if self.terminal in ready:
			os.read(self.terminal, 65536)
		if self.port_listener in ready:
			self.port, _ = self.port_listener.accept()
			self.port.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		if self.port and self.port in ready:
			data = self.port.recv(65536)
			if not data:
				return False
			self.copied[1] += len(data)
			self._to_client(data)
		if self.listener in ready:
			self.client, _ = self.listener.accept()
		elif self.client and self.client in ready:
			self._from_client()
		return True

	def _to_client(self, data):
		try:
			if self.client:
				self.client.sendall(data)
		except OSError:
			self._drop()

	def _from_client(self):
		try:
			data = self.client.recv(65536)
		except OSError:
			data = b''
		if not data:
			self._drop()
		elif self.port:
			self.copied[0] += len(data)
			self.port.sendall(data)

	def _drop(self):
		self.client.close()
		self.client = None

	def close(self):
		os.write(self.wake_w, b'x')
		if self.ident:
			self.join()
		for s in (self.client, self.port, self.listener, self.port_listener):
			if s:
				s.close()
		for fd in (self.wake_r, self.wake_w, self.terminal):
			os.close(fd)


# ---- the machine ----

class Process(outer.Process):
	"""As outer.Process; its wait() goes by the time outside."""

	KILLED = 137

	def wait(self, timeout):
		"""Exit status; KILLED if kill() left none."""
		end = time.monotonic() + timeout
		while True:
			text = self.machine.run(
				'cat %s.status 2>/dev/null || kill -0 -%d 2>/dev/null || echo %d'
				% (self.base, self.pid, self.KILLED)).output
			if text.strip():
				return int(text)
			if time.monotonic() > end:
				raise outer.CommandTimeout(
					'still running after %s s; its output:\n%s'
					% (timeout, self.output()))
			time.sleep(0.1)


class Bochs(outer.Outer):
	"""kernel: a vmlinux.Kernel. files: [(path inside, path here)]. body: more shell
	text for /init. cache: the folder that has bochs/. log: where the kernel's
	console goes. __init__ returns with /dev/kvm there, or raises Missing or
	outer.OuterError; close() is safe to call twice."""

	def __init__(self, kernel, files=(), body='', cache=None, log=None,
		     cmdline='', ips=IPS, memory=MEMORY, timeout=180):
		self.process = self.relay = self.errors = None
		self.shells = []
		self.started = 0
		self.hung = False
		self.bochs = os.path.join(cache or os.path.join(build_folder(), 'tests/cache'),
					  'bochs')
		if not os.path.exists(os.path.join(self.bochs, 'release')):
			raise Missing('Bochs 3.0 in %s (tests/setup-bochs.sh puts it there)'
				      % self.bochs)
		self.folder = tempfile.mkdtemp(prefix='bochs-')
		self.log = log or os.path.join(self.folder, 'console.log')
		try:
			self._prepare(kernel, files, body, CMDLINE + ' ' + cmdline, ips, memory)
			self._boot_bochs(timeout)
		except BaseException:
			self.close()
			raise

	def _path(self, name):
		return os.path.join(self.folder, name)

	def _prepare(self, kernel, files, body, cmdline, ips, memory):
		build_rom(self.folder)
		rd = pack_initramfs(self._path('initramfs'), kernel, files, body)
		cylinders = write_disk(self._path('disk.img'), kernel.vmlinux, rd,
				       memory * MIB, cmdline)
		with open(self._path('bochsrc'), 'w') as f:
			f.write(BOCHSRC.format(folder=self.folder, ips=ips, memory=memory,
					       cylinders=cylinders, log=self.log))
		# Debian's Bochs starts in its debugger
		with open(self._path('debugger'), 'w') as f:
			f.write('continue\n')

	def _boot_bochs(self, timeout):
		begin = time.monotonic()
		terminal, slave = os.openpty()
		self.relay = Relay(self.outside('gdb0'), terminal)
		self.shells = [TcpShell(self), TcpShell(self)]
		with open(self._path('bochsrc'), 'a') as f:
			for name, s in (('shell0', self.shells[0].listener),
					('gdb0', self.relay.port_listener),
					('shell1', self.shells[1].listener)):
				f.write('%s: enabled=1, mode=socket-client, dev=127.0.0.1:%d\n'
					% (PORTS[name], s.getsockname()[1]))
		env = {'PATH': os.environ.get('PATH', '/usr/bin:/bin'), 'LC_ALL': 'C',
		       'HOME': self.folder, 'TERM': 'vt100',
		       'TERMINFO_DIRS': '/etc/terminfo:/lib/terminfo:/usr/share/terminfo',
		       'LTDL_LIBRARY_PATH': os.path.join(self.bochs, 'plugins'),
		       'BXSHARE': self.folder}
		command = [os.path.join(self.bochs, 'ld.so'),
			   '--library-path', os.path.join(self.bochs, 'lib'),
			   os.path.join(self.bochs, 'bochs'), '-q',
			   '-f', self._path('bochsrc'), '-rc', self._path('debugger')]
		self.errors = open(self._path('emulator.log'), 'w+')
		try:
			self.process = subprocess.Popen(
				command, stdin=slave, stdout=slave, stderr=self.errors,
				env=env, cwd=self.folder, start_new_session=True,
				preexec_fn=outer._die_with_parent)
		finally:
			os.close(slave)
		self.relay.start()
		for shell in self.shells:
			shell.accept(30)
		while READY not in self.console():
			if self.process.poll() is not None or time.monotonic() - begin > timeout:
				raise self.error('no boot inside of Bochs')
			time.sleep(0.05)
		if self.run('[ -c /dev/kvm ] && exit 42').status != 42:
			raise self.error('no /dev/kvm inside of Bochs')
		for name in ('disk.img', 'initramfs'):  # nobody reads these any more
			os.unlink(self._path(name))
		self.boot_seconds = time.monotonic() - begin

	def run(self, command, timeout=60):
		"""As Outer.run(); a machine that has hung once is not asked again."""
		if self.hung:
			raise outer.OuterError('the machine hung earlier')
		try:
			return super().run(command, timeout)
		except outer.CommandTimeout:
			raise
		except outer.OuterError:
			self.hung = True
			raise

	def start(self, command, name=None):
		self.started += 1
		return Process(self, command, name or 'job%d' % self.started)

	@staticmethod
	def inside(name):
		return DEVICES[name]

	def close(self):
		super().close()
		if self.relay:
			self.relay.close()
			self.relay = None


def build_folder():
	root = os.path.dirname(os.path.dirname(HERE))
	return os.environ.get('BUILD') or os.path.join(root, 'build/x86_64')


def main(files):
	kernel = vmlinux.Kernel(os.path.join(build_folder(), 'tests/cache/linux-amd64'))
	inside = [('/bin/' + os.path.basename(f), f) for f in files]
	with Bochs(kernel, files=inside) as m:
		print('up after %.1f s' % m.boot_seconds)
		for command in ['uname -a; ls -l /dev/kvm'] + [dest for dest, _ in inside]:
			result = m.run(command, timeout=600)
			print('%s\nstatus %d' % (result.output, result.status))


if __name__ == '__main__':
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
	try:
		main(sys.argv[1:])
	except (Missing, initramfs.MissingFile, outer.OuterError, OSError) as e:
		sys.exit('bochs.py: %s' % e)
