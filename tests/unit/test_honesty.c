/*
 * Every command of the stub against what can be wrong with a packet. The rules: exactly one reply to each packet that
 * has one; malformed is an error and unknown is empty; after either nothing has changed.
 */
#include <ctype.h>

#include "tests/unit/session_driver.h"

/*
 * What a reply is:
 *	-	empty			D	data
 *	E	an error		R	none: it runs
 *	O	OK			K	none: the session is over
 *	B	OK, and it is over
 */
struct command {
	/* Well formed. Numbers stand in <>; a '~' is where bytes begin that may be any. */
	const char *packet;
	/* The reply to its first 0, 1, 2... bytes, the whole packet last. */
	const char *prefixes;
	char junk; /* the reply when something follows that does not belong to it */
};

static const struct command commands[] = {
	{"?", "-D", '-'},
	{"g", "-D", '-'},
	{"G~", "-E", 'E'},
	{"p<1>", "-ED", 'E'},
	{"P<0>=1122334455667788", "-EEEEEEEEEEEEEEEEEEO", 'E'},
	{"m<10000>,<10>", "-EEEEEEEDD", 'E'},
	{"x<10000>,<10>", "-EEEEEEEDD", 'E'},
	{"M<10000>,<2>:abcd", "-EEEEEEEEEEEEO", 'E'},
	{"X<10000>,<2>:~ab", "-EEEEEEEEEEO", 'E'},
	{"Hg<2>", "-EEO", 'E'},
	{"Hc<2>", "-EEO", 'E'},
	{"T<3>", "-EO", 'E'},
	{"vCont?", "-----ED", '-'},
	{"vCont;c:<1>;s:<2>", "-----EERERERER", 'E'},
	{"vCont;r<10>,<20>:<1>", "-----EEEEEERRER", 'E'},
	{"c<10000>", "-RRRRRR", 'E'},
	{"s<10000>", "-RRRRRR", 'E'},
	{"C05;<10000>", "-EERERRRRR", 'E'},
	{"S05;<10000>", "-EERERRRRR", 'E'},
	{"Z<0>,<10000>,<1>", "-EEEEEEEEEO", 'E'},
	{"Z<1>,<10000>,<1>", "-EEEEEEEEEO", 'E'},
	{"Z<2>,<10000>,<8>", "-EEEEEEEEEO", 'E'},
	{"z<0>,<10100>,<1>", "-EEEEEEEEEO", 'E'}, /* one is there */
	{"D", "-B", 'E'},
	{"D;<1>", "-BEB", 'E'},
	{"k", "-K", '-'},
	{"vKill;<1>", "-----EEB", 'E'},
	{"qSupported:swbreak+", "----------DDDDDDDDDD", 'D'},
	{"QStartNoAckMode", "---------------O", '-'},
	{"qC", "--D", '-'},
	{"qfThreadInfo", "------------D", '-'},
	{"qsThreadInfo", "------------D", '-'},
	{"qThreadExtraInfo,<2>", "----------------EED", 'E'},
	{"qAttached:<1>", "---------DDD", 'E'},
	{"qSymbol::", "-------EEO", 'E'},
	{"qXfer:features:read:target.xml:<0>,<10>", "-------------------EEEEEEEEEEEEEEEDD", 'E'},
	{"qXfer:threads:read::<0>,<10>", "------------------EEEEEDD", 'E'},
	{"qXfer:memory-map:read::<0>,<10>", "---------------------EEEEEDD", 'E'},
	{"qSearch:memory:<10000>;<10>;~ab", "--------------EEEEEEEEEEEDD", 'D'},
	{"qCRC:<10000>,<10>", "--D-EEEEEEEEDD", 'E'},
	{"qRcmd,76657273696f6e", "-----DDEDEDEDEDEDEDED", 'E'},
	{"qqemu.PhyMemMode", "----------------D", '-'},
	{"Qqemu.PhyMemMode:1", "----------------EEO", 'E'},
	{"qqemu.sstepbits", "-----------D---D", '-'},
	{"Qqemu.sstepbits", "---------------D", '-'},
	{"qqemu.sstep", "-----------D", '-'},
	{"Qqemu.sstep=<7>", "------------EO", 'E'},
	{"qHostInfo", "---------D", '-'},
	{"qProcessInfo", "------------D", '-'},
	{"qRegisterInfo<1>", "-------------ED", 'E'},
	{"QEnableErrorStrings", "-------------------O", '-'},
	{"QListThreadsInStopReply", "-----------------------O", '-'},
	{"QThreadSuffixSupported", "----------------------O", '-'},
};

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
		static const char bytes[] = {'!', ' ', '\0', '\xff', '\n'};

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

