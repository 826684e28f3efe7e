#include "arch/x86_64/acpi.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "arch/x86_64/aml.h"
#include "arch/x86_64/layout.h"
#include "devices/acpi_pm.h"
#include "devices/cmos.h"
#include "devices/pvpanic.h"
#include "devices/uart16550.h"

#define OEM_ID	     "MINVMM"
#define OEM_TABLE_ID "MINIVMM "
#define CREATOR_ID   "MVMM"

/* 5.2.6, the header that all but the RSDP begin with */
#define HEADER_SIZE	36
#define HEADER_LENGTH	4
#define HEADER_CHECKSUM 9

/* 5.2.5.3 */
#define RSDP_SIZE    36
#define RSDP_SIZE_V1 20
#define RSDP_ROOM    64 /* tables begin on a multiple of 64 */

/* 5.2.9, offsets in the FADT */
#define FADT_SIZE	    276
#define FADT_DSDT	    40
#define FADT_CENTURY	    108
#define FADT_IAPC_BOOT_ARCH 109
#define FADT_FLAGS	    112
#define FADT_RESET_REG	    116
#define FADT_RESET_VALUE    128
#define FADT_MINOR	    131
#define FADT_X_DSDT	    140
#define FADT_SLEEP_CONTROL  244
#define FADT_SLEEP_STATUS   256
#define FADT_HYPERVISOR	    268

#define FADT_WBINVD	   (1U << 0)
#define FADT_PROC_C1	   (1U << 2)
#define FADT_PWR_BUTTON	   (1U << 4) /* no fixed power button */
#define FADT_SLP_BUTTON	   (1U << 5) /* no fixed sleep button */
#define FADT_FIX_RTC	   (1U << 6) /* no wake-up status for the RTC in fixed registers */
#define FADT_RESET_REG_SUP (1U << 10)
#define FADT_HW_REDUCED	   (1U << 20)

#define IAPC_LEGACY_DEVICES (1U << 0)
#define IAPC_8042	    (1U << 1)
#define IAPC_NO_VGA	    (1U << 2)

#define CMOS_CENTURY 0x32

/* 5.2.12 */
#define MADT_PCAT_COMPAT 1
#define MADT_LAPIC	 0
#define MADT_IOAPIC	 1
#define MADT_OVERRIDE	 2
#define MADT_LAPIC_NMI	 4
#define MADT_X2APIC	 9
#define MADT_X2APIC_NMI	 10
#define MADT_ENABLED	 1
#define MADT_ALL_CPUS	 0xff
#define MADT_ALL_CPUS_X2 0xffffffff
#define XAPIC_ID_MAX	 254

/* A table under construction at buf[start]; running out of room only sets `failed`. */
struct tables {
	uint8_t *buf;
	size_t size, len, start;
	uint64_t gpa;
	bool failed;
};

static void put(struct tables *t, const void *bytes, size_t n)
{
	if (t->failed || n > t->size - t->len) {
		t->failed = true;
		return;
	}
	memcpy(t->buf + t->len, bytes, n);
	t->len += n;
}

static void put_le(struct tables *t, uint64_t value, unsigned bytes)
{
	uint8_t le[8];

	for (unsigned i = 0; i < 8; i++)
		le[i] = value >> (8 * i);
	put(t, le, bytes);
}

static void zero(struct tables *t, size_t n)
{
	if (t->failed || n > t->size - t->len) {
		t->failed = true;
		return;
	}
	memset(t->buf + t->len, 0, n);
	t->len += n;
}

/* Overwrites what zero() left room for, at an offset of the present table. */
static void set_le(struct tables *t, size_t at, uint64_t value, unsigned bytes)
{
	if (t->failed)
		return;
	for (unsigned i = 0; i < bytes; i++)
		t->buf[t->start + at + i] = value >> (8 * i);
}

static void set_text(struct tables *t, size_t at, const char *text)
{
	while (!t->failed && *text)
		t->buf[t->start + at++] = *text++;
}

static uint8_t checksum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum += *p++;
	return -sum;
}

