/* The ACPI tables: reachable from the RSDP as a kernel reaches them, checksums right, and saying what they should. */
#include "arch/x86_64/acpi.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/x86_64/aml.h"
#include "devices/acpi_pm.h"
#include "tests/unit/tap.h"

#define BASE 0xe0000

static uint8_t area[0x8000];
static long area_len;

static uint64_t le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s += *p++;
	return s;
}

/* The table at a guest address: inside the area, with a right length and checksum; else NULL. */
static const uint8_t *table_at(uint64_t gpa)
{
	const uint8_t *t = area + (gpa - BASE);

	if (gpa < BASE || gpa + 36 > BASE + (uint64_t)area_len)
		return NULL;
	if (gpa + le(t + 4, 4) > BASE + (uint64_t)area_len || sum(t, le(t + 4, 4)))
		return NULL;
	return t;
}

static const uint8_t *find(const char *signature)
{
	const uint8_t *xsdt = table_at(le(area + 24, 8));

	for (uint64_t at = 36; xsdt && at + 8 <= le(xsdt + 4, 4); at += 8) {
		const uint8_t *t = table_at(le(xsdt + at, 8));

		if (t && !memcmp(t, signature, 4))
			return t;
	}
	return NULL;
}

static void build(unsigned ncpus)
{
	memset(area, 0xee, sizeof(area));
	area_len = acpi_build(area, sizeof(area), BASE, ncpus);
}

static void test_roots(void)
{
	const uint8_t *rsdt, *xsdt;

	build(2);
	tap_ok(area_len > 0 && area_len < 0x1000, "tables of two CPUs fit into a page");
	tap_is_mem(area, "RSD PTR ", 8, "RSDP signature");
	tap_ok(!sum(area, 20) && !sum(area, 36), "both checksums of the RSDP");
	tap_is_u64(area[15], 2, "RSDP revision");
	tap_is_u64(le(area + 20, 4), 36, "RSDP length");
	xsdt = table_at(le(area + 24, 8));
	rsdt = table_at(le(area + 16, 4));
	if (!tap_ok(xsdt && !memcmp(xsdt, "XSDT", 4), "XSDT") || !tap_ok(rsdt && !memcmp(rsdt, "RSDT", 4), "RSDT"))
		return;
	tap_is_u64((le(xsdt + 4, 4) - 36) / 8, (le(rsdt + 4, 4) - 36) / 4, "RSDT and XSDT list as many tables");
	for (uint64_t i = 0; i < (le(xsdt + 4, 4) - 36) / 8; i++)
		tap_ok(table_at(le(xsdt + 36 + 8 * i, 8)) && le(xsdt + 36 + 8 * i, 8) == le(rsdt + 36 + 4 * i, 4),
			"table %d: in place, checksum right, the same in both", (int)i);
}

/* A generic address structure of one byte in port space. */
static void is_port(const uint8_t *gas, uint64_t port, const char *name)
{
	tap_ok(gas[0] == 1 && gas[1] == 8 && gas[2] == 0 && gas[3] == 1 && le(gas + 4, 8) == port, "%s", name);
}

static void test_fadt(void)
{
	const uint8_t *fadt = find("FACP"), *dsdt;

	if (!tap_ok(fadt, "FADT"))
		return;
	tap_is_u64(le(fadt + 4, 4), 276, "FADT length");
	tap_is_u64(fadt[8], 6, "FADT revision");
	tap_ok(le(fadt + 112, 4) & 1 << 20, "hardware-reduced");
	tap_ok(le(fadt + 112, 4) & 1 << 10, "has a reset register");
	tap_ok(le(fadt + 109, 2) & 2, "has an 8042");
	is_port(fadt + 116, ACPI_PM_PORT + ACPI_PM_RESET, "reset register");
	tap_is_u64(fadt[128], ACPI_PM_RESET_VALUE, "reset value");
	is_port(fadt + 244, ACPI_PM_PORT + ACPI_PM_SLEEP_CONTROL, "sleep control register");
	is_port(fadt + 256, ACPI_PM_PORT + ACPI_PM_SLEEP_STATUS, "sleep status register");
	tap_is_u64(le(fadt + 40, 4), le(fadt + 140, 8), "DSDT and X_DSDT");
	dsdt = table_at(le(fadt + 140, 8));
	tap_ok(dsdt && !memcmp(dsdt, "DSDT", 4), "DSDT in place, checksum right");
}

static bool holds(const uint8_t *hay, size_t n, const void *needle, size_t len)
{
	return memmem(hay, n, needle, len) != NULL;
}

