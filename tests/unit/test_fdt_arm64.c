/* The writer of device trees, and the board's tree with every property that Linux reads of it. */
#include "arch/arm64/fdt.h"

#include <errno.h>
#include <stdlib.h>

#include "arch/arm64/dtb.h"
#include "arch/arm64/layout.h"
#include "tests/unit/fdt_reader.h"
#include "tests/unit/tap.h"

#define ROOM 65536

static _Alignas(8) uint8_t buf[ROOM];
static struct fdt_reader r;

static void write_sample(struct fdt *f, size_t size)
{
	static const char *const strings[] = {"one", "", "three"};
	static const uint64_t wide[] = {0x123456789abcdef0, 7};

	fdt_init(f, buf, size);
	fdt_begin_node(f, "");
	fdt_prop_u32(f, "cell", 0x01020304);
	fdt_prop(f, "odd", "abcde", 5);
	fdt_prop_empty(f, "nothing");
	fdt_begin_node_at(f, "sub", 0xfee);
	fdt_prop_strings(f, "strings", strings, 3);
	fdt_prop_cells64(f, "wide", wide, 2);
	fdt_begin_node(f, "deep");
	fdt_prop_string(f, "cell", "the same name");
	fdt_prop_u64(f, "long", 5);
	fdt_end_node(f);
	fdt_end_node(f);
	fdt_begin_node(f, "last");
	fdt_end_node(f);
	fdt_end_node(f);
}

static void test_writer(void)
{
	struct fdt f;
	size_t used = 0, exact;
	uint32_t len = 0;
	const uint8_t *v;

	memset(buf, 0xa5, sizeof(buf));
	write_sample(&f, sizeof(buf));
	tap_ok(!fdt_finish(&f, &used), "a tree is written");
	tap_is_str(fdt_reader_open(&r, buf, sizeof(buf)), NULL, "it is well-formed");
	tap_ok(r.total == used && r.nodes == 4 && r.props == 7, "it has all nodes and properties, and its own length");
	tap_ok(fdt_cells(&r, "/", "cell", 0x01020304), "a cell");
	v = fdt_get(&r, "/", "odd", &len);
	tap_ok(v && len == 5 && !memcmp(v, "abcde", 5), "bytes");
	tap_ok(fdt_get(&r, "/", "nothing", &len) && !len, "an empty property");
	v = fdt_get(&r, "/sub@fee", "strings", &len);
	tap_ok(v && len == 11 && !memcmp(v, "one\0\0three", 11), "strings");
	tap_ok(fdt_cells(&r, "/sub@fee", "wide", 0x12345678, 0x9abcdef0, 0, 7), "64-bit numbers");
	tap_is_str(fdt_get_string(&r, "/sub@fee/deep", "cell"), "the same name", "a string in a node two levels down");
	tap_ok(fdt_cells(&r, "/sub@fee/deep", "long", 0, 5), "one 64-bit number");
	tap_is_u64(r.strings_len, sizeof("cell\0odd\0nothing\0strings\0wide\0long"), "each name is there once");
	tap_ok(fdt_has_node(&r, "/last") && !fdt_has_node(&r, "/deep"), "nodes are where they belong");

	exact = (used + 3) & ~(size_t)3;
	write_sample(&f, exact);
	tap_ok(!fdt_finish(&f, &used), "a buffer of just its size does");
	memset(buf, 0xa5, sizeof(buf));
	for (size_t size = 0; size < exact; size += 4) {
		write_sample(&f, size);
		if (fdt_finish(&f, &used) != -ENOSPC || buf[size] != 0xa5) {
			tap_ok(false, "a buffer of %zu bytes is too small and nothing is written behind it", size);
			return;
		}
	}
	tap_ok(true, "any smaller one is too small, and nothing is written behind it");
}

static void test_names(void)
{
	struct fdt f;
	size_t used;
	char name[32];

	fdt_init(&f, buf, sizeof(buf));
	fdt_begin_node(&f, "");
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "property-%d", i);
		fdt_prop_empty(&f, name);
	}
	fdt_end_node(&f);
	tap_ok(fdt_finish(&f, &used) == -ENOSPC, "more names than there is room for are an error");
}

static struct arm64_dtb_wish sample_wish(unsigned ncpus, unsigned gic)
{
	struct arm64_dtb_wish w = {
		.board = {.ncpus = ncpus, .gic_version = gic},
		.ram_gpa = LAYOUT_RAM,
		.ram_size = 0x140000000,
		.bootargs = "console=ttyAMA0 nokaslr",
		.has_seed = true,
	};

	memset(w.rng_seed, 0x5a, sizeof(w.rng_seed));
	return w;
}

