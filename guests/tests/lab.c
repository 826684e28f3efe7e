#include "guests/tests/lab.h"

#include "guests/platform.h"

#define noinline __attribute__((noinline))

/* ---- what a debugger looks at ---- */

volatile unsigned long ticks[CPUS_MAX];
volatile unsigned long calls[CPUS_MAX]; /* of smp_work() */
volatile unsigned long alphas, betas;	/* of shared(), from either side */
volatile unsigned long turns;		/* of loops that nothing else shows */
volatile unsigned long stop;		/* set by the debugger: the scene ends */
volatile unsigned online = 1, finished, go;
unsigned char pages[3 * 4096] __attribute__((aligned(4096))); /* byte i is i * 7, folded */

volatile unsigned long deep; /* turns of wait_loop() in interrupts */
volatile unsigned long hold; /* set by the debugger: interrupts do not come to their end */
static int deeper;

/* Waits until *count is n, and counts its turns. */
noinline static void wait_loop(volatile unsigned long *count, unsigned long n, volatile unsigned long *turned)
{
	for (; *count < n; (*turned)++) /* one line to a debugger */
		;
}

void tick(unsigned cpu)
{
	ticks[cpu]++;
	if (deeper && turns) /* not before the loop itself */
		wait_loop(&deep, deep + 3, &deep);
	while (hold)
		;
}

void say(const char *text)
{
	for (; *text; text++)
		platform_putc(*text);
}

void say_number(unsigned long n)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = 0;
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	say(p);
}

static void say_total(const char *what, unsigned long n)
{
	say(what);
	say(" ");
	say_number(n);
	say("\n");
}

/* ---- calls,N: one function, two call sites; and a nest of calls; calls,N,1: the pages are filled before ---- */

noinline unsigned long shared(unsigned long i, unsigned long tag)
{
	if (tag == 1)
		alphas++;
	else
		betas++;
	return i * 2 + tag;
}

noinline static unsigned long alpha(unsigned long i)
{
	unsigned long r = shared(i, 1);

	return r + 1;
}

noinline static unsigned long beta(unsigned long i)
{
	unsigned long r = shared(i, 2);

	return r + 2;
}

noinline static unsigned long inner(unsigned long depth)
{
	unsigned long sum = 0;

	for (unsigned long k = 0; k < 3; k++)
		sum += depth + k;
	turns++;
	return sum;
}

noinline static unsigned long middle(unsigned long depth)
{
	unsigned long low = inner(depth);
	unsigned long high = inner(depth + 10);

	return low + high;
}

noinline static unsigned long outer(unsigned long depth)
{
	unsigned long r = middle(depth + 1);

	turns += r > 1000;
	return r;
}

noinline static void fill_pages(void)
{
	for (unsigned i = 0; i < sizeof(pages); i++)
		pages[i] = (unsigned char)(i * 7 ^ i >> 8);
}

static void scene_calls(unsigned long n, unsigned long m)
{
	unsigned long sum = 0;

	if (m)
		fill_pages();
	for (unsigned long i = 0; i < n; i++) {
		sum += alpha(i);
		sum += beta(i);
		sum += outer(i);
	}
	say_total("alphas", alphas);
	say_total("betas", betas);
	say_total("sum", sum);
}

/* ---- smp,N,CPUS: every CPU calls smp_work() N times, all at once ---- */

noinline static void smp_work(unsigned cpu)
{
	calls[cpu]++;
}

static unsigned long smp_rounds;

static void smp_worker(unsigned cpu)
{
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	while (!go)
		;
	for (unsigned long i = 0; i < smp_rounds; i++)
		smp_work(cpu);
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	isa_idle();
}

noinline static void smp_ready(void)
{
	go = 1;
}

static void scene_smp(unsigned long n, unsigned long cpus)
{
	smp_rounds = n;
	platform_start_cpus(smp_worker);
	while (online < cpus)
		;
	smp_ready();
	for (unsigned long i = 0; i < n; i++)
		smp_work(0);
	while (finished < cpus - 1)
		;
	for (unsigned long cpu = 0; cpu < cpus; cpu++)
		say_total("calls", calls[cpu]);
}

/*
 * crowd,N,CPUS: N times every CPU calls what all of them call and what only it calls, and each call is counted; all
 * under a timer's interrupts. What is said at the end depends on nothing else. It ends early if the debugger sets stop.
 */

#define CROWD	 4
#define CROWD_HZ 100
volatile unsigned long owns[CROWD]; /* calls of crowd_0() to crowd_3() */
volatile unsigned long crowd_calls[CROWD];
static unsigned long crowd_rounds;

