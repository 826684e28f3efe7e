/* Every command, well formed and not, as a client sends it: what comes back, and what the machine was asked for. */
#include "tests/unit/session_driver.h"

struct exchange {
	const char *ask, *reply;
};

/* Each exchange is a check; the machine stays stopped. */
static void run_exchanges(const char *what, const struct exchange *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		tap_is_str(ask(x[i].ask), x[i].reply, "%s: %.60s", what, x[i].ask);
}

#define EXCHANGES(what, x) run_exchanges(what, x, sizeof(x) / sizeof((x)[0]))

/* ---- registers ---- */

static void test_registers(void)
{
	static const struct exchange good[] = {
		{"g", "101010101010101011111111111111111212121212121212131313131313131314141414151515151515151515151515"
		      "15"
		      "151515"},
		{"p0", "1010101010101010"},
		{"p4", "14141414"},
		{"p5", "15151515151515151515151515151515"},
		{"p6", "1616161616161616"},
		{"p7", "xxxxxxxxxxxxxxxx"},
		{"P0=0102030405060708", "OK"},
		{"p0", "0102030405060708"},
		{"P6=1700000000000000", "OK"},
		{"p6", "1700000000000000"},
		{"Hg2", "OK"},
		{"p0", "2020202020202020"},
		{"P0=0000000000000000", "OK"},
		{"p0", "0000000000000000"},
		{"Hg1", "OK"},
		{"p0", "0102030405060708"},
	};
	static const struct exchange bad[] = {
		{"p", "E.malformed register number"},
		{"pz", "E.malformed register number"},
		{"p1,", "E.malformed register number"},
		{"p8", "E.no such register"},
		{"pffffffffffffffff", "E.no such register"},
		{"p10000000000000001", "E.malformed register number"},
		{"P", "E.malformed register number"},
		{"P0", "E.malformed register number"},
		{"P0=", "E.wrong length of the register's value"},
		{"P0=00", "E.wrong length of the register's value"},
		{"P0=000000000000000000", "E.wrong length of the register's value"},
		{"P0=00000000000000zz", "E.not all of it is hex digits"},
		{"P6=ff00000000000000", "E.the hardware cannot take this value"},
		{"P7=0000000000000000", "E.this host lacks the register"},
		{"P8=00", "E.no such register"},
		{"P8=0000000000000000", "E.no such register"},
		{"p9", "E.no such register"},
		{"P9=00", "E.no such register"},
		{"G", "E.wrong length of the register packet"},
		{"G00", "E.wrong length of the register packet"},
		{"gg", ""},
	};
	char all[1 + 2 * (4 * 8 + 4 + 16) + 1];

	driver_start(GDB_OLD);
	EXCHANGES("registers", good);
	EXCHANGES("bad register packets", bad);
	memset(all, '0', sizeof(all) - 1);
	all[0] = 'G';
	all[sizeof(all) - 1] = '\0';
	tap_is_str(ask(all), "OK", "all registers at once");
	tap_is_mem(d.fake.reg[0][FAKE_VEC], (uint8_t[16]){0}, 16, "the last one of them is written");
	tap_is_u64(d.fake.reg[0][FAKE_CTL][0], 0x17, "the ones behind it are not");
	driver_end();
}

/* ---- memory ---- */

