#include "guests/tests/lab.h"

#include <stdbool.h>

#include "guests/tests/x86_64/bootinfo.h"
#include "guests/platform.h"
#include "guests/x86_64/io.h"

#define COM1 0x3f8

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

extern const struct start_info *start_info; /* start.S */

const char *isa_command_line(void)
{
	return start_info ? (const char *)start_info->cmdline : NULL;
}

int isa_getc(void)
{
	while (!(inb(COM1 + 5) & 1))
		;
	return inb(COM1);
}

void isa_write(const char *text, size_t n)
{
	outb(COM1 + 2, 1); /* FIFOs on */
	for (size_t i = 0; i < n; i++) {
		while (i % 16 == 0 && !(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)text[i]);
	}
}

void isa_touch(unsigned value)
{
	outb(0x80, (uint8_t)value);
}

void isa_interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

void isa_interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

void isa_idle(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

/* ---- gates of our own in the platform's IDT ---- */

struct gate {
	uint16_t offset_low, selector, flags, offset_mid;
	uint32_t offset_high, zero;
};

static void set_gate(unsigned vector, const char *entry)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr;
	uint64_t addr = (uint64_t)entry;
	uint16_t cs;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	((struct gate *)idtr.base)[vector] =
		(struct gate){(uint16_t)addr, cs, 0x8e00, (uint16_t)(addr >> 16), (uint32_t)(addr >> 32), 0};
}

/* ---- int3,N: the guest's own INT3, INT 0x80 and UD2 ---- */

extern char int3_entry[], int80_entry[], ud2_entry[];
void own_exceptions(void);
volatile unsigned long int3_seen, int80_seen, ud2_seen; /* with the right saved RIP */
volatile unsigned long strays;				/* with a wrong one, or TF in the saved flags */

static void scene_int3(unsigned long n, unsigned long m)
{
	(void)m;
	set_gate(3, int3_entry);
	set_gate(0x80, int80_entry);
	set_gate(6, ud2_entry);
	for (unsigned long i = 0; i < n; i++) {
		shared(i, 1);
		own_exceptions();
	}
	say("int3 ");
	say_number(int3_seen);
	say(" int80 ");
	say_number(int80_seen);
	say(" ud2 ");
	say_number(ud2_seen);
	say(" strays ");
	say_number(strays);
	say("\n");
}

/* ---- poke,N: CPU 0 patches code N times (or until stop is set), the way Linux does, while CPU 1 executes it ---- */

extern volatile unsigned long stop; /* lab.c: set by the debugger */
extern uint8_t poke_site[], poke_called[], poke_entry[];
volatile unsigned long poke_calls, poke_traps, poke_runs, poke_done, poking;

#define POKE_PAUSE 20 /* turns in which the other CPU comes to see it */