noinline static void crowd_all(unsigned cpu)
{
	crowd_calls[cpu]++;
}

noinline static void crowd_0(void)
{
	owns[0]++;
}

noinline static void crowd_1(void)
{
	owns[1]++;
}

noinline static void crowd_2(void)
{
	owns[2]++;
}

noinline static void crowd_3(void)
{
	owns[3]++;
}

static void (*const crowd_own[CROWD])(void) = {crowd_0, crowd_1, crowd_2, crowd_3};
static volatile unsigned long crowd_sum[CROWD];

/* The sum shows a register or a flag that was not kept. */
noinline static void crowd_loop(unsigned cpu)
{
	unsigned long sum = cpu;

	for (unsigned long i = 0; i < crowd_rounds && !stop; i++) {
		crowd_all(cpu);
		sum = sum * 6364136223846793005ul + i;
		crowd_own[cpu]();
		sum ^= sum >> 29;
	}
	crowd_sum[cpu] = sum;
}

static void crowd_worker(unsigned cpu)
{
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	while (!go)
		;
	crowd_loop(cpu);
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	isa_idle();
}

static void scene_crowd(unsigned long n, unsigned long cpus)
{
	crowd_rounds = n;
	if (cpus > 1)
		platform_start_cpus(crowd_worker);
	while (online < cpus)
		;
	platform_timer_start(CROWD_HZ);
	isa_interrupts_on();
	smp_ready();
	crowd_loop(0);
	while (finished < cpus - 1)
		;
	isa_interrupts_off();
	for (unsigned long cpu = 0; cpu < cpus; cpu++) {
		say_total("calls", crowd_calls[cpu]);
		say_total("owns", owns[cpu]);
		say_total("sum", crowd_sum[cpu]);
	}
}

/* cpus,CPUS: they all come up, and no more than these */
static void cpu_counts_itself(unsigned cpu)
{
	(void)cpu;
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	isa_idle();
}

static void scene_cpus(unsigned long cpus, unsigned long m)
{
	(void)m;
	if (cpus > 1)
		platform_start_cpus(cpu_counts_itself);
	while (online < cpus)
		;
	say_total("online", online);
}

/* ---- ticks,HZ: a loop under a timer's interrupts, until the debugger sets stop ---- */

noinline static void tick_loop(void)
{
	while (!stop)
		turns++;
}

static void scene_ticks(unsigned long hz, unsigned long m)
{
	(void)m;
	platform_timer_start((unsigned)hz);
	isa_interrupts_on();
	tick_loop();
	isa_interrupts_off();
	say(ticks[0] ? "ticked\n" : "no tick\n");
}

/*
 * waits,HZ,N: a loop that only N interrupts end, and the interrupts run the same code; idles,HZ,N: the same asleep
 */

noinline static void waited(void)
{
	isa_interrupts_off();
}

static void scene_waits(unsigned long hz, unsigned long n)
{
	deeper = 1;
	platform_timer_start((unsigned)hz);
	isa_interrupts_on();
	wait_loop(&ticks[0], n, &turns);
	waited();
	say(deep && deep % 3 == 0 ? "waited\n" : "not so deep\n");
}

static void scene_idles(unsigned long hz, unsigned long n)
{
	platform_timer_start((unsigned)hz);
	while (ticks[0] < n) {
		platform_wait();
		turns++;
	}
	waited();
	say("waited\n");
}

/* ---- spin: busy until the debugger sets stop; spin,CPUS on all of them ---- */

noinline static void spin_loop(volatile unsigned long *count)
{
	while (!stop)
		(*count)++;
}

static void spin_worker(unsigned cpu)
{
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	spin_loop(&calls[cpu]);
	isa_idle();
}

static void scene_spin(unsigned long cpus, unsigned long m)
{
	(void)m;
	if (cpus > 1)
		platform_start_cpus(spin_worker);
	while (online < cpus)
		;
	say("spinning\n");
	spin_loop(&turns);
	say("spun\n");
}

/* ---- touch,N,CPUS: every CPU makes N accesses that a debugger may catch, all at once ---- */

static unsigned long touches;

noinline static void touch(unsigned cpu)
{
	for (unsigned i = 0; i < touches; i++)
		isa_touch(cpu << 4 | i);
}

static void touch_worker(unsigned cpu)
{
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	while (!go)
		;
	touch(cpu);
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	isa_idle();
}

