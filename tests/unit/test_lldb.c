/* What lldb asks beyond gdb's protocol. */
#include "tests/unit/session_driver.h"

#define HELLO "qSupported:xmlRegisters=i386,arm,mips,arc;multiprocess+;fork-events+;vfork-events+"
#define FAKE  "66616b65" /* the ISA's name in hex */

static void test_infos(void)
{
	driver_start(HELLO);
	tap_is_str(ask("qHostInfo"), "triple:" FAKE ";endian:little;ptrsize:8;", "qHostInfo");
	tap_is_str(ask("qProcessInfo"), "pid:1;triple:" FAKE ";endian:little;ptrsize:8;", "qProcessInfo");
	tap_ok(!strstr(ask(HELLO), "memory-map"), "no map that has no free place in it");
	driver_end();
}

static void test_register_info(void)
{
	driver_start(HELLO);
	tap_is_str(ask("qRegisterInfo0"), "name:r0;bitsize:64;offset:0;encoding:uint;format:hex;set:general;",
		"the first register");
	tap_is_str(ask("qRegisterInfo4"), "name:flags;bitsize:32;offset:32;encoding:uint;format:hex;set:general;",
		"a short one");
	tap_is_str(ask("qRegisterInfo5"),
		"name:vec0;bitsize:128;offset:36;encoding:vector;format:vector-uint8;set:vector;", "a long one");
	tap_is_str(ask("qRegisterInfo8"), "E02", "the end");
	driver_end();
}

static void test_errors(void)
{
	driver_start(HELLO);
	tap_is_str(ask("m0,1"), "E14", "an error by number");
	tap_is_str(ask("QEnableErrorStrings"), "OK", "errors with text");
	tap_is_str(ask("m0,1"), "E14;61646472657373206973206e6f74206d6170706564", "number and text");
	tap_is_str(ask(HELLO), ask(HELLO), "another client");
	tap_is_str(ask("m0,1"), "E14", "starts without");
	driver_end();
}

static void test_thread_list(void)
{
	driver_start(HELLO);
	tap_is_str(ask("QListThreadsInStopReply"), "OK", "threads in stop replies");
	ask("vCont;c");
	tap_is_str(stop_signal(1, 5),
		"T05thread:2;threads:1,2,3;thread-pcs:1212121212121212,2222222222222222,3232323232323232;"
		"02:2222222222222222;03:2323232323232323;",
		"all threads and where they are");
	driver_end();
}

static void test_suffix(void)
{
	static const char *const bad[] = {"p0;thread:4;", "p0;thread:0;", "p0;thread:-1;", "p0;thread:;",
		"p0;thread:x;", "p0;thread:1;x", "P0=1122334455667788;thread:4;", "g;thread:p1.1;", "p0;",
		"p;thread:1;"};

	driver_start(HELLO);
	tap_is_str(ask("p0;thread:0002;"), "E22", "a suffix that was not agreed on");
	tap_is_str(ask("QThreadSuffixSupported"), "OK", "suffixes");
	tap_is_str(ask("p0;thread:0002;"), "2020202020202020", "p of another thread");
	tap_is_str(ask("p0;thread:3"), "3030303030303030", "without the last semicolon");
	tap_is_str(ask("p0"), "1010101010101010", "the selected one is the same as before");
	tap_is_str(ask("P0=1122334455667788;thread:2;"), "OK", "P");
	tap_is_mem(d.fake.reg[1][FAKE_R0], "\x11\x22\x33\x44\x55\x66\x77\x88", 8, "and what it wrote");
	tap_is_mem(d.fake.reg[0][FAKE_R0], "\x10\x10\x10\x10\x10\x10\x10\x10", 8, "and what it did not");
	tap_ok(!strncmp(ask("g;thread:3;"), "3030303030303030", 16), "g");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(ask(bad[i])[0] == 'E', "refused: %s", bad[i]);
	ask("QEnableErrorStrings");
	tap_is_str(ask("p0;thread:x;"), "E22;6d616c666f726d65642074687265616420737566666978", "malformed, and told so");
	tap_is_str(ask("p0;thread:4;"), "E03;6e6f207375636820435055", "no such CPU");
	tap_is_str(ask("qC"), "QC1", "the selected one is still the same");
	driver_end();
}

int main(void)
{
	test_infos();
	test_register_info();
	test_errors();
	test_thread_list();
	test_suffix();
	return tap_done();
}
