/* Debug registers: what is watched -> BCR/BVR, WCR/WVR; an exception -> whose register. */
#include "arch/arm64/hwbp.h"

#include <errno.h>

#include "tests/unit/tap.h"

#define KERNEL 0xffff800010000000ull
#define N(a)   (sizeof(a) / sizeof((a)[0]))

/* E, EL1 and EL0, all four bytes: bits 0, 1-2, 5-8 */
#define BCR 0x1e7ull
/* E, EL1 and EL0; LSC in bits 3-4 */
#define WCR_R	0x0full
#define WCR_W	0x17ull
#define WCR_A	0x1full
#define BAS(b)	((uint64_t)(b) << 5)
#define MASK(m) ((uint64_t)(m) << 24)

static struct hw_slots slots_of(unsigned n, const struct hw_slot *s)
{
	struct hw_slots out = {.n = n};

	memcpy(out.slot, s, n * sizeof(*s));
	return out;
}

#define SLOTS(...)                                                                                                     \
	slots_of(sizeof((struct hw_slot[]){__VA_ARGS__}) / sizeof(struct hw_slot), (struct hw_slot[]){__VA_ARGS__})

static struct arm64_debug_regs r;

static int encode(const struct hw_slots *s, unsigned max_b, unsigned max_w)
{
	memset(&r, 0xa5, sizeof(r));
	r.max_b = max_b;
	r.max_w = max_w;
	return arm64_hwbp_encode(s, &r);
}

static void is_int(int got, int want, const char *name)
{
	tap_is_u64((uint64_t)(int64_t)got, (uint64_t)(int64_t)want, "%s", name);
}

static void test_empty(void)
{
	struct hw_slots s = {.n = 0};

	is_int(encode(&s, 6, 4), 0, "nothing fits");
	tap_is_u64(r.nb + r.nw, 0, "nothing: no register used");
	tap_is_u64(r.max_b, 6, "the number of registers stays");
	tap_is_u64(r.max_w, 4, "of both kinds");
	is_int(encode(&s, 0, 0), 0, "nothing fits into nothing");
}

static void test_exec(void)
{
	struct hw_slots s = SLOTS({KERNEL, 4, HW_EXEC}, {0x1006, 1, HW_EXEC}, {0x8f00000000001000, 4, HW_EXEC});

	is_int(encode(&s, 6, 0), 0, "three breakpoints need no watchpoint registers");
	tap_is_u64(r.nb, 3, "three registers");
	tap_is_u64(r.bcr[0], BCR, "BCR0");
	tap_is_u64(r.bvr[0], KERNEL, "BVR0");
	tap_is_u64(r.bowner[0], 0, "owner of 0");
	tap_is_u64(r.bcr[1], BCR, "BCR1: four bytes, whatever the length");
	tap_is_u64(r.bvr[1], 0x1004, "BVR1: of the aligned word");
	tap_is_u64(r.bowner[1], 1, "owner of 1");
	tap_is_u64(r.bvr[2], 0x1000, "BVR2: without the tag");
	tap_is_u64(r.nw, 0, "no watchpoint");
}

static void test_kinds(void)
{
	struct hw_slots s = SLOTS({0x1000, 8, HW_WRITE}, {0x2004, 2, HW_READ}, {0x3007, 1, HW_ACCESS});

	is_int(encode(&s, 0, 4), 0, "three kinds fit");
	tap_is_u64(r.nw, 3, "three registers");
	tap_is_u64(r.wcr[0], WCR_W | BAS(0xff), "write of 8 bytes");
	tap_is_u64(r.wvr[0], 0x1000, "its address");
	tap_is_u64(r.wcr[1], WCR_R | BAS(0x30), "read of 2 bytes at 4");
	tap_is_u64(r.wvr[1], 0x2000, "address of its doubleword");
	tap_is_u64(r.wcr[2], WCR_A | BAS(0x80), "access to the last byte");
	tap_is_u64(r.wvr[2], 0x3000, "address of its doubleword");
	tap_is_u64(r.wowner[2], 2, "its owner");
	s = SLOTS({KERNEL | 0x123, 1, HW_WRITE});
	encode(&s, 0, 1);
	tap_is_u64(r.wvr[0], KERNEL | 0x120, "a kernel address keeps its upper bits");
	s = SLOTS({0xf0ff800010000120, 1, HW_WRITE});
	encode(&s, 0, 1);
	tap_is_u64(r.wvr[0], KERNEL | 0x120, "a tag is replaced by them");
}

