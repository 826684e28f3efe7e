/*
 * What the nested tests let the guest's user space do. Static, so that it needs nothing inside.
 *
 *	inside int3 N		N breakpoint instructions of its own; says how many the handler saw
 *	inside calls N [CPU]	N times getppid(), on that CPU
 *	inside spin [CPU]	says where `text` is, then never leaves user mode, until killed
 *	inside parent		says what getppid() gives
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile sig_atomic_t traps;
static volatile char text[] = "the words that a debugger finds in user memory";
static volatile unsigned long turns;

static void on_trap(int sig)
{
	(void)sig;
	traps++;
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

static int do_int3(long n)
{
	signal(SIGTRAP, on_trap);
	for (long i = 0; i < n; i++)
		__asm__ volatile("int3" ::: "memory");
	printf("traps=%d\n", (int)traps);
	return traps != n;
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

	if (!strcmp(what, "int3"))
		return do_int3(n);
	if (!strcmp(what, "calls"))
		return do_calls(n, more);
	if (!strcmp(what, "spin"))
		do_spin(argc > 2 ? argv[2] : NULL);
	if (!strcmp(what, "parent"))
		return do_parent();
	fprintf(stderr, "usage: inside int3 N | calls N [CPU] | spin [CPU] | parent\n");
	return 2;
}
