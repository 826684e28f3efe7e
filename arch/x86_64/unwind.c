#include "arch/x86_64/unwind_x86.h"

#include "arch/x86_64/mmu.h"
#include "arch/x86_64/orc.h"

#define RFLAGS_VM  (1ull << 17)
#define CALL_MAX   7 /* bytes of the longest call, prefixes apart */
#define CALL_REL32 0xe8
#define GROUP5	   0xff /* CALL r/m is /2: SDM 2A, A.4.2 */

/*
 * A call in the bytes that end here? Of CALL r/m the length is in ModRM and SIB: SDM 2A, 2.1. Prefixes lie before what
 * is looked at.
 */
static bool is_call(const uint8_t *end, size_t n)
{
	static const uint8_t by_mod[4] = {2, 3, 6, 2};

	if (n >= 5 && end[-5] == CALL_REL32)
		return true;
	for (size_t len = 2; len <= n && len <= CALL_MAX; len++) {
		const uint8_t *op = end - len;
		unsigned mod = op[1] >> 6, rm = op[1] & 7;
		size_t want = by_mod[mod];

		if (op[0] != GROUP5 || (op[1] >> 3 & 7) != 2)
			continue;
		if (mod == 0 && rm == 5)
			want += 4;
		if (mod != 3 && rm == 4) {
			want++;
			if (mod == 0 && len > 2 && (op[2] & 7) == 5)
				want += 4;
		}
		if (want == len)
			return true;
	}
	return false;
}

bool x86_behind_call(const struct unwind_guest *g, uint64_t addr)
{
	static const uint8_t lengths[] = {CALL_MAX, 5, 2}; /* fewer where a page begins */
	uint8_t bytes[CALL_MAX];

	for (size_t i = 0; i < sizeof(lengths); i++) {
		if (addr > lengths[i] && g->read(g->ctx, addr - lengths[i], bytes, lengths[i]) == lengths[i])
			return is_call(bytes + lengths[i], lengths[i]);
	}
	return false;
}

bool x86_unwind_interrupted(struct unwind *u, uint64_t pc, uint64_t cs)
{
	bool user = cs & CS_RPL;

	if (!user && !pc)
		return false; /* Linux: a thread of the kernel has registers of a program, all zero */
	return unwind_add(u, (struct unwind_frame){.pc = pc, .user = user}) && !user;
}

/* 16-bit code is not unwound: its stack has segments. */
static unsigned word_size(const struct unwind_guest *g)
{
	if (!(unwind_reg(g, "cr0") & X86_CR0_PE) || (unwind_reg(g, "eflags") & RFLAGS_VM))
		return 0;
	return unwind_reg(g, "efer") & X86_EFER_LMA ? 8 : 4;
}

static void walk(const struct unwind_guest *g, struct unwind *u)
{
	unsigned word = word_size(g);
	struct x86_frame f = {
		.pc = unwind_reg(g, "rip"),
		.sp = unwind_reg(g, "rsp"),
		.bp = unwind_reg(g, "rbp"),
		.bp_known = true,
		.live = true,
	};
	bool user = word && (unwind_reg(g, "cs") & CS_RPL);
	struct orc_table t;

	u->n = 0;
	u->way = user ? UNWIND_USER : UNWIND_NONE;
	unwind_add(u, (struct unwind_frame){.pc = f.pc, .user = user});
	if (!word || user)
		return;
	if (word == 8 && x86_orc_open(&t, g)) {
		u->way = UNWIND_ORC;
		x86_unwind_orc(g, &t, f, u);
	} else {
		u->way = x86_unwind_fp(g, word, f, u);
	}
}

/* clang-format off */
static const char *const regs[] = {
	"rax", "rbx", "rcx", "", "rdx", "rsi", "rdi", "", "rbp", "rsp", "r8", "", "r9", "r10", "r11", "",
	"r12", "r13", "r14", "", "r15", "rip", "eflags", "",
	"cs", "ss", "ds", "es", "fs", "gs", "ldtr", "tr", "",
	"fs_base", "gs_base", "k_gs_base", "", "cr0", "cr2", "cr3", "", "cr4", "cr8", "efer", "",
	"gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit", "", "dr6", "dr7", "", NULL,
};
/* clang-format on */
static const char *const not_started[] = {"waiting for INIT", "waiting for SIPI", NULL};

const struct unwind_isa x86_unwind = {
	.regs = regs,
	.not_started = not_started,
	.code_bytes = 16,
	.code_unit = 1,
	.walk = walk,
};
