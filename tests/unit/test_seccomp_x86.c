/* A filter for 64-bit calls, and a program that makes 32-bit ones, whose numbers mean other calls. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "vmm/seccomp.h"

#define GETPID_32 20 /* in 64 bits: writev */
#define PASSED	  3

/* Of a child that makes such a call, or a harmless one; nothing else of the C library's or the sanitizer's. */
static int status_of(bool filtered, bool short_call)
{
	static const struct seccomp_rule rules[] = {{"writev exit_group", 0, 0, 0, 0}};
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		long result = GETPID_32;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || (filtered && seccomp_enter(rules, 1)))
			syscall(SYS_exit_group, 1);
		if (short_call)
			__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
		syscall(SYS_exit_group, PASSED);
	}
	waitpid(pid, &status, 0);
	return status;
}

static bool passed(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == PASSED;
}

int main(void)
{
	int status;

	tap_ok(passed(status_of(true, false)), "without a 32-bit call");
	if (passed(status_of(false, true))) {
		status = status_of(true, true);
		tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "a 32-bit call is fatal: 0x%x",
			(unsigned)status);
	} else {
		tap_skip("a kernel with 32-bit calls", "a 32-bit call");
	}
	return tap_done();
}