static void test_ranges(void)
{
	static const struct {
		uint64_t addr;
		uint32_t length;
		int ret;
		unsigned n;
		uint64_t at[5], range[5];
	} cases[] = {
		{0x1000, 3, 0, 1, {0x1000}, {BAS(0x07)}}, {0x1001, 7, 0, 1, {0x1000}, {BAS(0xfe)}},
		{0x1003, 3, 0, 1, {0x1000}, {BAS(0x38)}}, {0x1001, 8, 0, 2, {0x1000, 0x1008}, {BAS(0xfe), BAS(0x01)}},
		{0x1006, 4, 0, 2, {0x1000, 0x1008}, {BAS(0xc0), BAS(0x03)}},
		{0x1000, 16, 0, 1, {0x1000}, {BAS(0xff) | MASK(4)}},
		{0x1008, 16, 0, 2, {0x1008, 0x1010}, {BAS(0xff), BAS(0xff)}},
		{0x1000, 24, 0, 2, {0x1000, 0x1010}, {BAS(0xff) | MASK(4), BAS(0xff)}},
		{0x1000, 4096, 0, 1, {0x1000}, {BAS(0xff) | MASK(12)}},
		{0x1800, 4096, 0, 2, {0x1800, 0x2000}, {BAS(0xff) | MASK(11), BAS(0xff) | MASK(11)}},
		{0x1004, 4096, 0, 11, {0}, {0}}, {0x80000000, 0x80000000, 0, 1, {0x80000000}, {BAS(0xff) | MASK(31)}},
		{0, 0x80000000, 0, 1, {0}, {BAS(0xff) | MASK(31)}},
		{0, 0xc0000000, 0, 2, {0, 0x80000000}, {BAS(0xff) | MASK(31), BAS(0xff) | MASK(30)}},
		{0x100ff9, 30, 0, 3, {0x100ff8, 0x101000, 0x101010}, {BAS(0xfe), BAS(0xff) | MASK(4), BAS(0x7f)}},
		{0xffffffffffffffff, 1, 0, 1, {0xfffffffffffffff8}, {BAS(0x80)}},
		{0xfffffffffffff000, 4096, 0, 1, {0xfffffffffffff000}, {BAS(0xff) | MASK(12)}},
		{0xfffffffffffff000, 4097, -EINVAL, 0, {0}, {0}}, {0x1000, 0, -EINVAL, 0, {0}, {0}},
		{0x1001, 0xfffffffe, -EINVAL, 0, {0}, {0}}, {0x1000, 0x1fffff, -EINVAL, 0, {0}, {0}}, /* 8 + 9 */
	};

	for (size_t i = 0; i < N(cases); i++) {
		struct hw_slots s = SLOTS({cases[i].addr, cases[i].length, HW_WRITE});
		int ret = encode(&s, 16, 16);
		bool same = ret == cases[i].ret && (ret || r.nw == cases[i].n);

		for (unsigned j = 0; same && ret == 0 && j < r.nw && cases[i].range[0]; j++)
			same = r.wvr[j] == cases[i].at[j] && r.wcr[j] == (WCR_W | cases[i].range[j]) &&
			       r.wowner[j] == 0;
		tap_ok(same, "%u bytes at 0x%" PRIx64 " (%d, %u registers)", cases[i].length, cases[i].addr, ret, r.nw);
	}
}

/* What a register watches, from the fields' definition. */
static bool register_watches(unsigned i, uint64_t addr)
{
	unsigned mask = r.wcr[i] >> 24 & 31;

	if (mask)
		return (addr ^ r.wvr[i]) >> mask == 0;
	return (addr ^ r.wvr[i]) >> 3 == 0 && (r.wcr[i] >> 5 >> (addr & 7) & 1);
}

/* Each byte of a range is watched by exactly one register, and none outside. */
static void test_cover(void)
{
	bool good = true;

	for (uint64_t addr = 0x1000; addr < 0x1040 && good; addr++) {
		for (uint32_t n = 1; n < 200 && good; n++) {
			struct hw_slots s = SLOTS({addr, n, HW_ACCESS});

			good = encode(&s, 16, 16) == 0;
			for (uint64_t a = addr - 70; a < addr + n + 70 && good; a++) {
				unsigned count = 0;

				for (unsigned i = 0; i < r.nw; i++)
					count += register_watches(i, a);
				good = count == (a - addr < n);
				if (!good)
					tap_diag("%u bytes at 0x%" PRIx64 ": 0x%" PRIx64 " is watched %u times", n,
						addr, a, count);
			}
		}
	}
	tap_ok(good, "ranges are covered exactly");
}