static void test_memory(void)
{
	static const struct exchange good[] = {
		{"m10000,4", "00070e15"},
		{"m10000,0", ""},
		{"M10000,3:aabbcc", "OK"},
		{"m10000,4", "aabbcc15"},
		{"M10000,0:", "OK"},
		{"X10000,0:", "OK"},
		{"X10000,2:xy", "OK"},
		{"m10000,4", "7879cc15"},
		{"x10000,2", "bxy"},
		{"x10000,0", "b"},
		{"m4fffe,8", "f1f8"},
		{"x4ffff,10", "b\xf8"},
		{"qqemu.PhyMemMode", "0"},
		{"Qqemu.PhyMemMode:1", "OK"},
		{"qqemu.PhyMemMode", "1"},
		{"m8000,2", "7879"},
		{"M8000,1:21", "OK"},
		{"m10000,1", "80"},
		{"Qqemu.PhyMemMode:0", "OK"},
		{"m10000,1", "21"},
	};
	static const struct exchange bad[] = {
		{"m", "E22"},
		{"m1", "E22"},
		{"m1,", "E22"},
		{"m,1", "E22"},
		{"m1;1", "E22"},
		{"m1,1x", "E22"},
		{"mxyz,1", "E22"},
		{"m11111111111111111,1", "E22"},
		{"m1,11111111111111111", "E22"},
		{"m0,4", "E14"},
		{"m50000,1", "E14"},
		{"mffffffffffffffff,ffffffffffffffff", "E14"},
		{"x0,4", "E14"},
		{"x", "E22"},
		{"xz,1", "E22"},
		{"M", "E.malformed address or length"},
		{"M10000,1", "E.malformed address or length"},
		{"M10000,1:", "E.length and data differ"},
		{"M10000,1:0", "E.length and data differ"},
		{"M10000,1:0g", "E.length and data differ"},
		{"M10000,1:0000", "E.length and data differ"},
		{"M10000,2:00", "E.length and data differ"},
		{"M10000,ffffffffffffffff:00", "E.length and data differ"},
		{"M0,1:00", "E.address is not mapped"},
		{"M4ffff,2:0000", "E.address is not mapped"},
		{"X", "E.malformed address or length"},
		{"X10000,1:", "E.length and data differ"},
		{"X10000,1:ab", "E.length and data differ"},
		{"X0,1:a", "E.address is not mapped"},
		{"Qqemu.PhyMemMode", "E22"},
		{"Qqemu.PhyMemMode:2", "E22"},
		{"Qqemu.PhyMemMode:10", "E22"},
	};

	driver_start(GDB_OLD);
	EXCHANGES("memory", good);
	EXCHANGES("bad memory packets", bad);
	ask("Hg3");
	ask("m10000,1");
	tap_is_u64((uint64_t)d.fake.last_mem_cpu, 2, "memory as the selected CPU sees it");
	tap_is_u64(strlen(ask("m10000,10000")), GDB_PACKET_MAX, "the largest hex read");
	tap_is_u64(strlen(ask("m10000,10001")), GDB_PACKET_MAX, "one that is larger comes back shorter");
	driver_send("x10000,1ffff", 12);
	tap_is_u64(d.text.len, GDB_PACKET_MAX + 1, "the largest binary read");
	driver_send("x10000,ffffffffff", 17);
	tap_is_u64(d.text.len, GDB_PACKET_MAX + 1, "one that is larger comes back shorter");
	tap_ok(d.text.data[0] == 'b' && !memcmp(d.text.data + 1, d.fake.mem, GDB_PACKET_MAX - 1), "and is right");
	driver_end();
}

static void test_big_write(void)
{
	static uint8_t packet[GDB_PACKET_MAX + 1];
	int head = snprintf((char *)packet, 32, "X10000,%x:", GDB_PACKET_MAX - 13);

	driver_start(GDB_OLD);
	for (size_t i = (size_t)head; i < sizeof(packet); i++)
		packet[i] = (uint8_t)(i >> 4);
	tap_is_str(driver_send(packet, GDB_PACKET_MAX), "OK", "a write as large as a packet can be (head %d)", head);
	tap_is_mem(d.fake.mem, packet + head, GDB_PACKET_MAX - (size_t)head, "every byte of it");
	tap_is_str(driver_send(packet, GDB_PACKET_MAX + 1), "E90", "a packet one byte too long");
	tap_is_str(ask("m10000,1"), "00", "the session goes on");
	driver_end();
}

/* ---- threads, queries ---- */

