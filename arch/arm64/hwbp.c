#include "arch/arm64/hwbp.h"

#include <errno.h>
#include <string.h>

/* DBGBCR<n>_EL1 and DBGWCR<n>_EL1 */
#define CR_E	       (1ull << 0)
#define CR_EL1_EL0     (3ull << 1) /* PMC, PAC */
#define BCR_BAS_A64    (0xfull << 5)
#define BCR_BT_SHIFT   20 /* 0: matches an address and is linked to nothing */
#define WCR_LOAD       (1ull << 3)
#define WCR_STORE      (1ull << 4)
#define WCR_BAS_SHIFT  5
#define WCR_LINKED     (1ull << 20) /* WT */
#define WCR_MASK_SHIFT 24

#define WORD	      8	 /* bytes that BAS selects from */
#define MASK_MIN      3	 /* less is reserved */
#define MASK_MAX      31 /* address bits that may be ignored */
#define TAG_SHIFT     8	 /* bits of an address that are no part of a comparison, or a copy of bit 55 */
#define INSN_ALIGN    3ull
#define ZVA_BLOCK_MAX 2048 /* DCZID_EL0.BS at its largest, 9: 2^9 words */

/* An address without its tag, as the registers want it. */
static uint64_t untagged(uint64_t addr)
{
	return (uint64_t)((int64_t)(addr << TAG_SHIFT) >> TAG_SHIFT);
}

static unsigned limit(unsigned max)
{
	return max < ARM64_DBG_MAX ? max : ARM64_DBG_MAX;
}

static int add_break(struct arm64_debug_regs *regs, uint64_t bcr, uint64_t bvr, unsigned owner)
{
	unsigned i = regs->nb;

	if (i >= limit(regs->max_b))
		return -ENOSPC;
	regs->bcr[i] = bcr;
	regs->bvr[i] = bvr;
	regs->bowner[i] = (uint8_t)owner;
	regs->nb++;
	return (int)i;
}

static int add_watch(struct arm64_debug_regs *regs, uint64_t wcr, uint64_t wvr, unsigned owner)
{
	unsigned i = regs->nw;

	if (i >= limit(regs->max_w))
		return -ENOSPC;
	regs->wcr[i] = wcr;
	regs->wvr[i] = wvr;
	regs->wowner[i] = (uint8_t)owner;
	regs->nw++;
	return (int)i;
}

static int add_exec(struct arm64_debug_regs *regs, uint64_t addr, unsigned owner)
{
	return add_break(regs, CR_E | CR_EL1_EL0 | BCR_BAS_A64, untagged(addr) & ~INSN_ALIGN, owner);
}

/* The longest piece that one register can watch from addr on, at most left bytes. */
static uint32_t piece(uint64_t addr, uint32_t left)
{
	uint32_t n = WORD - addr % WORD;

	if (addr % WORD || left < WORD)
		return n < left ? n : left;
	while (n < 1u << MASK_MAX && n <= left / 2 && addr % (2ull * n) == 0)
		n *= 2;
	return n;
}

/* Which bytes of their doubleword, or how many address bits do not count. */
static uint64_t range_field(uint64_t addr, uint32_t len)
{
	uint64_t bas = (1ull << (len < WORD ? len : WORD)) - 1;
	uint64_t mask = len > WORD ? (uint64_t)__builtin_ctz(len) : 0;

	return bas << (addr % WORD) << WCR_BAS_SHIFT | mask << WCR_MASK_SHIFT;
}

static uint64_t kind_field(enum hw_kind kind)
{
	switch (kind) {
	case HW_WRITE:
		return WCR_STORE;
	case HW_READ:
		return WCR_LOAD;
	default:
		return WCR_LOAD | WCR_STORE;
	}
}

/* Is it one that ARM64_DBG_MAX registers could serve? */
static bool possible(const struct hw_slot *s)
{
	uint64_t addr = s->addr;
	uint32_t left = s->len;
	int n;

	if (s->kind == HW_EXEC)
		return true;
	if (!left || addr + (left - 1) < addr)
		return false;
	for (n = 0; left && n <= ARM64_DBG_MAX; n++) {
		uint32_t len = piece(addr, left);

		addr += len;
		left -= len;
	}
	return n <= ARM64_DBG_MAX;
}

