#include "arch/arm64/insn.h"

#define INSN_BYTES 4

/* Arm ARM C4.1.93 and following: branches, exception generation, system instructions */
#define EXCEPTION_MASK	 0xffe0001fu
#define SVC		 0xd4000001u
#define HVC		 0xd4000002u
#define SMC		 0xd4000003u
#define BRK		 0xd4200000u
#define ERET		 0xd69f03e0u
#define ERETAA		 0xd69f0bffu
#define ERETAB		 0xd69f0fffu
#define WFE		 0xd503205fu
#define WFI		 0xd503207fu
#define WFXT_MASK	 0xffffffc0u /* WFET and WFIT, any register */
#define WFXT		 0xd5031000u
#define NOP		 0xd503201fu
#define B_BL_MASK	 0x7c000000u
#define B_BL		 0x14000000u
#define CLREX_MASK	 0xfffff0ffu
#define CLREX		 0xd503305fu
#define MSR_IMM_MASK	 0xfff8f01fu
#define MSR_IMM		 0xd500401fu
#define MSR_MASK	 0xfff00000u
#define MSR_REG		 0xd5100000u
#define MRS_REG		 0xd5300000u
#define MSRR_REG	 0xd5500000u /* 128 bits */
#define SYSREG_OP0_3	 (1u << 19)  /* op0 is 2 without it */
#define SYSREG_MASK	 0x000fffe0u
#define SYSREG_DAIF	 0x000b4220u					 /* op0 3, op1 3, CRn 4, CRm 2, op2 1 */
#define IMM_FIELD(insn)	 ((((insn) >> 16 & 7) << 3) | ((insn) >> 5 & 7)) /* op1:op2 */
#define FIELD_FLAGS_LAST 2						 /* CFINV, XAFLAG, AXFLAG: of NZCV only */
#define FIELD_DAIFSET	 (3 << 3 | 6)
#define FIELD_DAIFCLR	 (3 << 3 | 7)

/* C4.1.94: loads and stores */
#define EXCLUSIVE_MASK 0x3f800000u /* o2 clear: not LDAR, STLR, CAS */
#define EXCLUSIVE      0x08000000u
#define EXCLUSIVE_LOAD (1u << 22)
#define EXCLUSIVE_PAIR (1u << 21) /* of registers; with bytes and halfwords it is CASP */
#define EXCLUSIVE_WIDE (1u << 31)

#define COND_ALWAYS 0xe /* and 0xf */

static struct arm64_decoded plain(enum arm64_insn kind, uint32_t insn)
{
	return (struct arm64_decoded){.insn = kind, .rt = insn & 0x1f};
}

/* An offset of `width` bits at bit `lo`, in instructions. */
static uint64_t target(uint32_t insn, uint64_t pc, unsigned lo, unsigned width)
{
	int64_t offset = (int64_t)((uint64_t)insn << (64 - lo - width)) >> (64 - width);

	return pc + (uint64_t)offset * INSN_BYTES;
}

static struct arm64_decoded branch(uint64_t to, bool conditional)
{
	return (struct arm64_decoded){.insn = ARM64_BRANCH, .conditional = conditional, .target = to};
}

static struct arm64_decoded decode_exception(uint32_t insn)
{
	struct arm64_decoded d = {.insn = ARM64_OTHER};

	switch (insn & EXCEPTION_MASK) {
	case SVC:
		d.insn = ARM64_SVC;
		break;
	case HVC:
		d.insn = ARM64_HVC;
		break;
	case SMC:
		d.insn = ARM64_SMC;
		break;
	case BRK:
		d.insn = ARM64_BRK;
		break;
	default:
		return d;
	}
	d.imm = insn >> 5 & 0xffff;
	return d;
}

static struct arm64_decoded decode_msr_imm(uint32_t insn)
{
	struct arm64_decoded d = {.insn = ARM64_MSR_SYSTEM, .imm = insn >> 8 & 0xf};