static void scene_touch(unsigned long n, unsigned long cpus)
{
	touches = n;
	if (cpus > 1)
		platform_start_cpus(touch_worker);
	while (online < cpus)
		;
	go = 1;
	touch(0);
	while (finished + 1 < cpus)
		;
	say("touched\n");
}

static void scene_idle(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	say("idle\n");
	isa_idle();
}

/* ---- the serial line ---- */

/* flood,N: N numbered lines of 64 bytes; flood,N,1: then waits for a character */
static void scene_flood(unsigned long n, unsigned long m)
{
	char line[65] = "00000000 abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01\n";

	for (unsigned long i = 0; i < n; i++) {
		unsigned long rest = i;

		for (int digit = 7; digit >= 0; digit--, rest /= 10)
			line[digit] = (char)('0' + rest % 10);
		isa_write(line, sizeof(line) - 1);
		turns++;
	}
	if (m)
		isa_getc();
}

/* echo: every character back, until q */
static void scene_echo(unsigned long n, unsigned long m)
{
	int c;

	(void)n;
	(void)m;
	say("ready\n");
	do {
		c = isa_getc();
		platform_putc((char)c);
	} while (c != 'q');
	say("\nend\n");
}

/* sum,N: N characters are read; how many and their sum */
static void scene_sum(unsigned long n, unsigned long m)
{
	unsigned long sum = 0;

	(void)m;
	say("ready\n");
	for (unsigned long i = 0; i < n; i++)
		sum += (unsigned long)isa_getc() & 0xff;
	say_total("sum", sum);
}

/* ---- what a run that has to prove something may show ---- */

/* hang: busy for ever, interrupts off; hang,1: nothing is said, either */
noinline static void hang_loop(void)
{
	for (;;)
		turns++;
}

static void scene_hang(unsigned long silent, unsigned long m)
{
	(void)m;
	isa_interrupts_off();
	if (!silent)
		say("hanging\n");
	hang_loop();
}

/* says,N: line N of these, as a kernel says it; says,N,1: and then nothing for ever */
static void scene_says(unsigned long n, unsigned long m)
{
	static const char *const lines[] = {
		"Oops: 0002 [#1] SMP\nCall Trace:\n---[ end trace 0000000000000000 ]---\n",
		"watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:1]\n",
		"Kernel panic - not syncing: no working init found\n---[ end Kernel panic - not syncing ]---\n",
		"rcu: INFO: rcu_sched self-detected stall on CPU\n",
		"login: ", /* does not end */
		"Oops: \033[31mred\2332J\n",
	};

	say(lines[n % (sizeof(lines) / sizeof(lines[0]))]);
	while (m)
		turns++;
}

static void scene_off(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
}

static const struct scene scenes[] = {
	{"calls", scene_calls},
	{"cpus", scene_cpus},
	{"crowd", scene_crowd},
	{"echo", scene_echo},
	{"flood", scene_flood},
	{"hang", scene_hang},
	{"idle", scene_idle},
	{"idles", scene_idles},
	{"off", scene_off},
	{"says", scene_says},
	{"smp", scene_smp},
	{"spin", scene_spin},
	{"sum", scene_sum},
	{"ticks", scene_ticks},
	{"waits", scene_waits},
	{"touch", scene_touch},
	{NULL, NULL},
};

/* ---- choosing ---- */

/* What follows lab=, or NULL. */
static const char *wanted(void)
{
	const char *c = isa_command_line();

	for (; c && *c; c++)
		if (c[0] == 'l' && c[1] == 'a' && c[2] == 'b' && c[3] == '=')
			return c + 4;
	return NULL;
}

static const char *match(const char *text, const char *name)
{
	while (*name && *text == *name) {
		text++;
		name++;
	}
	return *name || (*text && *text != ',' && *text != ' ') ? NULL : text;
}

static unsigned long number(const char **text)
{
	unsigned long n = 0;

	if (**text == ',')
		for ((*text)++; **text >= '0' && **text <= '9'; (*text)++)
			n = n * 10 + (unsigned long)(**text - '0');
	return n;
}

static int play(const struct scene *s, const char *text)
{
	for (; text && s->name; s++) {
		const char *args = match(text, s->name);
		unsigned long n, m;

		if (!args)
			continue;
		n = number(&args);
		m = number(&args);
		s->play(n, m);
		return 1;
	}
	return 0;
}

int main(void)
{
	const char *text = wanted();

	if (!play(scenes, text) && !play(isa_scenes, text))
		say("lab: no such scene\n");
	return 0;
}
