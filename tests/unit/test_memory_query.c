/* qSearch:memory, qCRC and the memory map, over the fake target. */
#include "tests/unit/session_driver.h"

/* Where it is on the wire: offset into the fake's memory. */
static const char *found_at(size_t off)
{
	static char text[32];

	snprintf(text, sizeof(text), "1,%x", FAKE_MEM_BASE + (unsigned)off);
	return text;
}

static const char *search(uint64_t addr, uint64_t len, const void *pattern, size_t n)
{
	struct gdb_buf b = {0};
	const char *reply;

	gdb_buf_printf(&b, "qSearch:memory:%llx;%llx;", (unsigned long long)addr, (unsigned long long)len);
	gdb_buf_put(&b, pattern, n);
	reply = driver_send(b.data, b.len);
	gdb_buf_free(&b);
	return reply;
}

static void fill(uint8_t byte)
{
	memset(d.fake.mem, byte, sizeof(d.fake.mem));
}

static void test_search(void)
{
	/* Everything that has to be escaped or looks like the end of a field. */
	static const char odd[] = "}#$*;:,\0\x7d\xff!";
	const size_t n = sizeof(odd) - 1;
	/* The session looks through windows of this size. */
	static const size_t places[] = {0, 1, 4095, GDB_PACKET_MAX - 11, GDB_PACKET_MAX - 10, GDB_PACKET_MAX - 1,
		GDB_PACKET_MAX, GDB_PACKET_MAX + 1, FAKE_MEM_SIZE - 11};

	driver_start(GDB_OLD);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		fill('a');
		memcpy(d.fake.mem + places[i], odd, n);
		tap_is_str(
			search(FAKE_MEM_BASE, FAKE_MEM_SIZE, odd, n), found_at(places[i]), "found at %zu", places[i]);
	}
	tap_is_str(search(FAKE_MEM_BASE, FAKE_MEM_SIZE - 1, odd, n), "0", "not if its last byte is outside");
	tap_is_str(search(FAKE_MEM_BASE + FAKE_MEM_SIZE - n, n, odd, n), found_at(FAKE_MEM_SIZE - n), "nothing but it");
	fill(0);
	d.fake.mem[7] = d.fake.mem[9] = 1;
	tap_is_str(search(FAKE_MEM_BASE, 64, "\1", 1), found_at(7), "the first of two");
	tap_is_str(search(FAKE_MEM_BASE + 8, 64, "\1", 1), found_at(9), "from behind the first");
	tap_is_str(search(FAKE_MEM_BASE, 64, "\2", 1), "0", "none");
	tap_is_str(search(FAKE_MEM_BASE, 0, "\1", 1), "0", "none in nothing");
	tap_is_str(search(FAKE_MEM_BASE, 3, "\0\0\0\0", 4), "0", "none in less than it is long");
	tap_is_str(search(FAKE_MEM_BASE, FAKE_MEM_SIZE + 1, "\2", 1), "E14", "a hole behind: the answer is not known");
	tap_is_str(search(FAKE_MEM_BASE, FAKE_MEM_SIZE + 1, "\1", 1), found_at(7), "unless it is found before");
	tap_is_str(search(0, 16, "\1", 1), "E14", "a hole at the start");
	driver_end();
}

/* A begin of the pattern that fails at the window's border may overlap the true match. */
static void test_search_overlap(void)
{
	uint8_t pattern[300];

	driver_start(GDB_OLD);
	fill(0);
	memset(pattern, 'x', sizeof(pattern));
	pattern[sizeof(pattern) - 1] = 'y';
	memset(d.fake.mem + GDB_PACKET_MAX - 350, 'x', 400);
	d.fake.mem[GDB_PACKET_MAX + 50] = 'y';
	tap_is_str(search(FAKE_MEM_BASE, FAKE_MEM_SIZE, pattern, sizeof(pattern)), found_at(GDB_PACKET_MAX + 50 - 299),
		"a match that overlaps its own begin, across the border");
	driver_end();
}

