/* el0,N,HZ: a program at EL0 that works N times, with a system call for each; HZ: under a timer's interrupts. */
#include "guests/tests/lab.h"

#include "guests/platform.h"
#include "guests/tests/arm64/scenes.h"

#define noinline     __attribute__((noinline))
#define SYSCALL_NOTE 1
#define SYSCALL_EXIT 2

/* lab_insns.S: runs fn(arg) at EL0 on that stack until its exit call. DAIF clear there but for D. */
void user_enter(unsigned long (*fn)(unsigned long), unsigned long arg, char *stack_end);
extern char user_left[];

/* All that EL0 may write. */
struct user_data {
	char stack[2048] __attribute__((aligned(16)));
	volatile unsigned long turns;
};
static struct user_data user_data __attribute__((section(".user"), aligned(4096)));
volatile unsigned long notes, noted; /* how many system calls, and the sum of what they said */

static unsigned long syscall(unsigned long number, unsigned long arg)
{
	register unsigned long x8 __asm__("x8") = number;
	register unsigned long x0 __asm__("x0") = arg;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8) : "memory");
	return x0;
}

noinline static unsigned long user_work(unsigned long i)
{
	user_data.turns++;
	return i * 3;
}

noinline static unsigned long user_main(unsigned long n)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < n; i++)
		sum += syscall(SYSCALL_NOTE, user_work(i));
	syscall(SYSCALL_EXIT, sum);
	return 0;
}

noinline static unsigned long system_call(unsigned long number, unsigned long arg)
{
	if (number == SYSCALL_NOTE) {
		notes++;
		noted += arg;
	}
	return arg + 1;
}

static bool user_exception(struct trap *t, unsigned vector, uint64_t esr)
{
	if (vector != VECTOR_EL0_SYNC || ESR_EC(esr) != EC_SVC)
		return false;
	strays += (t->spsr & SPSR_SS) != 0 || (t->spsr & SPSR_DAIF) != SPSR_D;
	t->x[0] = system_call(t->x[8], t->x[0]);
	if (t->x[8] == SYSCALL_EXIT) {
		t->elr = (uint64_t)user_left;
		t->spsr = SPSR_DAIF | SPSR_EL1H;
	}
	return true;
}

void scene_el0(unsigned long n, unsigned long hz)
{
	on_exception = user_exception;
	if (hz)
		platform_timer_start((unsigned)hz);
	user_enter(user_main, n, user_data.stack + sizeof(user_data.stack));
	say_count("notes", notes);
	say_count("noted", noted);
	say_count("turns", user_data.turns);
	say_count("strays", strays);
	say("\n");
}
