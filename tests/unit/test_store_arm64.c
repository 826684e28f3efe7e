/* Which memory an A64 instruction writes. Words as an assembler made them. */
#include "arch/arm64/store.h"

#include "tests/unit/tap.h"

/* clang-format off */
static const struct {
	uint32_t word;
	bool stores;
	unsigned size, base;
	int64_t offset;
	bool exclusive, indexed;
	unsigned index, extend, shift;
	const char *text;
} cases[] = {
{0xb9000041, true, 4, 2, 0, false, false, 0, 0, 0, "str w1, [x2]"},
	{0xf9000441, true, 8, 2, 8, false, false, 0, 0, 0, "str x1, [x2, #8]"},
	{0x390017e3, true, 1, 31, 5, false, false, 0, 0, 0, "strb w3, [sp, #5]"},
	{0x79000c83, true, 2, 4, 6, false, false, 0, 0, 0, "strh w3, [x4, #6]"},
	{0xf81f7041, true, 8, 2, -9, false, false, 0, 0, 0, "stur x1, [x2, #-9]"},
	{0xf81f0441, true, 8, 2, 0, false, false, 0, 0, 0, "str x1, [x2], #-16"},
	{0xf8018c41, true, 8, 2, 24, false, false, 0, 0, 0, "str x1, [x2, #24]!"},
	{0xb8003841, true, 4, 2, 3, false, false, 0, 0, 0, "sttr w1, [x2, #3]"},
	{0xf8236841, true, 8, 2, 0, false, true, 3, 3, 0, "str x1, [x2, x3]"},
	{0xf8237841, true, 8, 2, 0, false, true, 3, 3, 3, "str x1, [x2, x3, lsl #3]"},
	{0xb8235841, true, 4, 2, 0, false, true, 3, 2, 2, "str w1, [x2, w3, uxtw #2]"},
	{0x3823c841, true, 1, 2, 0, false, true, 3, 6, 0, "strb w1, [x2, w3, sxtw]"},
	{0xf83f6841, true, 8, 2, 0, false, true, 31, 3, 0, "str x1, [x2, xzr]"},
	{0x3d800841, true, 16, 2, 32, false, false, 0, 0, 0, "str q1, [x2, #32]"},
	{0x3d000c41, true, 1, 2, 3, false, false, 0, 0, 0, "str b1, [x2, #3]"},
	{0xfc008441, true, 8, 2, 0, false, false, 0, 0, 0, "str d1, [x2], #8"},
	{0x3c9f0062, true, 16, 3, -16, false, false, 0, 0, 0, "stur q2, [x3, #-16]"},
	{0x3ca37841, true, 16, 2, 0, false, true, 3, 3, 4, "str q1, [x2, x3, lsl #4]"},
	{0x293f0861, true, 8, 3, -8, false, false, 0, 0, 0, "stp w1, w2, [x3, #-8]"},
	{0xa9be0be1, true, 16, 31, -32, false, false, 0, 0, 0, "stp x1, x2, [sp, #-32]!"},
	{0xa8810861, true, 16, 3, 0, false, false, 0, 0, 0, "stp x1, x2, [x3], #16"},
	{0xa8010861, true, 16, 3, 16, false, false, 0, 0, 0, "stnp x1, x2, [x3, #16]"},
	{0xad3e0861, true, 32, 3, -64, false, false, 0, 0, 0, "stp q1, q2, [x3, #-64]"},
	{0x2d008861, true, 8, 3, 4, false, false, 0, 0, 0, "stp s1, s2, [x3, #4]"},
	{0xc8017c62, true, 8, 3, 0, true, false, 0, 0, 0, "stxr w1, x2, [x3]"},
	{0x0801fc62, true, 1, 3, 0, true, false, 0, 0, 0, "stlxrb w1, w2, [x3]"},
	{0xc8210c82, true, 16, 4, 0, true, false, 0, 0, 0, "stxp w1, x2, x3, [x4]"},
	{0x88210c82, true, 8, 4, 0, true, false, 0, 0, 0, "stxp w1, w2, w3, [x4]"},
	{0xc89ffc41, true, 8, 2, 0, false, false, 0, 0, 0, "stlr x1, [x2]"},
	{0x489ffc41, true, 2, 2, 0, false, false, 0, 0, 0, "stlrh w1, [x2]"},
	{0xc8a17c62, true, 8, 3, 0, false, false, 0, 0, 0, "cas x1, x2, [x3]"},
	{0x88e1fc62, true, 4, 3, 0, false, false, 0, 0, 0, "casal w1, w2, [x3]"},
	{0x08a17c62, true, 1, 3, 0, false, false, 0, 0, 0, "casb w1, w2, [x3]"},
	{0x48207c82, true, 16, 4, 0, false, false, 0, 0, 0, "casp x0, x1, x2, x3, [x4]"},
	{0x08607c82, true, 8, 4, 0, false, false, 0, 0, 0, "caspa w0, w1, w2, w3, [x4]"},
	{0xf8210062, true, 8, 3, 0, false, false, 0, 0, 0, "ldadd x1, x2, [x3]"},
	{0x38e18062, true, 1, 3, 0, false, false, 0, 0, 0, "swpalb w1, w2, [x3]"},
	{0xf821305f, true, 8, 2, 0, false, false, 0, 0, 0, "stset x1, [x2]"},
	{0x4c007020, true, 16, 1, 0, false, false, 0, 0, 0, "st1 {v0.16b}, [x1]"},
	{0x0c9f2020, true, 32, 1, 0, false, false, 0, 0, 0, "st1 {v0.8b-v3.8b}, [x1], #32"},
	{0x4c008820, true, 32, 1, 0, false, false, 0, 0, 0, "st2 {v0.4s, v1.4s}, [x1]"},
	{0x4c824c20, true, 48, 1, 0, false, false, 0, 0, 0, "st3 {v0.2d-v2.2d}, [x1], x2"},
	{0x4c000420, true, 64, 1, 0, false, false, 0, 0, 0, "st4 {v0.8h-v3.8h}, [x1]"},
	{0x0d000c20, true, 1, 1, 0, false, false, 0, 0, 0, "st1 {v0.b}[3], [x1]"},
	{0x0d009020, true, 4, 1, 0, false, false, 0, 0, 0, "st1 {v0.s}[1], [x1]"},
	{0x4d008420, true, 8, 1, 0, false, false, 0, 0, 0, "st1 {v0.d}[1], [x1]"},
	{0x0d205020, true, 4, 1, 0, false, false, 0, 0, 0, "st2 {v0.h, v1.h}[2], [x1]"},
	{0x0d00b020, true, 12, 1, 0, false, false, 0, 0, 0, "st3 {v0.s-v2.s}[1], [x1]"},
	{0x0d20a420, true, 32, 1, 0, false, false, 0, 0, 0, "st4 {v0.d-v3.d}[0], [x1]"},
	{0xd50b7427, true, 0, 7, 0, false, false, 0, 0, 0, "dc zva, x7"},
	{0xf9400041, false, 0, 0, 0, false, false, 0, 0, 0, "ldr x1, [x2]"},
	{0xb9800441, false, 0, 0, 0, false, false, 0, 0, 0, "ldrsw x1, [x2, #4]"},
	{0xa9400861, false, 0, 0, 0, false, false, 0, 0, 0, "ldp x1, x2, [x3]"},
	{0x69400861, false, 0, 0, 0, false, false, 0, 0, 0, "ldpsw x1, x2, [x3]"},
	{0xc85f7c41, false, 0, 0, 0, false, false, 0, 0, 0, "ldxr x1, [x2]"},
	{0xc8dffc41, false, 0, 0, 0, false, false, 0, 0, 0, "ldar x1, [x2]"},
	{0xf8bfc041, false, 0, 0, 0, false, false, 0, 0, 0, "ldapr x1, [x2]"},
	{0x4c407020, false, 0, 0, 0, false, false, 0, 0, 0, "ld1 {v0.16b}, [x1]"},
	{0x4d40c020, false, 0, 0, 0, false, false, 0, 0, 0, "ld1r {v0.16b}, [x1]"},
	{0x3dc00041, false, 0, 0, 0, false, false, 0, 0, 0, "ldr q1, [x2]"},
	{0xf9800040, false, 0, 0, 0, false, false, 0, 0, 0, "prfm pldl1keep, [x2]"},
	{0xd503201f, false, 0, 0, 0, false, false, 0, 0, 0, "nop"},
	{0x8b030041, false, 0, 0, 0, false, false, 0, 0, 0, "add x1, x2, x3"},
	{0x14000000, false, 0, 0, 0, false, false, 0, 0, 0, "b label"},
	{0xd50b7e27, false, 0, 0, 0, false, false, 0, 0, 0, "dc civac, x7"},
	{0x58000021, false, 0, 0, 0, false, false, 0, 0, 0, "ldr x1, label"},
};
/* clang-format on */

