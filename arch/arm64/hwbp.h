/*
 * Breakpoint and watchpoint registers: what to watch -> BCR/BVR and WCR/WVR; a hit -> whose it is. Pure numbers, any
 * thread. Source: Arm ARM (DDI 0487), D2.8 (breakpoints), D2.9 (watchpoints), D24.3 (DBGBCR<n>_EL1, DBGWCR<n>_EL1).
 */
#ifndef ARM64_HWBP_H
#define ARM64_HWBP_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/desc.h"

#define ARM64_DBG_MAX	  16   /* of either kind, by the architecture */
#define ARM64_DBG_PRIVATE 0xff /* an owner: a breakpoint of nobody's slot, for a step */
#define ARM64_DBG_GUEST	  0x80 /* an owner: the guest's own register, its number in the low bits */

struct arm64_debug_regs {
	uint64_t bcr[ARM64_DBG_MAX], bvr[ARM64_DBG_MAX], wcr[ARM64_DBG_MAX], wvr[ARM64_DBG_MAX];
	uint8_t bowner[ARM64_DBG_MAX], wowner[ARM64_DBG_MAX]; /* index in hw_slots.slot, or as above */
	unsigned nb, nw;				      /* used, from 0 */
	unsigned max_b, max_w;				      /* that there are; set by the caller before */
};

/*
 * Fills bcr..nw for all of slots. A watched range is covered by one register where it fits (a part of an aligned
 * doubleword by BAS, an aligned power of two of at least 8 bytes by MASK), else by several. Execution slots match
 * 4 bytes at addr & ~3. All match EL1 and EL0. 0; -ENOSPC: more registers are needed than there are; -EINVAL: a length
 * of 0, a range that wraps, or one that more than ARM64_DBG_MAX registers could not cover.
 */
int arm64_hwbp_encode(const struct hw_slots *slots, struct arm64_debug_regs *regs);

/* One more execution breakpoint, of nobody's slot. Its index, or -ENOSPC. */
int arm64_hwbp_add_private(struct arm64_debug_regs *regs, uint64_t addr);

/*
 * The guest's own register n (bcr/bvr or wcr/wvr as the guest wrote them) into a free one. Its index, or -ENOSPC;
 * -EINVAL: of a kind that cannot move (linked to another register, or a match of a context and not of an address).
 */
int arm64_hwbp_add_guest_break(struct arm64_debug_regs *regs, unsigned n, uint64_t bcr, uint64_t bvr);
int arm64_hwbp_add_guest_watch(struct arm64_debug_regs *regs, unsigned n, uint64_t wcr, uint64_t wvr);

/*
 * Which register (index in bcr/bvr) is a breakpoint exception at pc due to; clients' before private before the guest's.
 * -1: none.
 */
int arm64_hwbp_hit_break(const struct arm64_debug_regs *regs, uint64_t pc);

/*
 * Which register (index in wcr/wvr) is a watchpoint exception due to, FAR being `far`? The address may lie below the
 * watched bytes: processors report where the access begins, or any address up to the watched one in the same naturally
 * aligned block of at most what DC ZVA clears. Exact matches first, then the nearest above within the largest such
 * block, of equals the lower register; is_write: ESR's WnR, which has to be of the kind. A tag in far's top byte is
 * ignored, as the processor ignores it. -1: none.
 */
int arm64_hwbp_hit_watch(const struct arm64_debug_regs *regs, uint64_t far, bool is_write);

#endif
