/* arm64 bare metal: page tables, GIC, virtual timer, PL011, PSCI. Arm ARM (DDI 0487), D8 (translation), D12 (timer). */
#include "guests/platform.h"

#include <stddef.h>

#include "guests/arm64/gic.h"
#include "guests/arm64/io.h"
#include "guests/arm64/trap.h"

/* Descriptors, 4 KiB granule. Attribute indexes as in start.S's MAIR. */
#define ENTRIES	   512
#define LEVEL1	   0x40000000ul /* what an entry maps */
#define LEVEL2	   0x200000ul
#define LEVEL3	   0x1000ul
#define DESC_BLOCK 1ul
#define DESC_TABLE 3ul
#define DESC_PAGE  3ul
#define NORMAL	   (1ul << 2)
#define AP_EL0	   (1ul << 6)
#define AP_RO	   (1ul << 7)
#define SH_INNER   (3ul << 8)
#define AF	   (1ul << 10)
#define PXN	   (1ul << 53)
#define UXN	   (1ul << 54)
#define DEVICE	   (AF | PXN | UXN)
#define RAM	   (AF | SH_INNER | NORMAL | UXN)
#define TEXT	   (AF | SH_INNER | NORMAL | AP_RO | AP_EL0)
#define USER_DATA  (AF | SH_INNER | NORMAL | AP_EL0 | UXN | PXN)

#define CACHE_LINE 16ul /* no line is shorter */

#define TIMER_ENABLE	 1
#define CPUS_PER_CLUSTER 16

extern char _start[], text_end[], user_start[], user_end[], image_end[];
extern char secondary_start[];
extern uint64_t table1[ENTRIES];
void platform_tables(void);
void platform_init(void);
void platform_secondary(unsigned cpu);
void timer_interrupt(void);

uint64_t table1[ENTRIES] __attribute__((aligned(4096)));
static uint64_t table2[ENTRIES] __attribute__((aligned(4096)));
static uint64_t table3[ENTRIES] __attribute__((aligned(4096)));
static void (*secondary_fn)(unsigned cpu);
static uint64_t interval[CPUS_MAX];

static uint64_t page(uint64_t addr)
{
	if (addr >= (uint64_t)_start && addr < (uint64_t)text_end)
		return addr | TEXT | DESC_PAGE;
	if (addr >= (uint64_t)user_start && addr < (uint64_t)user_end)
		return addr | USER_DATA | DESC_PAGE;
	return addr | RAM | DESC_PAGE;
}

/*
 * Everything to itself: devices below RAM, 511 GiB of RAM from there (what there is not, nobody uses), the 2 MiB
 * with the image in pages. The MMU is off: what is written goes past the caches, so old lines have to go.
 */
void platform_tables(void)
{
	table1[0] = DEVICE | DESC_BLOCK;
	table1[1] = (uint64_t)table2 | DESC_TABLE;
	for (uint64_t i = 2; i < ENTRIES; i++)
		table1[i] = i * LEVEL1 | RAM | DESC_BLOCK;
	for (uint64_t i = 0; i < ENTRIES; i++)
		table2[i] = (BOARD_RAM + i * LEVEL2) | RAM | DESC_BLOCK;
	table2[((uint64_t)_start - BOARD_RAM) / LEVEL2] = (uint64_t)table3 | DESC_TABLE;
	for (uint64_t i = 0; i < ENTRIES; i++)
		table3[i] = page(((uint64_t)_start & ~(LEVEL2 - 1)) + i * LEVEL3);
	for (char *p = text_end; p < image_end; p += CACHE_LINE)
		__asm__ volatile("dc ivac, %0" : : "r"(p) : "memory");
	__asm__ volatile("dsb sy" : : : "memory");
}

static unsigned this_cpu(void)
{
	return (unsigned)GET_SYS(tpidr_el1);
}

void platform_init(void)
{
	write32(BOARD_UART + UART_LCR_H, LCR_H_FEN | LCR_H_8BIT);
	write32(BOARD_UART + UART_CR, CR_ENABLE | CR_TXE | CR_RXE);
	gic_init();
	gic_init_cpu();
}

/* The other CPUs' way in. */
void platform_secondary(unsigned cpu)
{
	gic_init_cpu();
	secondary_fn(cpu);
}

/* Numbered as the board does; the first one that there is not is refused. */
void platform_start_cpus(void (*fn)(unsigned cpu))
{
	secondary_fn = fn;
	__asm__ volatile("dsb sy" : : : "memory");
	for (uint64_t cpu = 1; cpu < CPUS_MAX; cpu++) {
		uint64_t mpidr = cpu / CPUS_PER_CLUSTER << 8 | cpu % CPUS_PER_CLUSTER;

		if (psci(PSCI_CPU_ON, mpidr, (uint64_t)secondary_start, cpu))
			break;
	}
}

void platform_timer_start(unsigned hz)
{
	interval[this_cpu()] = GET_SYS(cntfrq_el0) / hz;
	SET_SYS(cntv_cval_el0, GET_SYS(cntvct_el0) + interval[this_cpu()]);
	SET_SYS(cntv_ctl_el0, TIMER_ENABLE);
	ISB();
}

/* The next tick; those that a stopped machine has missed do not follow each other all at once. */
static void timer_next(void)
{
	uint64_t now = GET_SYS(cntvct_el0), next = GET_SYS(cntv_cval_el0) + interval[this_cpu()];

	SET_SYS(cntv_cval_el0, next > now ? next : now + interval[this_cpu()]);
	ISB();
}

void timer_interrupt(void)
{
	unsigned intid = gic_acknowledge();

	if (intid >= INTID_SPURIOUS)
		return;
	if (intid == INTID_VIRTUAL_TIMER) {
		timer_next();
		tick(this_cpu());
	}
	gic_end(intid);
}

/* WFI ends when an interrupt is pending even if it is masked, so none is lost before it. */
void platform_wait(void)
{
	__asm__ volatile("wfi\n\tmsr daifclr, #2\n\tisb\n\tmsr daifset, #2" : : : "memory");
}

void platform_putc(char c)
{
	while (read32(BOARD_UART + UART_FR) & FR_TXFF)
		;
	write32(BOARD_UART + UART_DR, (uint8_t)c);
}

void platform_power_off(void)
{
	for (;;)
		psci(PSCI_SYSTEM_OFF, 0, 0, 0);
}

static void put_text(const char *text)
{
	while (*text)
		platform_putc(*text++);
}

static void put_hex(const char *name, uint64_t v)
{
	put_text(name);
	for (int shift = 60; shift >= 0; shift -= 4)
		platform_putc("0123456789abcdef"[v >> shift & 15]);
}

__attribute__((weak)) void exception(struct trap *t, unsigned vector)
{
	put_hex("exception, vector ", vector);
	put_hex(" esr ", GET_SYS(esr_el1));
	put_hex(" elr ", t->elr);
	put_hex(" far ", GET_SYS(far_el1));
	put_text("\n");
	platform_power_off();
}
