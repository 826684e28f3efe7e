/*
 * The guest that boots when no kernel is given: a small SMP program to be explored with a debugger. Every CPU works
 * once per timer tick; after `rounds` ticks the machine powers itself off.
 */
#include "guests/platform.h"

struct cpu_stats {
	unsigned long turns;  /* how often this CPU has worked */
	unsigned long ticks;  /* its timer interrupts */
	unsigned long result; /* of its last piece of work */
};

#define TICKS_PER_SECOND 100

/* Set it from the debugger to end sooner or later: `set var rounds = 3`. */
volatile unsigned long rounds = 6000;
volatile unsigned long counter; /* pieces of work done by all CPUs together */
volatile unsigned online = 1;
struct cpu_stats cpus[CPUS_MAX];

static void print(const char *text)
{
	for (; *text; text++)
		platform_putc(*text);
}

static void print_number(unsigned long n)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = 0;
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	print(p);
}

void tick(unsigned cpu)
{
	cpus[cpu].ticks++;
}

__attribute__((noinline)) static unsigned long fibonacci(unsigned n)
{
	if (n < 2)
		return n;
	return fibonacci(n - 1) + fibonacci(n - 2);
}

__attribute__((noinline)) static void count(unsigned cpu, unsigned long result)
{
	cpus[cpu].result = result;
	cpus[cpu].turns++;
	__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
}

__attribute__((noinline)) static void work(unsigned cpu)
{
	unsigned long result = fibonacci(5 + cpu % 4);

	count(cpu, result);
}

static void wait_for_tick(unsigned cpu)
{
	unsigned long seen = *(volatile unsigned long *)&cpus[cpu].ticks;

	while (*(volatile unsigned long *)&cpus[cpu].ticks == seen)
		platform_wait();
}

static void worker(unsigned cpu)
{
	__atomic_fetch_add(&online, 1, __ATOMIC_RELAXED);
	platform_timer_start(TICKS_PER_SECOND);
	for (;;) {
		wait_for_tick(cpu);
		work(cpu);
	}
}

__attribute__((noinline)) static void greet(const char *whom)
{
	print("Hello, ");
	print(whom);
	print("! This is minivmm's built-in guest.\n");
}

int main(void)
{
	greet("debugger");
	platform_start_cpus(worker);
	platform_timer_start(TICKS_PER_SECOND);
	for (unsigned long round = 0; round < rounds; round++) {
		wait_for_tick(0);
		work(0);
	}
	print("Goodbye after ");
	print_number(counter);
	print(" pieces of work on ");
	print_number(online);
	print(" CPUs.\n");
	return 0;
}