static void test_full(void)
{
	struct hw_slot exec = {0x1000, 4, HW_EXEC}, write = {0x2000, 8, HW_WRITE};
	struct hw_slots s = SLOTS(exec, exec, write);

	is_int(encode(&s, 2, 1), 0, "just as many as there are");
	is_int(encode(&s, 1, 1), -ENOSPC, "one breakpoint too many");
	is_int(encode(&s, 2, 0), -ENOSPC, "one watchpoint too many");
	s = SLOTS({0x2004, 8, HW_WRITE});
	is_int(encode(&s, 2, 1), -ENOSPC, "no room for the second half");
	s = SLOTS(exec, exec, {0x2000, 0, HW_WRITE});
	is_int(encode(&s, 1, 1), -EINVAL, "what can never fit is said to be so");
	s.n = 0;
	for (unsigned i = 0; i < 17; i++)
		s.slot[s.n++] = exec;
	is_int(encode(&s, 1000, 4), -ENOSPC, "no more than the architecture has");
	s.n = 16;
	is_int(encode(&s, 1000, 4), 0, "and no less");
	s.n = 2;
	encode(&s, 3, 1);
	is_int(arm64_hwbp_add_private(&r, 0x5003), 2, "a private one takes the last register");
	tap_is_u64(r.bvr[2], 0x5000, "at its instruction");
	tap_is_u64(r.bcr[2], BCR, "for execution");
	tap_is_u64(r.bowner[2], ARM64_DBG_PRIVATE, "as nobody's");
	is_int(arm64_hwbp_add_private(&r, 0x6000), -ENOSPC, "the next finds none");
	tap_is_u64(r.nb, 3, "and changes nothing");
}

static void test_guest(void)
{
	struct hw_slots s = SLOTS({0x1000, 4, HW_EXEC}, {0x2000, 8, HW_WRITE});

	encode(&s, 2, 2);
	is_int(arm64_hwbp_add_guest_break(&r, 5, 0x1e5, 0x3000), 1, "the guest's breakpoint 5");
	tap_is_u64(r.bcr[1], 0x1e5, "as it wrote it: EL0 only");
	tap_is_u64(r.bvr[1], 0x3000, "at its address");
	tap_is_u64(r.bowner[1], ARM64_DBG_GUEST | 5, "and its number is kept");
	is_int(arm64_hwbp_add_guest_break(&r, 4, BCR, 0x3000), -ENOSPC, "no room for one more");
	is_int(arm64_hwbp_add_guest_watch(&r, 3, WCR_A | BAS(1), 0x4000), 1, "the guest's watchpoint 3");
	tap_is_u64(r.wcr[1], WCR_A | BAS(1), "as it wrote it");
	tap_is_u64(r.wvr[1], 0x4000, "at its address");
	tap_is_u64(r.wowner[1], ARM64_DBG_GUEST | 3, "and its number is kept");
	is_int(arm64_hwbp_add_guest_watch(&r, 2, WCR_A | BAS(1), 0x4000), -ENOSPC, "no room for one more");
	encode(&s, 4, 4);
	is_int(arm64_hwbp_add_guest_break(&r, 0, BCR | 1ull << 20, 0x3000), -EINVAL, "a linked breakpoint");
	is_int(arm64_hwbp_add_guest_break(&r, 0, BCR | 2ull << 20, 7), -EINVAL, "a context breakpoint");
	is_int(arm64_hwbp_add_guest_watch(&r, 0, WCR_A | BAS(1) | 1ull << 20, 0x4000), -EINVAL, "a linked watchpoint");
	tap_is_u64(r.nb + r.nw, 2, "take no register");
}

static void test_hit_break(void)
{
	struct hw_slots s = SLOTS({0x1000, 4, HW_EXEC}, {KERNEL + 4, 4, HW_EXEC}, {0x2000, 8, HW_WRITE});

	encode(&s, 6, 4);
	arm64_hwbp_add_guest_break(&r, 0, BCR, 0x3000);
	arm64_hwbp_add_guest_break(&r, 1, BCR, 0x1000);
	arm64_hwbp_add_private(&r, 0x3000);
	arm64_hwbp_add_private(&r, KERNEL + 4);
	is_int(arm64_hwbp_hit_break(&r, 0x1000), 0, "a client's");
	is_int(arm64_hwbp_hit_break(&r, 0x1002), 0, "anywhere in its word");
	is_int(arm64_hwbp_hit_break(&r, KERNEL + 4), 1, "a client's comes before a private one");
	is_int(arm64_hwbp_hit_break(&r, 0x3000), 4, "a private one before the guest's");
	is_int(arm64_hwbp_hit_break(&r, 0x2000), -1, "not where data are watched");
	is_int(arm64_hwbp_hit_break(&r, 0x1004), -1, "not behind");
	is_int(arm64_hwbp_hit_break(&r, 0x100001000), -1, "not where the low bits are the same");
	s.n = 0;
	encode(&s, 2, 2);
	arm64_hwbp_add_guest_break(&r, 1, BCR, 0x7000);
	is_int(arm64_hwbp_hit_break(&r, 0x7000), 0, "the guest's");
	encode(&s, 2, 2);
	is_int(arm64_hwbp_hit_break(&r, 0), -1, "unused registers match nothing");
}