	if (IMM_FIELD(insn) == FIELD_DAIFSET)
		d.insn = ARM64_MSR_DAIFSET;
	else if (IMM_FIELD(insn) == FIELD_DAIFCLR)
		d.insn = ARM64_MSR_DAIFCLR;
	else if (IMM_FIELD(insn) <= FIELD_FLAGS_LAST)
		d.insn = ARM64_OTHER;
	return d;
}

static struct arm64_decoded decode_system(uint32_t insn)
{
	bool daif = (insn & SYSREG_MASK) == SYSREG_DAIF;

	if (insn == WFE || insn == WFI)
		return plain(ARM64_WFX, 0x1f);
	if ((insn & WFXT_MASK) == WFXT)
		return plain(ARM64_WFX, insn);
	if ((insn & MSR_IMM_MASK) == MSR_IMM)
		return decode_msr_imm(insn);
	switch (insn & MSR_MASK) {
	case MSR_REG:
		if (daif)
			return plain(ARM64_MSR_DAIF, insn);
		return plain(insn & SYSREG_OP0_3 ? ARM64_MSR_SYSTEM : ARM64_MSR_DEBUG, insn);
	case MSRR_REG:
		return plain(ARM64_MSR_SYSTEM, insn);
	case MRS_REG:
		return plain(daif ? ARM64_MRS_DAIF : ARM64_OTHER, insn);
	default:
		return plain(ARM64_OTHER, 0);
	}
}

static struct arm64_decoded decode_branch(uint32_t insn, uint64_t pc)
{
	if (insn == ERET || insn == ERETAA || insn == ERETAB)
		return plain(ARM64_ERET, insn);
	if ((insn & 0xfc000000u) == 0x14000000u) /* B */
		return branch(target(insn, pc, 0, 26), false);
	if ((insn & 0xff000000u) == 0x54000000u) /* B.cond, BC.cond */
		return branch(target(insn, pc, 5, 19), (insn & 0xf) < COND_ALWAYS);
	if ((insn & 0x7e000000u) == 0x34000000u) /* CBZ, CBNZ */
		return branch(target(insn, pc, 5, 19), true);
	if ((insn & 0x7e000000u) == 0x36000000u) /* TBZ, TBNZ */
		return branch(target(insn, pc, 5, 14), true);
	if ((insn & 0xfc000000u) == 0x94000000u || (insn & 0xfe000000u) == 0xd6000000u) /* BL; BR, BLR, RET */
		return plain(ARM64_BRANCH_OTHER, 0);
	return plain(ARM64_OTHER, 0);
}

struct arm64_decoded arm64_decode(uint32_t insn, uint64_t pc)
{
	if ((insn & EXCLUSIVE_MASK) == EXCLUSIVE) {
		if ((insn & EXCLUSIVE_PAIR) && !(insn & EXCLUSIVE_WIDE))
			return plain(ARM64_OTHER, 0);
		return plain(insn & EXCLUSIVE_LOAD ? ARM64_LOAD_EXCLUSIVE : ARM64_STORE_EXCLUSIVE, insn);
	}
	switch (insn >> 24) {
	case 0xd4:
		return decode_exception(insn);
	case 0xd5:
		return decode_system(insn);
	default:
		return decode_branch(insn, pc);
	}
}

/* ---- exclusive sequences ---- */

/* Of the instruction group "branches, exception generation, system", what is not understood may go anywhere. */
static bool may_go_anywhere(uint32_t insn)
{
	return (insn >> 26 & 7) == 5 && insn >> 24 != 0xd5;
}

