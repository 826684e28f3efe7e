/*
 * Every command of the stub against what can be wrong with a packet. The rules: exactly one reply to each packet that
 * has one; malformed is an error and unknown is empty; after either nothing has changed.
 */
#include <ctype.h>

#include "tests/unit/honesty_table.h"
#include "tests/unit/session_driver.h"

#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

/* ---- one packet, and what it did ---- */

static struct fake before;
static bool fresh; /* the session is as start() made it */

/* What the machine remembers of questions is no change of it. */
static bool machine_changed(void)
{
	before.last_mem_cpu = d.fake.last_mem_cpu;
	return memcmp(&before, &d.fake, sizeof(before)) != 0;
}

static void start(void)
{
	if (fresh)
		return;
	if (d.s)
		driver_end();
	driver_start(GDB_OLD);
	ask("Z0,10100,1");
	before = d.fake;
	fresh = true;
}

static unsigned count_packets(void)
{
	struct gdb_decoder dec = {.max = 4 * GDB_PACKET_MAX};
	unsigned n = 0;

	for (size_t i = 0; i < d.out.len; i++)
		n += gdb_decoder_byte(&dec, d.out.data[i]) == GDB_PACKET_READY;
	gdb_buf_free(&dec.data);
	return n;
}

/* The session's own state, as far as it can be asked for. */
static bool session_changed(void)
{
	return strcmp(ask("qC"), "QC1") || strcmp(ask("qqemu.PhyMemMode"), "0");
}

static char reply_class(const char *reply)
{
	bool gone = gdb_session_gone(d.s);

	if (!reply)
		return gone ? 'K' : gdb_session_running(d.s) ? 'R' : '0';
	reply += *reply == '+'; /* QStartNoAckMode's */
	if (!strcmp(reply, "OK"))
		return gone ? 'B' : 'O';
	if (!reply[0])
		return '-';
	return reply[0] == 'E' && (reply[1] == '.' || isdigit((unsigned char)reply[1])) ? 'E' : 'D';
}

/* Sends it to a session that has just stopped. The reply's class; '!' when a rule is broken, with a word on it. */
static char trial(const void *packet, size_t n)
{
	struct gdb_buf frame = {0};
	unsigned replies;
	char class;

	start();
	gdb_packet_encode(&frame, packet, n);
	gdb_session_input(d.s, frame.data, frame.len, &d.out);
	gdb_buf_free(&frame);
	replies = count_packets();
	class = reply_class(driver_decode());
	fresh = false;
	if (replies != (class == 'R' || class == 'K' ? 0 : 1)) {
		tap_diag("%u replies to: %.*s", replies, (int)n, (const char *)packet);
		return '!';
	}
	if (class == '-' || class == 'E') {
		if (machine_changed() || session_changed()) {
			tap_diag("refused, and yet it had an effect: %.*s", (int)n, (const char *)packet);
			return '!';
		}
		fresh = true;
	}
	if (class == 'D')
		fresh = !machine_changed() && !session_changed() && strncmp(packet, "qSupported", n < 10 ? n : 10);
	return class;
}

static bool expect(const void *packet, size_t n, const char *classes, const char *what)
{
	char class = trial(packet, n);

	if (class != '!' && strchr(classes, class))
		return true;
	tap_diag("%s: got %c, want %s: %.*s", what, class, classes, (int)(n < 80 ? n : 80), (const char *)packet);
	return false;
}

/* ---- what can be wrong with a packet ---- */

/* The packet without its marks. any: where any bytes may stand, or its length. */
static size_t plain(const struct command *c, char *out, size_t *any)
{
	size_t n = 0;

	*any = SIZE_MAX;
	for (const char *p = c->packet; *p; p++) {
		if (*p == '~')
			*any = n;
		else if (*p != '<' && *p != '>')
			out[n++] = *p;
	}
	if (*any == SIZE_MAX)
		*any = n;
	return n;
}

static bool truncated(const struct command *c, const char *packet, size_t n)
{
	bool good = tap_is_u64(strlen(c->prefixes), n + 1, "the table has each prefix of %s", packet);

	for (size_t k = 0; good && k <= n; k++)
		good &= expect(packet, k, (char[]){c->prefixes[k], 0}, "prefix");
	return good;
}

static bool with_junk(const struct command *c, const char *packet, size_t n)
{
	static const char *const junk[] = {"!", "zz", ",x", ";;", "::", " ", "\xff"};
	bool good = true;

	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		char longer[128];
		int len = snprintf(longer, sizeof(longer), "%.*s%s", (int)n, packet, junk[i]);

		good &= expect(longer, (size_t)len, (char[]){c->junk, 0}, "with junk");
	}
	return good;
}

/* Any one byte, up to the bytes that may be any, is one that stands nowhere in a packet. */
static bool spoilt(const char *packet, size_t n, size_t any, bool names)
{
	bool good = true;

	for (size_t i = 0; i < any && i < n; i++) {
		static const char bytes[] = {'"', ' ', '\0', '\xff', '\n'};

		for (size_t k = 0; k < sizeof(bytes); k++) {
			char other[128];

			memcpy(other, packet, n);
			other[i] = bytes[k];
			/* qSupported: features that nobody knows are none of ours. */
			good &= expect(other, n, names && i > 10 ? "D" : "E-", "with a wrong byte");
		}
	}
	return good;
}

