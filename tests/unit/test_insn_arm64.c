/* The instructions that a step has to know, and where an exclusive sequence is left. Words as an assembler made them.
 */
#include "arch/arm64/insn.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/unit/tap.h"

#define PC   0xffff800010000000ull
#define N(a) (sizeof(a) / sizeof((a)[0]))

/* clang-format off */
static const struct {
	uint32_t word;
	enum arm64_insn insn;
	unsigned rt, imm; /* rt counts where the header gives it a meaning */
	const char *text;
} plain_cases[] = {
	{0xd503205f, ARM64_WFX, 31, 0, "wfe"},
	{0xd503207f, ARM64_WFX, 31, 0, "wfi"},
	{0xd5031003, ARM64_WFX, 3, 0, "wfet x3"},
	{0xd503103e, ARM64_WFX, 30, 0, "wfit x30"},
	{0xd503203f, ARM64_OTHER, 0, 0, "yield"},
	{0xd503201f, ARM64_OTHER, 0, 0, "nop"},
	{0xd5033fdf, ARM64_OTHER, 0, 0, "isb"},
	{0xd5033bbf, ARM64_OTHER, 0, 0, "dmb ish"},
	{0xd50342df, ARM64_MSR_DAIFSET, 0, 2, "msr daifset, #2"},
	{0xd5034fdf, ARM64_MSR_DAIFSET, 0, 15, "msr daifset, #15"},
	{0xd5034fff, ARM64_MSR_DAIFCLR, 0, 15, "msr daifclr, #15"},
	{0xd50348ff, ARM64_MSR_DAIFCLR, 0, 8, "msr daifclr, #8"},
	{0xd51b4225, ARM64_MSR_DAIF, 5, 0, "msr daif, x5"},
	{0xd51b423f, ARM64_MSR_DAIF, 31, 0, "msr daif, xzr"},
	{0xd53b4227, ARM64_MRS_DAIF, 7, 0, "mrs x7, daif"},
	{0xd53b423f, ARM64_MRS_DAIF, 31, 0, "mrs xzr, daif"},
	{0xd53b4207, ARM64_OTHER, 7, 0, "mrs x7, nzcv"},
	{0xd51b4207, ARM64_MSR_SYSTEM, 7, 0, "msr nzcv, x7"},
	{0xd50041bf, ARM64_MSR_SYSTEM, 0, 1, "msr spsel, #1"},
	{0xd500419f, ARM64_MSR_SYSTEM, 0, 1, "msr pan, #1"},
	{0xd503403f, ARM64_MSR_SYSTEM, 0, 0, "msr ssbs, #0"},
	{0xd503415f, ARM64_MSR_SYSTEM, 0, 1, "msr dit, #1"},
	{0xd500401f, ARM64_OTHER, 0, 0, "cfinv"},
	{0xd500405f, ARM64_OTHER, 0, 0, "axflag"},
	{0xd5100240, ARM64_MSR_DEBUG, 0, 0, "msr mdscr_el1, x0"},
	{0xd51003a9, ARM64_MSR_DEBUG, 9, 0, "msr dbgbcr3_el1, x9"},
	{0xd510109f, ARM64_MSR_DEBUG, 31, 0, "msr oslar_el1, xzr"},
	{0xd5300240, ARM64_OTHER, 0, 0, "mrs x0, mdscr_el1"},
	{0xd5181001, ARM64_MSR_SYSTEM, 1, 0, "msr sctlr_el1, x1"},
	{0xd5182002, ARM64_MSR_SYSTEM, 2, 0, "msr ttbr0_el1, x2"},
	{0xd51bd043, ARM64_MSR_SYSTEM, 3, 0, "msr tpidr_el0, x3"},
	{0xd5381001, ARM64_OTHER, 1, 0, "mrs x1, sctlr_el1"},
	{0xd508871f, ARM64_OTHER, 0, 0, "tlbi vmalle1"},
	{0xd50b7e20, ARM64_OTHER, 0, 0, "dc civac, x0"},
	{0xd5033f5f, ARM64_OTHER, 0, 0, "clrex"},
	{0xd69f03e0, ARM64_ERET, 0, 0, "eret"},
	{0xd69f0bff, ARM64_ERET, 0, 0, "eretaa"},
	{0xd69f0fff, ARM64_ERET, 0, 0, "eretab"},
	{0xd4000001, ARM64_SVC, 0, 0, "svc #0"},
	{0xd41fffe1, ARM64_SVC, 0, 0xffff, "svc #0xffff"},
	{0xd4000022, ARM64_HVC, 0, 1, "hvc #1"},
	{0xd4000003, ARM64_SMC, 0, 0, "smc #0"},
	{0xd4210000, ARM64_BRK, 0, 0x800, "brk #0x800"},
	{0xd43fffe0, ARM64_BRK, 0, 0xffff, "brk #0xffff"},
	{0xd4400000, ARM64_OTHER, 0, 0, "hlt #0"},
	{0x885f7c20, ARM64_LOAD_EXCLUSIVE, 0, 0, "ldxr w0, [x1]"},
	{0xc85f7fe3, ARM64_LOAD_EXCLUSIVE, 3, 0, "ldxr x3, [sp]"},
	{0xc85ffc20, ARM64_LOAD_EXCLUSIVE, 0, 0, "ldaxr x0, [x1]"},
	{0x085f7c20, ARM64_LOAD_EXCLUSIVE, 0, 0, "ldxrb w0, [x1]"},
	{0x485ffc24, ARM64_LOAD_EXCLUSIVE, 4, 0, "ldaxrh w4, [x1]"},
	{0x887f0440, ARM64_LOAD_EXCLUSIVE, 0, 0, "ldxp w0, w1, [x2]"},
	{0xc87f8440, ARM64_LOAD_EXCLUSIVE, 0, 0, "ldaxp x0, x1, [x2]"},
	{0x88027c20, ARM64_STORE_EXCLUSIVE, 0, 0, "stxr w2, w0, [x1]"},
	{0xc802fc20, ARM64_STORE_EXCLUSIVE, 0, 0, "stlxr w2, x0, [x1]"},
	{0x08027c20, ARM64_STORE_EXCLUSIVE, 0, 0, "stxrb w2, w0, [x1]"},
	{0x4802fc29, ARM64_STORE_EXCLUSIVE, 9, 0, "stlxrh w2, w9, [x1]"},
	{0x88240440, ARM64_STORE_EXCLUSIVE, 0, 0, "stxp w4, w0, w1, [x2]"},
	{0xc8248440, ARM64_STORE_EXCLUSIVE, 0, 0, "stlxp w4, x0, x1, [x2]"},
	{0xc8dffc20, ARM64_OTHER, 0, 0, "ldar x0, [x1]"},
	{0xc89ffc20, ARM64_OTHER, 0, 0, "stlr x0, [x1]"},
	{0x08dffc20, ARM64_OTHER, 0, 0, "ldarb w0, [x1]"},
	{0xc89f7c20, ARM64_OTHER, 0, 0, "stllr x0, [x1]"},
	{0xc8df7c20, ARM64_OTHER, 0, 0, "ldlar x0, [x1]"},
	{0xc8a07c41, ARM64_OTHER, 0, 0, "cas x0, x1, [x2]"},
	{0x88e0fc41, ARM64_OTHER, 0, 0, "casal w0, w1, [x2]"},
	{0x08a07c41, ARM64_OTHER, 0, 0, "casb w0, w1, [x2]"},
	{0x48207c82, ARM64_OTHER, 0, 0, "casp x0, x1, x2, x3, [x4]"},
	{0x08207c82, ARM64_OTHER, 0, 0, "casp w0, w1, w2, w3, [x4]"},
	{0x4860fc82, ARM64_OTHER, 0, 0, "caspal x0, x1, x2, x3, [x4]"},
	{0xf8200041, ARM64_OTHER, 0, 0, "ldadd x0, x1, [x2]"},
	{0xf8208041, ARM64_OTHER, 0, 0, "swp x0, x1, [x2]"},
	{0xf9400020, ARM64_OTHER, 0, 0, "ldr x0, [x1]"},
	{0xa9400440, ARM64_OTHER, 0, 0, "ldp x0, x1, [x2]"},
	{0xa9000440, ARM64_OTHER, 0, 0, "stp x0, x1, [x2]"},
	{0xf8bfc020, ARM64_OTHER, 0, 0, "ldapr x0, [x1]"},
	{0x94000002, ARM64_BRANCH_OTHER, 0, 0, "bl .+8"},
	{0x97ffffff, ARM64_BRANCH_OTHER, 0, 0, "bl .-4"},
	{0xd61f0000, ARM64_BRANCH_OTHER, 0, 0, "br x0"},
	{0xd63f03c0, ARM64_BRANCH_OTHER, 0, 0, "blr x30"},
	{0xd65f03c0, ARM64_BRANCH_OTHER, 0, 0, "ret"},
	{0xd65f0060, ARM64_BRANCH_OTHER, 0, 0, "ret x3"},
	{0xd71f0801, ARM64_BRANCH_OTHER, 0, 0, "braa x0, x1"},
	{0xd61f081f, ARM64_BRANCH_OTHER, 0, 0, "braaz x0"},
	{0xd71f0c7f, ARM64_BRANCH_OTHER, 0, 0, "brab x3, sp"},
	{0xd73f0801, ARM64_BRANCH_OTHER, 0, 0, "blraa x0, x1"},
	{0xd63f0d3f, ARM64_BRANCH_OTHER, 0, 0, "blrabz x9"},
	{0xd65f0bff, ARM64_BRANCH_OTHER, 0, 0, "retaa"},
	{0xd65f0fff, ARM64_BRANCH_OTHER, 0, 0, "retab"},
	{0x8b020020, ARM64_OTHER, 0, 0, "add x0, x1, x2"},
	{0x00000000, ARM64_OTHER, 0, 0, "udf #0"},
};

