#include "arch/x86_64/aml.h"

#include <string.h>

/* ACPI 6.4, table 20.1 */
#define AML_ZERO       0x00
#define AML_ONE	       0x01
#define AML_NAME       0x08
#define AML_BYTE       0x0a
#define AML_WORD       0x0b
#define AML_DWORD      0x0c
#define AML_STRING     0x0d
#define AML_SCOPE      0x10
#define AML_BUFFER     0x11
#define AML_PACKAGE    0x12
#define AML_EXT	       0x5b
#define AML_EXT_DEVICE 0x82

/* 6.4.2, small resource data types */
#define RES_IRQ		0x22 /* two bytes: edge triggered, active high */
#define RES_IO		0x47
#define RES_IO_DECODE16 0x01
#define RES_END		0x79

#define PKGLEN_MAX 3 /* bytes of a PkgLength up to 0xfffff */

void aml_init(struct aml *a, uint8_t *buf, size_t size)
{
	memset(a, 0, sizeof(*a));
	a->buf = buf;
	a->size = size;
}

bool aml_done(const struct aml *a, size_t *len)
{
	*len = a->len;
	return !a->failed && a->depth == 0;
}

static void put(struct aml *a, const void *bytes, size_t n)
{
	if (a->failed || n > a->size - a->len) {
		a->failed = true;
		return;
	}
	memcpy(a->buf + a->len, bytes, n);
	a->len += n;
}

static void put_byte(struct aml *a, uint8_t byte)
{
	put(a, &byte, 1);
}

static void put_name(struct aml *a, const char *name)
{
	size_t n = strlen(name);

	if (n != 4 && !(n == 5 && name[0] == '\\'))
		a->failed = true;
	put(a, name, n);
}

static void package_open(struct aml *a)
{
	if (a->depth == AML_DEPTH_MAX) {
		a->failed = true;
		return;
	}
	a->open[a->depth++] = a->len;
}

/* PkgLength counts its own bytes; with more than one byte, the first holds four bits and how many follow. */
static size_t package_length(uint8_t *out, size_t body)
{
	if (body + 1 <= 0x3f) {
		out[0] = body + 1;
		return 1;
	}
	size_t extra = body + 2 <= 0xfff ? 1 : 2;
	size_t len = body + 1 + extra;

	out[0] = extra << 6 | (len & 0xf);
	for (size_t i = 0; i < extra; i++)
		out[1 + i] = len >> (4 + 8 * i);
	return 1 + extra;
}

void aml_close(struct aml *a)
{
	uint8_t length[PKGLEN_MAX];

	if (a->depth == 0)
		a->failed = true;
	if (a->failed)
		return;
	size_t start = a->open[--a->depth];
	size_t body = a->len - start;
	size_t n = package_length(length, body);

	put(a, length, n); /* makes the room */
	if (a->failed)
		return;
	memmove(a->buf + start + n, a->buf + start, body);
	memcpy(a->buf + start, length, n);
}

void aml_open_scope(struct aml *a, const char *name)
{
	put_byte(a, AML_SCOPE);
	package_open(a);
	put_name(a, name);
}

void aml_open_device(struct aml *a, const char *name)
{
	put_byte(a, AML_EXT);
	put_byte(a, AML_EXT_DEVICE);
	package_open(a);
	put_name(a, name);
}

void aml_open_name_package(struct aml *a, const char *name, uint8_t elements)
{
	put_byte(a, AML_NAME);
	put_name(a, name);
	put_byte(a, AML_PACKAGE);
	package_open(a);
	put_byte(a, elements);
}

void aml_integer(struct aml *a, uint32_t value)
{
	const uint8_t le[4] = {value, value >> 8, value >> 16, value >> 24};

	if (value <= 1) {
		put_byte(a, value ? AML_ONE : AML_ZERO);
	} else if (value <= 0xff) {
		put_byte(a, AML_BYTE);
		put(a, le, 1);
	} else if (value <= 0xffff) {
		put_byte(a, AML_WORD);
		put(a, le, 2);
	} else {
		put_byte(a, AML_DWORD);
		put(a, le, 4);
	}
}

void aml_name_integer(struct aml *a, const char *name, uint32_t value)
{
	put_byte(a, AML_NAME);
	put_name(a, name);
	aml_integer(a, value);
}

void aml_name_string(struct aml *a, const char *name, const char *text)
{
	put_byte(a, AML_NAME);
	put_name(a, name);
	put_byte(a, AML_STRING);
	put(a, text, strlen(text) + 1);
}

static unsigned hex_digit(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Three letters in five bits each and four hexadecimal digits, most significant byte first (19.3.4). */
void aml_name_eisaid(struct aml *a, const char *name, const char *id)
{
	if (strlen(id) != 7) {
		a->failed = true;
		return;
	}
	unsigned vendor = (id[0] - 0x40) << 10 | (id[1] - 0x40) << 5 | (id[2] - 0x40);
	uint8_t bytes[4] = {
		vendor >> 8,
		vendor,
		hex_digit(id[3]) << 4 | hex_digit(id[4]),
		hex_digit(id[5]) << 4 | hex_digit(id[6]),
	};

	put_byte(a, AML_NAME);
	put_name(a, name);
	put_byte(a, AML_DWORD);
	put(a, bytes, sizeof(bytes));
}

void aml_crs(struct aml *a, const struct aml_io *io, unsigned n, uint8_t irq)
{
	size_t size = n * 8 + (irq == AML_NO_IRQ ? 0 : 3) + 2;

	put_byte(a, AML_NAME);
	put_name(a, "_CRS");
	put_byte(a, AML_BUFFER);
	package_open(a);
	aml_integer(a, size);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t desc[8] = {
			RES_IO,
			RES_IO_DECODE16,
			io[i].base,
			io[i].base >> 8,
			io[i].base,
			io[i].base >> 8,
			1,
			io[i].len,
		};

		put(a, desc, sizeof(desc));
	}
	if (irq != AML_NO_IRQ) {
		put_byte(a, RES_IRQ);
		put_byte(a, irq < 8 ? 1 << irq : 0);
		put_byte(a, irq < 8 ? 0 : 1 << (irq - 8));
	}
	put_byte(a, RES_END);
	put_byte(a, 0); /* checksum 0: not checked */
	aml_close(a);
}