/* Each number in turn replaced. */
static bool with_numbers(const struct command *c, const char *number, bool prefix, const char *classes)
{
	bool good = true;

	for (const char *mark = strchr(c->packet, '<'); mark; mark = strchr(mark + 1, '<')) {
		char other[256];
		size_t n = 0;

		for (const char *p = c->packet; *p; p++) {
			if (p == mark) {
				n += (size_t)snprintf(other + n, sizeof(other) - n, "%s", number);
				if (!prefix)
					p = strchr(p, '>');
			} else if (!strchr("<>~", *p)) {
				other[n++] = *p;
			}
		}
		good &= expect(other, n, classes, number);
	}
	return good;
}

static void test_command(const struct command *c)
{
	char packet[128], whole[2] = {0};
	size_t any, n = plain(c, packet, &any);
	bool names = !strncmp(packet, "qSupported", 10);

	packet[n] = '\0';
	whole[0] = c->prefixes[strlen(c->prefixes) - 1];
	tap_ok(truncated(c, packet, n), "cut off anywhere: %s", packet);
	tap_ok(with_junk(c, packet, n), "followed by junk: %s", packet);
	tap_ok(spoilt(packet, n, any, names), "a wrong byte anywhere: %s", packet);
	tap_ok(with_numbers(c, "fffffffffffffffff", false, "E") && with_numbers(c, "10000000000000000", false, "E") &&
			with_numbers(c, "-2", false, "E") && with_numbers(c, "", false, "E-DBR"),
		"numbers of 17 digits, negative ones, none: %s", packet);
	/* Sixteen are a number, if seldom a good one. */
	tap_ok(with_numbers(c, "ffffffffffffffff", false, "E-ODRB"), "a very large number: %s", packet);
	tap_ok(with_numbers(c, "0000000000000000000000", true, whole), "leading zeros: %s", packet);
}

/* ---- what no rule makes ---- */

static void test_others(void)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		const char *packet = others[i].ask;

		tap_ok(expect(packet, strlen(packet), (char[]){others[i].class, 0}, "reply"), "%s: %c", packet,
			others[i].class);
	}
}

/* ---- a packet that does several things ---- */

/* The fake refuses a value of its flags, the fifth register: what a G wrote before that is taken back. */
static int stubborn_write(void *t, int cpu, unsigned reg, const void *buf, size_t len)
{
	if (reg == FAKE_FLAGS)
		return -EINVAL;
	return fake_reg_write(t, cpu, reg, buf, len);
}

static void test_all_registers(void)
{
	static struct gdb_base_ops ops;
	char old[256], changed[256];

	fresh = false;
	start();
	snprintf(old, sizeof(old), "G%s", ask("g"));
	tap_ok(expect(old, strlen(old), "O", "G"), "what g gave is taken back by G");
	for (size_t k = 1; k < strlen(old); k++) {
		memcpy(changed, old, sizeof(old));
		changed[k] = 'x';
		if (!expect(changed, strlen(old), "E", "G with a wrong digit"))
			break;
		if (!expect(old, k, "E", "G that is too short"))
			break;
	}
	tap_ok(!machine_changed(), "nor does a wrong digit or length in G change a register");
	ops = fake_base_ops;
	ops.reg_write = stubborn_write;
	if (d.s)
		driver_end();
	d.target = fake_target(&d.fake);
	d.target.base = &ops;
	d.s = gdb_session_new(&d.target);
	stop_signal(0, 2);
	ask("QStartNoAckMode");
	ask(GDB_OLD);
	before = d.fake;
	tap_is_str(ask(old), "OK", "a register that keeps its value may be one that takes none");
	memcpy(changed, old, sizeof(old));
	for (size_t k = 1; k < strlen(old); k++)
		changed[k] = '5';
	tap_is_str(ask(changed), "E.a register cannot take its value: nothing was changed", "one that takes none");
	tap_ok(!machine_changed(), "and nothing was");
	driver_end();
	fresh = false;
}

/* A machine that does not resume stays where it is. */
static void test_refused_resume(void)
{
	static const char *const packets[] = {"c", "s", "c12345", "s12345", "C05;12345", "vCont;c", "vCont;s:1"};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		fresh = false;
		start();
		d.fake.resume_result = before.resume_result = -EBUSY;
		tap_ok(expect(packets[i], strlen(packets[i]), "E", "refused"), "not resumed, not moved: %s",
			packets[i]);
		fresh = false;
	}
}

/* ---- stops ---- */

static void test_stops(void)
{
	driver_end();
	driver_start(GDB_OLD);
	tap_is_str(stop_signal(1, 5), NULL, "a stop that nobody waits for is not sent");
	tap_is_str(ask("qC"), "QC1", "and selects nothing");
	tap_is_str(ask("c"), NULL, "a resume has no reply");
	tap_is_str(ask("qC"), NULL, "nor has what comes while it runs");
	tap_is_str(stop_signal(1, 5), "T05thread:2;02:2222222222222222;03:2323232323232323;|QC2",
		"but the stop, once, and then what waited");
	tap_is_str(stop_signal(2, 5), NULL, "a second stop is not sent");
	tap_ok(!strncmp(ask("?"), "T05thread:2;", 12), "and a repeated question has the first one");
	driver_end();
	d.target = fake_target(&d.fake);
	d.s = gdb_session_new(&d.target);
	tap_is_str(stop_signal(0, 2), NULL, "the first stop goes to nobody who did not ask");
	driver_end();
}

int main(void)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		test_command(&commands[i]);
	test_others();
	test_all_registers();
	test_refused_resume();
	test_stops();
	return tap_done();
}