static void table_begin(struct tables *t, const char *signature, uint8_t revision)
{
	zero(t, -t->len & (RSDP_ROOM - 1));
	t->start = t->len;
	put(t, signature, 4);
	put_le(t, 0, 4);
	put_le(t, revision, 1);
	put_le(t, 0, 1);
	put(t, OEM_ID, 6);
	put(t, OEM_TABLE_ID, 8);
	put_le(t, 1, 4);
	put(t, CREATOR_ID, 4);
	put_le(t, 1, 4);
}

/* Returns where the guest finds the table. */
static uint64_t table_end(struct tables *t)
{
	if (t->failed)
		return 0;
	size_t len = t->len - t->start;

	set_le(t, HEADER_LENGTH, len, 4);
	set_le(t, HEADER_CHECKSUM, checksum(t->buf + t->start, len), 1);
	return t->gpa + t->start;
}

struct dsdt_device {
	const char *name, *hid;
	struct aml_io io[2];
	unsigned nio;
	uint8_t irq;
	bool pnp; /* hid is an EISA id */
};

static const struct dsdt_device dsdt_devices[] = {
	{"COM1", "PNP0501", {{PORT_COM1, UART16550_LEN}}, 1, IRQ_COM1, true},
	{"RTC_", "PNP0B00", {{CMOS_PORT, 2}}, 1, CMOS_IRQ, true},
	{"KBD_", "PNP0303", {{0x60, 1}, {0x64, 1}}, 2, IRQ_KEYBOARD, true},
	{"PEVT", "QEMU0001", {{PVPANIC_PORT, PVPANIC_LEN}}, 1, AML_NO_IRQ, false},
};

#define STA_PRESENT 0x0f /* present, enabled, shown, working */

static uint64_t dsdt(struct tables *t)
{
	struct aml a;
	size_t len;

	table_begin(t, "DSDT", 2);
	aml_init(&a, t->buf + t->len, t->size - t->len);
	aml_open_name_package(&a, "\\_S5_", 4);
	aml_integer(&a, ACPI_PM_SLP_TYP_S5);
	for (int i = 0; i < 3; i++)
		aml_integer(&a, 0);
	aml_close(&a);
	aml_open_scope(&a, "\\_SB_");
	for (size_t i = 0; i < sizeof(dsdt_devices) / sizeof(dsdt_devices[0]); i++) {
		const struct dsdt_device *d = &dsdt_devices[i];

		aml_open_device(&a, d->name);
		if (d->pnp)
			aml_name_eisaid(&a, "_HID", d->hid);
		else
			aml_name_string(&a, "_HID", d->hid);
		aml_name_integer(&a, "_UID", 0);
		aml_name_integer(&a, "_STA", STA_PRESENT);
		aml_crs(&a, d->io, d->nio, d->irq);
		aml_close(&a);
	}
	aml_close(&a);
	if (!aml_done(&a, &len))
		t->failed = true;
	else
		t->len += len;
	return table_end(t);
}

/* Generic address structure (5.2.3.2): one byte in port space */
static void set_port(struct tables *t, size_t at, uint16_t port)
{
	set_le(t, at, 1, 1);	 /* system I/O */
	set_le(t, at + 1, 8, 1); /* bits */
	set_le(t, at + 2, 0, 1);
	set_le(t, at + 3, 1, 1); /* byte access */
	set_le(t, at + 4, port, 8);
}

static uint64_t fadt(struct tables *t, uint64_t dsdt_gpa)
{
	table_begin(t, "FACP", 6);
	zero(t, FADT_SIZE - HEADER_SIZE);
	set_le(t, FADT_DSDT, dsdt_gpa, 4);
	set_le(t, FADT_CENTURY, CMOS_CENTURY, 1);
	set_le(t, FADT_IAPC_BOOT_ARCH, IAPC_LEGACY_DEVICES | IAPC_8042 | IAPC_NO_VGA, 2);
	set_le(t, FADT_FLAGS,
		FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_FIX_RTC | FADT_RESET_REG_SUP |
			FADT_HW_REDUCED,
		4);
	set_port(t, FADT_RESET_REG, ACPI_PM_PORT + ACPI_PM_RESET);
	set_le(t, FADT_RESET_VALUE, ACPI_PM_RESET_VALUE, 1);
	set_le(t, FADT_MINOR, 4, 1);
	set_le(t, FADT_X_DSDT, dsdt_gpa, 8);
	set_port(t, FADT_SLEEP_CONTROL, ACPI_PM_PORT + ACPI_PM_SLEEP_CONTROL);
	set_port(t, FADT_SLEEP_STATUS, ACPI_PM_PORT + ACPI_PM_SLEEP_STATUS);
	set_text(t, FADT_HYPERVISOR, OEM_TABLE_ID);
	return table_end(t);
}

