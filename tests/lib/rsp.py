"""A raw client of the GDB remote protocol, for what no gdb would send.

	c = Rsp('/tmp/gdb.sock')        # or 'localhost:1234', or a pair of file descriptors (from, to)
	c.hello()                       # qSupported, NoAck, target.xml, the first stop
	c.ask('Z0,200100,1')            # 'OK'
	stop = c.resume('vCont;c')      # Stop(signal=5, thread=1, reason='swbreak', regs={...}), stop.pc
	c.plant(0x200100)               # Z0 of the ISA's kind, which has to be accepted; c.unplant()
	c.pc(), c.read(0x200000, 16)
"""

import collections
import os
import re
import select
import socket
import time

# what <architecture> of target.xml says: the pc's name, and the kind of a breakpoint
ISAS = {'i386:x86-64': ('rip', 1), 'aarch64': ('pc', 4)}


class Stop(collections.namedtuple('Stop', 'kind signal thread reason regs text')):
	@property
	def pc(self):
		return self.regs['rip' if 'rip' in self.regs else 'pc']


class RspError(Exception):
	pass


class Closed(RspError):
	"""The other side hung up."""


def checksum(data):
	return b'%02x' % (sum(data) & 0xff)


def frame(packet):
	data = packet if isinstance(packet, bytes) else packet.encode('latin-1')
	return b'$' + data + b'#' + checksum(data)


def expand(data):
	"""Escapes and run lengths undone."""
	out = bytearray()
	i = 0
	while i < len(data):
		b = data[i]
		if b == 0x7d:
			out.append(data[i + 1] ^ 0x20)
			i += 2
		elif b == 0x2a:
			out += out[-1:] * (data[i + 1] - 29)
			i += 2
		else:
			out.append(b)
			i += 1
	return bytes(out)


