#include "arch/arm64/unwind.h"

#include <string.h>

#define WORD	     8
#define SWITCHES_MAX 8		 /* of stacks, which need not lie in any order */
#define FRAME_MAX    (64u << 10) /* bytes */
#define PROLOGUE_MAX 64 /* instructions that are looked back at where no symbol tells where the function begins */

/* Arm ARM (DDI 0487), C6.2 (instructions), C5.2.19 (SPSR), D17 (SCTLR_EL1, TCR_EL1). */
#define IS_BL(insn)	   (((insn)&0xfc000000) == 0x94000000)
#define IS_BLR(insn)	   (((insn)&0xfefff000) == 0xd63f0000) /* BLRAA and BLRAB as well */
#define IS_RET(insn)	   (((insn)&0xfffff3ff) == 0xd65f03c0 || ((insn)&0xfffffbff) == 0xd65f0bff)
#define IS_SET_FP(insn)	   (((insn)&0xff8003ff) == 0x910003fd) /* ADD x29, sp, #imm; MOV x29, sp is one */
#define IS_POP_FP_LR(insn) (((insn)&0xfe407fff) == 0xa8407bfd) /* LDP x29, x30, [sp ...] */
#define PSTATE_NRW	   0x10
#define PSTATE_M	   0x0f /* 0: EL0 */
#define SCTLR_M		   1ull
#define TCR_T0SZ(tcr)	   ((unsigned)(tcr)&63)
#define TCR_T1SZ(tcr)	   ((unsigned)((tcr) >> 16) & 63)
#define UPPER_HALF	   (1ull << 55)

/*
 * Linux, struct pt_regs. A frame record is in it, before Linux 6.13 with the interrupted x29 and pc, since then two
 * zeros and a type: asm/stacktrace/frame.h.
 */
#define PT_FP	  (29 * WORD)
#define PT_LR	  (30 * WORD)
#define PT_SP	  (31 * WORD)
#define PT_PC	  (32 * WORD)
#define PT_PSTATE (33 * WORD)
#define META_REGS 2
static const uint64_t pt_record[] = {304, 296, 288}; /* where the record is, newest kernels in the middle */

struct chain {
	const struct unwind_guest *g;
	struct unwind *u;
	uint64_t lower, upper; /* pointer authentication: bits that are all zero, or all one */
	uint64_t pc, fp, lr, sp;
	unsigned switches;
	bool broken;
};

/* ---- code ---- */

static bool read_insn(const struct unwind_guest *g, uint64_t pc, uint32_t *insn)
{
	uint64_t word;

	if (!unwind_word(g, pc, sizeof(*insn), &word))
		return false;
	*insn = (uint32_t)word;
	return true;
}

static bool behind_call(const struct unwind_guest *g, uint64_t addr)
{
	uint32_t insn;

	return addr % sizeof(insn) == 0 && addr && read_insn(g, addr - sizeof(insn), &insn) &&
	       (IS_BL(insn) || IS_BLR(insn));
}

static uint64_t strip_by(uint64_t lower, uint64_t upper, uint64_t value)
{
	return value & UPPER_HALF ? value | upper : value & ~lower;
}

static uint64_t strip(const struct chain *c, uint64_t value)
{
	return strip_by(c->lower, c->upper, value);
}

static uint64_t scan_strip(const struct unwind_scan *s, uint64_t value)
{
	return strip_by(s->mask[0], s->mask[1], value);
}

static bool is_return(const struct chain *c, uint64_t pc)
{
	return c->g->text(c->g->ctx, pc - 1) && behind_call(c->g, pc);
}

/* Is it a direct call of that function? */
static bool calls(const struct chain *c, uint64_t lr, uint64_t function)
{
	uint32_t insn;
	int64_t words;

	if (!read_insn(c->g, lr - sizeof(insn), &insn) || !IS_BL(insn))
		return false;
	words = (int64_t)((uint64_t)insn << 38) >> 38; /* imm26 */
	return lr - sizeof(insn) + (uint64_t)words * sizeof(insn) == function;
}

/* Linux: what compilers have put elsewhere of f is called f.cold, f.part.0, ... */
static bool same_function(const struct unwind_function *a, const struct unwind_function *b)
{
	size_t n = strcspn(a->name, ".");

	return a->start == b->start || (n == strcspn(b->name, ".") && !strncmp(a->name, b->name, n));
}