static void madt_entry(struct tables *t, uint8_t type, uint8_t len)
{
	put_le(t, type, 1);
	put_le(t, len, 1);
}

static void madt_cpu(struct tables *t, unsigned id)
{
	if (id <= XAPIC_ID_MAX) {
		madt_entry(t, MADT_LAPIC, 8);
		put_le(t, id, 1); /* processor uid */
		put_le(t, id, 1);
		put_le(t, MADT_ENABLED, 4);
	} else {
		madt_entry(t, MADT_X2APIC, 16);
		put_le(t, 0, 2);
		put_le(t, id, 4);
		put_le(t, MADT_ENABLED, 4);
		put_le(t, id, 4); /* processor uid */
	}
}

static uint64_t madt(struct tables *t, unsigned ncpus)
{
	table_begin(t, "APIC", 5);
	put_le(t, LAYOUT_LAPIC, 4);
	put_le(t, MADT_PCAT_COMPAT, 4);
	for (unsigned i = 0; i < ncpus; i++)
		madt_cpu(t, i);

	madt_entry(t, MADT_IOAPIC, 12);
	put_le(t, 0, 2); /* id, reserved */
	put_le(t, LAYOUT_IOAPIC, 4);
	put_le(t, 0, 4); /* first GSI */

	madt_entry(t, MADT_OVERRIDE, 10);
	put_le(t, 0, 2); /* bus ISA, IRQ 0 */
	put_le(t, GSI_PIT, 4);
	put_le(t, 0, 2); /* polarity and trigger as the bus has them */

	madt_entry(t, MADT_LAPIC_NMI, 6);
	put_le(t, MADT_ALL_CPUS, 1);
	put_le(t, 0, 2);
	put_le(t, 1, 1); /* LINT1 */
	if (ncpus > XAPIC_ID_MAX + 1) {
		madt_entry(t, MADT_X2APIC_NMI, 12);
		put_le(t, 0, 2);
		put_le(t, MADT_ALL_CPUS_X2, 4);
		put_le(t, 1, 4); /* LINT1 and three reserved bytes */
	}
	return table_end(t);
}

static uint64_t root(struct tables *t, const char *signature, const uint64_t *list, unsigned n, unsigned width)
{
	table_begin(t, signature, 1);
	for (unsigned i = 0; i < n; i++)
		put_le(t, list[i], width);
	return table_end(t);
}

long acpi_build(uint8_t *buf, size_t size, uint64_t gpa, unsigned ncpus)
{
	struct tables t = {.buf = buf, .size = size, .gpa = gpa};
	uint64_t list[2], dsdt_gpa, rsdt, xsdt;

	zero(&t, RSDP_ROOM);
	dsdt_gpa = dsdt(&t);
	list[0] = fadt(&t, dsdt_gpa);
	list[1] = madt(&t, ncpus);
	rsdt = root(&t, "RSDT", list, 2, 4);
	xsdt = root(&t, "XSDT", list, 2, 8);
	if (t.failed)
		return -ENOSPC;

	t.start = 0;
	set_text(&t, 0, "RSD PTR ");
	set_text(&t, 9, OEM_ID);
	set_le(&t, 15, 2, 1); /* revision */
	set_le(&t, 16, rsdt, 4);
	set_le(&t, 20, RSDP_SIZE, 4);
	set_le(&t, 24, xsdt, 8);
	set_le(&t, 8, checksum(buf, RSDP_SIZE_V1), 1);
	set_le(&t, 32, checksum(buf, RSDP_SIZE), 1);
	return t.len;
}
