/* Which instructions a kernel may replace while it runs, and how long they are. */
#include "arch/x86_64/insn.h"

#include "tests/unit/tap.h"

static void test_sites(void)
{
	static const struct {
		const char *what;
		uint8_t bytes[X86_INSN_MAX];
		size_t len;
	} cases[] = {
		{"call", {0xe8, 1, 2, 3, 4}, 5},
		{"jmp", {0xe9, 1, 2, 3, 4}, 5},
		{"short jmp", {0xeb, 0x10}, 2},
		{"2-byte nop", {0x66, 0x90}, 2},
		{"3-byte nop", {0x0f, 0x1f, 0x00}, 3},
		{"4-byte nop", {0x0f, 0x1f, 0x40, 0x00}, 4},
		{"5-byte nop", {0x0f, 0x1f, 0x44, 0x00, 0x00}, 5},
		{"6-byte nop", {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00}, 6},
		{"7-byte nop", {0x0f, 0x1f, 0x80, 0, 0, 0, 0}, 7},
		{"8-byte nop", {0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}, 8},
		{"9-byte nop", {0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}, 9},
		{"10-byte nop", {0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}, 10},
		{"nop with SIB and no base", {0x0f, 0x1f, 0x04, 0x25, 0, 0, 0, 0}, 8},
		{"nop relative to rip", {0x0f, 0x1f, 0x05, 0, 0, 0, 0}, 7},
		{"padded call", {0x2e, 0xe8, 1, 2, 3, 4}, 6},
		{"jcc", {0x0f, 0x84, 1, 2, 3, 4}, 6},
		{"return of zero", {0x66, 0x66, 0x48, 0x31, 0xc0}, 5},
		{"nop", {0x90}, 0},
		{"nop of a register", {0x0f, 0x1f, 0xc0}, 0},
		{"short jcc", {0x74, 0x10}, 0},
		{"indirect call", {0xff, 0x15, 0, 0, 0, 0}, 0},
		{"call with an operand size", {0x66, 0xe8, 1, 2}, 0},
		{"endbr64", {0xf3, 0x0f, 0x1e, 0xfa}, 0},
		{"push", {0x55, 0x48, 0x89, 0xe5}, 0},
		{"int3", {0xcc, 0x1f, 0x44}, 0},
		{"prefixes only",
			{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66}, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = cases[i].len;

		tap_is_u64(x86_patch_site(cases[i].bytes, X86_INSN_MAX, X86_CODE_64), len, "%s", cases[i].what);
		if (len)
			tap_is_u64(x86_patch_site(cases[i].bytes, len, X86_CODE_64), len, "%s, and no byte more",
				cases[i].what);
		if (len > 1)
			tap_is_u64(
				x86_patch_site(cases[i].bytes, len - 1, X86_CODE_64), 0, "%s, cut off", cases[i].what);
		tap_is_u64(x86_patch_site(cases[i].bytes, X86_INSN_MAX, X86_CODE_16), 0, "%s, in 16-bit code",
			cases[i].what);
	}
	tap_is_u64(x86_patch_site(cases[0].bytes, 0, X86_CODE_64), 0, "nothing");
}

int main(void)
{
	test_sites();
	return tap_done();
}