static const struct {
	uint32_t word;
	bool conditional;
	int64_t offset;
	const char *text;
} branch_cases[] = {
	{0x14000000, false, 0, "b ."},
	{0x14000002, false, 8, "b .+8"},
	{0x17ffffff, false, -4, "b .-4"},
	{0x15ffffff, false, 0x7fffffc, "b .+0x7fffffc"},
	{0x16000000, false, -0x8000000, "b .-0x8000000"},
	{0x54000100, true, 0x20, "b.eq .+0x20"},
	{0x54ffff01, true, -0x20, "b.ne .-0x20"},
	{0x5400004e, false, 8, "b.al .+8"},
	{0x5400004f, false, 8, "b.nv .+8"},
	{0x547fffec, true, 0xffffc, "b.gt .+0xffffc"},
	{0x5480000b, true, -0x100000, "b.lt .-0x100000"},
	{0x54000050, true, 8, "bc.eq .+8"},
	{0x34000040, true, 8, "cbz w0, .+8"},
	{0xb4ffffde, true, -8, "cbz x30, .-8"},
	{0x357fffe1, true, 0xffffc, "cbnz w1, .+0xffffc"},
	{0xb5800001, true, -0x100000, "cbnz x1, .-0x100000"},
	{0x36180040, true, 8, "tbz w0, #3, .+8"},
	{0xb6fc0000, true, -0x8000, "tbz x0, #63, .-0x8000"},
	{0x37fbffe0, true, 0x7ffc, "tbnz w0, #31, .+0x7ffc"},
	{0xb707ffe9, true, -4, "tbnz x9, #32, .-4"},
};
/* clang-format on */

