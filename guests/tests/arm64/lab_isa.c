#include "guests/tests/lab.h"

#include "guests/arm64/io.h"
#include "guests/platform.h"
#include "guests/tests/arm64/info.h"
#include "guests/tests/arm64/scenes.h"

bool (*on_exception)(struct trap *t, unsigned vector, uint64_t esr);
volatile unsigned long strays;

const char *isa_command_line(void)
{
	const void *tree = device_tree(boot_state.x[0]);
	uint32_t len;

	return tree ? fdt_property(tree, "chosen", "bootargs", &len) : NULL;
}

int isa_getc(void)
{
	while (read32(BOARD_UART + UART_FR) & FR_RXFE)
		;
	return (int)(read32(BOARD_UART + UART_DR) & 0xff);
}

void isa_write(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		platform_putc(text[i]);
}

void isa_touch(unsigned value)
{
	write32(BOARD_NOBODY, value);
}

void isa_interrupts_on(void)
{
	__asm__ volatile("msr daifclr, #2" : : : "memory");
}

void isa_interrupts_off(void)
{
	__asm__ volatile("msr daifset, #2" : : : "memory");
}

void isa_idle(void)
{
	isa_interrupts_off();
	for (;;)
		__asm__ volatile("wfi" : : : "memory");
}

void say_count(const char *what, unsigned long n)
{
	say(what);
	say(" ");
	say_number(n);
	say(" ");
}

/* Takes the place of the platform's. */
void exception(struct trap *t, unsigned vector)
{
	uint64_t esr = GET_SYS(esr_el1);

	if (on_exception && on_exception(t, vector, esr))
		return;
	info_text("unexpected exception\n");
	info_hex("vector", vector);
	info_hex("esr", esr);
	info_hex("elr", t->elr);
	info_hex("far", GET_SYS(far_el1));
	info_hex("spsr", t->spsr);
	write32(BOARD_EXIT, 99);
	platform_power_off();
}

/* ---- insns,HZ: instructions that are hard to step over; with a timer that interrupts wherever it may ---- */

void step_insns(void);
extern volatile uint64_t seen[]; /* lab_step.S */
extern const char *const seen_names[], *const seen_names_end[];

static void scene_insns(unsigned long hz, unsigned long m)
{
	(void)m;
	if (hz)
		platform_timer_start((unsigned)hz);
	say("<");
	step_insns();
	say(">\n");
	for (unsigned i = 0; &seen_names[i] < seen_names_end; i++)
		info_hex(seen_names[i], seen[i]);
}

/* ---- halt,HZ: a CPU that sleeps with interrupts on; without HZ nothing ever wakes it; halts,HZ: see there ---- */

void halt_loop(void) __attribute__((noreturn));
void halts(void);

static void scene_halts(unsigned long hz, unsigned long m)
{
	(void)m;
	if (hz)
		platform_timer_start((unsigned)hz);
	halts();
	say("through\n");
}

static void scene_halt(unsigned long hz, unsigned long m)
{
	(void)m;
	if (hz)
		platform_timer_start((unsigned)hz);
	say("halting\n");
	halt_loop();
}

/* ---- memory ---- */

#define PLACES 8

/* high: writes at both ends and in between of all RAM behind the image, then looks whether all of it is still there */
static void scene_high(unsigned long n, unsigned long m)
{
	extern char image_end[];
	const void *tree = device_tree(boot_state.x[0]);
	uint32_t len;
	const uint8_t *reg = tree ? fdt_property(tree, "memory", "reg", &len) : NULL;
	uint64_t first = ((uint64_t)image_end + 0x1fffff) & ~0x1ffffful, last;
	volatile uint64_t *place[PLACES];
	unsigned wrong = 0;

	(void)n;
	(void)m;
	if (!reg) {
		say("no memory in the tree\n");
		return;
	}
	last = fdt_cells(reg, 2) + fdt_cells(reg + 8, 2) - 8;
	for (unsigned k = 0; k < PLACES; k++)
		place[k] = (volatile uint64_t *)((first + (last - first) / (PLACES - 1) * k) & ~7ull);
	place[PLACES - 1] = (volatile uint64_t *)last;
	for (unsigned i = 0; i < PLACES; i++)
		*place[i] = (uint64_t)place[i] * 3 + i;
	for (unsigned i = 0; i < PLACES; i++)
		wrong += *place[i] != (uint64_t)place[i] * 3 + i;
	info_hex("places", PLACES);
	info_hex("places.wrong", wrong);
	info_hex("places.last", last);
}

/* ---- info: what the entry of a bare ELF64 finds ---- */

static void scene_info(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	info_state(&boot_state);
	info_tree(boot_state.x[0]);
}

/* ---- ways to end, and what no machine can go on with ---- */

static void scene_debugexit(unsigned long n, unsigned long m)
{
	(void)m;
	write32(BOARD_EXIT, (uint32_t)n);
}

static void scene_panic(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	write8(BOARD_PVPANIC, 1);
}

static void scene_reset(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	psci(PSCI_SYSTEM_RESET, 0, 0, 0);
}

void pair_insn(void);
void no_vectors(void);

/* A load of a register pair from a device: the processor does not tell a hypervisor what was loaded. */
static void scene_pair(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	pair_insn();
	say("pair works\n");
}

/* An exception whose vector is no memory: it takes the next one, for ever. */
static void scene_lost(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	say("lost\n");
	no_vectors();
}

static bool skip_abort(struct trap *t, unsigned vector, uint64_t esr)
{
	(void)vector;
	if (ESR_EC(esr) != EC_DATA_ABORT)
		return false;
	t->elr += 4;
	strays++;
	return true;
}

/* nobody: an address where there is neither a device nor memory */
static void scene_nobody(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	on_exception = skip_abort;
	write32(BOARD_NOBODY, 1);
	info_hex("nobody", read32(BOARD_NOBODY));
	info_hex("aborts", strays);
}

const struct scene isa_scenes[] = {
	{"debugexit", scene_debugexit},
	{"el0", scene_el0},
	{"halt", scene_halt},
	{"halts", scene_halts},
	{"high", scene_high},
	{"info", scene_info},
	{"insns", scene_insns},
	{"lock", scene_lock},
	{"lost", scene_lost},
	{"nobody", scene_nobody},
	{"own", scene_own},
	{"pair", scene_pair},
	{"panic", scene_panic},
	{"reset", scene_reset},
	{"selfdebug", scene_selfdebug},
	{"simd", scene_simd},
	{"stores", scene_stores},
	{"sve", scene_sve},
	{NULL, NULL},
};