static void test_threads(void)
{
	static const struct exchange all[] = {
		{"qfThreadInfo", "m1,2,3"},
		{"qsThreadInfo", "l"},
		{"qC", "QC1"},
		{"Hg3", "OK"},
		{"qC", "QC3"},
		{"Hg0", "OK"},
		{"Hg-1", "OK"},
		{"qC", "QC3"},
		{"Hc0", "OK"},
		{"Hc-1", "OK"},
		{"Hc2", "OK"},
		{"Hg4", "E03"},
		{"Hc4", "E03"},
		{"Hg", "E22"},
		{"H", "E22"},
		{"Hx1", "E22"},
		{"Hg1x", "E22"},
		{"Hg-2", "E22"},
		{"Hgffffffffff", "E22"},
		{"T1", "OK"},
		{"T3", "OK"},
		{"T4", "E03"},
		{"T0", "E03"},
		{"T-1", "E03"},
		{"T", "E22"},
		{"T1,", "E22"},
		{"Hgp1.1", "E22"},
		{"qThreadExtraInfo,1", "435055203020"
				       "73746f70706564"},
		{"qThreadExtraInfo,4", "E03"},
		{"qThreadExtraInfo", "E22"},
		{"qThreadExtraInfo,x", "E22"},
		{"qAttached", "1"},
		{"qAttached:1", "1"},
		{"qSymbol::", "OK"},
		{"qOffsets", ""},
		{"qTStatus", ""},
		{"vMustReplyEmpty", ""},
		{"", ""},
		{"vFile:setfs:0", ""},
		{"qSupportedX", ""},
		{"qCx", ""},
		{"vContx", ""},
		{"qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4"},
		{"qqemu.sstep", "0x7"},
		{"Qqemu.sstep=7", "OK"},
		{"Qqemu.sstep=0x7", "OK"},
		{"Qqemu.sstep=1", "E22"},
		{"Qqemu.sstep=", "E22"},
		{"vCont?", "vCont;c;C;s;S;t;r"},
	};

	driver_start(GDB_OLD);
	EXCHANGES("threads and queries", all);
	driver_end();
}

static void test_xfer(void)
{
	static const char threads[] =
		"l<?xml version=\"1.0\"?>\n<threads>\n<thread id=\"1\" name=\"CPU 0\">stopped</thread>\n"
		"<thread id=\"2\" name=\"CPU 1\">halted &lt;&amp;&gt;</thread>\n"
		"<thread id=\"3\" name=\"CPU 2\">halted &lt;&amp;&gt;</thread>\n</threads>\n";
	static const struct exchange bad[] = {
		{"qXfer:features:read", "E.malformed qXfer"},
		{"qXfer:features:read:", "E.malformed qXfer"},
		{"qXfer:features:read:target.xml", "E.malformed qXfer"},
		{"qXfer:features:read:target.xml:", "E.malformed qXfer"},
		{"qXfer:features:read:target.xml:0", "E.malformed qXfer"},
		{"qXfer:features:read:target.xml:0,", "E.malformed qXfer"},
		{"qXfer:features:read:target.xml:0,1,", "E.malformed qXfer"},
		{"qXfer:features:read:other.xml:0,1", "E.there is only target.xml"},
		{"qXfer:features:read::0,1", "E.there is only target.xml"},
		{"qXfer:features:read:target.xml:ffffff,1", "E.offset past the end"},
		{"qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff", "E.offset past the end"},
		{"qXfer:threads:read:x:0,1", "E.malformed qXfer"},
		{"qXfer:memory-map:read:x:0,1", "E.malformed qXfer"},
		{"qXfer:features:write:target.xml:0:x", ""},
	};
	struct gdb_buf whole = {0};
	char packet[64];
	const char *piece;

	driver_start(GDB_OLD);
	EXCHANGES("bad qXfer", bad);
	tap_is_str(ask("qXfer:threads:read::0,1000"), threads, "the list of threads");
	do {
		snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,64", whole.len);
		piece = ask(packet);
		gdb_buf_puts(&whole, piece + 1);
	} while (piece[0] == 'm');
	tap_ok(piece[0] == 'l', "target.xml in pieces comes to an end");
	piece = ask("qXfer:features:read:target.xml:0,fffff");
	tap_ok(piece[0] == 'l' && strlen(piece + 1) == whole.len && !memcmp(piece + 1, whole.data, whole.len),
		"and is the same in one piece");
	snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,10", whole.len);
	tap_is_str(ask(packet), "l", "at its end is nothing");
	gdb_buf_free(&whole);
	driver_end();
}