static void test_decode(void)
{
	for (size_t i = 0; i < N(plain_cases); i++) {
		struct arm64_decoded d = arm64_decode(plain_cases[i].word, PC);
		bool has_rt = d.insn == ARM64_MSR_DAIF || d.insn == ARM64_MRS_DAIF;

		tap_is_u64(d.insn, plain_cases[i].insn, "%s", plain_cases[i].text);
		tap_is_u64(d.imm, plain_cases[i].imm, "%s: its number", plain_cases[i].text);
		if (has_rt)
			tap_is_u64(d.rt, plain_cases[i].rt, "%s: its register", plain_cases[i].text);
	}
	for (size_t i = 0; i < N(branch_cases); i++) {
		struct arm64_decoded d = arm64_decode(branch_cases[i].word, PC);

		tap_is_u64(d.insn, ARM64_BRANCH, "%s", branch_cases[i].text);
		tap_ok(d.conditional == branch_cases[i].conditional, "%s: conditional or not", branch_cases[i].text);
		tap_is_u64(d.target, PC + (uint64_t)branch_cases[i].offset, "%s: to", branch_cases[i].text);
	}
	tap_is_u64(arm64_decode(0x17ffffff, 0).target, 0xfffffffffffffffc, "a target below address 0 wraps");
}

/* ---- sequences ---- */

