/*
 * The four debug registers: what to watch -> DR0-3 and DR7; DR6 -> what was hit. Pure numbers, any thread.
 * Source: Intel SDM volume 3B, 17.2 (DR7 fields: table in 17.2.4; DR6: 17.2.3).
 */
#ifndef X86_HWBP_H
#define X86_HWBP_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/desc.h"

#define X86_DR_COUNT   4
#define X86_DR_PRIVATE 0xff
#define X86_DR6_HITS   0xfull /* B0-B3 */
#define X86_DR6_BD     (1ull << 13)
#define X86_DR6_BS     (1ull << 14)
#define X86_DR6_BT     (1ull << 15)

struct x86_debug_regs {
	uint64_t dr[X86_DR_COUNT];
	uint64_t dr7;		     /* 0x400 (the bit that is always set) when nothing is watched */
	uint8_t owner[X86_DR_COUNT]; /* index in hw_slots.slot of what DRi serves, or X86_DR_PRIVATE */
	unsigned n;
};

/*
 * A watched range that is not 1, 2, 4 or 8 aligned bytes is covered by several registers. HW_READ is served by the
 * read-or-write kind: x86 has no read-only one.
 * 0; -ENOSPC: more than four registers for all of them together; -EINVAL: one that can never fit.
 */
int x86_hwbp_encode(const struct hw_slots *slots, struct x86_debug_regs *out);

/* One more execution breakpoint, of nobody's slot. The register's index, or -ENOSPC. */
int x86_hwbp_add_private(struct x86_debug_regs *regs, uint64_t addr);

/*
 * Which slot do the bits B0-B3 of dr6 mean, for registers that were loaded with `regs`? Watches come first since their
 * access has happened and will not be seen again; an execution slot counts only if pc is its address, since the
 * processor may set B0-B3 for conditions that are not what raised the exception. Index in slots->slot, or -1.
 */
int x86_hwbp_hit(const struct hw_slots *slots, const struct x86_debug_regs *regs, uint64_t dr6, uint64_t pc);

/* The address in the first register of that slot that was hit: where its piece of the watched range begins. */
uint64_t x86_hwbp_hit_address(const struct x86_debug_regs *regs, uint64_t dr6, unsigned slot);

#endif