static void test_supported(void)
{
	driver_start(NULL);
	tap_is_str(ask("qSupported"),
		"PacketSize=20000;QStartNoAckMode+;vContSupported+;binary-upload+;qXfer:features:read+;"
		"qXfer:threads:read+;swbreak+;hwbreak+",
		"features");
	tap_ok(strstr(ask(GDB_OLD), ";qXfer:memory-map:read+"), "a gdb is offered a map of memory");
	ask("qSupported");
	tap_is_str(ask("Z0,0,1"), "E14", "a client that is no gdb gets errors by number");
	ask("qSupported:error-message+");
	tap_is_str(ask("m0,1"), "E.address is not mapped", "one that asks for it gets all errors as text");
	ask("qSupported:xerror-message+;error-message-;swbreak");
	tap_is_str(ask("m0,1"), "E14", "features are whole words");
	driver_end();
	d.target = fake_target(&d.fake);
	d.target.breaks = NULL;
	d.target.phys = NULL;
	d.target.info = NULL;
	d.s = gdb_session_new(&d.target);
	stop_signal(0, 2);
	ask("QStartNoAckMode");
	tap_is_str(ask("qSupported"),
		"PacketSize=20000;QStartNoAckMode+;vContSupported+;binary-upload+;qXfer:features:read+;"
		"qXfer:threads:read+",
		"features of a target without breakpoints");
	tap_is_str(ask("Z0,10000,1"), "", "which does not know them");
	tap_is_str(ask("qqemu.PhyMemMode"), "", "nor physical memory");
	tap_ok(ask("qRcmd,78702030")[0] != 'E', "monitor commands without their groups");
	ask("qRcmd,696e666f206661756c74");
	ask("qRcmd,696e666f20627265616b706f696e7473");
	ask("qRcmd,6776613267706120"
	    "30");
	driver_end();
}

/* ---- breakpoints ---- */

static void test_breaks(void)
{
	static const struct exchange all[] = {
		{"Z0,10000,1", "OK"},
		{"Z1,10010,1", "OK"},
		{"Z2,10020,8", "OK"},
		{"Z4,10030,4", "OK"},
		{"Z3,10040,4", "E.not inserted. no slot is left"},
		{"z2,10020,8", "OK"},
		{"Z3,10040,4", "OK"},
		{"z2,10020,8", "E.no such breakpoint"},
		{"z0,10000,1", "OK"},
		{"Z0,0,1", "E.not inserted. nothing is mapped there"},
		{"Z5,10000,1", ""},
		{"Zffffffff,10000,1", ""},
		{"z5,10000,1", ""},
		{"Z", "E.malformed breakpoint"},
		{"Z0", "E.malformed breakpoint"},
		{"Z0,", "E.malformed breakpoint"},
		{"Z0,10000", "E.malformed breakpoint"},
		{"Z0,10000,", "E.malformed breakpoint"},
		{"Z0,x,1", "E.malformed breakpoint"},
		{"Z0,10000,1ffffffff", "E.malformed breakpoint"},
		{"Z0,10000,1;X1,00", "E.conditions and commands at the target are not supported"},
		{"z", "E.malformed breakpoint"},
		{"z0,10000,1,", "E.malformed breakpoint"},
	};

	driver_start(GDB_OLD);
	EXCHANGES("breakpoints", all);
	driver_end();
}

/* ---- resuming ---- */

static const char kind_letter[] = "-csr";

/* What the machine was asked to do, a letter for each CPU; "" if nothing. Then it stops again. */
static const char *resumed(const char *packet)
{
	static char text[64];
	const char *reply = ask(packet);
	int before = d.fake.resumes;

	text[0] = '\0';
	if (reply) {
		snprintf(text, sizeof(text), "%s", reply);
		return text;
	}
	if (before && gdb_session_running(d.s)) {
		for (int i = 0; i < FAKE_CPUS; i++)
			text[i] = kind_letter[d.fake.action[i].kind];
		text[FAKE_CPUS] = '\0';
	}
	stop_signal(0, 5);
	return text;
}

