/* Extended mode: ends that do not end the session, and beginnings. And what gdb sets for a process. */
#include "tests/unit/session_driver.h"

#define START_STOP "T05thread:1;"

static const char *ended(int status)
{
	return stop((struct gdb_stop){.kind = GDB_STOP_EXITED, .status = status, .stays = true});
}

static bool is_error(const char *reply)
{
	return reply && reply[0] == 'E';
}

static bool begins(const char *reply, const char *with)
{
	return reply && !strncmp(reply, with, strlen(with));
}

/* An extended session, the machine stopped. */
static void extended_start(void)
{
	driver_start(GDB_NEW);
	tap_is_str(ask("!"), "OK", "extended mode");
	tap_is_u64((uint64_t)d.fake.keeps, 1, "the target is told");
}

static void test_plain(void)
{
	driver_start(GDB_NEW);
	tap_ok(is_error(ask("vRun;")), "vRun outside of extended mode");
	tap_ok(is_error(ask("vAttach;1")), "vAttach as well");
	tap_is_str(ask("R00"), "", "R is unknown there");
	tap_is_u64((uint64_t)d.fake.restarts, 0, "nothing restarted");
	tap_is_str(ask("qAttached"), "1", "attached");
	ask("vCont;c");
	tap_is_str(stop((struct gdb_stop){.kind = GDB_STOP_EXITED, .status = 8}), "W08", "the machine's end");
	tap_ok(gdb_session_gone(d.s), "is the session's");
	driver_end();
}

static void test_no_life(void)
{
	d.target = fake_target(&d.fake);
	d.target.life = NULL;
	d.s = gdb_session_new(&d.target);
	stop((struct gdb_stop){.kind = GDB_STOP_SIGNAL, .signo = 2});
	ask("QStartNoAckMode");
	tap_is_str(ask("!"), "", "a target without lives has no extended mode");
	tap_is_str(ask("vRun;"), "", "no vRun");
	tap_is_str(ask("R00"), "", "no R");
	tap_is_str(ask("vAttach;1"), "", "no vAttach");
	driver_end();
}

static void test_run(void)
{
	extended_start();
	d.fake.program = "/k\xc3\xa9";
	tap_ok(!ask("vRun;"), "a run's reply is its stop");
	tap_is_u64((uint64_t)d.fake.restarts, 1, "restarted");
	tap_ok(begins(stop_signal(0, 2), START_STOP), "which is a trap, not an interrupt");
	tap_is_str(ask("qAttached"), "0", "gdb's own machine now: it kills what it has run");
	ask("vRun;2f6bc3a9");
	tap_ok(begins(stop_signal(0, 2), START_STOP), "--kernel's path is accepted");
	tap_is_str(ask("vRun;2f6b"),
		"E.only what --kernel names can be run: set remote exec-file to that or to nothing",
		"another name is not");
	tap_ok(is_error(ask("vRun;2f6bc3a900")), "a longer one neither");
	tap_ok(is_error(ask("vRun;2f6")), "half a byte");
	tap_ok(is_error(ask("vRun;xx")), "no hex");
	tap_is_str(ask("vRun;;61"), "E.a machine takes no arguments: a kernel's are given by --cmdline", "an argument");
	tap_ok(is_error(ask("vRun;;")), "an empty argument is one");
	tap_is_u64((uint64_t)d.fake.restarts, 2, "what was refused has not restarted anything");
	ask("vRun;");
	tap_ok(is_error(ended(4)), "a machine that could not be made is an error of vRun");
	tap_is_str(ask("?"), "W04", "and an end");
	d.fake.program = NULL;
	tap_ok(is_error(ask("vRun;61")), "the built-in guest has no name");
	d.fake.restart_result = -EIO;
	tap_ok(is_error(ask("vRun;")), "a restart that fails at once");
	tap_is_str(ask("?"), "W04", "changes nothing");
	driver_end();
}

static void test_restart(void)
{
	extended_start();
	tap_ok(!ask("R00"), "R has no reply");
	tap_ok(!ask("?"), "what follows waits");
	tap_ok(begins(stop_signal(0, 2), START_STOP), "and is answered by the new machine");
	tap_ok(!ask("R00"), "again");
	tap_ok(!ended(4), "a failure is not told");
	tap_is_str(ask("?"), "W04", "until somebody asks");
	tap_is_str(ask("vCont;c"), "W04", "or resumes what has ended");
	tap_is_str(ask("c"), "W04", "in any way");
	driver_end();
}

static void test_end(void)
{
	extended_start();
	ask("vCont;c");
	tap_is_str(ended(42), "W2a", "the guest's end");
	tap_ok(!gdb_session_gone(d.s), "is not the session's");
	tap_is_str(ask("?"), "W2a", "it is remembered");
	tap_is_str(ask("g"), "E.there is no machine: run starts one", "g");
	tap_ok(is_error(ask("m10000,4")), "m");
	tap_ok(is_error(ask("Z0,10000,1")), "Z0");
	tap_ok(is_error(ask("P0=00")), "P");
	tap_ok(is_error(ask("qAttached")), "qAttached");
	tap_ok(is_error(ask("vKill;1")), "vKill");
	tap_ok(is_error(ask("D")), "D");
	tap_ok(is_error(ask("vAttach;1")), "vAttach");
	tap_ok(!ask("k"), "k has no reply");
	tap_is_u64((uint64_t)d.fake.kills, 0, "and kills nobody");
	tap_is_str(ask("qfThreadInfo"), "l", "no threads");
	tap_ok(strstr(ask("qXfer:threads:read::0,1000"), "<thread ") == NULL, "none in XML");
	tap_is_str(ask("Hg0"), "OK", "Hg0");
	tap_ok(begins(ask("qSupported:swbreak+"), "PacketSize="), "qSupported");
	tap_is_str(ask("vCont?"), "vCont;c;C;s;S;t;r", "vCont?");
	tap_is_str(ask("qNobodyKnows"), "", "unknown stays unknown");
	ask("vRun;");
	tap_ok(begins(stop_signal(0, 2), START_STOP), "run");
	tap_ok(begins(ask("p0"), "10"), "registers are back");
	driver_end();
}

