/* x86-64 bare metal: local APIC, COM1, ACPI power-off. Intel SDM volume 3, chapters 6 and 11 (numbers below). */
#include "guests/platform.h"

#include "guests/x86_64/io.h"

#define COM1		   0x3f8
#define COM1_LSR	   (COM1 + 5)
#define LSR_THRE	   0x20
#define ACPI_SLEEP_CONTROL 0x600
#define ACPI_SLEEP_S5	   (5 << 2 | 1 << 5)

#define LAPIC		    0xfee00000ul
#define LAPIC_ID	    0x20
#define LAPIC_EOI	    0xb0
#define LAPIC_SVR	    0xf0
#define LAPIC_ICR	    0x300
#define LAPIC_ICR_HIGH	    0x310
#define LAPIC_LVT_TIMER	    0x320
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_DIVIDE  0x3e0
#define SVR_ENABLE	    0x100
#define TIMER_PERIODIC	    0x20000
#define DIVIDE_BY_1	    0xb
#define ICR_INIT_OTHERS	    0xc4500	/* all but self, assert, INIT */
#define ICR_STARTUP_OTHERS  0xc4600	/* all but self, assert, start-up; low byte: page */
#define KVM_LAPIC_HZ	    1000000000u /* KVM's APIC bus */

#define VECTOR_TIMER	0x40
#define VECTOR_SPURIOUS 0xff
#define AP_PAGE		0x90000ul /* as in start.S */

struct gate {
	uint16_t offset_low, selector, flags, offset_mid;
	uint32_t offset_high, zero;
};

extern char ap_start[], ap_end[], timer_entry[], spurious_entry[];
void platform_init(void);
void platform_ap(unsigned cpu);
void timer_interrupt(void);

static struct gate idt[256];
static void (*ap_fn)(unsigned cpu);
static uint8_t cpu_of_apic[256];

static void lapic_write(unsigned reg, uint32_t v)
{
	*(volatile uint32_t *)(LAPIC + reg) = v;
}

static uint32_t lapic_read(unsigned reg)
{
	return *(volatile uint32_t *)(LAPIC + reg);
}

static void set_gate(unsigned vector, const char *entry)
{
	uint64_t addr = (uint64_t)entry;
	uint16_t cs;

	__asm__("mov %%cs, %0" : "=r"(cs));
	idt[vector] = (struct gate){(uint16_t)addr, cs, 0x8e00, (uint16_t)(addr >> 16), (uint32_t)(addr >> 32), 0};
}

static void load_idt(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

static void lapic_enable(unsigned cpu)
{
	cpu_of_apic[lapic_read(LAPIC_ID) >> 24] = (uint8_t)cpu;
	lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
}

void platform_init(void)
{
	set_gate(VECTOR_TIMER, timer_entry);
	set_gate(VECTOR_SPURIOUS, spurious_entry);
	load_idt();
	lapic_enable(0);
}

/* The other CPUs' way in. */
void platform_ap(unsigned cpu)
{
	load_idt();
	lapic_enable(cpu);
	if (cpu < CPUS_MAX)
		ap_fn(cpu);
}

void platform_start_cpus(void (*fn)(unsigned cpu))
{
	char *to = (char *)AP_PAGE;

	ap_fn = fn;
	for (char *from = ap_start; from < ap_end; from++)
		*to++ = *from;
	lapic_write(LAPIC_ICR, ICR_INIT_OTHERS);
	lapic_write(LAPIC_ICR, ICR_STARTUP_OTHERS | AP_PAGE >> 12);
}

void platform_timer_start(unsigned hz)
{
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, TIMER_PERIODIC | VECTOR_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, KVM_LAPIC_HZ / hz);
}

void timer_interrupt(void)
{
	tick(cpu_of_apic[lapic_read(LAPIC_ID) >> 24]);
	lapic_write(LAPIC_EOI, 0);
}

/* STI holds interrupts off for one more instruction, so none is lost between it and HLT. */
void platform_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

void platform_putc(char c)
{
	while (!(inb(COM1_LSR) & LSR_THRE))
		;
	outb(COM1, (uint8_t)c);
}

void platform_power_off(void)
{
	for (;;)
		outb(ACPI_SLEEP_CONTROL, ACPI_SLEEP_S5);
}
