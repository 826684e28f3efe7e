/* Linux's own way: each frame by the entry that the kernel's tables have for its code. */
#include "arch/x86_64/unwind_x86.h"

#include "arch/x86_64/orc.h"

#define WORD	 8
#define LOST_MAX 64 /* times that a stack is searched for where to go on */

enum step { STEP_ON, STEP_END, STEP_LOST };

/* A register other than sp and bp, as the frame has it. */
static bool reg_of(
	const struct unwind_guest *g, const struct x86_frame *f, const char *name, unsigned at, uint64_t *out)
{
	if (f->regs || f->prev_regs)
		return unwind_word(g, (f->regs ? f->regs : f->prev_regs) + at, WORD, out);
	return f->live && g->reg(g->ctx, name, out);
}

/* Where the caller's stack began, at the call. */
static bool find_prev_sp(
	const struct unwind_guest *g, const struct x86_frame *f, const struct orc_entry *e, uint64_t *sp)
{
	uint64_t offset = (uint64_t)(int64_t)e->sp_offset;

	switch (e->sp_reg) {
	case ORC_REG_SP:
		*sp = f->sp + offset;
		return true;
	case ORC_REG_BP:
		*sp = f->bp + offset;
		return f->bp_known;
	case ORC_REG_SP_INDIRECT:
		if (!unwind_word(g, f->sp, WORD, sp))
			return false;
		*sp += offset;
		return true;
	case ORC_REG_BP_INDIRECT:
		return f->bp_known && unwind_word(g, f->bp + offset, WORD, sp);
	case ORC_REG_DX:
		return reg_of(g, f, "rdx", PT_DX, sp);
	case ORC_REG_DI:
		return reg_of(g, f, "rdi", PT_DI, sp);
	case ORC_REG_R10:
		return reg_of(g, f, "r10", PT_R10, sp);
	case ORC_REG_R13:
		return reg_of(g, f, "r13", PT_R13, sp);
	default:
		return false;
	}
}

static void find_bp(const struct unwind_guest *g, const struct orc_entry *e, uint64_t prev_sp,
	const struct x86_frame *f, struct x86_frame *to)
{
	uint64_t offset = (uint64_t)(int64_t)e->bp_offset;

	switch (e->bp_reg) {
	case ORC_REG_UNDEFINED: /* it has not changed, or is among what was saved of the caller: entry code clears it */
		to->bp = f->bp;
		to->bp_known = f->bp_known;
		if (to->regs || to->prev_regs)
			to->bp_known = unwind_word(g, (to->regs ? to->regs : to->prev_regs) + PT_BP, WORD, &to->bp);
		break;
	case ORC_REG_PREV_SP:
		to->bp_known = unwind_word(g, prev_sp + offset, WORD, &to->bp);
		break;
	case ORC_REG_BP:
		to->bp_known = f->bp_known && unwind_word(g, f->bp + offset, WORD, &to->bp);
		break;
	default:
		to->bp_known = false;
		break;
	}
}

/* The caller, a return address at the top of what it has pushed. */
static enum step step_call(const struct unwind_guest *g, uint64_t prev_sp, struct x86_frame *to, struct unwind *u)
{
	if (!unwind_word(g, prev_sp - WORD, WORD, &to->pc) || !g->text(g->ctx, to->pc - 1))
		return STEP_LOST;
	to->sp = prev_sp;
	to->call = true;
	return unwind_add(u, (struct unwind_frame){.pc = to->pc, .call = true}) ? STEP_ON : STEP_END;
}

/* What was interrupted; regs is where a whole struct pt_regs is, or would be. */
static enum step step_regs(
	const struct unwind_guest *g, const struct orc_entry *e, uint64_t regs, struct x86_frame *to, struct unwind *u)
{
	uint64_t cs;

	if (!unwind_word(g, regs + PT_IP, WORD, &to->pc) || !unwind_word(g, regs + PT_CS, WORD, &cs) ||
		!unwind_word(g, regs + PT_SP, WORD, &to->sp))
		return STEP_LOST;
	to->call = !e->signal;
	return x86_unwind_interrupted(u, to->pc, cs) ? STEP_ON : STEP_END;
}

static enum step step(const struct unwind_guest *g, const struct orc_table *t, struct x86_frame *f, struct unwind *u)
{
	struct x86_frame to = {0};
	struct unwind_function fn;
	struct orc_entry e;
	enum step s;
	uint64_t sp;

	if (!g->text(g->ctx, f->pc) && !f->call) { /* called through a bad pointer: the call has just pushed */
		to = (struct x86_frame){.bp = f->bp, .bp_known = f->bp_known};
		s = step_call(g, f->sp + WORD, &to, u);
		*f = s == STEP_LOST ? *f : to;
		return s;
	}
	/* Modules and generated code have no entries here. */
	if (!g->function(g->ctx, f->pc - f->call, &fn) || !x86_orc_find(t, g, f->pc - f->call, &e))
		return STEP_LOST;
	if (e.type == ORC_END_OF_STACK)
		return STEP_END;
	if (e.type == ORC_UNDEFINED || !find_prev_sp(g, f, &e, &sp))
		return STEP_LOST;
	switch (e.type) {
	case ORC_REGS:
		s = step_regs(g, &e, sp, &to, u);
		to.regs = sp;
		break;
	case ORC_REGS_PARTIAL:
		s = step_regs(g, &e, sp - PT_IP, &to, u);
		to.prev_regs = f->regs ? f->regs : f->prev_regs;
		to.live = f->live;
		break;
	default:
		s = step_call(g, sp, &to, u);
		break;
	}
	if (s == STEP_LOST)
		return s;
	find_bp(g, &e, sp, f, &to);
	*f = to;
	return s;
}

void x86_unwind_orc(const struct unwind_guest *g, const struct orc_table *t, struct x86_frame f, struct unwind *u)
{
	struct unwind_scan scan = {.g = g, .word = WORD, .behind_call = x86_behind_call};
	enum step s = STEP_ON;

	for (unsigned lost = 0; s != STEP_END && lost < LOST_MAX;) {
		s = step(g, t, &f, u);
		if (s != STEP_LOST)
			continue;
		/* Somewhere above is the address that this returns to, or one further out. */
		lost++;
		unwind_scan_from(&scan, f.sp);
		if (!unwind_scan_next(&scan, &f.pc) ||
			!unwind_add(u, (struct unwind_frame){.pc = f.pc, .call = true, .guess = true}))
			return;
		f = (struct x86_frame){.pc = f.pc, .sp = scan.at, .call = true};
	}
}