class Rsp:
	def __init__(self, address, timeout=60):
		self.timeout = timeout
		self.buffer = b''
		self.noack = False
		self.owed = False       # the stop of a Ctrl-C that another stop came before
		self.sock = None
		self.registers = None
		self.pc_name, self.break_kind = 'pc', 1
		if isinstance(address, tuple):
			self.fd_in, self.fd_out = address
			return
		if ':' in address and not address.startswith('/'):
			host, port = address.rsplit(':', 1)
			self.sock = socket.create_connection((host or 'localhost', int(port)), timeout)
		else:
			self.sock = socket.socket(socket.AF_UNIX)
			self.sock.settimeout(timeout)
			self._connect(address)
		self.fd_in = self.fd_out = self.sock.fileno()

	def _connect(self, path):
		end = time.monotonic() + self.timeout
		while True:
			try:
				self.sock.connect(path)
				return
			except BlockingIOError:         # the queue of a busy listener is full
				if time.monotonic() > end:
					raise
				time.sleep(0.01)

	# ---- bytes ----

	def raw(self, data):
		"""Sends bytes as they are."""
		while data:
			if not select.select([], [self.fd_out], [], self.timeout)[1]:
				raise RspError('the stub does not take bytes any more')
			data = data[os.write(self.fd_out, data[:65536]):]

	def _more(self, end):
		left = end - time.monotonic()
		if left <= 0 or not select.select([self.fd_in], [], [], left)[0]:
			return False
		try:
			data = os.read(self.fd_in, 65536)
		except ConnectionError:
			data = b''
		except OSError as e:
			raise Closed(str(e)) from None
		if not data:
			raise Closed('the stub hung up; unread: %r' % self.buffer)
		self.buffer += data
		return True

	def take(self, timeout=None):
		"""The next packet as bytes, escapes and all undone; None if none comes in time. Acks are skipped."""
		end = time.monotonic() + (self.timeout if timeout is None else timeout)
		while True:
			self.buffer = self.buffer.lstrip(b'+')
			m = re.match(rb'[$%]([^#]*)#(..)', self.buffer, re.S)
			if m:
				self.buffer = self.buffer[m.end():]
				if checksum(m.group(1)) != m.group(2):
					raise RspError('bad checksum in %r' % m.group(0)[:200])
				if not self.noack:
					self.raw(b'+')
				return expand(m.group(1))
			if self.buffer[:1] == b'-':
				self.buffer = self.buffer[1:]
				raise RspError('the stub asks for a retransmission')
			if not self._more(end):
				return None

	def send(self, packet):
		self.raw(frame(packet))

	def reply(self, timeout=None):
		data = self.take(timeout)
		if data is None:
			raise RspError('no reply')
		return data.decode('latin-1')

	def ask(self, packet, timeout=None):
		self.send(packet)
		return self.reply(timeout)

	def closed(self, timeout=None):
		"""Whether the stub hangs up in time; what it sends before is dropped."""
		end = time.monotonic() + (self.timeout if timeout is None else timeout)
		try:
			while self._more(end):
				self.buffer = b''
			return False
		except Closed:
			return True

	def close(self):
		if self.sock:
			self.sock.close()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.close()

	# ---- a session ----

	def hello(self, noack=True):
		"""As a gdb begins. Returns the stop."""
		self.features = self._first('qSupported:multiprocess-;swbreak+;hwbreak+;vContSupported+;error-message+')
		if noack and 'QStartNoAckMode+' in self.features:
			if self.ask('QStartNoAckMode') != 'OK':
				raise RspError('no NoAck mode')
			self.noack = True
		self.registers = self._target()
		return self.stop(self.ask('?'))

	def _first(self, packet):
		"""As gdb does, the first packet is sent again: a line that is only just coming up may have lost it."""
		for _ in range(3):
			self.send(packet)
			data = self.take(self.timeout / 3)
			if data is not None:
				return data.decode('latin-1')
		raise RspError('no reply to the first packet')

	def _target(self):
		"""[(name, bytes)] by number, from target.xml."""
		xml = ''
		while True:
			piece = self.ask('qXfer:features:read:target.xml:%x,fff' % len(xml))
			xml += piece[1:]
			if piece[:1] != 'm':
				break
		found = re.search('<architecture>(.*?)</architecture>', xml)
		self.pc_name, self.break_kind = ISAS[found.group(1)]
		regs, number = {}, 0
		for reg in re.findall(r'<reg ([^>]*)/>', xml):
			a = dict(re.findall(r'(\w+)="([^"]*)"', reg))
			number = int(a.get('regnum', number))
			regs[number] = (a['name'], int(a['bitsize']) // 8)
			number += 1
		return regs

	def stop(self, text):
		if text[:1] in 'WX':
			return Stop(text[0], int(text[1:3], 16), 0, '', {}, text)
		if text[:1] != 'T':
			raise RspError('not a stop reply: %r' % text)
		regs, thread, reason = {}, 0, ''
		for part in text[3:].split(';'):
			name, _, value = part.partition(':')
			if name == 'thread':
				thread = int(value, 16)
			elif re.fullmatch('[0-9a-f]+', name) and name not in ('a', 'awatch'):
				regs[self.registers[int(name, 16)][0]] = int.from_bytes(bytes.fromhex(value), 'little')
			elif name:
				reason = name
		return Stop('T', int(text[1:3], 16), thread, reason, regs, text)

	def wait_stop(self, timeout=None):
		while True:
			text = self.reply(timeout)
			if text[:1] != 'O' or text == 'OK':
				stop = self.stop(text)
				self.owed &= stop.kind == 'T' and stop.signal != 2
				return stop

	def send_on(self, packet):
		"""Resumes without waiting. The stop that is owed to a Ctrl-C comes first."""
		if self.owed:
			self.send(packet)
			stop = self.wait_stop()
			if (stop.kind, stop.signal) != ('T', 2):
				raise RspError('no stop for the Ctrl-C, but ' + stop.text)
		self.send(packet)

	def resume(self, packet='vCont;c', timeout=None):
		self.send_on(packet)
		return self.wait_stop(timeout)

	def interrupt(self):
		self.raw(b'\x03')
		self.owed = True

	def number(self, name):
		for n, (other, _) in self.registers.items():
			if other == name:
				return n
		raise RspError('no register %s' % name)

	def reg(self, name):
		text = self.ask('p%x' % self.number(name))
		try:
			return int.from_bytes(bytes.fromhex(text), 'little')
		except ValueError:
			raise RspError('p %s: %r' % (name, text)) from None

	def set_reg(self, name, value):
		n = self.number(name)
		return self.ask('P%x=%s' % (n, value.to_bytes(self.registers[n][1], 'little').hex()))

	def pc(self):
		return self.reg(self.pc_name)

	def z(self, what, addr):
		"""The answer to a Z0, z1... at an instruction."""
		return self.ask('%s,%x,%x' % (what, addr, self.break_kind))

	def _accepted(self, what, addr):
		answer = self.z(what, addr)
		if answer != 'OK':
			raise RspError('%s at %#x: %r' % (what, addr, answer))

	def plant(self, addr):
		self._accepted('Z0', addr)

	def unplant(self, addr):
		self._accepted('z0', addr)

	def read(self, addr, size):
		text = self.ask('m%x,%x' % (addr, size))
		try:
			return bytes.fromhex(text)
		except ValueError:
			raise RspError('m %x: %r' % (addr, text)) from None

	def read_binary(self, addr, size):
		self.send('x%x,%x' % (addr, size))
		data = self.take()
		if data is None or data[:1] != b'b':
			raise RspError('x %x: %r' % (addr, data))
		return data[1:]

	def read_int(self, addr, size=8):
		return int.from_bytes(self.read(addr, size), 'little')

	def monitor(self, line):
		"""The text of a qRcmd."""
		self.send('qRcmd,' + line.encode().hex())
		text = ''
		while True:
			data = self.reply()
			if data == 'OK':
				return text
			if data[:1] == 'O':
				text += bytes.fromhex(data[1:]).decode()
				continue
			if data[:1] == 'E':
				raise RspError('monitor %s: %s' % (line, data))
			return text + bytes.fromhex(data).decode()