/* Has the code before pc, in this function, made a frame record? Looks back over what is executed one after the other.
 */
static bool has_record(const struct chain *c, uint64_t start, bool known)
{
	uint64_t pc = c->pc;
	uint32_t insn;

	for (unsigned i = 0; pc > start && (known || i < PROLOGUE_MAX); i++) {
		pc -= sizeof(insn);
		if (i >= UNWIND_SCAN_MAX || !read_insn(c->g, pc, &insn))
			return false;
		if (IS_SET_FP(insn))
			return true;
		if (IS_POP_FP_LR(insn) || (!known && IS_RET(insn)))
			return false;
	}
	return false;
}

/*
 * Interrupted at pc: is the return address only in x30, since the function has no frame record, not yet or no more?
 * record is the return address in the record that x29 points to. If x30 leads into the same function, something that
 * it has called has returned, or it has called itself.
 */
static bool lr_counts(const struct chain *c, uint64_t record)
{
	struct unwind_function here, there;

	if (!is_return(c, c->lr) || c->lr == record)
		return false;
	if (!c->g->function(c->g->ctx, c->pc, &here))
		return !has_record(c, 0, false);
	if (c->pc == here.start)
		return true;
	if (!c->g->function(c->g->ctx, c->lr - 1, &there) || !same_function(&here, &there))
		return true;
	return calls(c, c->lr, here.start) && !has_record(c, here.start, true);
}

/* ---- the chain ---- */

static bool read_record(const struct chain *c, uint64_t at, uint64_t *fp, uint64_t *lr)
{
	return at && at % WORD == 0 && unwind_word(c->g, at, WORD, fp) && unwind_word(c->g, at + WORD, WORD, lr);
}

static bool leaf(struct chain *c)
{
	uint64_t fp, lr = 0;

	if (read_record(c, c->fp, &fp, &lr))
		lr = strip(c, lr);
	if (!lr_counts(c, lr))
		return true;
	c->pc = c->lr;
	return unwind_add(c->u, (struct unwind_frame){.pc = c->pc, .call = true});
}

/* What was interrupted, with its registers at regs. false: the walk ends. */
static bool from_regs(struct chain *c, uint64_t regs)
{
	uint64_t pc, fp, lr, sp, pstate;
	bool user;

	if (!unwind_word(c->g, regs + PT_PC, WORD, &pc) || !unwind_word(c->g, regs + PT_FP, WORD, &fp) ||
		!unwind_word(c->g, regs + PT_LR, WORD, &lr) || !unwind_word(c->g, regs + PT_SP, WORD, &sp) ||
		!unwind_word(c->g, regs + PT_PSTATE, WORD, &pstate))
		return false;
	user = !(pstate & PSTATE_M) || (pstate & PSTATE_NRW);
	c->pc = strip(c, pc);
	c->fp = fp;
	c->lr = strip(c, lr);
	c->sp = sp;
	return unwind_add(c->u, (struct unwind_frame){.pc = c->pc, .user = user}) && !user && leaf(c);
}

/* Is the record at fp part of a struct pt_regs, with the same values? */
static bool regs_around(const struct chain *c, uint64_t fp, uint64_t lr, uint64_t *regs)
{
	uint64_t pc, x29;

	for (size_t i = 0; i < sizeof(pt_record) / sizeof(pt_record[0]); i++) {
		*regs = c->fp - pt_record[i];
		if (unwind_word(c->g, *regs + PT_PC, WORD, &pc) && unwind_word(c->g, *regs + PT_FP, WORD, &x29) &&
			pc == lr && x29 == fp)
			return true;
	}
	return false;
}

/* Two zeros: the last record, unless it is one of registers. Linux: below the kernel's is what called or left for it.
 */
static bool from_zeros(struct chain *c)
{
	uint64_t type, regs, pstate, pc;
	struct unwind_function fn;

	if (unwind_word(c->g, c->fp + 2 * WORD, WORD, &type) && type == META_REGS && c->fp % 16 == 8)
		return from_regs(c, c->fp - pt_record[1]);
	if (!c->g->function(c->g->ctx, c->pc - 1, &fn) || strncmp(fn.name, "el0", 3))
		return false;
	for (size_t i = 0; i < 2; i++) {
		regs = c->fp - pt_record[i];
		if (unwind_word(c->g, regs + PT_PSTATE, WORD, &pstate) && unwind_word(c->g, regs + PT_PC, WORD, &pc) &&
			!(pstate & PSTATE_M) && pstate >> 32 == 0 && pc && !(pc & UPPER_HALF))
			return from_regs(c, regs);
	}
	return false;
}

