/* What the ways to unwind x86 have in common. Pure. */
#ifndef X86_UNWIND_H
#define X86_UNWIND_H

#include "arch/unwind.h"

extern const struct unwind_isa x86_unwind;

/* Linux, struct pt_regs of x86_64; from PT_IP on it is what the processor pushes at an interrupt (SDM 3A, 6.14.2). */
#define PT_R13 16
#define PT_BP  32
#define PT_R10 56
#define PT_DX  96
#define PT_DI  112
#define PT_IP  128
#define PT_CS  136
#define PT_SP  152

#define CS_RPL 3

/* What is known of one frame. */
struct x86_frame {
	uint64_t pc, sp, bp;
	bool call;     /* pc is a return address */
	bool bp_known; /* bp is this frame's */
	/* ORC: struct pt_regs of this frame, and of one further in whose rest is this frame's too; 0: none. */
	uint64_t regs, prev_regs;
	bool live; /* all other registers are still the vCPU's */
};

bool x86_behind_call(const struct unwind_guest *g, uint64_t addr);
/* A program's pc, or the kernel's, that the processor has pushed. false: the walk ends here. */
bool x86_unwind_interrupted(struct unwind *u, uint64_t pc, uint64_t cs);

struct orc_table;
void x86_unwind_orc(const struct unwind_guest *g, const struct orc_table *t, struct x86_frame f, struct unwind *u);
/* word: bytes. Where rbp does not begin a chain of frames, or the chain breaks, the rest is guessed: which is it? */
enum unwind_way x86_unwind_fp(const struct unwind_guest *g, unsigned word, struct x86_frame f, struct unwind *u);

#endif