static void test_search_bad(void)
{
	static const char *const bad[] = {"qSearch:memory", "qSearch:memory:", "qSearch:memory:10000",
		"qSearch:memory:10000;", "qSearch:memory:10000;10", "qSearch:memory:10000;10;", "qSearch:memory:x;10;a",
		"qSearch:memory:10000,10,a", "qSearch:memory:10000000000000000;10;a",
		"qSearch:memory:fffffffffffffff0;11;a"};
	static uint8_t longest[GDB_PACKET_MAX / 2 + 1];

	driver_start(NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_is_str(ask(bad[i]), "E22", "malformed: %s", bad[i]);
	fill(0);
	tap_is_str(search(FAKE_MEM_BASE, FAKE_MEM_SIZE, longest, sizeof(longest)), "E07", "a pattern that is too long");
	tap_is_str(
		search(FAKE_MEM_BASE, FAKE_MEM_SIZE, longest, sizeof(longest) - 1), found_at(0), "one that just fits");
	tap_is_str(ask("qSearch:other:1;1;a"), "", "another search is unknown");
	driver_end();
}

/* ---- much memory, and little at a time ---- */

static uint64_t bytes_read;
static size_t at_once;

static ssize_t zeros(void *t, int cpu, uint64_t addr, void *buf, size_t len)
{
	size_t n = len < at_once ? len : at_once;

	(void)t;
	(void)cpu;
	(void)addr;
	memset(buf, 0, n);
	bytes_read += n;
	return (ssize_t)n;
}

static ssize_t piecemeal(void *t, int cpu, uint64_t addr, void *buf, size_t len)
{
	return fake_mem_read(t, cpu, addr, buf, len < at_once ? len : at_once);
}

static void start_with(ssize_t (*mem_read)(void *, int, uint64_t, void *, size_t))
{
	static struct gdb_base_ops ops;

	ops = fake_base_ops;
	ops.mem_read = mem_read;
	d.target = fake_target(&d.fake);
	d.target.base = &ops;
	d.s = gdb_session_new(&d.target);
	stop_signal(0, 2);
	ask("QStartNoAckMode");
	bytes_read = 0;
}

static void test_bound(void)
{
	const uint64_t most = 512ull << 20;

	at_once = SIZE_MAX;
	start_with(zeros);
	tap_is_str(search(0, UINT64_MAX, "a", 1), "E07", "all memory at once: refused");
	tap_is_u64(bytes_read, most, "after a bounded search");
	tap_is_str(search(0, most, "a", 1), "0", "as much as is allowed");
	bytes_read = 0;
	tap_is_str(ask("qCRC:0,20000001"), "E07", "a checksum of more than that");
	tap_is_u64(bytes_read, 0, "is not begun");
	driver_end();
}

static void test_short_reads(void)
{
	start_with(piecemeal);
	at_once = 3;
	fill(0);
	memcpy(d.fake.mem + 1000, "needle", 6);
	tap_is_str(search(FAKE_MEM_BASE, 2000, "needle", 6), found_at(1000), "found although reads are short");
	memcpy(d.fake.mem, "123456789", 9);
	tap_is_str(ask("qCRC:10000,9"), "C376e6e7", "and so is the checksum");
	driver_end();
}

/* ---- the rest ---- */

/* Bit by bit, as the manual has it. */
static const char *crc_of_zeros(size_t n)
{
	static char text[16];
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < 8 * n; i++)
		crc = crc << 1 ^ (crc >> 31 ? 0x04c11db7u : 0);
	snprintf(text, sizeof(text), "C%x", crc);
	return text;
}

static void test_crc(void)
{
	static const char *const bad[] = {"qCRC", "qCRC:", "qCRC:10000", "qCRC:10000,", "qCRC:10000,1,", "qCRC:x,1",
		"qCRC:10000,10000000000000000", "qCRC:ffffffffffffffff,2"};

	driver_start(NULL);
	memcpy(d.fake.mem, "123456789", 9);
	/* The check value that is published for this kind of CRC-32 (MPEG-2's). */
	tap_is_str(ask("qCRC:10000,9"), "C376e6e7", "checksum of 123456789");
	tap_is_str(ask("qCRC:10000,0"), "Cffffffff", "of nothing");
	fill(0);
	tap_is_str(ask("qCRC:10000,40000"), crc_of_zeros(0x40000), "of more than a packet");
	tap_is_str(ask("qCRC:10000,1ffff"), crc_of_zeros(0x1ffff), "of an odd number of bytes");
	tap_is_str(ask("qCRC:10000,40001"), "E14", "not of what is not there");
	tap_is_str(ask("qCRC:0,1"), "E14", "nor there");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_is_str(ask(bad[i]), "E22", "malformed: %s", bad[i]);
	driver_end();
}

static void test_map(void)
{
	const char *map;

	driver_start(GDB_OLD);
	map = ask("qXfer:memory-map:read::0,1000");
	tap_ok(map[0] == 'l' && strstr(map, "start=\"0x0\" length=\"0x8000000000000000\"") &&
			strstr(map, "start=\"0x8000000000000000\" length=\"0x8000000000000000\""),
		"virtual addresses: all of them");
	tap_is_str(ask("Qqemu.PhyMemMode:1"), "OK", "physical mode");
	map = ask("qXfer:memory-map:read::0,1000");
	tap_ok(map[0] == 'l' && strstr(map, "<memory-map>\n"
					    "<memory type=\"ram\" start=\"0x8000\" length=\"0x40000\"/>\n"
					    "<memory type=\"ram\" start=\"0x100000\" length=\"0x2000\"/>\n"
					    "</memory-map>"),
		"physical addresses: RAM, and nothing else");
	tap_is_str(ask("qXfer:memory-map:read::fffff,1"), "E.offset past the end", "not past its end");
	/* The fake's physical addresses are 0x8000 below. */
	fill(0);
	d.fake.mem[5] = 'q';
	tap_is_str(search(0x8000, 16, "q", 1), "1,8005", "a search goes by physical address");
	tap_is_str(search(FAKE_MEM_BASE + FAKE_MEM_SIZE - 1, 1, "q", 1), "E14", "which is not a virtual one");
	memcpy(d.fake.mem, "123456789", 9);
	tap_is_str(ask("qCRC:8000,9"), "C376e6e7", "and so does a checksum");
	driver_end();
}

int main(void)
{
	test_search();
	test_search_overlap();
	test_search_bad();
	test_bound();
	test_short_reads();
	test_crc();
	test_map();
	return tap_done();
}