static int encode_slot(struct arm64_debug_regs *regs, const struct hw_slot *s, unsigned owner)
{
	uint64_t addr = s->addr;
	uint32_t left = s->len;
	int ret = 0;

	if (s->kind == HW_EXEC)
		return add_exec(regs, addr, owner);
	while (left && ret >= 0) {
		uint32_t len = piece(addr, left);
		uint64_t wcr = CR_E | CR_EL1_EL0 | kind_field(s->kind) | range_field(addr, len);

		ret = add_watch(regs, wcr, untagged(addr) & ~(uint64_t)(WORD - 1), owner);
		addr += len;
		left -= len;
	}
	return ret;
}

int arm64_hwbp_encode(const struct hw_slots *slots, struct arm64_debug_regs *regs)
{
	unsigned max_b = regs->max_b, max_w = regs->max_w;
	int ret = 0;

	memset(regs, 0, sizeof(*regs));
	regs->max_b = max_b;
	regs->max_w = max_w;
	for (unsigned i = 0; i < slots->n; i++) {
		if (!possible(&slots->slot[i]))
			return -EINVAL;
	}
	for (unsigned i = 0; i < slots->n && ret >= 0; i++)
		ret = encode_slot(regs, &slots->slot[i], i);
	return ret < 0 ? ret : 0;
}

int arm64_hwbp_add_private(struct arm64_debug_regs *regs, uint64_t addr)
{
	return add_exec(regs, addr, ARM64_DBG_PRIVATE);
}

/* A link names another register by its number, and ours are elsewhere. */
int arm64_hwbp_add_guest_break(struct arm64_debug_regs *regs, unsigned n, uint64_t bcr, uint64_t bvr)
{
	if (bcr >> BCR_BT_SHIFT & 0xf)
		return -EINVAL;
	return add_break(regs, bcr, bvr, ARM64_DBG_GUEST | (n % ARM64_DBG_MAX));
}

int arm64_hwbp_add_guest_watch(struct arm64_debug_regs *regs, unsigned n, uint64_t wcr, uint64_t wvr)
{
	if (wcr & WCR_LINKED)
		return -EINVAL;
	return add_watch(regs, wcr, wvr, ARM64_DBG_GUEST | (n % ARM64_DBG_MAX));
}

/* Smaller goes first when several match. */
static unsigned rank(uint8_t owner)
{
	if (owner == ARM64_DBG_PRIVATE)
		return 1;
	return owner & ARM64_DBG_GUEST ? 2 : 0;
}

int arm64_hwbp_hit_break(const struct arm64_debug_regs *regs, uint64_t pc)
{
	int best = -1;

	for (unsigned i = 0; i < regs->nb; i++) {
		if ((untagged(regs->bvr[i]) ^ untagged(pc)) & ~INSN_ALIGN)
			continue;
		if (best < 0 || rank(regs->bowner[i]) < rank(regs->bowner[best]))
			best = (int)i;
	}
	return best;
}

/* The bytes that a register watches, from the first to the last. False: none. */
static bool watched(uint64_t wcr, uint64_t wvr, uint64_t *first, uint64_t *last)
{
	unsigned mask = wcr >> WCR_MASK_SHIFT & MASK_MAX, bas = wcr >> WCR_BAS_SHIFT & 0xff;

	if (mask >= MASK_MIN) {
		*first = wvr & ~((1ull << mask) - 1);
		*last = *first + ((1ull << mask) - 1);
		return true;
	}
	if (wvr & 4) /* the deprecated form: BAS selects from a word */
		bas &= 0xf;
	if (!bas)
		return false;
	wvr &= ~3ull;
	*first = wvr + (unsigned)__builtin_ctz(bas);
	*last = wvr + 31 - (unsigned)__builtin_clz(bas);
	return true;
}

int arm64_hwbp_hit_watch(const struct arm64_debug_regs *regs, uint64_t far, bool is_write)
{
	uint64_t nearest = ZVA_BLOCK_MAX, first, last;
	int best = -1;

	far = untagged(far);
	for (unsigned i = 0; i < regs->nw; i++) {
		if (!(regs->wcr[i] & (is_write ? WCR_STORE : WCR_LOAD)))
			continue;
		if (!watched(regs->wcr[i], untagged(regs->wvr[i]), &first, &last))
			continue;
		if (far >= first && far <= last)
			return (int)i;
		if (first > far && first - far < nearest) {
			nearest = first - far;
			best = (int)i;
		}
	}
	return best;
}