static bool build(const struct arm64_dtb_wish *w, const char *name)
{
	size_t used = 0;
	const char *wrong;
	int err = arm64_dtb_build(w, buf, sizeof(buf), &used);

	wrong = err ? "not built" : fdt_reader_open(&r, buf, used);
	return tap_is_str(wrong, NULL, "%s: a tree", name);
}

static void test_board(void)
{
	struct arm64_dtb_wish w = sample_wish(2, 3);
	uint32_t len = 0;
	const uint8_t *v;

	if (!build(&w, "GICv3"))
		return;
	tap_ok(fdt_cells(&r, "/", "#address-cells", 2) && fdt_cells(&r, "/", "#size-cells", 2) &&
			fdt_cells(&r, "/", "interrupt-parent", 1) &&
			fdt_has_string(&r, "/", "compatible", "linux,dummy-virt"),
		"root");
	tap_is_str(fdt_get_string(&r, "/chosen", "bootargs"), "console=ttyAMA0 nokaslr", "bootargs");
	tap_is_str(fdt_get_string(&r, "/chosen", "stdout-path"), "/pl011@9000000", "stdout-path");
	v = fdt_get(&r, "/chosen", "rng-seed", &len);
	tap_ok(v && len == 32 && v[31] == 0x5a, "rng-seed");
	tap_ok(!fdt_get(&r, "/chosen", "linux,initrd-start", &len) && !fdt_get(&r, "/chosen", "kaslr-seed", &len),
		"no initrd, no kaslr-seed");
	tap_ok(fdt_cells(&r, "/memory@40000000", "reg", 0, 0x40000000, 1, 0x40000000), "memory beyond 4 GiB");
	tap_is_str(fdt_get_string(&r, "/memory@40000000", "device_type"), "memory", "memory's device_type");
	tap_ok(fdt_cells(&r, "/cpus", "#address-cells", 1) && fdt_cells(&r, "/cpus", "#size-cells", 0), "cpus' cells");
	for (unsigned i = 0; i < 2; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/cpus/cpu@%u", i);
		tap_ok(fdt_cells(&r, path, "reg", i) && fdt_has_string(&r, path, "device_type", "cpu") &&
				fdt_has_string(&r, path, "compatible", "arm,armv8") &&
				fdt_has_string(&r, path, "enable-method", "psci"),
			"CPU %u", i);
	}
	tap_ok(!fdt_has_node(&r, "/cpus/cpu@2"), "and no third one");
	tap_ok(fdt_has_string(&r, "/psci", "compatible", "arm,psci-1.0") &&
			fdt_has_string(&r, "/psci", "compatible", "arm,psci-0.2") &&
			fdt_has_string(&r, "/psci", "compatible", "arm,psci") &&
			fdt_has_string(&r, "/psci", "method", "hvc") && fdt_cells(&r, "/psci", "cpu_on", 0xc4000003) &&
			fdt_cells(&r, "/psci", "cpu_off", 0x84000002) &&
			fdt_cells(&r, "/psci", "cpu_suspend", 0xc4000001) &&
			fdt_cells(&r, "/psci", "migrate", 0xc4000005),
		"psci");
	tap_ok(fdt_has_string(&r, "/timer", "compatible", "arm,armv8-timer") &&
			fdt_get(&r, "/timer", "always-on", &len) &&
			fdt_cells(&r, "/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4),
		"timer");
	tap_ok(fdt_has_string(&r, "/intc@8000000", "compatible", "arm,gic-v3") &&
			fdt_cells(&r, "/intc@8000000", "#interrupt-cells", 3) &&
			fdt_get(&r, "/intc@8000000", "interrupt-controller", &len) &&
			fdt_cells(&r, "/intc@8000000", "phandle", 1) &&
			fdt_cells(&r, "/intc@8000000", "#redistributor-regions", 1) &&
			fdt_cells(&r, "/intc@8000000", "reg", 0, 0x08000000, 0, 0x10000, 0, 0x080a0000, 0, 0x40000),
		"GICv3 with redistributors of two CPUs");
}

static void test_devices(void)
{
	struct arm64_dtb_wish w = sample_wish(1, 3);

	if (!build(&w, "devices"))
		return;
	tap_ok(fdt_has_string(&r, "/apb-pclk", "compatible", "fixed-clock") &&
			fdt_cells(&r, "/apb-pclk", "phandle", 2) && fdt_cells(&r, "/apb-pclk", "#clock-cells", 0) &&
			fdt_cells(&r, "/apb-pclk", "clock-frequency", 24000000),
		"clock");
	tap_ok(fdt_has_string(&r, "/pl011@9000000", "compatible", "arm,pl011") &&
			fdt_has_string(&r, "/pl011@9000000", "compatible", "arm,primecell") &&
			fdt_cells(&r, "/pl011@9000000", "reg", 0, 0x09000000, 0, 0x1000) &&
			fdt_cells(&r, "/pl011@9000000", "interrupts", 0, 1, 4) &&
			fdt_cells(&r, "/pl011@9000000", "clocks", 2, 2) &&
			fdt_has_string(&r, "/pl011@9000000", "clock-names", "uartclk") &&
			fdt_has_string(&r, "/pl011@9000000", "clock-names", "apb_pclk"),
		"pl011");
	tap_is_str(fdt_get_string(&r, "/aliases", "serial0"), "/pl011@9000000", "serial0");
	tap_ok(fdt_has_string(&r, "/pl031@9010000", "compatible", "arm,pl031") &&
			fdt_has_string(&r, "/pl031@9010000", "compatible", "arm,primecell") &&
			fdt_cells(&r, "/pl031@9010000", "reg", 0, 0x09010000, 0, 0x1000) &&
			fdt_cells(&r, "/pl031@9010000", "interrupts", 0, 2, 4) &&
			fdt_cells(&r, "/pl031@9010000", "clocks", 2) &&
			fdt_has_string(&r, "/pl031@9010000", "clock-names", "apb_pclk"),
		"pl031");
	tap_ok(fdt_has_string(&r, "/pvpanic@9e00000", "compatible", "qemu,pvpanic-mmio") &&
			fdt_cells(&r, "/pvpanic@9e00000", "reg", 0, 0x09e00000, 0, 2),
		"pvpanic");
	tap_ok(fdt_has_string(&r, "/exit@9f00000", "compatible", "minivmm,exit-mmio") &&
			fdt_cells(&r, "/exit@9f00000", "reg", 0, 0x09f00000, 0, 0x1000),
		"exit device");
}

static void test_variants(void)
{
	struct arm64_dtb_wish w = sample_wish(3, 2);
	uint32_t len;
	size_t used;

	w.initrd_gpa = 0x123450000;
	w.initrd_size = 0x1001;
	w.kaslr_seed = 0x1122334455667788;
	w.has_seed = false;
	if (build(&w, "GICv2")) {
		tap_ok(fdt_has_string(&r, "/intc@8000000", "compatible", "arm,cortex-a15-gic") &&
				fdt_cells(&r, "/intc@8000000", "reg", 0, 0x08000000, 0, 0x10000, 0, 0x08010000, 0,
					0x10000),
			"GICv2 with its CPU interface");
		tap_ok(fdt_cells(&r, "/timer", "interrupts", 1, 13, 0x704, 1, 14, 0x704, 1, 11, 0x704, 1, 10, 0x704),
			"the timer's interrupts go to three CPUs");
		tap_ok(fdt_cells(&r, "/chosen", "linux,initrd-start", 1, 0x23450000) &&
				fdt_cells(&r, "/chosen", "linux,initrd-end", 1, 0x23451001),
			"initrd");
		tap_ok(fdt_cells(&r, "/chosen", "kaslr-seed", 0x11223344, 0x55667788), "kaslr-seed");
		tap_ok(!fdt_get(&r, "/chosen", "rng-seed", &len), "no rng-seed without random numbers");
	}
	w = sample_wish(64, 3);
	if (build(&w, "64 CPUs")) {
		tap_ok(fdt_cells(&r, "/cpus/cpu@30f", "reg", 0x30f) && fdt_has_node(&r, "/cpus/cpu@f") &&
				!fdt_has_node(&r, "/cpus/cpu@10") && fdt_has_node(&r, "/cpus/cpu@100"),
			"sixteen to a cluster");
		tap_ok(fdt_cells(&r, "/intc@8000000", "reg", 0, 0x08000000, 0, 0x10000, 0, 0x080a0000, 0, 0x800000),
			"64 redistributors");
	}
	tap_ok(arm64_cpu_affinity(4095) == 0xff0f && arm64_cpu_affinity(4096) == 0x10000,
		"the third level of affinity");
	w = sample_wish(1000, 3);
	tap_ok(arm64_dtb_build(&w, buf, sizeof(buf), &used) == -ENOSPC, "a tree that does not fit is an error");
}

/* For a look with other tools: the tree goes to the file named. */
static int dump(const char *path, unsigned gic)
{
	struct arm64_dtb_wish w = sample_wish(4, gic);
	size_t used = 0;
	FILE *f = fopen(path, "wb");

	if (!f || arm64_dtb_build(&w, buf, sizeof(buf), &used) || fwrite(buf, used, 1, f) != 1)
		return 1;
	return fclose(f) != 0;
}

int main(int argc, char **argv)
{
	if (argc > 2)
		return dump(argv[1], (unsigned)atoi(argv[2]));
	test_writer();
	test_names();
	test_board();
	test_devices();
	test_variants();
	return tap_done();
}
