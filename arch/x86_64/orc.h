/*
 * ORC tables of a Linux kernel, in its own memory: for each place in its code, where the caller's stack pointer, frame
 * pointer and return address are. Pure. Source: Linux, Documentation/arch/x86/orc-unwinder.rst, asm/orc_types.h of its
 * versions, arch/x86/kernel/unwind_orc.c for what the fields mean.
 */
#ifndef X86_ORC_H
#define X86_ORC_H

#include <stdbool.h>
#include <stdint.h>

struct unwind_guest;

enum orc_type { /* numbers: Linux 6.4 */
	ORC_UNDEFINED,
	ORC_END_OF_STACK,
	ORC_CALL,
	ORC_REGS,	  /* a whole struct pt_regs */
	ORC_REGS_PARTIAL, /* what the processor has pushed at an interrupt */
};

enum orc_reg {
	ORC_REG_UNDEFINED,
	ORC_REG_PREV_SP,
	ORC_REG_DX,
	ORC_REG_DI,
	ORC_REG_BP,
	ORC_REG_SP,
	ORC_REG_R10,
	ORC_REG_R13,
	ORC_REG_BP_INDIRECT,
	ORC_REG_SP_INDIRECT,
};

struct orc_entry {
	int16_t sp_offset, bp_offset;
	enum orc_reg sp_reg, bp_reg;
	enum orc_type type;
	bool signal; /* REGS: what was interrupted had not been executed yet */
};

/* How the fields of an entry lie. */
enum orc_version {
	ORC_4_14, /* also without an end bit, which came with 5.7: nothing else was there */
	ORC_6_3,  /* a signal bit before the end bit */
	ORC_6_4,  /* types 3 bits wide */
};

struct orc_table {
	uint64_t ips;	  /* array of int32_t: each tells where its code is, relative to itself; sorted */
	uint64_t entries; /* array of 6 bytes each */
	uint64_t n;
	enum orc_version version;
};

/* Are there tables, and do they make sense? Some hundred reads. */
bool x86_orc_open(struct orc_table *t, const struct unwind_guest *g);
/* The entry for the code at pc. false: there is none. */
bool x86_orc_find(const struct orc_table *t, const struct unwind_guest *g, uint64_t pc, struct orc_entry *out);

#endif