/* Where execution goes on with the monitor still set; returns how many places. */
static int successors(uint32_t insn, uint64_t addr, uint64_t next[2])
{
	struct arm64_decoded d = arm64_decode(insn, addr);
	int n = 0;

	switch (d.insn) {
	case ARM64_BRANCH:
		next[n++] = d.target;
		if (!d.conditional)
			return n;
		break;
	case ARM64_LOAD_EXCLUSIVE:
	case ARM64_BRANCH_OTHER:
	case ARM64_ERET:
	case ARM64_WFX:
	case ARM64_SVC:
	case ARM64_HVC:
	case ARM64_SMC:
	case ARM64_BRK:
		return 0;
	case ARM64_OTHER:
		if (may_go_anywhere(insn) || (insn & CLREX_MASK) == CLREX)
			return 0;
		break;
	default:
		break;
	}
	next[n++] = addr + INSN_BYTES;
	return n;
}

/* A sequence's code as a graph: node 0 is the load, the edges of node i are next[i]. */
struct sequence {
	uint64_t pc;
	int nodes; /* read */
	uint64_t next[1 + ARM64_EXCLUSIVE_MAX][2];
	int nnext[1 + ARM64_EXCLUSIVE_MAX];
	uint32_t stores; /* bit i: node i is a store-exclusive */
};

static int node_of(const struct sequence *q, uint64_t addr)
{
	uint64_t i = (addr - q->pc) / INSN_BYTES;

	return i < (uint64_t)q->nodes ? (int)i : -1;
}

static bool leads_into(const struct sequence *q, int i, uint32_t set)
{
	for (int j = 0; j < q->nnext[i]; j++) {
		int to = node_of(q, q->next[i][j]);

		if (to > 0 && (set >> to & 1))
			return true;
	}
	return false;
}

/* Nodes from which a store can be reached. */
static uint32_t nodes_before_store(const struct sequence *q)
{
	uint32_t set = q->stores, old;

	do {
		old = set;
		for (int i = q->nodes - 1; i >= 0; i--) {
			if (leads_into(q, i, set))
				set |= 1u << i;
		}
	} while (set != old);
	return set;
}

/* Those of `set` that can be reached from the load. */
static uint32_t nodes_reached(const struct sequence *q, uint32_t set)
{
	uint32_t reached = set & 1, old;

	do {
		old = reached;
		for (int i = 0; i < q->nodes; i++) {
			for (int j = 0; (reached >> i & 1) && j < q->nnext[i]; j++) {
				int to = node_of(q, q->next[i][j]);

				if (to >= 0)
					reached |= (1u << to) & set;
			}
		}
	} while (reached != old);
	return reached;
}

static int add_leave(uint64_t *leave, int n, int max, uint64_t addr)
{
	for (int i = 0; i < n; i++) {
		if (leave[i] == addr)
			return n;
	}
	if (n < max)
		leave[n] = addr;
	return n + 1;
}

int arm64_exclusive_leave(
	int (*read_insn)(void *ctx, uint64_t addr, uint32_t *insn), void *ctx, uint64_t pc, uint64_t *leave, int max)
{
	struct sequence q = {.pc = pc, .nodes = 1, .next = {{pc + INSN_BYTES}}, .nnext = {1}};
	uint32_t insn, inside;
	int n = 0;

	for (int i = 1; i <= ARM64_EXCLUSIVE_MAX; i++, q.nodes++) {
		uint64_t addr = pc + (uint64_t)i * INSN_BYTES;

		if (read_insn(ctx, addr, &insn) < 0)
			break;
		q.nnext[i] = successors(insn, addr, q.next[i]);
		if (arm64_decode(insn, addr).insn == ARM64_STORE_EXCLUSIVE)
			q.stores |= 1u << i;
	}
	inside = nodes_reached(&q, nodes_before_store(&q));
	for (int i = 0; i < q.nodes && n <= max; i++) {
		for (int j = 0; (inside >> i & 1) && j < q.nnext[i] && n <= max; j++) {
			uint64_t to = q.next[i][j];
			int node = node_of(&q, to);

			if (node < 0 || !(inside >> node & 1))
				n = add_leave(leave, n, max, to);
		}
	}
	return n > max ? 0 : n;
}

bool arm64_is_patch_site(uint32_t insn)
{
	return insn == NOP || (insn & B_BL_MASK) == B_BL;
}