static void test_vcont(void)
{
	static const struct exchange all[] = {
		{"vCont;c", "ccc"},
		{"vCont;s:1;c", "scc"},
		{"vCont;s:2;c:-1", "csc"},
		{"vCont;s:2", "-s-"},
		{"vCont;c:1;s:1;t", "c--"},
		{"vCont;t:1;c", "-cc"},
		{"vCont;C05:3;S0a:1", "s-c"},
		{"vCont;s", "sss"},
		{"vCont;r10000,10010:2;c", "crc"},
		{"vCont;c:0", "c--"},
		{"vCont;s:1;s:2;s:3", "sss"},
		{"vCont", "E.malformed vCont"},
		{"vCont;", "E.malformed vCont"},
		{"vCont;c;", "E.malformed vCont"},
		{"vCont;x", "E.malformed vCont"},
		{"vCont;c:", "E.malformed vCont"},
		{"vCont;c:x", "E.malformed vCont"},
		{"vCont;cc", "E.malformed vCont"},
		{"vCont;C", "E.malformed vCont"},
		{"vCont;C5", "E.malformed vCont"},
		{"vCont;Cxx", "E.malformed vCont"},
		{"vCont;r", "E.malformed vCont"},
		{"vCont;r1", "E.malformed vCont"},
		{"vCont;r1,", "E.malformed vCont"},
		{"vCont;s:1;c;x", "E.malformed vCont"},
		{"vCont;c:4", "E.no such CPU"},
		{"vCont;s:1;c:99", "E.no such CPU"},
		{"vCont;t", "E.no CPU is resumed by this"},
		{"vCont;t:1", "E.no CPU is resumed by this"},
		{"vCont;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c;c", "E.more actions than CPUs"},
	};
	int resumes;

	driver_start(GDB_OLD);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		tap_is_str(resumed(all[i].ask), all[i].reply, "resume: %s", all[i].ask);
	ask("vCont;r12340,ffffffff81000000:1");
	tap_ok(d.fake.action[0].lo == 0x12340 && d.fake.action[0].hi == 0xffffffff81000000, "the range to step in");
	stop_signal(0, 5);
	resumes = d.fake.resumes;
	d.fake.resume_result = -EBUSY;
	tap_is_str(ask("vCont;c"), "E.Device or resource busy", "a machine that cannot be resumed says so");
	tap_ok(!gdb_session_running(d.s) && d.fake.resumes == resumes, "and stays stopped");
	d.fake.resume_result = -ESHUTDOWN;
	tap_is_str(ask("vCont;c"), NULL, "one that is ending lets the client wait");
	tap_is_str(stop((struct gdb_stop){.kind = GDB_STOP_EXITED, .status = 3}), "W03", "for the end");
	driver_end();
}

static void test_legacy(void)
{
	static const struct exchange all[] = {
		{"c", "ccc"},
		{"s", "s--"},
		{"C05", "ccc"},
		{"S05", "s--"},
		{"c10000", "ccc"},
		{"C05;10000", "ccc"},
		{"cx", "E.malformed address"},
		{"c1,", "E.malformed address"},
		{"C", "E.malformed signal"},
		{"C5", "E.malformed signal"},
		{"C05,1", "E.malformed signal"},
		{"Sxx", "E.malformed signal"},
		{"S05;", "E.malformed signal"},
	};

	driver_start(GDB_OLD);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		tap_is_str(resumed(all[i].ask), all[i].reply, "without vCont: %s", all[i].ask);
	ask("s1122334455667788");
	tap_is_mem(d.fake.reg[0][FAKE_PC], "\x88\x77\x66\x55\x44\x33\x22\x11", 8, "the address to go on at");
	stop_signal(1, 5);
	tap_is_str(resumed("s"), "-s-", "a step is the stopped CPU's");
	ask("Hc3");
	tap_is_str(resumed("c"), "--c", "Hc's thread alone");
	tap_is_str(resumed("c"), "ccc", "until the next stop");
	driver_end();
}

/* ---- stop replies ---- */

#define REGS1 "02:1212121212121212;03:1313131313131313;"
#define REGS2 "02:2222222222222222;03:2323232323232323;"

static const char *stop_after_continue(struct gdb_stop st)
{
	ask("vCont;c");
	return stop(st);
}