static void test_hit_watch(void)
{
	struct hw_slots s = SLOTS({0x1008, 4, HW_WRITE}, {0x1008, 4, HW_READ}, {0x1010, 1, HW_ACCESS},
		{0x4000, 4096, HW_ACCESS}, {KERNEL, 8, HW_ACCESS});

	is_int(encode(&s, 6, 6), 0, "five watchpoints");
	is_int(arm64_hwbp_hit_watch(&r, 0x1008, true), 0, "a write");
	is_int(arm64_hwbp_hit_watch(&r, 0x1008, false), 1, "a read");
	is_int(arm64_hwbp_hit_watch(&r, 0x100b, false), 1, "of the last byte");
	is_int(arm64_hwbp_hit_watch(&r, 0x100c, false), 2, "below: the nearest above");
	is_int(arm64_hwbp_hit_watch(&r, 0x1010, true), 2, "exact");
	is_int(arm64_hwbp_hit_watch(&r, 0x1000, true), 0, "from the block's beginning: a write");
	is_int(arm64_hwbp_hit_watch(&r, 0x1000, false), 1, "from the block's beginning: a read");
	is_int(arm64_hwbp_hit_watch(&r, 0xfff, false), 1, "an access over the block's border");
	is_int(arm64_hwbp_hit_watch(&r, 0x1011, true), -1, "above everything near");
	is_int(arm64_hwbp_hit_watch(&r, 0x4fff, true), 3, "the end of a masked range");
	is_int(arm64_hwbp_hit_watch(&r, 0x5000, true), -1, "behind it");
	is_int(arm64_hwbp_hit_watch(&r, 0x3ff0, true), 3, "before it");
	is_int(arm64_hwbp_hit_watch(&r, 0x3801, true), 3, "far before it, in the largest block");
	is_int(arm64_hwbp_hit_watch(&r, 0x3800, true), -1, "too far before it");
	is_int(arm64_hwbp_hit_watch(&r, KERNEL + 7, true), 4, "in the kernel");
	is_int(arm64_hwbp_hit_watch(&r, 0xf2ff800010000000, true), 4, "by a tagged pointer");
	is_int(arm64_hwbp_hit_watch(&r, 0x5a00000000001008, true), 0, "by a tagged pointer of a user");
	is_int(arm64_hwbp_hit_watch(&r, ~0ull, true), -1, "at the last byte");
}

static void test_hit_guest_watch(void)
{
	struct hw_slots s = SLOTS({0x1010, 8, HW_ACCESS});

	encode(&s, 6, 6);
	arm64_hwbp_add_guest_watch(&r, 0, WCR_A | BAS(0x73), 0x1004);		/* word form: 0x1004, 0x1005 */
	arm64_hwbp_add_guest_watch(&r, 1, WCR_A | BAS(0x3c), 0x3000);		/* 0x3002 to 0x3005 */
	arm64_hwbp_add_guest_watch(&r, 2, WCR_A, 0x2000);			/* no byte at all */
	arm64_hwbp_add_guest_watch(&r, 3, WCR_A | BAS(0xff) | MASK(8), 0x1080); /* 0x1000 to 0x10ff */
	is_int(arm64_hwbp_hit_watch(&r, 0x1005, true), 1, "a word's bytes");
	is_int(arm64_hwbp_hit_watch(&r, 0x1006, true), 4, "exact comes before near");
	is_int(arm64_hwbp_hit_watch(&r, 0x1012, true), 0, "a client's comes before the guest's");
	is_int(arm64_hwbp_hit_watch(&r, 0x3005, true), 2, "part of a doubleword");
	is_int(arm64_hwbp_hit_watch(&r, 0x3006, true), -1, "not more of it");
	is_int(arm64_hwbp_hit_watch(&r, 0x2000, true), -1, "no byte selected");
	is_int(arm64_hwbp_hit_watch(&r, 0x1000, true), 4, "a mask over an address that has bits below it");
	encode(&s, 6, 0);
	is_int(arm64_hwbp_hit_watch(&r, 0x1010, true), -1, "unused registers match nothing");
}

int main(void)
{
	test_empty();
	test_exec();
	test_kinds();
	test_ranges();
	test_cover();
	test_full();
	test_guest();
	test_hit_break();
	test_hit_watch();
	test_hit_guest_watch();
	return tap_done();
}