#define LDXR	       0x885f7c20u
#define STXR	       0x88027c20u
#define LDXP	       0xc87f0440u
#define STXP	       0xc8240440u
#define CLREX	       0xd5033f5fu
#define NOP	       0xd503201fu
#define WFE	       0xd503205fu
#define RET	       0xd65f03c0u
#define SVC	       0xd4000001u
#define HLT	       0xd4400000u
#define BNE(n)	       (0x54000001u | ((uint32_t)(n)&0x7ffff) << 5) /* n instructions away */
#define CBNZ(n)	       (0x35000002u | ((uint32_t)(n)&0x7ffff) << 5)
#define JUMP(n)	       (0x14000000u | ((uint32_t)(n)&0x3ffffff))
#define UNKNOWN_BRANCH 0x74000040u /* of the branch group, not known here */

struct code {
	const uint32_t *word;
	size_t n; /* readable */
	uint64_t at;
};

static int read_insn(void *ctx, uint64_t addr, uint32_t *insn)
{
	const struct code *c = ctx;
	uint64_t i = (addr - c->at) / 4;

	if (i >= c->n)
		return -EFAULT;
	*insn = c->word[i];
	return 0;
}

/* Instruction numbers in want, ended by END; the order does not matter. */
#define END 1000

static void leaves_at(const char *name, const uint32_t *word, size_t n, uint64_t pc, int max, const int *want)
{
	struct code c = {word, n, pc};
	uint64_t leave[20];
	int count = 0, got = arm64_exclusive_leave(read_insn, &c, pc, leave, max);

	while (want[count] != END)
		count++;
	if (!tap_is_u64((uint64_t)(int64_t)got, (uint64_t)count, "%s: places", name))
		return;
	for (int i = 0; i < count; i++) {
		bool found = false;

		for (int j = 0; j < got; j++)
			found |= leave[j] == pc + (uint64_t)(int64_t)want[i] * 4;
		tap_ok(found, "%s: left at instruction %d", name, want[i]);
	}
}

#define WORDS(...) ((const uint32_t[]){__VA_ARGS__}), N(((const uint32_t[]){__VA_ARGS__})), PC, 4
#define AT(...)	   ((const int[]){__VA_ARGS__, END})
#define NOWHERE	   ((const int[]){END})

static void test_sequences(void)
{
	leaves_at("add", WORDS(LDXR, NOP, STXR, CBNZ(-3), NOP), AT(3));
	leaves_at("the store follows at once", WORDS(LDXR, STXR, CBNZ(-2)), AT(2));
	leaves_at("pairs", WORDS(LDXP, NOP, STXP, CBNZ(-3)), AT(3));
	leaves_at("compare and swap", WORDS(LDXR, NOP, BNE(3), STXR, CBNZ(-4), NOP), AT(4, 5));
	leaves_at("out to behind the store", WORDS(LDXR, BNE(2), STXR, NOP), AT(3));
	leaves_at("out far away", WORDS(LDXR, BNE(1000), STXR, NOP), AT(1001, 3));
	leaves_at("out backwards", WORDS(LDXR, BNE(-5), STXR, NOP), AT(-4, 3));
	leaves_at("back to the load is inside", WORDS(LDXR, CBNZ(-1), STXR, CBNZ(-3)), AT(3));
	leaves_at("a loop inside", WORDS(LDXR, NOP, BNE(-1), STXR, NOP), AT(4));
	leaves_at("a branch inside", WORDS(LDXR, BNE(2), NOP, STXR, NOP), AT(4));
	leaves_at("a jump over what is never run", WORDS(LDXR, JUMP(2), RET, STXR, NOP), AT(4));
	leaves_at("a jump away and back", WORDS(LDXR, JUMP(3), STXR, RET, JUMP(-2)), AT(3));
	leaves_at("two stores, one each way", WORDS(LDXR, BNE(4), STXR, CBNZ(-3), JUMP(3), STXR, CBNZ(-6), NOP),
		AT(3, 6));
	leaves_at("CLREX on one way", WORDS(LDXR, BNE(3), CLREX, JUMP(2), STXR, NOP), AT(2, 5));
	leaves_at("WFE on one way", WORDS(LDXR, BNE(3), WFE, JUMP(-3), STXR, NOP), AT(2, 5));
	leaves_at("a return on one way", WORDS(LDXR, BNE(2), RET, STXR, NOP), AT(2, 4));
	leaves_at("the same place twice", WORDS(LDXR, BNE(8), BNE(7), STXR), AT(9, 4));
}