static void test_stops(void)
{
	driver_start(GDB_OLD);
	tap_is_str(ask("?"), "T05thread:1;" REGS1, "the first stop is nobody's Ctrl-C");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_SWBREAK, .cpu = 1}),
		"T05swbreak:;thread:2;" REGS2, "a software breakpoint");
	tap_is_str(ask("qC"), "QC2", "selects its CPU");
	tap_is_str(ask("p0"), "2020202020202020", "also for registers");
	tap_is_str(ask("?"), "T05swbreak:;thread:2;" REGS2, "and can be asked for again");
	ask("P2=0000000000000000");
	tap_is_str(
		ask("?"), "T05swbreak:;thread:2;02:0000000000000000;03:2323232323232323;", "with the registers of now");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_HWBREAK}), "T05hwbreak:;thread:1;" REGS1,
		"a hardware breakpoint");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_WATCH, .access = HW_WRITE, .addr = 0x1f00}),
		"T05watch:1f00;thread:1;" REGS1, "a write watchpoint");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_WATCH, .access = HW_READ, .addr = 0x1f00}),
		"T05rwatch:1f00;thread:1;" REGS1, "a read watchpoint");
	tap_is_str(stop_after_continue(
			   (struct gdb_stop){.kind = GDB_STOP_WATCH, .access = HW_ACCESS, .addr = 0xffffffff81000000}),
		"T05awatch:ffffffff81000000;thread:1;" REGS1, "an access watchpoint");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 2}), "T02thread:1;" REGS1,
		"a Ctrl-C");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 5, .cpu = 77}),
		"T05thread:1;" REGS1, "a CPU that does not exist");
	tap_is_str(stop_signal(1, 5), NULL, "a second stop for one resume is not reported");
	tap_is_str(ask("?"), "T05thread:1;" REGS1, "nor remembered");
	driver_end();

	driver_start("qSupported:xmlRegisters=i386");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_SWBREAK}), "T05thread:1;" REGS1,
		"a reason that the client did not announce is left out");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_HWBREAK}), "T05thread:1;" REGS1,
		"either of them");
	driver_end();
}

static void test_fault(void)
{
	driver_start(GDB_OLD);
	tap_is_str(ask("qRcmd,696e666f206661756c74"), "6e6f6e653a20746865206d616368696e652063616e20676f206f6e0a",
		"no fault: none: the machine can go on");
	d.fake.fault = "CPU 0: bad";
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 4}),
		"O43505520303a206261640a|T04thread:1;" REGS1, "a fault's words go to the user first");
	tap_is_str(ask("qRcmd,696e666f206661756c74"), "43505520303a206261640a", "and can be asked for again");
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 2}), "T02thread:1;" REGS1,
		"but are not repeated with a Ctrl-C");
	driver_end();
	d.target = fake_target(&d.fake);
	d.fake.fault = "early";
	d.s = gdb_session_new(&d.target);
	tap_is_str(stop_signal(0, 6), NULL, "a fault before the client asked is not sent unasked");
	tap_is_str(ask("?"), "+T06thread:1;" REGS1, "it is told with ?");
	driver_end();
}

/* ---- the end ---- */

static void test_ends(void)
{
	driver_start(GDB_OLD);
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_EXITED, .status = 0x103}), "W03", "exited");
	tap_ok(gdb_session_gone(d.s), "gone after W");
	tap_is_str(ask("?"), NULL, "and silent");
	driver_end();
	driver_start(GDB_OLD);
	tap_is_str(stop_after_continue((struct gdb_stop){.kind = GDB_STOP_KILLED, .signo = 9}), "X09", "killed");
	tap_ok(gdb_session_gone(d.s), "gone after X");
	driver_end();
	driver_start(GDB_OLD);
	tap_is_str(stop((struct gdb_stop){.kind = GDB_STOP_EXITED}), NULL, "exited while stopped: nobody waits for it");
	tap_ok(gdb_session_gone(d.s), "gone");
	driver_end();
	driver_start(GDB_OLD);
	tap_is_str(ask("D"), "OK", "detach");
	tap_ok(gdb_session_gone(d.s) && d.fake.detaches == 1, "detached");
	driver_end();
	driver_start(GDB_OLD);
	tap_is_str(ask("D;1"), "OK", "detach with a process id");
	driver_end();
	driver_start(GDB_OLD);
	tap_is_str(ask("k"), NULL, "kill has no reply");
	tap_ok(gdb_session_gone(d.s) && d.fake.kills == 1, "killed once");
	ask("k");
	tap_is_u64((uint64_t)d.fake.kills, 1, "only once");
	driver_end();
	driver_start(GDB_OLD);
	tap_is_str(ask("vKill;1"), "OK", "vKill has one");
	tap_ok(gdb_session_gone(d.s) && d.fake.kills == 1 && !d.fake.detaches, "killed, not detached");
	driver_end();
}

int main(void)
{
	test_registers();
	test_memory();
	test_big_write();
	test_threads();
	test_xfer();
	test_supported();
	test_breaks();
	test_vcont();
	test_legacy();
	test_stops();
	test_fault();
	test_ends();
	return tap_done();
}
