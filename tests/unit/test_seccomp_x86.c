/* A filter for 64-bit calls, and a program that makes 32-bit ones, whose numbers mean other calls. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "vmm/seccomp.h"

#define GETPID_32 20 /* in 64 bits: writev */
#define PASSED	  3

static int status_of(bool filtered)
{
	static const struct seccomp_rule rules[] = {{"writev exit exit_group", 0, 0, 0, 0}};
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		long result = GETPID_32;

		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || (filtered && seccomp_enter(rules, 1)))
			_exit(1);
		__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
		_exit(PASSED);
	}
	waitpid(pid, &status, 0);
	return status;
}

int main(void)
{
	int status = status_of(false);

	if (WIFEXITED(status) && WEXITSTATUS(status) == PASSED) {
		status = status_of(true);
		tap_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "a 32-bit call is fatal: 0x%x",
			(unsigned)status);
	} else {
		tap_skip("a kernel with 32-bit calls", "a 32-bit call");
	}
	return tap_done();
}
