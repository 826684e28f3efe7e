/* What is said before there is a session: whole packets, halves, noise, one that never ends. */
#include "gdb/knock.h"

#include <stdlib.h>

#include "gdb/session.h"
#include "tests/unit/tap.h"

static enum gdb_knock_event knock(struct gdb_knock *k, const char *text)
{
	return gdb_knock_input(k, (const uint8_t *)text, strlen(text));
}

static void opens(const char *text, const char *held, const char *what)
{
	struct gdb_knock whole = {0}, bytes = {0};
	enum gdb_knock_event ev = GDB_KNOCK_NOT_YET;
	size_t n = strlen(held), i = 0;

	tap_ok(knock(&whole, text) == GDB_KNOCK_PACKET && whole.held.len == n && !memcmp(whole.held.data, held, n),
		"%s", what);
	while (text[i] && ev == GDB_KNOCK_NOT_YET)
		ev = gdb_knock_input(&bytes, (const uint8_t *)&text[i++], 1);
	tap_ok(ev == GDB_KNOCK_PACKET && bytes.held.len <= n && !memcmp(bytes.held.data, held, bytes.held.len),
		"and byte by byte");
	gdb_knock_free(&whole);
	gdb_knock_free(&bytes);
}

static void says_nothing(const char *text)
{
	struct gdb_knock k = {0};

	tap_ok(knock(&k, text) == GDB_KNOCK_NOT_YET, "not a packet: %s", text);
	gdb_knock_free(&k);
}

static void strange(const char *text, enum gdb_knock_event want)
{
	struct gdb_knock k = {.strict = true};

	tap_ok(gdb_knock_input(&k, (const uint8_t *)text, strlen(text) + !*text) == want,
		"on a line for debuggers alone: %s", text);
	gdb_knock_free(&k);
}

static void test_length(void)
{
	static uint8_t data[4096];
	struct gdb_knock k = {0};
	enum gdb_knock_event ev;
	size_t held = 0, n = 0;

	memset(data, 'a', sizeof(data));
	knock(&k, "$");
	while ((ev = gdb_knock_input(&k, data, sizeof(data))) == GDB_KNOCK_NOT_YET && n < 100 * GDB_PACKET_MAX) {
		n += sizeof(data);
		held = k.held.len;
	}
	tap_ok(ev == GDB_KNOCK_TOO_LONG && held >= 2 * GDB_PACKET_MAX && held < 3 * GDB_PACKET_MAX,
		"one that never ends is given up, after all that a packet may have: %zu bytes", held);
	tap_ok(!k.held.cap, "and keeps no memory");
	tap_ok(gdb_knock_input(&k, data, sizeof(data)) == GDB_KNOCK_NOT_YET, "the rest of it is noise");
	tap_ok(knock(&k, "#00$?#3f") == GDB_KNOCK_PACKET, "up to the next packet");
	gdb_knock_free(&k);
}

int main(void)
{
	opens("$?#3f", "$?#3f", "a packet");
	opens("+\003noise$?#3f+$qC#b4", "$?#3f+$qC#b4", "acks and noise before it, and what comes behind it");
	opens("$m10$?#3f", "$?#3f", "one that was given up before it");
	opens("$m10#$?#3f", "$?#3f", "even in its checksum");
	opens("$?#zz", "$?#zz", "a wrong checksum is for the session to answer");
	opens("$##23", "$##23", "the first # ends it");
	says_nothing("");
	says_nothing("+++---noise#3f");
	says_nothing("$m1000,10");
	says_nothing("$m1000,10#");
	says_nothing("$m1000,10#5");
	strange("POST / HTTP/1.1\r\n\r\n$k#6b", GDB_KNOCK_STRANGE);
	strange("+\r\n$k#6b", GDB_KNOCK_STRANGE);
	strange("", GDB_KNOCK_STRANGE); /* its NUL */
	strange("++-\003+$?#3f\r\n", GDB_KNOCK_PACKET);
	strange("$POST\r\n", GDB_KNOCK_NOT_YET);
	test_length();
	return tap_done();
}