static void poke_wait(void)
{
	uint32_t a = 0, b, c = 0, d;

	for (volatile unsigned i = 0; i < POKE_PAUSE; i++)
		;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

static void poke(int call)
{
	static const uint8_t nop[] = {0x0f, 0x1f, 0x44, 0, 0};
	int32_t offset = (int32_t)(poke_called - (poke_site + sizeof(nop)));
	const uint8_t *tail = call ? (const uint8_t *)&offset : nop + 1;

	poking = 1;
	((volatile uint8_t *)poke_site)[0] = 0xcc;
	poke_wait();
	for (unsigned i = 0; i < 4; i++)
		((volatile uint8_t *)poke_site)[i + 1] = tail[i];
	poke_wait();
	((volatile uint8_t *)poke_site)[0] = call ? 0xe8 : nop[0];
	poking = 0;
	poke_wait();
}

static void poke_worker(unsigned cpu)
{
	(void)cpu;
	while (!poke_done) {
		((void (*)(void))(unsigned long)poke_site)();
		poke_runs++;
	}
	poke_done = 2;
	isa_idle();
}

static void scene_poke(unsigned long n, unsigned long m)
{
	(void)m;
	set_gate(3, (const char *)poke_entry);
	platform_start_cpus(poke_worker);
	while (!poke_runs)
		;
	for (unsigned long i = 0; i < n && !stop; i++)
		poke(!(i & 1));
	poke(0);
	poke_done = 1;
	while (poke_done != 2)
		;
	info_hex("site", *(volatile uint32_t *)poke_site);
	info_hex("called", poke_calls != 0);
	info_hex("strays", strays);
	say("poked\n");
}

/* ---- events: what a debugger may catch; nmi: waits for one ---- */

extern char gp_entry[], nmi_entry[];
void events(void);
extern volatile uint64_t event_msr, gps_seen, nmis_seen;
extern volatile uint32_t event_mmio;
extern volatile uint8_t event_in;

static void scene_events(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	set_gate(13, gp_entry);
	events();
	info_hex("in", event_in);
	info_hex("mmio", event_mmio);
	info_hex("msr", event_msr);
	info_hex("gps", gps_seen);
}

static void scene_nmi(unsigned long n, unsigned long m)
{
	(void)m;
	set_gate(2, nmi_entry);
	say("waiting\n");
	while (nmis_seen < n)
		shared(nmis_seen, 1);
	info_hex("nmis", nmis_seen);
}

/* ---- insns,HZ: instructions that are hard to step over; with a timer that interrupts wherever it may ---- */

void step_insns(void);
extern volatile uint64_t seen_flags[2];
extern volatile uint8_t seen_in, seen_strings[16];
extern volatile uint32_t seen_mmio;

static void scene_insns(unsigned long hz, unsigned long m)
{
	(void)m;
	if (hz)
		platform_timer_start((unsigned)hz);
	say("<");
	step_insns();
	say(">\n");
	info_hex("in", seen_in);
	info_hex("mmio", seen_mmio);
	info_hex("flags.tf", (seen_flags[0] | seen_flags[1]) >> 8 & 1);
	info_hex("flags.if", seen_flags[1] >> 9 & 1);
	say("copied ");
	say((const char *)seen_strings);
	say("\n");
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

#define MIB	   0x100000ull
#define PLACES_MAX 64

/* high: writes at both ends and in between of all usable RAM above 16 MiB, then looks whether all of it is still there
 */
static void scene_high(unsigned long n, unsigned long m)
{
	const struct memmap *map = (const struct memmap *)start_info->memmap;
	volatile uint64_t *place[PLACES_MAX];
	unsigned places = 0, wrong = 0, high = 0;

	(void)n;
	(void)m;
	for (unsigned i = 0; i < start_info->memmap_entries; i++) {
		uint64_t first = map[i].addr, last = first + map[i].size - 8;

		if (map[i].type != 1 || last < 16 * MIB)
			continue;
		if (first < 16 * MIB)
			first = 16 * MIB;
		for (unsigned k = 0; k < 8 && places < PLACES_MAX; k++)
			place[places++] = (volatile uint64_t *)((first + (last - first) / 7 * k) & ~7ull);
		place[places - 1] = (volatile uint64_t *)last;
	}
	for (unsigned i = 0; i < places; i++)
		*place[i] = (uint64_t)place[i] * 3 + i;
	for (unsigned i = 0; i < places; i++) {
		wrong += *place[i] != (uint64_t)place[i] * 3 + i;
		high += (uint64_t)place[i] >> 32 != 0;
	}
	info_hex("places", places);
	info_hex("places.high", high);
	info_hex("places.wrong", wrong);
}

/* ---- info: what the entry of a bare ELF64 finds ---- */

static void scene_info(unsigned long n, unsigned long m)
{
	uint32_t a = 1, b, c = 0, d;

	(void)n;
	(void)m;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	info_hex("cpuid.1.ecx", c);
	info_hex("cpuid.1.edx", d);
	info_hex("cpuid.1.apicid", b >> 24);
	info_processor();
	info_start_info((uint64_t)start_info);
	info_rsdp_scan();
}

/* ---- writes,N: stores of many kinds to `pages`, N times; writes,N,1: then one of 16 bytes ---- */

extern uint8_t pages[];
void writes(uint8_t *where);
void writes_wide(uint8_t *where);

static void scene_writes(unsigned long n, unsigned long m)
{
	unsigned long sum = 0;

	for (unsigned long i = 0; i < n; i++)
		writes(pages);
	if (m)
		writes_wide(pages + 512);
	for (unsigned i = 0; i < 3 * 4096; i++)
		sum += pages[i];
	say("written ");
	say_number(sum);
	say("\n");
}

/* ---- ways to end ---- */

static void scene_debugexit(unsigned long n, unsigned long m)
{
	(void)m;
	outb(0xf4, (uint8_t)n);
}

static void scene_panic(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	outb(0x505, 1);
}

static void scene_reset_acpi(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	outb(0x602, 0x42);
}

static void scene_reset_i8042(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	outb(0x64, 0xfe);
}

static void scene_reset_cf9(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	outb(0xcf9, 2);
	outb(0xcf9, 6);
}

void triple_fault(void);
void sse_insn(void);

static void scene_triple(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	triple_fault();
}

/* What a KVM that interprets its guests cannot do. */
static void scene_sse(unsigned long n, unsigned long m)
{
	(void)n;
	(void)m;
	sse_insn();
	say("sse works\n");
}

/* ---- vectors,1: AVX, AVX-512 and protection keys, as far as CPUID has them; vectors,0: only what CPUID has ---- */

void vectors_avx(const void *in, void *out);
unsigned vectors_avx512(const void *in, void *out, unsigned mask);
unsigned vectors_pkru(unsigned value);

uint64_t vectors_in[8], vectors_out[2 * 8];

static uint32_t cpuid(uint32_t leaf, char reg)
{
	uint32_t a = leaf, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return reg == 'a' ? a : reg == 'b' ? b : reg == 'c' ? c : d;
}

static void show_out(const char *name, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		info_hex(name, vectors_out[i]);
}

static void scene_vectors(unsigned long use, unsigned long m)
{
	bool xsave = cpuid(1, 'c') >> 26 & 1, avx = xsave && cpuid(1, 'c') >> 28 & 1, seven = cpuid(0, 'a') >= 7;
	bool avx512 = avx && seven && cpuid(7, 'b') >> 16 & 1, pku = xsave && seven && cpuid(7, 'c') >> 3 & 1;
	uint32_t xcr0 = 3 | (avx ? 4 : 0) | (avx512 ? 0xe0 : 0) | (pku ? 0x200 : 0);
	uint64_t cr4;

	(void)m;
	shared(avx | avx512 << 1 | pku << 2, 1);
	if (!use) {
		say("end\n");
		return;
	}
	if (xsave) {
		__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
		__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | 1u << 18 | (uint64_t)pku << 22)); /* OSXSAVE, PKE */
		__asm__ volatile("xsetbv" : : "c"(0), "a"(xcr0), "d"(0));
	}
	for (unsigned i = 0; i < 8; i++)
		vectors_in[i] = 0x0123456789abcde0 + i;
	if (avx) {
		vectors_avx(vectors_in, vectors_out);
		show_out("avx", 12);
	}
	if (avx512) {
		info_hex("k1", vectors_avx512(vectors_in, vectors_out, 0x5a5a));
		show_out("avx512", 16);
	}
	if (pku)
		info_hex("pkru", vectors_pkru(0x55555550));
	say("end\n");
}

