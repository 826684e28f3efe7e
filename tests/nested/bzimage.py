"""Unpacks the vmlinux ELF that is inside a bzImage, with the standard library.

	python3 bzimage.py vmlinuz vmlinux

Where the payload is: payload_offset and payload_length of the setup header
(Documentation/arch/x86/boot.rst in Linux). How it is packed: gzip, xz, lzma,
bzip2 and LZ4's "legacy" frame are unpacked here, zstd by the zstd command.
"""

import bz2
import lzma
import os
import struct
import subprocess
import sys
import zlib

LZ4_LEGACY_MAGIC = b'\x02\x21\x4c\x18'
HDR_MAGIC_AT = 0x202
SETUP_SECTS_AT = 0x1f1
PAYLOAD_AT = 0x248
PAYLOAD_MIN_PROTOCOL = 0x208


class BadImage(Exception):
	"""Not a bzImage, or one that cannot be unpacked here; the text says why."""


def lz4_block(src, start, end, out):
	"""Appends one LZ4 block (src[start:end]) to the bytearray out; matches
	do not reach back before this block, as the legacy frame wants it."""
	pos = start
	while pos < end:
		token = src[pos]
		pos += 1
		count = token >> 4
		if count:
			if count == 15:
				while True:
					byte = src[pos]
					pos += 1
					count += byte
					if byte != 255:
						break
			out += src[pos:pos + count]
			pos += count
		if pos >= end:          # the last sequence has literals only
			return
		offset = src[pos] | src[pos + 1] << 8
		pos += 2
		count = token & 15
		if count == 15:
			while True:
				byte = src[pos]
				pos += 1
				count += byte
				if byte != 255:
					break
		count += 4
		at = len(out) - offset
		if offset >= count:
			out += out[at:at + count]
		else:
			chunk = bytes(out[at:])
			out += (chunk * (count // offset + 1))[:count]


def lz4_legacy(data):
	out = bytearray()
	pos = len(LZ4_LEGACY_MAGIC)
	# the kernel's build appends the unpacked size, four bytes that are no block
	while pos + 4 < len(data):
		size, = struct.unpack_from('<I', data, pos)
		pos += 4
		if data[pos - 4:pos] == LZ4_LEGACY_MAGIC:
			continue
		lz4_block(data, pos, min(pos + size, len(data)), out)
		pos += size
	return bytes(out)


def zstd(data):
	try:
		return subprocess.run(['zstd', '-dc', '-q'], input=data, check=False,
				      stdout=subprocess.PIPE,
				      stderr=subprocess.DEVNULL).stdout
	except FileNotFoundError:
		raise BadImage('packed with zstd: install zstd') from None


FORMATS = (
	(b'\x1f\x8b', lambda d: zlib.decompressobj(31).decompress(d)),
	(b'\xfd7zXZ\0', lambda d: lzma.LZMADecompressor().decompress(d)),
	(b'\x5d\0\0', lambda d: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(d)),
	(b'BZh', lambda d: bz2.BZ2Decompressor().decompress(d)),
	(LZ4_LEGACY_MAGIC, lz4_legacy),
	(b'\x28\xb5\x2f\xfd', zstd),
)


def setup_header(image):
	"""The bytes of the setup header (offset 0x1f1 on), for boot_params."""
	end = HDR_MAGIC_AT + image[0x201]
	return image[SETUP_SECTS_AT:end]


def unpack(image):
	"""The vmlinux inside the bytes of a bzImage."""
	if image[HDR_MAGIC_AT:HDR_MAGIC_AT + 4] != b'HdrS':
		raise BadImage('not a bzImage')
	protocol, = struct.unpack_from('<H', image, 0x206)
	if protocol < PAYLOAD_MIN_PROTOCOL:
		raise BadImage('bzImage older than boot protocol 2.08')
	start = ((image[SETUP_SECTS_AT] or 4) + 1) * 512
	offset, length = struct.unpack_from('<II', image, PAYLOAD_AT)
	payload = image[start + offset:start + offset + length]
	for magic, decode in FORMATS:
		if payload.startswith(magic):
			elf = decode(payload)
			break
	else:
		raise BadImage('unknown packing: %s' % payload[:6].hex())
	if elf[:4] != b'\x7fELF':
		raise BadImage('the payload is not an ELF file')
	return elf


def unpack_file(src, dest):
	"""Writes dest unless it is there already and newer than src."""
	if os.path.exists(dest) and os.path.getmtime(dest) >= os.path.getmtime(src):
		return dest
	with open(src, 'rb') as f:
		elf = unpack(f.read())
	temp = '%s.%d' % (dest, os.getpid())
	with open(temp, 'wb') as f:
		f.write(elf)
	os.rename(temp, dest)
	return dest


if __name__ == '__main__':
	if len(sys.argv) != 3:
		sys.exit('usage: bzimage.py BZIMAGE VMLINUX')
	try:
		unpack_file(sys.argv[1], sys.argv[2])
	except (BadImage, OSError) as e:
		sys.exit('bzimage.py: %s: %s' % (sys.argv[1], e))
