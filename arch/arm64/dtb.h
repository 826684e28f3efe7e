/*
 * The board's device tree: what Linux has to know of the machine of layout.h. Pure, any thread. Sources: Devicetree
 * Specification 0.4; Linux Documentation/devicetree/bindings (arm/cpus.yaml, arm/psci.yaml, timer/arm,arch_timer.yaml,
 * interrupt-controller/arm,gic-v3.yaml and arm,gic.yaml, serial/pl011.yaml, rtc/arm,pl031.yaml,
 * misc/pvpanic-mmio.txt).
 */
#ifndef ARM64_DTB_H
#define ARM64_DTB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARM64_DTB_MAX ((uint64_t)2 << 20) /* what Linux maps at most: booting.rst */

struct arm64_board_info {
	unsigned ncpus;
	unsigned gic_version; /* 3 or 2 */
};

#define ARM64_DTB_SEED 32

struct arm64_dtb_wish {
	struct arm64_board_info board;
	uint64_t ram_gpa, ram_size;
	const char *bootargs;
	uint64_t initrd_gpa, initrd_size; /* size 0: none */
	uint8_t rng_seed[ARM64_DTB_SEED];
	bool has_seed;
	uint64_t kaslr_seed; /* 0: none */
};

/*
 * The affinity bits of MPIDR_EL1 that KVM gives to the vCPU with that index: at most 16 CPUs in a cluster, so that a
 * GICv3's list registers of targets reach all of them (Linux, arch/arm64/kvm: reset_mpidr()).
 */
uint64_t arm64_cpu_affinity(unsigned index);

/* Into buf, 8-byte aligned; *used: its length. -ENOSPC, not logged, if it needs more than size. */
int arm64_dtb_build(const struct arm64_dtb_wish *wish, void *buf, size_t size, size_t *used);

#endif