/* ---- sysregs: debug registers and MSRs, set here before the call and shown after it ---- */

static void scene_sysregs(unsigned long n, unsigned long m)
{
	uint64_t dr0 = 0x111000, dr7 = 0x400, dr1, dr6;

	(void)n;
	(void)m;
	__asm__ volatile("mov %0, %%dr0" : : "r"(dr0));
	__asm__ volatile("mov %0, %%dr7" : : "r"(dr7));
	wrmsr(0xc0000082, 0xffffffff81234000);
	wrmsr(0xc0000081, 0x23001000000000);
	wrmsr(0xc0000084, 0x47700);
	wrmsr(0x174, 0x10);
	shared(0, 1);
	__asm__ volatile("mov %%dr0, %0" : "=r"(dr0));
	__asm__ volatile("mov %%dr1, %0" : "=r"(dr1));
	__asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
	__asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
	info_hex("dr0", dr0);
	info_hex("dr1", dr1);
	info_hex("dr6", dr6 & 0xffff);
	info_hex("dr7", dr7);
	info_hex("lstar", rdmsr(0xc0000082));
	info_hex("star", rdmsr(0xc0000081));
	info_hex("sfmask", rdmsr(0xc0000084));
	info_hex("k_gs_base", rdmsr(0xc0000102));
	info_hex("pat", rdmsr(0x277));
	info_hex("sysenter_cs", rdmsr(0x174));
	say("end\n");
}

const struct scene isa_scenes[] = {
	{"debugexit", scene_debugexit},
	{"events", scene_events},
	{"halt", scene_halt},
	{"halts", scene_halts},
	{"high", scene_high},
	{"info", scene_info},
	{"insns", scene_insns},
	{"int3", scene_int3},
	{"nmi", scene_nmi},
	{"panic", scene_panic},
	{"poke", scene_poke},
	{"reset-acpi", scene_reset_acpi},
	{"reset-cf9", scene_reset_cf9},
	{"reset-i8042", scene_reset_i8042},
	{"sse", scene_sse},
	{"sysregs", scene_sysregs},
	{"triple", scene_triple},
	{"vectors", scene_vectors},
	{"writes", scene_writes},
	{NULL, NULL},
};