static void test_dsdt(void)
{
	static const uint8_t s5[] = {0x08, '\\', '_', 'S', '5', '_', 0x12, 0x07, 4, 0x0a, ACPI_PM_SLP_TYP_S5, 0, 0, 0};
	static const uint8_t com1_hid[] = {0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01};
	static const uint8_t com1_crs[] = {0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x22, 1 << 4, 0, 0x79, 0};
	static const uint8_t rtc_crs[] = {0x47, 1, 0x70, 0, 0x70, 0, 1, 2, 0x22, 0, 1, 0x79, 0};
	const uint8_t *fadt = find("FACP");
	const uint8_t *dsdt = fadt ? table_at(le(fadt + 140, 8)) : NULL;
	size_t len;

	if (!tap_ok(dsdt, "DSDT"))
		return;
	len = le(dsdt + 4, 4);
	tap_ok(holds(dsdt, len, s5, sizeof(s5)), "\\_S5 is Package(4) {5, 0, 0, 0}");
	tap_ok(holds(dsdt, len, com1_hid, sizeof(com1_hid)), "COM1's _HID is EISAID PNP0501");
	tap_ok(holds(dsdt, len, com1_crs, sizeof(com1_crs)), "COM1's _CRS: 0x3f8-0x3ff, IRQ 4");
	tap_ok(holds(dsdt, len, rtc_crs, sizeof(rtc_crs)), "the clock's _CRS: 0x70-0x71, IRQ 8");
	tap_ok(holds(dsdt, len, "QEMU0001", 9), "pvpanic");
}

/* What a kernel counts: enabled processors, and whether each APIC id is there once. */
static void test_madt(unsigned ncpus)
{
	const uint8_t *madt, *e, *end;
	unsigned found = 0, ioapics = 0, pit_gsi = 99;
	bool in_order = true;

	build(ncpus);
	madt = find("APIC");
	if (!tap_ok(area_len > 0 && madt, "MADT of %u CPUs", ncpus))
		return;
	end = madt + le(madt + 4, 4);
	for (e = madt + 44; e + 2 <= end && e[1] >= 2 && e + e[1] <= end; e += e[1]) {
		uint64_t id = e[0] == 0 ? e[3] : e[0] == 9 ? le(e + 4, 4) : UINT64_MAX;

		if (e[0] == 0 || e[0] == 9)
			in_order &= id == found++ && (le(e + (e[0] ? 8 : 4), 4) & 1) && (e[0] == 9) == (id > 254);
		ioapics += e[0] == 1 && le(e + 4, 4) == 0xfec00000 && le(e + 8, 4) == 0;
		if (e[0] == 2 && e[3] == 0)
			pit_gsi = le(e + 4, 4);
	}
	tap_ok(e == end, "%u CPUs: the entries fill the table exactly", ncpus);
	tap_is_u64(found, ncpus, "%u CPUs: all there", ncpus);
	tap_ok(in_order, "%u CPUs: enabled, ids 0.. in order, x2APIC entries from 255 on", ncpus);
	tap_is_u64(ioapics, 1, "%u CPUs: one I/O APIC", ncpus);
	tap_is_u64(pit_gsi, 2, "%u CPUs: IRQ 0 at GSI 2", ncpus);
}

static void test_small_buffer(void)
{
	uint8_t *buf;
	long need;

	build(2);
	need = area_len;
	for (long size = 0; size < need; size++) {
		buf = malloc(size); /* exact: the sanitizer watches its end */
		if (acpi_build(buf, size, BASE, 2) != -ENOSPC) {
			free(buf);
			tap_ok(false, "a buffer of %ld bytes is refused", size);
			return;
		}
		free(buf);
	}
	buf = malloc(need);
	tap_is_u64(acpi_build(buf, need, BASE, 2), need, "a buffer of exactly the right size");
	free(buf);
	tap_ok(true, "every smaller buffer is refused without a byte behind its end");
}

static void test_aml(void)
{
	static char text[5000];
	static const unsigned sizes[] = {10, 51, 52, 53, 100, 4080, 4081, 4082, 4083, 4900};
	uint8_t buf[6000];
	struct aml a;
	size_t len;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned follow, got;

		memset(text, 'x', sizeof(text));
		text[sizes[i]] = 0;
		aml_init(&a, buf, sizeof(buf));
		aml_open_scope(&a, "\\_SB_");
		aml_name_string(&a, "NAME", text);
		aml_close(&a);
		if (!tap_ok(aml_done(&a, &len), "a package with %u bytes of text", sizes[i]))
			continue;
		follow = buf[1] >> 6;
		got = follow ? buf[1] & 0xf : buf[1] & 0x3f;
		for (unsigned k = 0; k < follow; k++)
			got |= buf[2 + k] << (4 + 8 * k);
		tap_ok(got == len - 1 && buf[2 + follow] == '\\', "its length says so");
	}
	aml_init(&a, buf, sizeof(buf));
	aml_open_scope(&a, "\\_SB_");
	tap_ok(!aml_done(&a, &len), "an open package is not done");
	aml_init(&a, buf, sizeof(buf));
	aml_close(&a);
	tap_ok(!aml_done(&a, &len), "one close too many");
	aml_init(&a, buf, sizeof(buf));
	for (int i = 0; i <= AML_DEPTH_MAX; i++)
		aml_open_scope(&a, "DEEP");
	tap_ok(a.failed, "nesting too deep");
	aml_init(&a, buf, sizeof(buf));
	aml_name_integer(&a, "TOOLONG", 1);
	tap_ok(!aml_done(&a, &len), "a name that is not four characters");
}

int main(void)
{
	test_roots();
	test_fadt();
	test_dsdt();
	test_madt(1);
	test_madt(64);
	test_madt(300);
	test_small_buffer();
	test_aml();
	return tap_done();
}
