/*
 * What the nested tests let the guest's user space do. Static, so that it needs nothing inside.
 *
 *	inside break N		N breakpoint instructions of its own; says how many the handler saw
 *	inside steps N		ptraces a child through N of its instructions; says how many stopped it
 *	inside watch N [SECONDS] on CPU 1: writes N times to what a debug register of its own watches, set up so long
 *				before; says how often it was seen
 *	inside calls N [CPU]	N times getppid(), on that CPU
 *	inside spin [CPU]	says where `text` is, then never leaves user mode, until killed
 *	inside parent		says what getppid() gives
 */
#define _GNU_SOURCE
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "own_break.h"

static volatile sig_atomic_t traps;
static volatile char text[] = "the words that a debugger finds in user memory";
static volatile unsigned long turns;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	traps++;
	own_break_passed(context);
}

static void run_on(const char *cpu)
{
	cpu_set_t set;

	if (!cpu)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)atoi(cpu), &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		exit(1);
	}
}

static int do_break(long n)
{
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};

	sigaction(SIGTRAP, &action, NULL);
	for (long i = 0; i < n; i++) {
		if (i % 2)
			__asm__ volatile(OWN_BREAK ::: "memory");
		else
			__asm__ volatile(DEBUGGERS_BREAK ::: "memory");
	}
	printf("traps=%d\n", (int)traps);
	return traps != n;
}

static void child_of_steps(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(1);
	raise(SIGSTOP);
	for (;;)
		turns++;
}

static int do_steps(long n)
{
	int status;
	long seen = 0;
	pid_t child = fork();

	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (!child)
		child_of_steps();
	waitpid(child, &status, 0);
	while (seen < n && !ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) && waitpid(child, &status, 0) == child &&
		WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
		seen++;
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	printf("steps=%ld\n", seen);
	return seen != n;
}

/* Without going to sleep: another program may want the debug registers then. */
static void busy(long seconds)
{
	struct timespec now;
	time_t end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + seconds;
	while (seconds && now.tv_sec < end)
		clock_gettime(CLOCK_MONOTONIC, &now);
}

static int do_watch(long n, long seconds)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&turns,
		.bp_len = HW_BREAKPOINT_LEN_8,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	uint64_t count = 0;
	int fd;

	/* The register moves with the program from CPU to CPU. */
	run_on("1");
	fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd < 0) {
		perror("perf_event_open");
		return 1;
	}
	if (seconds) {
		printf("watching\n");
		fflush(stdout);
	}
	busy(seconds);
	for (long i = 0; i < n; i++)
		turns++;
	if (read(fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
		perror("read");
	printf("seen=%lu turns=%lu\n", (unsigned long)count, turns);
	return count != (uint64_t)n;
}

static int do_calls(long n, const char *cpu)
{
	long parent = getppid();

	run_on(cpu);
	for (long i = 0; i < n; i++)
		if (syscall(SYS_getppid) != parent)
			return 1;
	printf("calls=%ld\n", n);
	return 0;
}

static void do_spin(const char *cpu)
{
	run_on(cpu);
	printf("text=%p turns=%p\n", (void *)text, (void *)&turns);
	fflush(stdout);
	for (;;)
		turns++;
}

static int do_parent(void)
{
	printf("parent=%ld\n", syscall(SYS_getppid));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *more = argc > 3 ? argv[3] : NULL;
	long n = argc > 2 ? atol(argv[2]) : 0;

	if (!strcmp(what, "break"))
		return do_break(n);
	if (!strcmp(what, "steps"))
		return do_steps(n);
	if (!strcmp(what, "watch"))
		return do_watch(n, more ? atol(more) : 0);
	if (!strcmp(what, "calls"))
		return do_calls(n, more);
	if (!strcmp(what, "spin"))
		do_spin(argc > 2 ? argv[2] : NULL);
	if (!strcmp(what, "parent"))
		return do_parent();
	fprintf(stderr, "usage: inside break|steps|watch N | calls N [CPU] | spin [CPU] | parent\n");
	return 2;
}
