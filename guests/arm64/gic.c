/* Arm IHI 0069 (GICv3), 12, and IHI 0048 (GICv2), 4. */
#include "guests/arm64/gic.h"

#include <stdbool.h>

#include "guests/arm64/io.h"

#define GICD_CTLR	0x000
#define GICD_IGROUPR0	0x080 /* of GICv3's redistributor frame as well, like the next two */
#define GICD_ISENABLER0 0x100
#define GICD_IPRIORITYR 0x400
#define CTLR_GROUP0	(1u << 0)
#define CTLR_GROUP1	(1u << 1)
#define CTLR_ARE	(1u << 4)

#define GICC_CTLR 0x00
#define GICC_PMR  0x04
#define GICC_IAR  0x0c
#define GICC_EOIR 0x10

#define GICR_TYPER	 0x08
#define GICR_WAKER	 0x14
#define GICR_STRIDE	 0x20000
#define GICR_SGI	 0x10000
#define TYPER_LAST	 (1u << 4)
#define WAKER_SLEEP	 (1u << 1)
#define WAKER_ASLEEP	 (1u << 2)
#define SRE_ENABLE	 1u
#define ANY_PRIORITY	 0xff
#define PRIORITY	 0xa0
#define PFR0_GIC_SHIFT	 24
#define MPIDR_AFF3_SHIFT 32

static bool v3;

/* The system registers may be named as present though the machine has a GICv2: then they cannot be switched on. */
static bool has_system_registers(void)
{
	if (!(GET_SYS(id_aa64pfr0_el1) >> PFR0_GIC_SHIFT & 0xf))
		return false;
	SET_SYS(icc_sre_el1, GET_SYS(icc_sre_el1) | SRE_ENABLE);
	ISB();
	return GET_SYS(icc_sre_el1) & SRE_ENABLE;
}

void gic_init(void)
{
	v3 = has_system_registers();
	write32(BOARD_GIC_DIST + GICD_CTLR, v3 ? CTLR_ARE | CTLR_GROUP1 : CTLR_GROUP0);
}

/* This CPU's, by its affinity; they follow each other. */
static uint64_t redistributor(void)
{
	uint64_t mpidr = GET_SYS(mpidr_el1);
	uint32_t affinity = (uint32_t)((mpidr & 0xffffff) | (mpidr >> MPIDR_AFF3_SHIFT & 0xff) << 24);
	uint64_t base = BOARD_GIC_REDIST;

	for (;; base += GICR_STRIDE) {
		uint64_t type = read64(base + GICR_TYPER);

		if (type >> 32 == affinity || type & TYPER_LAST)
			return base;
	}
}

static void enable_timer(uint64_t base)
{
	write8(base + GICD_IPRIORITYR + INTID_VIRTUAL_TIMER, PRIORITY);
	write32(base + GICD_ISENABLER0, 1u << INTID_VIRTUAL_TIMER);
}

static void init_cpu_v3(void)
{
	uint64_t base = redistributor();

	write32(base + GICR_WAKER, read32(base + GICR_WAKER) & ~WAKER_SLEEP);
	while (read32(base + GICR_WAKER) & WAKER_ASLEEP)
		;
	write32(base + GICR_SGI + GICD_IGROUPR0, ~0u);
	enable_timer(base + GICR_SGI);
	SET_SYS(icc_sre_el1, GET_SYS(icc_sre_el1) | SRE_ENABLE);
	ISB();
	SET_SYS(icc_pmr_el1, ANY_PRIORITY);
	SET_SYS(icc_igrpen1_el1, 1);
	ISB();
}

void gic_init_cpu(void)
{
	if (v3) {
		init_cpu_v3();
		return;
	}
	enable_timer(BOARD_GIC_DIST);
	write32(BOARD_GIC_CPU + GICC_PMR, ANY_PRIORITY);
	write32(BOARD_GIC_CPU + GICC_CTLR, 1);
}

unsigned gic_acknowledge(void)
{
	return v3 ? (unsigned)GET_SYS(icc_iar1_el1) & 0xffffff : read32(BOARD_GIC_CPU + GICC_IAR) & 0x3ff;
}

void gic_end(unsigned intid)
{
	if (v3)
		SET_SYS(icc_eoir1_el1, intid);
	else
		write32(BOARD_GIC_CPU + GICC_EOIR, intid);
	ISB();
}
