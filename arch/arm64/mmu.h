/*
 * Stage 1 translation of EL1&0, walked the way the processor does, without a processor: numbers and a callback in, a
 * mapping out. Any thread; no state. Source: Arm ARM (DDI 0487), D8 "The AArch64 Virtual Memory System Architecture".
 *
 * `executable` of the mapping: EL1 or EL0 may execute there (UXN, PXN, SCTLR.WXN, and that EL1 executes nothing that
 * EL0 can write); `writable` is EL1's right, and a page that hardware would mark dirty (TCR.HD, DBM) is writable;
 * `user`: EL0 may read.
 *
 * What is not modelled, on purpose: PAN, access flag faults (a debugger reads what the tables lead to), MTE, permission
 * overlays and indirection, 128-bit descriptors; the mapping tells the rights of the tables, not whether one access
 * would fault. TCR.DS, HPDn, HA and HD are believed without asking whether the processor has them, and each granule is
 * taken to be there. Where the manual leaves a choice: a TnSZ out of bounds faults, a reserved TGn is 4 KiB. TnSZ may
 * be as large as with FEAT_TTST.
 */
#ifndef ARM64_MMU_H
#define ARM64_MMU_H

#include <stdbool.h>
#include <stdint.h>

struct mapping;

struct arm64_mmu_state {
	uint64_t sctlr, tcr, ttbr0, ttbr1;
	unsigned pa_bits; /* of the guest's physical addresses: ID_AA64MMFR0_EL1.PARange */
	bool lva;	  /* 52-bit virtual addresses with 64 KiB granules: ID_AA64MMFR2_EL1.VARange */
};

/* Reads 8 naturally aligned bytes of guest-physical memory, little-endian. 0, or <0: not RAM. */
typedef int (*arm64_read_phys)(void *ctx, uint64_t gpa, uint64_t *value);

/* 0 and *out filled; -EFAULT: the processor would take a translation or address size fault; -EIO: a table lies where
 * read_phys cannot read. With the MMU off (SCTLR.M) addresses are physical. At most five reads.
 * When it fails, out->len says for how many bytes from va on nothing is mapped either (at least; va + len is 0 where
 * that goes to the end of all addresses), so that mappings are found one after the other without trying every page.
 * Addresses that differ from mapped ones in an ignored tag only do not count. */
int arm64_mmu_walk(
	const struct arm64_mmu_state *s, arm64_read_phys read_phys, void *ctx, uint64_t va, struct mapping *out);

#endif