static void test_none(void)
{
	uint32_t far[1 + ARM64_EXCLUSIVE_MAX + 1];

	leaves_at("a load alone", WORDS(LDXR, NOP, NOP, NOP), NOWHERE);
	leaves_at("CLREX before the store", WORDS(LDXR, CLREX, STXR), NOWHERE);
	leaves_at("another load before the store", WORDS(LDXR, LDXR, STXR), NOWHERE);
	leaves_at("a wait before the store", WORDS(LDXR, WFE, STXR), NOWHERE);
	leaves_at("a system call before the store", WORDS(LDXR, SVC, STXR), NOWHERE);
	leaves_at("a return before the store", WORDS(LDXR, RET, STXR), NOWHERE);
	leaves_at("a halt before the store", WORDS(LDXR, HLT, STXR), NOWHERE);
	leaves_at("an unknown branch before the store", WORDS(LDXR, UNKNOWN_BRANCH, STXR), NOWHERE);
	leaves_at("a jump away before the store", WORDS(LDXR, JUMP(50), STXR), NOWHERE);
	leaves_at("an endless loop", WORDS(LDXR, JUMP(0), STXR), NOWHERE);
	leaves_at("code that ends", WORDS(LDXR), NOWHERE);
	for (size_t i = 0; i < N(far); i++)
		far[i] = i ? NOP : LDXR;
	far[ARM64_EXCLUSIVE_MAX + 1] = STXR;
	leaves_at("the 17th instruction behind is too far", far, N(far), PC, 4, NOWHERE);
	far[ARM64_EXCLUSIVE_MAX] = STXR;
	leaves_at("the 16th is not", far, N(far), PC, 4, AT(ARM64_EXCLUSIVE_MAX + 1));
	leaves_at("five places, four wanted", WORDS(LDXR, BNE(20), BNE(21), BNE(22), BNE(23), STXR), NOWHERE);
	leaves_at("four places", WORDS(LDXR, BNE(20), BNE(21), BNE(22), STXR), AT(21, 23, 25, 5));
	leaves_at("no place wanted", (const uint32_t[]){LDXR, STXR}, 2, PC, 0, NOWHERE);
	leaves_at("at the end of the address space", (const uint32_t[]){LDXR, STXR}, 2, 0xfffffffffffffff8, 4, AT(2));
}

/* Any words: never more places than wanted, none of them twice, no read elsewhere. */
static void test_random(void)
{
	static const uint32_t some[] = {NOP, NOP, NOP, LDXR, STXR, STXR, CLREX, RET, WFE};
	bool good = true;
	unsigned sequences = 0;

	srand(1);
	for (int round = 0; round < 20000 && good; round++) {
		uint32_t word[1 + ARM64_EXCLUSIVE_MAX] = {LDXR};
		struct code c = {word, N(word), PC};
		uint64_t leave[4];
		int n;

		for (size_t i = 1; i < N(word); i++) {
			unsigned pick = (unsigned)rand() % 16;

			word[i] = pick < N(some) ? some[pick]
				  : pick < 12	 ? BNE(rand() % 40 - 20)
				  : pick < 14	 ? JUMP(rand() % 40 - 20)
						 : (uint32_t)rand() * 2u;
		}
		n = arm64_exclusive_leave(read_insn, &c, PC, leave, 4);
		good = n >= 0 && n <= 4;
		sequences += n > 0;
		for (int i = 0; good && i < n; i++) {
			good = leave[i] != PC && leave[i] % 4 == 0;
			for (int j = 0; j < i; j++)
				good &= leave[i] != leave[j];
		}
	}
	tap_ok(good, "random code");
	tap_ok(sequences > 1000, "of which enough are sequences (%u)", sequences);
}

static void test_patch_sites(void)
{
	tap_ok(arm64_is_patch_site(0xd503201f), "NOP");
	tap_ok(arm64_is_patch_site(0x14000001) && arm64_is_patch_site(0x17ffffff), "B, either way");
	tap_ok(arm64_is_patch_site(0x94000001) && arm64_is_patch_site(0x97ffffff), "BL, either way");
	tap_ok(!arm64_is_patch_site(0x54000040), "not B.cond");
	tap_ok(!arm64_is_patch_site(0xd65f03c0), "not RET");
	tap_ok(!arm64_is_patch_site(0xd503203f), "not YIELD");
	tap_ok(!arm64_is_patch_site(0xd4200000), "not BRK");
}

int main(void)
{
	test_decode();
	test_patch_sites();
	test_sequences();
	test_none();
	test_random();
	return tap_done();
}