static void test_decode(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arm64_store s;
		bool stores = arm64_store_decode(cases[i].word, &s);
		bool same = stores == cases[i].stores;

		if (stores && same)
			same = s.size == cases[i].size && s.base == cases[i].base && s.offset == cases[i].offset &&
			       s.exclusive == cases[i].exclusive && s.indexed == cases[i].indexed;
		if (stores && same && s.indexed)
			same = s.index == cases[i].index && s.extend == cases[i].extend && s.shift == cases[i].shift;
		if (!tap_ok(same, "%s", cases[i].text))
			tap_diag("stores %d: %u bytes at x%u%+d", stores, s.size, s.base, (int)s.offset);
	}
}

static void test_address(void)
{
	struct arm64_store s = {.size = 8, .offset = -16};

	tap_is_u64(arm64_store_address(&s, 0x1000, 77), 0xff0, "an offset");
	s = (struct arm64_store){.size = 8, .indexed = true, .extend = 3, .shift = 3};
	tap_is_u64(arm64_store_address(&s, 0x1000, 2), 0x1010, "a shifted register");
	tap_is_u64(arm64_store_address(&s, 0x1000, -1ull), 0xff8, "one that is negative");
	s.extend = 2;
	tap_is_u64(arm64_store_address(&s, 0x1000, -1ull), 0x1000 + (0xffffffffull << 3), "UXTW");
	s.extend = 6;
	tap_is_u64(arm64_store_address(&s, 0x1000, 0xffffffff), 0xff8, "SXTW");
	tap_is_u64(arm64_store_address(&s, 0x1000, 0x12340000007full), 0x1000 + (0x7f << 3), "SXTW looks at 32 bits");
}

int main(void)
{
	test_decode();
	test_address();
	return tap_done();
}