static void test_kill(void)
{
	extended_start();
	tap_is_str(ask("vKill;a410"), "OK", "vKill");
	tap_is_u64((uint64_t)d.fake.kills, 1, "kills");
	tap_is_str(ask("?"), "X09", "killed");
	tap_ok(!ended(14), "the machine's end is no news then");
	tap_is_str(ask("?"), "X09", "still killed");
	ask("vRun;");
	stop_signal(0, 2);
	tap_ok(is_error(ask("vKill;zz")), "a process id that is none");
	tap_ok(!ask("k"), "k");
	tap_is_u64((uint64_t)d.fake.kills, 2, "kills");
	ask("vRun;");
	stop_signal(0, 2);
	ask("vCont;c");
	tap_is_str(stop((struct gdb_stop){.kind = GDB_STOP_EXITED, .status = 16}), "W10", "the process ends");
	tap_ok(gdb_session_gone(d.s), "and the session with it");
	driver_end();
}

static void test_detach(void)
{
	extended_start();
	tap_is_str(ask("D;1"), "OK", "detach");
	tap_ok(!gdb_session_gone(d.s), "the client stays");
	tap_is_u64((uint64_t)d.fake.detaches, 1, "the machine runs");
	tap_ok(!stop_signal(0, 5), "a stop that was under way is nobody's");
	tap_is_str(ask("g"), "E.detached from the machine: attach 1 stops it, run restarts it", "nothing to look at");
	tap_ok(is_error(ask("vCont;c")), "nothing to resume");
	tap_ok(is_error(ask("vAttach;2")), "there is one machine");
	tap_ok(is_error(ask("vAttach;")), "a number is wanted");
	tap_ok(!ask("vAttach;1"), "attach");
	tap_is_u64((uint64_t)d.fake.attaches, 1, "the target is told");
	tap_ok(begins(stop_signal(1, 2), "T05thread:2;"), "its stop");
	tap_is_str(ask("qAttached"), "1", "attached");
	tap_ok(is_error(ask("vAttach;1")), "twice");
	ask("D");
	tap_ok(!ended(0), "the end of a machine that nobody looks at");
	tap_is_str(ask("?"), "W00", "is known when asked");
	tap_ok(is_error(ask("vAttach;1")), "and it cannot be attached to");
	driver_end();
}

static void test_interrupt(void)
{
	driver_start(GDB_NEW);
	tap_is_str(ask("vCtrlC"), "OK", "vCtrlC of a stopped machine");
	tap_is_u64((uint64_t)d.fake.interrupts, 0, "asks nothing of it");
	ask("vCont;c");
	tap_is_str(ask("vCtrlC"), "OK", "of a running one: answered at once");
	tap_is_u64((uint64_t)d.fake.interrupts, 1, "interrupts");
	tap_ok(begins(stop_signal(0, 2), "T02"), "and the stop follows");
	driver_end();
}

static void test_settings(void)
{
	static const struct {
		const char *packet, *reply;
	} cases[] = {
		{"QPassSignals:e;10;14;17", "OK"},
		{"QPassSignals:", "OK"},
		{"QPassSignals:e;6", "E"},
		{"QPassSignals:e;", "E"},
		{"QPassSignals:zz", "E"},
		{"QProgramSignals:0;1;b", "OK"},
		{"QProgramSignals:x", "E"},
		{"QNonStop:0", "OK"},
		{"QNonStop:1", "E"},
		{"QNonStop:2", "E"},
		{"QNonStop", "E"},
		{"QThreadEvents:1", "OK"},
		{"QThreadEvents:0", "OK"},
		{"QThreadEvents:", "E"},
		{"QCatchSyscalls:0", "OK"},
		{"QCatchSyscalls:1", "E"},
		{"QCatchSyscalls:1;3", "E"},
		{"QCatchSyscalls:x", "E"},
		{"QStartupWithShell:0", "OK"},
		{"QStartupWithShell:1", "E"},
		{"QEnvironmentReset", "OK"},
		{"QEnvironmentUnset:41", "OK"},
		{"QEnvironmentUnset:4", "E"},
		{"QEnvironmentHexEncoded:413d42", "E"},
		{"QSetWorkingDir:", "OK"},
		{"QSetWorkingDir:2f", "E"},
		{"QSetWorkingDir:2", "E"},
		{"QDisableRandomization:1", ""},
	};

	driver_start(GDB_OLD);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *reply = ask(cases[i].packet);

		if (cases[i].reply[0] == 'E')
			tap_ok(begins(reply, "E"), "%s is refused", cases[i].packet);
		else
			tap_is_str(reply, cases[i].reply, "%s", cases[i].packet);
	}
	driver_end();
}

int main(void)
{
	test_plain();
	test_no_life();
	test_run();
	test_restart();
	test_end();
	test_kill();
	test_detach();
	test_interrupt();
	test_settings();
	return tap_done();
}