/* One record. false: the chain ends here. */
static bool link_on(struct chain *c)
{
	uint64_t at = c->fp, fp, lr, regs;

	if (!at)
		return false;
	if (!read_record(c, at, &fp, &lr)) {
		c->broken = true;
		return false;
	}
	if (!fp && !lr)
		return from_zeros(c);
	if (regs_around(c, fp, lr, &regs))
		return from_regs(c, regs);
	lr = strip(c, lr);
	if (!lr)
		return false;
	if (!c->g->text(c->g->ctx, lr) && !c->g->text(c->g->ctx, lr - 1)) {
		c->broken = true;
		return false;
	}
	c->pc = lr;
	c->fp = fp;
	c->sp = at + 2 * WORD;
	/* A record with no call before its address is one that exception code has made. */
	if (!unwind_add(c->u, (struct unwind_frame){.pc = lr, .call = behind_call(c->g, lr)}))
		return false;
	if (fp && (fp <= at || fp - at > FRAME_MAX) && c->switches++ >= SWITCHES_MAX) {
		c->broken = true;
		return false;
	}
	return true;
}

static void masks(struct chain *c)
{
	uint64_t tcr = unwind_reg(c->g, "TCR_EL1");

	if (!(unwind_reg(c->g, "SCTLR_EL1") & SCTLR_M) || !TCR_T0SZ(tcr) || !TCR_T1SZ(tcr))
		return;
	c->lower = ~0ull << (64 - TCR_T0SZ(tcr));
	c->upper = ~0ull << (64 - TCR_T1SZ(tcr));
}

static void walk(const struct unwind_guest *g, struct unwind *u)
{
	uint64_t pstate = unwind_reg(g, "cpsr");
	bool user = !(pstate & PSTATE_M) || (pstate & PSTATE_NRW);
	struct chain c = {.g = g,
		.u = u,
		.pc = unwind_reg(g, "pc"),
		.fp = unwind_reg(g, "x29"),
		.lr = unwind_reg(g, "x30"),
		.sp = unwind_reg(g, "sp")};
	struct unwind_scan s = {.g = g, .word = WORD, .behind_call = behind_call, .clean = scan_strip};
	unsigned links = 0;

	u->n = 0;
	u->way = user ? UNWIND_USER : UNWIND_FRAME_POINTERS;
	unwind_add(u, (struct unwind_frame){.pc = c.pc, .user = user});
	if (user)
		return;
	masks(&c);
	c.lr = strip(&c, c.lr);
	if (leaf(&c)) {
		while (link_on(&c))
			links++;
	}
	if (!c.broken)
		return;
	if (!links)
		u->way = UNWIND_SCAN;
	s.mask[0] = c.lower;
	s.mask[1] = c.upper;
	unwind_scan_from(&s, c.sp);
	unwind_scan_all(&s, u);
}

/* clang-format off */
static const char *const regs[] = {
	"x0", "x1", "x2", "", "x3", "x4", "x5", "", "x6", "x7", "x8", "", "x9", "x10", "x11", "",
	"x12", "x13", "x14", "", "x15", "x16", "x17", "", "x18", "x19", "x20", "", "x21", "x22", "x23", "",
	"x24", "x25", "x26", "", "x27", "x28", "x29", "", "x30", "sp", "pc", "cpsr", "",
	"SP_EL0", "SP_EL1", "", "ELR_EL1", "SPSR_EL1", "ESR_EL1", "", "FAR_EL1", "VBAR_EL1", "SCTLR_EL1", "",
	"TCR_EL1", "TTBR0_EL1", "TTBR1_EL1", "", "MAIR_EL1", "CPACR_EL1", "CONTEXTIDR_EL1", "",
	"TPIDR_EL0", "TPIDR_EL1", "MPIDR_EL1", "", NULL,
};
/* clang-format on */
static const char *const not_started[] = {"powered off", NULL};

const struct unwind_isa arm64_unwind = {
	.regs = regs,
	.not_started = not_started,
	.code_bytes = 16,
	.code_unit = 4,
	.walk = walk,
};