struct exchange {
	const char *ask;
	char class;
};

static const struct exchange others[] = {
	/* threads that are not there; the forms with a process are not ours: qSupported has no multiprocess */
	{"Hg4", 'E'},
	{"Hg7fffffff", 'E'},
	{"Hg80000000", 'E'},
	{"Hg-1", 'O'},
	{"Hg0", 'O'},
	{"Hgp1.1", 'E'},
	{"Hgp1.-1", 'E'},
	{"Hx1", 'E'},
	{"T0", 'E'},
	{"T-1", 'E'},
	{"T4", 'E'},
	{"Tp1.1", 'E'},
	{"qThreadExtraInfo,0", 'E'},
	{"qThreadExtraInfo,-1", 'E'},
	{"qThreadExtraInfo,4", 'E'},
	{"vCont;c:4", 'E'},
	{"vCont;c:-1", 'R'},
	{"vCont;c:p1.1", 'E'},
	{"vCont;c:p1.-1", 'E'},
	{"vCont;s:1;c:4", 'E'},
	{"vCont;s:1;q", 'E'},
	{"vCont;t", 'E'},
	{"vCont;", 'E'},
	{"vCont;c;", 'E'},
	{"D;0", 'E'},
	{"vKill;0", 'E'},
	/* lengths */
	{"m10000,ffffffffffffffff", 'D'},
	{"x10000,ffffffffffffffff", 'D'},
	{"mffffffffffffffff,2", 'E'},
	{"M10000,ffffffffffffffff:00", 'E'},
	{"M10000,8000000000000001:0000", 'E'},
	{"X10000,ffffffffffffffff:a", 'E'},
	{"M10000,1:0", 'E'},
	{"M10000,1:0g", 'E'},
	{"M10000,2:000g", 'E'},
	/* half of it is there */
	{"M4fffe,4:01020304", 'E'},
	{"X4fffe,4:abcd", 'E'},
	{"Mfffe,4:01020304", 'E'},
	{"Mffffffffffffffff,2:0102", 'E'},
	{"M4fffe,2:0102", 'O'},
	/* registers */
	{"p7", 'D'},
	{"p8", 'E'},
	{"qRegisterInfo7", 'D'},
	{"qRegisterInfo8", 'E'},
	{"P8=00", 'E'},
	{"P7=0000000000000000", 'E'},
	{"P6=ff00000000000000", 'E'},
	{"P0=11", 'E'},
	{"P0=11223344556677889", 'E'},
	{"P0=112233445566778899", 'E'},
	{"P0=112233445566778g", 'E'},
	/* breakpoints */
	{"Z5,10000,1", '-'},
	{"z5,10000,1", '-'},
	{"Z0,10000,100000000", 'E'},
	{"Z0,0,1", 'E'},
	{"Z0,10000,1;X1,22", 'E'},
	{"z0,10000,1", 'E'},
	{"z1,10100,1", 'E'},
	{"z0,10100,2", 'E'},
	/* modes */
	{"Qqemu.PhyMemMode:2", 'E'},
	{"Qqemu.sstep=3", 'E'},
	{"Qqemu.sstep=0x7", 'O'},
	{"qSymbol:1:61", 'E'},
	/* others' */
	{"", '-'},
	{"!bang", '-'},
	{"qTStatus", '-'},
	{"QTBuffer:size:1", '-'},
	{"QTinit", '-'},
	{"qTfV", '-'},
	{"qL1200000000000000000", '-'},
	{"vMustReplyEmpty", '-'},
	{"QNonStop:1", '-'},
	{"QAgent:1", '-'},
	{"qXfer:auxv:read::0,100", '-'},
	{"qXfer:exec-file:read::0,100", '-'},
	{"vFile:setfs:0", '-'},
	{"vAttach;1", '-'},
	{"jThreadsInfo", '-'},
	{"qMemoryRegionInfo:0", '-'},
	{"qGetWorkingDir", '-'},
	{"qShlibInfoAddr", '-'},
	{"qVAttachOrWaitSupported", '-'},
	{"_M1000,rwx", '-'},
	{"b", '-'},
	{"bs", '-'},
	{"t", '-'},
	{"i", '-'},
};

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
