#include "arch/arm64/dtb.h"

#include <inttypes.h>
#include <stdio.h>

#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define UART_NODE "pl011"

#define PHANDLE_GIC   1
#define PHANDLE_CLOCK 2

/* The cells of `interrupts`: bindings of arm,gic-v3 and arm,gic, which agree here */
#define GIC_CELLS      3
#define GIC_SPI	       0
#define GIC_PPI	       1
#define GIC_LEVEL_HIGH 4
/* Only with GICv2: in the flags of a PPI, the CPUs it goes to */
#define GICV2_CPUS_SHIFT 8
#define GICV2_CPUS	 8

#define GIC_FRAME_SIZE 0x10000ULL /* distributor, and GICv2's CPU interface */
#define DEVICE_SIZE    0x1000ULL
#define PVPANIC_SIZE   2ULL
#define EXIT_SIZE      DEVICE_SIZE
#define PRIMECELL_HZ   24000000

/* PSCI (Arm DEN 0022), 64-bit calls where there are; only PSCI 0.1 needs them in the tree */
#define PSCI_CPU_SUSPEND 0xc4000001
#define PSCI_CPU_OFF	 0x84000002
#define PSCI_CPU_ON	 0xc4000003
#define PSCI_MIGRATE	 0xc4000005

#define CLUSTER_CPUS 16

uint64_t arm64_cpu_affinity(unsigned index)
{
	uint64_t aff0 = index % CLUSTER_CPUS, aff1 = index / CLUSTER_CPUS & 0xff, aff2 = index >> 12;

	return aff2 << 16 | aff1 << 8 | aff0;
}

static void put_chosen(struct fdt *f, const struct arm64_dtb_wish *w, const char *uart)
{
	fdt_begin_node(f, "chosen");
	fdt_prop_string(f, "bootargs", w->bootargs);
	fdt_prop_string(f, "stdout-path", uart);
	if (w->initrd_size) {
		fdt_prop_u64(f, "linux,initrd-start", w->initrd_gpa);
		fdt_prop_u64(f, "linux,initrd-end", w->initrd_gpa + w->initrd_size);
	}
	if (w->has_seed)
		fdt_prop(f, "rng-seed", w->rng_seed, sizeof(w->rng_seed));
	if (w->kaslr_seed)
		fdt_prop_u64(f, "kaslr-seed", w->kaslr_seed);
	fdt_end_node(f);
}

static void put_memory(struct fdt *f, const struct arm64_dtb_wish *w)
{
	uint64_t reg[] = {w->ram_gpa, w->ram_size};

	fdt_begin_node_at(f, "memory", w->ram_gpa);
	fdt_prop_string(f, "device_type", "memory");
	fdt_prop_cells64(f, "reg", reg, COUNT(reg));
	fdt_end_node(f);
}

static void put_cpus(struct fdt *f, const struct arm64_dtb_wish *w)
{
	fdt_begin_node(f, "cpus");
	/* One cell holds Aff2 to Aff0; KVM leaves Aff3 zero. */
	fdt_prop_u32(f, "#address-cells", 1);
	fdt_prop_u32(f, "#size-cells", 0);
	for (unsigned i = 0; i < w->board.ncpus; i++) {
		uint64_t affinity = arm64_cpu_affinity(i);

		fdt_begin_node_at(f, "cpu", affinity);
		fdt_prop_string(f, "device_type", "cpu");
		fdt_prop_string(f, "compatible", "arm,armv8");
		fdt_prop_u32(f, "reg", (uint32_t)affinity);
		fdt_prop_string(f, "enable-method", "psci");
		fdt_end_node(f);
	}
	fdt_end_node(f);
}

static void put_psci(struct fdt *f)
{
	static const char *const compatible[] = {"arm,psci-1.0", "arm,psci-0.2", "arm,psci"};

	fdt_begin_node(f, "psci");
	fdt_prop_strings(f, "compatible", compatible, COUNT(compatible));
	fdt_prop_string(f, "method", "hvc");
	fdt_prop_u32(f, "cpu_suspend", PSCI_CPU_SUSPEND);
	fdt_prop_u32(f, "cpu_off", PSCI_CPU_OFF);
	fdt_prop_u32(f, "cpu_on", PSCI_CPU_ON);
	fdt_prop_u32(f, "migrate", PSCI_MIGRATE);
	fdt_end_node(f);
}

static void put_timer(struct fdt *f, const struct arm64_dtb_wish *w)
{
	static const char *const compatible[] = {"arm,armv8-timer"};
	static const uint32_t ppi[] = {PPI_TIMER_SECURE, PPI_TIMER_PHYS, PPI_TIMER_VIRT, PPI_TIMER_HYP};
	uint32_t cells[GIC_CELLS * COUNT(ppi)], flags = GIC_LEVEL_HIGH;
	unsigned cpus = w->board.ncpus < GICV2_CPUS ? w->board.ncpus : GICV2_CPUS;

	if (w->board.gic_version == 2)
		flags |= ((1U << cpus) - 1) << GICV2_CPUS_SHIFT;
	for (size_t i = 0; i < COUNT(ppi); i++) {
		cells[GIC_CELLS * i] = GIC_PPI;
		cells[GIC_CELLS * i + 1] = ppi[i];
		cells[GIC_CELLS * i + 2] = flags;
	}
	fdt_begin_node(f, "timer");
	fdt_prop_strings(f, "compatible", compatible, COUNT(compatible));
	fdt_prop_cells(f, "interrupts", cells, COUNT(cells));
	fdt_prop_empty(f, "always-on");
	fdt_end_node(f);
}

