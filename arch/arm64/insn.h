/*
 * The few A64 instructions that a step or a planted breakpoint has to know. Pure, any thread. Source: Arm ARM (DDI
 * 0487), C4 (encodings).
 */
#ifndef ARM64_INSN_H
#define ARM64_INSN_H

#include <stdbool.h>
#include <stdint.h>

enum arm64_insn {
	ARM64_OTHER,
	ARM64_WFX,	   /* WFI, WFE, WFIT, WFET */
	ARM64_MSR_DAIFSET, /* imm: the four bits D A I F as in the instruction (bit 3 is D, bit 0 is F) */
	ARM64_MSR_DAIFCLR, /* imm likewise */
	ARM64_MSR_DAIF,	   /* from register rt (31: zero) */
	ARM64_MRS_DAIF,	   /* to register rt (31: nowhere) */
	ARM64_MSR_DEBUG,   /* MSR to a register of op0 2: debug registers */
	ARM64_MSR_SYSTEM,  /* MSR to any other system register, MSR (immediate) of other PSTATE fields */
	ARM64_ERET,	   /* and ERETAA, ERETAB */
	ARM64_SVC,
	ARM64_HVC,
	ARM64_SMC,
	ARM64_BRK, /* imm: its 16 bits */
	ARM64_LOAD_EXCLUSIVE,
	ARM64_STORE_EXCLUSIVE,
	ARM64_BRANCH,	    /* B, B.cond, CBZ, CBNZ, TBZ, TBNZ: target; conditional */
	ARM64_BRANCH_OTHER, /* BL, BR, BLR, RET: away */
};

struct arm64_decoded {
	enum arm64_insn insn;
	unsigned rt;
	unsigned imm;
	bool conditional;
	uint64_t target;
};

struct arm64_decoded arm64_decode(uint32_t insn, uint64_t pc);

/* Of the kinds that kernels replace in running code, one by another: NOP, B, BL. */
bool arm64_is_patch_site(uint32_t insn);

/*
 * Code of an exclusive sequence that starts with the load at pc: fills leave[] (at most max) with the addresses at
 * which it is left: behind its (last) store-exclusive, and where branches lead from which no such store can be reached
 * any more without another load-exclusive. Branches back to pc stay inside. Only the 16 instructions behind pc are
 * looked at; CLREX, calls, returns, exceptions and waits end a sequence as well. Returns how many, 0 if no store can be
 * reached or if more than max are needed: it is no sequence then and can be stepped. read_insn: 0, or <0 when
 * unreadable.
 */
#define ARM64_EXCLUSIVE_MAX 16
int arm64_exclusive_leave(
	int (*read_insn)(void *ctx, uint64_t addr, uint32_t *insn), void *ctx, uint64_t pc, uint64_t *leave, int max);

#endif
