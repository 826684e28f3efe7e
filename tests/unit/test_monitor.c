/* gdb's `monitor`: every command, and lines that are none. */
#include "tests/unit/monitor_driver.h"

static void test_monitor(void)
{
	driver_start(GDB_OLD);
	tap_ok(strstr(monitor("help"), "gva2gpa"), "help");
	tap_is_str(monitor("info version"), "minivmm, a KVM machine (fake)\n", "version");
	tap_is_str(monitor("  info   version "), "minivmm, a KVM machine (fake)\n", "spaces do not matter");
	tap_is_str(monitor("info cpus"),
		"* CPU 0 (thread 1): stopped\n  CPU 1 (thread 2): halted <&>\n  CPU 2 (thread 3): halted <&>\n",
		"CPUs");
	tap_is_str(monitor("info registers"),
		"CPU#0\nR0=1010101010101010 R1=1111111111111111 PC=1212121212121212 SP=1313131313131313\n"
		"FLAGS=14141414\nVEC0=15151515151515151515151515151515\n"
		"CTL=1616161616161616 MISSING=unavailable\n",
		"registers");
	tap_ok(!strstr(monitor("info registers"), "ABSENT"), "but not those of an absent feature");
	tap_ok(strstr(monitor("info registers -a"), "CPU#2\nR0=3030303030303030"), "registers of all CPUs");
	tap_is_str(monitor("info breakpoints"), "no breakpoints are inserted\n", "no breakpoints");
	ask("Z0,10010,1");
	tap_is_str(monitor("info breakpoints"), "breakpoint 0 at 0x10010\n", "one breakpoint");
	tap_is_str(monitor("xp 0x8000"), "0000000000008000: 0x150e0700\n", "physical memory");
	tap_is_str(monitor("xp/2xg 32768"), "0000000000008000: 0x312a231c150e0700 0x69625b544d463f38\n", "in any size");
	tap_is_str(monitor("xp /18xb 0x8000"),
		"0000000000008000: 0x00 0x07 0x0e 0x15 0x1c 0x23 0x2a 0x31 0x38 0x3f 0x46 0x4d 0x54 0x5b 0x62 0x69\n"
		"0000000000008010: 0x70 0x77\n",
		"in lines");
	tap_is_str(monitor("xp 0"), "0x0 is not RAM\n", "where no RAM is");
	tap_ok(strstr(monitor("xp"), "usage"), "xp without an address");
	tap_ok(strstr(monitor("xp /4z 0"), "usage"), "xp in an unknown format");
	tap_ok(strstr(monitor("xp /99999999999999999999b 0"), "usage"), "xp with an absurd count");
	tap_ok(strstr(monitor("xp /100000b 0x8000"), "1 to"), "xp with a large count");
	tap_ok(strstr(monitor("xp /0b 0x8000"), "1 to"), "xp of nothing");
	tap_is_str(monitor("gva2gpa 0x10123"), "gpa: 0x8123 (writable, 0xedd bytes to the end of the page)\n",
		"translation");
	tap_is_str(monitor("gva2gpa 0x1"), "Unmapped\n", "of an address that leads nowhere");
	tap_ok(strstr(monitor("gva2gpa x"), "usage"), "of no address");
	tap_ok(strstr(monitor("bogus"), "unknown command: bogus"), "an unknown command");
	tap_ok(strstr(monitor("helpme"), "unknown command"), "a command's name is a whole word");
	tap_ok(strstr(monitor(""), "monitor help"), "no command");
	tap_ok(strstr(monitor("info fault now"), "no argument"), "an argument too many");
	tap_is_str(ask("qRcmd,6"), "E22", "half a byte");
	tap_is_str(ask("qRcmd,zz"), "E22", "no hex");
	tap_is_str(ask("qRcmd,00"), "E22", "a zero byte");
	tap_ok(!d.fake.kills && strstr(monitor("quit"), "ends") && d.fake.kills == 1, "quit");
	tap_ok(gdb_session_gone(d.s), "is the end");
	driver_end();
}

int main(void)
{
	test_monitor();
	return tap_done();
}
