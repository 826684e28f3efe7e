/* Questions about memory that are answered here, so that the bytes need not travel; and the map of it. */
#include "gdb/session_impl.h"

#include <errno.h>
#include <string.h>

/*
 * The most that one packet looks through. The stub's thread is busy meanwhile, and gdb waits two seconds for a reply
 * before it begins to doubt the line.
 */
#define SCAN_MAX (512ull << 20)

static bool too_much(struct gdb_session *s)
{
	return gdb_reply_error(s, -E2BIG, "more than 512 MiB at once: ask in pieces");
}

static bool scan_error(struct gdb_session *s, ssize_t n)
{
	int err = n < 0 ? (int)n : -EFAULT;

	return gdb_reply_error(s, err, gdb_mem_error(s, err));
}

/* True if [addr, addr + len) does not end beyond the top of the address space. */
static bool range_ok(uint64_t addr, uint64_t len)
{
	return !len || addr + (len - 1) >= addr;
}

/* ---- qSearch:memory ---- */

/*
 * A match is as near to the start as can be, whole inside of the range. s->mem is a window that slides over it: what
 * might be the begin of a match stays in it when the next piece comes.
 */
static bool search(struct gdb_session *s, uint64_t addr, uint64_t len, const struct gdb_cursor *pattern)
{
	size_t size = gdb_cursor_left(pattern), have = 0;
	uint64_t left = len < SCAN_MAX ? len : SCAN_MAX;

	while (left) {
		size_t room = sizeof(s->mem) - have, keep;
		ssize_t n = gdb_mem_read(s, addr + have, s->mem + have, left < room ? (size_t)left : room);
		const uint8_t *hit;

		if (n <= 0)
			return scan_error(s, n);
		left -= (size_t)n;
		have += (size_t)n;
		hit = memmem(s->mem, have, pattern->p, size);
		if (hit) {
			gdb_buf_printf(&s->reply, "1,%llx", (unsigned long long)addr + (size_t)(hit - s->mem));
			return true;
		}
		keep = have < size ? have : size - 1;
		memmove(s->mem, s->mem + have - keep, keep);
		addr += have - keep;
		have = keep;
	}
	if (len > SCAN_MAX)
		return too_much(s);
	gdb_buf_putc(&s->reply, '0');
	return true;
}

/* "ADDR;LEN;PATTERN", the last one bytes */
bool gdb_cmd_search_mem(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t addr, len;

	if (!gdb_cursor_hex(args, &addr) || !gdb_cursor_eat(args, ';') || !gdb_cursor_hex(args, &len) ||
		!gdb_cursor_eat(args, ';') || gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed search");
	if (!range_ok(addr, len))
		return gdb_reply_error(s, -EINVAL, "the range is larger than the address space");
	/* Else the window would slide by single bytes. */
	if (gdb_cursor_left(args) > sizeof(s->mem) / 2)
		return gdb_reply_error(s, -E2BIG, "the pattern is too long");
	return search(s, addr, len, args);
}

/* ---- qCRC ---- */

/* GDB manual, "qCRC": 0x04c11db7, the highest bit first, from all ones, and not inverted at the end. */
#define CRC_POLYNOMIAL 0x04c11db7u

/* table[k][b]: what byte b does to the checksum when k more follow. Four at a time are several times as fast. */
typedef uint32_t crc_tables[4][256];

static void crc_init(crc_tables table)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i << 24;

		for (int bit = 0; bit < 8; bit++)
			c = c << 1 ^ (c >> 31 ? CRC_POLYNOMIAL : 0);
		table[0][i] = c;
	}
	for (int k = 1; k < 4; k++) {
		for (int i = 0; i < 256; i++)
			table[k][i] = table[k - 1][i] << 8 ^ table[0][table[k - 1][i] >> 24];
	}
}

static uint32_t crc_add(crc_tables table, uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= 4; p += 4, n -= 4)
		crc = table[3][crc >> 24 ^ p[0]] ^ table[2][(crc >> 16 & 0xff) ^ p[1]] ^
		      table[1][(crc >> 8 & 0xff) ^ p[2]] ^ table[0][(crc & 0xff) ^ p[3]];
	for (; n; p++, n--)
		crc = crc << 8 ^ table[0][crc >> 24 ^ *p];
	return crc;
}

/* "ADDR,LEN" */
bool gdb_cmd_crc(struct gdb_session *s, struct gdb_cursor *args)
{
	uint32_t crc = 0xffffffff;
	uint64_t addr, len;
	crc_tables table;

	if (!gdb_cursor_hex(args, &addr) || !gdb_cursor_eat(args, ',') || !gdb_cursor_hex(args, &len) ||
		!gdb_cursor_done(args) || !range_ok(addr, len))
		return gdb_reply_error(s, -EINVAL, "malformed address or length");
	if (len > SCAN_MAX)
		return too_much(s);
	crc_init(table);
	while (len) {
		ssize_t n = gdb_mem_read(s, addr, s->mem, len < sizeof(s->mem) ? (size_t)len : sizeof(s->mem));

		if (n <= 0)
			return scan_error(s, n);
		crc = crc_add(table, crc, s->mem, (size_t)n);
		addr += (size_t)n;
		len -= (size_t)n;
	}
	gdb_buf_printf(&s->reply, "C%x", (unsigned)crc);
	return true;
}

/* ---- qXfer:memory-map ---- */

static void put_ram(struct gdb_buf *doc, uint64_t start, uint64_t len)
{
	gdb_buf_printf(doc, "<memory type=\"ram\" start=\"0x%llx\" length=\"0x%llx\"/>\n", (unsigned long long)start,
		(unsigned long long)len);
}

/*
 * gdb takes what is not in the map for inaccessible, and keeps the map of its first memory access. So the map of
 * physical addresses is for physical mode alone; virtual ones may be mapped anywhere, now or later, and a map of them
 * has to cover all. That takes two entries: a length of 2^64 is not a number of 64 bits.
 */
static void build_map(struct gdb_session *s, struct gdb_buf *doc)
{
	const struct gdb_info_ops *info = s->target.info;
	struct region r;

	gdb_buf_puts(doc, "<?xml version=\"1.0\"?>\n"
			  "<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" "
			  "\"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n<memory-map>\n");
	if (s->phys_mode && info) {
		for (size_t i = 0; info->region(s->target.t, i, &r); i++) {
			if (r.kind == REGION_RAM)
				put_ram(doc, r.base, r.len);
		}
	} else {
		put_ram(doc, 0, 1ull << 63);
		put_ram(doc, 1ull << 63, 1ull << 63);
	}
	gdb_buf_puts(doc, "</memory-map>\n");
}

bool gdb_cmd_xfer_memory_map(struct gdb_session *s, struct gdb_cursor *args)
{
	struct gdb_buf doc = {0};
	struct gdb_cursor annex;
	uint64_t off, len;

	if (!gdb_xfer_parse(args, &annex, &off, &len) || !gdb_cursor_done(&annex))
		return gdb_reply_error(s, -EINVAL, "malformed qXfer");
	build_map(s, &doc);
	gdb_xfer_reply(s, &doc, off, len);
	gdb_buf_free(&doc);
	return true;
}