static void put_gic(struct fdt *f, const struct arm64_dtb_wish *w)
{
	bool v3 = w->board.gic_version != 2;
	uint64_t reg[] = {LAYOUT_GIC_DIST, GIC_FRAME_SIZE, LAYOUT_GIC_CPU, GIC_FRAME_SIZE};

	if (v3) {
		reg[2] = LAYOUT_GIC_REDIST;
		reg[3] = w->board.ncpus * LAYOUT_REDIST_SIZE;
	}
	fdt_begin_node_at(f, "intc", LAYOUT_GIC_DIST);
	fdt_prop_string(f, "compatible", v3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
	fdt_prop_u32(f, "#interrupt-cells", GIC_CELLS);
	fdt_prop_empty(f, "interrupt-controller");
	if (v3)
		fdt_prop_u32(f, "#redistributor-regions", 1);
	fdt_prop_cells64(f, "reg", reg, COUNT(reg));
	/* Nothing is below it, but dtc wants to be told how interrupt maps would address it. */
	fdt_prop_u32(f, "#address-cells", 0);
	fdt_prop_u32(f, "phandle", PHANDLE_GIC);
	fdt_end_node(f);
}

static void put_clock(struct fdt *f)
{
	fdt_begin_node(f, "apb-pclk");
	fdt_prop_string(f, "compatible", "fixed-clock");
	fdt_prop_u32(f, "#clock-cells", 0);
	fdt_prop_u32(f, "clock-frequency", PRIMECELL_HZ);
	fdt_prop_string(f, "clock-output-names", "clk24mhz");
	fdt_prop_u32(f, "phandle", PHANDLE_CLOCK);
	fdt_end_node(f);
}

/* One of Arm's devices: nclocks inputs, all of the one clock. */
static void put_primecell(struct fdt *f, const char *name, const char *chip, uint64_t gpa, uint32_t spi,
	const char *const *clocks, size_t nclocks)
{
	const char *compatible[] = {chip, "arm,primecell"};
	uint32_t irq[GIC_CELLS] = {GIC_SPI, spi, GIC_LEVEL_HIGH}, clock[] = {PHANDLE_CLOCK, PHANDLE_CLOCK};
	uint64_t reg[] = {gpa, DEVICE_SIZE};

	fdt_begin_node_at(f, name, gpa);
	fdt_prop_strings(f, "compatible", compatible, COUNT(compatible));
	fdt_prop_cells64(f, "reg", reg, COUNT(reg));
	fdt_prop_cells(f, "interrupts", irq, COUNT(irq));
	fdt_prop_cells(f, "clocks", clock, nclocks);
	fdt_prop_strings(f, "clock-names", clocks, nclocks);
	fdt_end_node(f);
}

static void put_plain(struct fdt *f, const char *name, const char *compatible, uint64_t gpa, uint64_t size)
{
	uint64_t reg[] = {gpa, size};

	fdt_begin_node_at(f, name, gpa);
	fdt_prop_string(f, "compatible", compatible);
	fdt_prop_cells64(f, "reg", reg, COUNT(reg));
	fdt_end_node(f);
}

static void put_devices(struct fdt *f)
{
	static const char *const uart_clocks[] = {"uartclk", "apb_pclk"}, *const rtc_clocks[] = {"apb_pclk"};

	put_primecell(f, UART_NODE, "arm,pl011", LAYOUT_UART, SPI_UART, uart_clocks, COUNT(uart_clocks));
	put_primecell(f, "pl031", "arm,pl031", LAYOUT_RTC, SPI_RTC, rtc_clocks, COUNT(rtc_clocks));
	put_plain(f, "pvpanic", "qemu,pvpanic-mmio", LAYOUT_PVPANIC, PVPANIC_SIZE);
	put_plain(f, "exit", "minivmm,exit-mmio", LAYOUT_EXIT, EXIT_SIZE);
}

int arm64_dtb_build(const struct arm64_dtb_wish *wish, void *buf, size_t size, size_t *used)
{
	struct fdt f;
	char uart[32];

	snprintf(uart, sizeof(uart), "/" UART_NODE "@%" PRIx64, (uint64_t)LAYOUT_UART);
	fdt_init(&f, buf, size);
	fdt_begin_node(&f, "");
	fdt_prop_string(&f, "compatible", "linux,dummy-virt");
	fdt_prop_string(&f, "model", "minivmm");
	fdt_prop_u32(&f, "#address-cells", 2);
	fdt_prop_u32(&f, "#size-cells", 2);
	fdt_prop_u32(&f, "interrupt-parent", PHANDLE_GIC);
	put_chosen(&f, wish, uart);
	fdt_begin_node(&f, "aliases");
	fdt_prop_string(&f, "serial0", uart);
	fdt_end_node(&f);
	put_memory(&f, wish);
	put_cpus(&f, wish);
	put_psci(&f);
	put_timer(&f, wish);
	put_gic(&f, wish);
	put_clock(&f);
	put_devices(&f);
	fdt_end_node(&f);
	return fdt_finish(&f, used);
}
