/* Debug registers: what is watched -> DR0-3, DR7; DR6 -> what was hit. */
#include "arch/x86_64/hwbp.h"

#include <errno.h>

#include "tests/unit/tap.h"

static struct hw_slots slots_of(unsigned n, const struct hw_slot *s)
{
	struct hw_slots out = {.n = n};

	memcpy(out.slot, s, n * sizeof(*s));
	return out;
}

#define SLOTS(...)                                                                                                     \
	slots_of(sizeof((struct hw_slot[]){__VA_ARGS__}) / sizeof(struct hw_slot), (struct hw_slot[]){__VA_ARGS__})

/* Field i of DR7: enable bits, R/W and LEN as the manual has them. */
static unsigned enable(uint64_t dr7, unsigned i)
{
	return dr7 >> (i * 2) & 3;
}

static unsigned rw(uint64_t dr7, unsigned i)
{
	return dr7 >> (16 + i * 4) & 3;
}

static unsigned len(uint64_t dr7, unsigned i)
{
	return dr7 >> (18 + i * 4) & 3;
}

static void test_empty(void)
{
	struct hw_slots s = {.n = 0};
	struct x86_debug_regs r;

	tap_is_u64((uint64_t)x86_hwbp_encode(&s, &r), 0, "nothing fits");
	tap_is_u64(r.dr7, 0x400, "nothing: DR7 has only its fixed bit");
	tap_is_u64(r.n, 0, "nothing: no register used");
}

static void test_kinds(void)
{
	struct hw_slots s = SLOTS(
		{0xffffffff81000000, 1, HW_EXEC}, {0x1000, 1, HW_WRITE}, {0x2002, 2, HW_READ}, {0x3008, 8, HW_ACCESS});
	static const unsigned want_rw[] = {0, 1, 3, 3}, want_len[] = {0, 0, 1, 2};
	struct x86_debug_regs r;

	tap_is_u64((uint64_t)x86_hwbp_encode(&s, &r), 0, "four kinds fit");
	tap_is_u64(r.n, 4, "four registers");
	for (unsigned i = 0; i < 4; i++) {
		tap_is_u64(r.dr[i], s.slot[i].addr, "DR%u", i);
		tap_is_u64(r.owner[i], i, "owner of DR%u", i);
		tap_is_u64(enable(r.dr7, i), 2, "DR%u is enabled globally", i);
		tap_is_u64(rw(r.dr7, i), want_rw[i], "R/W%u", i);
		tap_is_u64(len(r.dr7, i), want_len[i], "LEN%u", i);
	}
	tap_is_u64(r.dr7 & 0xff00, 0x700, "LE, GE and the fixed bit; GD clear");
	s = SLOTS({0x4004, 4, HW_WRITE});
	x86_hwbp_encode(&s, &r);
	tap_is_u64(len(r.dr7, 0), 3, "four bytes are LEN 3");
	s = SLOTS({0x4004, 3, HW_EXEC});
	tap_is_u64((uint64_t)x86_hwbp_encode(&s, &r), 0, "an instruction of any length");
	tap_is_u64(len(r.dr7, 0), 0, "has LEN 0");
	tap_is_u64(r.dr[0], 0x4004, "and any alignment");
}

static void test_split(void)
{
	static const struct {
		uint64_t addr;
		uint32_t length;
		int ret;
		unsigned n;
		uint64_t at[4];
		uint32_t bytes[4];
	} cases[] = {
		{0x1000, 16, 0, 2, {0x1000, 0x1008}, {8, 8}},
		{0x1000, 32, 0, 4, {0x1000, 0x1008, 0x1010, 0x1018}, {8, 8, 8, 8}},
		{0x1000, 33, -EINVAL, 0, {0}, {0}},
		{0x1001, 8, 0, 4, {0x1001, 0x1002, 0x1004, 0x1008}, {1, 2, 4, 1}},
		{0x1004, 8, 0, 2, {0x1004, 0x1008}, {4, 4}},
		{0x1006, 4, 0, 2, {0x1006, 0x1008}, {2, 2}},
		{0x1003, 2, 0, 2, {0x1003, 0x1004}, {1, 1}},
		{0x1000, 3, 0, 2, {0x1000, 0x1002}, {2, 1}},
		{0x1000, 0, -EINVAL, 0, {0}, {0}},
		{0xffffffffffffffff, 1, 0, 1, {0xffffffffffffffff}, {1}},
		{0xffffffffffffffff, 2, -EINVAL, 0, {0}, {0}},
		{0x1000, 0xffffffff, -EINVAL, 0, {0}, {0}},
	};
	static const unsigned field[] = {0, 0, 1, 0, 3, 0, 0, 0, 2};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hw_slots s = SLOTS({cases[i].addr, cases[i].length, HW_WRITE});
		struct x86_debug_regs r;
		int ret = x86_hwbp_encode(&s, &r);
		bool same = ret == cases[i].ret && (ret || r.n == cases[i].n);

		for (unsigned j = 0; same && ret == 0 && j < r.n; j++)
			same = r.dr[j] == cases[i].at[j] && len(r.dr7, j) == field[cases[i].bytes[j]] &&
			       r.owner[j] == 0;
		tap_ok(same, "%u bytes at 0x%" PRIx64, cases[i].length, cases[i].addr);
	}
}

static void test_full(void)
{
	struct hw_slot exec = {0x1000, 1, HW_EXEC};
	struct hw_slots s = SLOTS(exec, exec, exec, exec, exec);
	struct x86_debug_regs r;

	tap_is_u64((uint64_t)-x86_hwbp_encode(&s, &r), ENOSPC, "five do not fit");
	s = SLOTS(exec, exec, exec, {0x2004, 8, HW_WRITE});
	tap_is_u64((uint64_t)-x86_hwbp_encode(&s, &r), ENOSPC, "three and a split one do not fit");
	s = SLOTS(exec, exec, exec, exec, {0x2000, 100, HW_WRITE});
	tap_is_u64((uint64_t)-x86_hwbp_encode(&s, &r), EINVAL, "what can never fit is said to be so");
	s.n = 3;
	x86_hwbp_encode(&s, &r);
	tap_is_u64((uint64_t)x86_hwbp_add_private(&r, 0x5000), 3, "a private one takes the last register");
	tap_is_u64(r.dr[3], 0x5000, "at its address");
	tap_is_u64(rw(r.dr7, 3) | len(r.dr7, 3), 0, "for execution");
	tap_is_u64((uint64_t)-x86_hwbp_add_private(&r, 0x5000), ENOSPC, "the next finds none");
}

static void test_hits(void)
{
	struct hw_slots s = SLOTS({0x1000, 1, HW_EXEC}, {0x2004, 8, HW_WRITE}, {0x3000, 1, HW_EXEC});
	struct x86_debug_regs r;

	x86_hwbp_encode(&s, &r); /* DR0: 0, DR1 and DR2: 1, DR3: 2 */
	tap_is_u64((uint64_t)(int64_t)x86_hwbp_hit(&s, &r, 0xffff0ff1, 0x1000), 0, "execution");
	tap_is_u64((uint64_t)(int64_t)x86_hwbp_hit(&s, &r, 0xffff0ff2, 0x55), 1, "first half of a watch");
	tap_is_u64((uint64_t)(int64_t)x86_hwbp_hit(&s, &r, 0xffff0ff4, 0x55), 1, "second half of a watch");
	tap_is_u64(x86_hwbp_hit_address(&r, 0xffff0ff2, 1), 0x2004, "the first half's address");
	tap_is_u64(x86_hwbp_hit_address(&r, 0xffff0ff5, 1), 0x2008, "the second half's address");
	tap_is_u64((uint64_t)(int64_t)x86_hwbp_hit(&s, &r, 0xffff0ff8, 0x3000), 2, "the slot after a split one");
	tap_is_u64((uint64_t)(int64_t)x86_hwbp_hit(&s, &r, 0xffff4ff5, 0x1000), 1,
		"a watch comes before an execution, BS or not");
	tap_ok(x86_hwbp_hit(&s, &r, 0xffff0ff1, 0x1001) < 0, "an execution bit elsewhere is no hit");
	tap_ok(x86_hwbp_hit(&s, &r, 0xffff4ff0, 0x1000) < 0, "a step onto a slot is no hit");
	tap_is_u64(
		(uint64_t)(int64_t)x86_hwbp_hit(&s, &r, 0xffff0ff9, 0x3000), 2, "of two execution bits the one at pc");
	s.n = 1;
	x86_hwbp_encode(&s, &r);
	tap_ok(x86_hwbp_hit(&s, &r, 0xffff0ffe, 0x1000) < 0, "bits of unused registers mean nothing");
	x86_hwbp_add_private(&r, 0x7000);
	tap_ok(x86_hwbp_hit(&s, &r, 0xffff0ff2, 0x7000) < 0, "a private register is nobody's slot");
}

int main(void)
{
	test_empty();
	test_kinds();
	test_split();
	test_full();
	test_hits();
	return tap_done();
}
