/*
 * Stacks and registers of arm64 made of anything. The input: a byte of modes, the number of patches to the code, that
 * of the function that entry code has, registers, patches, and the stack.
 */
#include "arch/arm64/unwind.h"
#include "tests/fuzz/fuzz_unwind.h"

#define EL1H	0x5
#define SCTLR_M 1
#define TCR_48	(16 | 16 << 16)
#define BL	0x94000000u
#define PUSH	0xa9be7bfdu /* stp x29, x30, [sp, #-32]! */
#define MOV_FP	0x910003fdu

enum { NO_FUNCTIONS = 1, MMU = 2, LINUX = 4, USER = 8 };

static void make_code(unsigned entry)
{
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		add_function(i == entry ? "el0t_64_sync" : i % 4 ? "f" : "f.cold", FN(i), FUNCTION_SIZE);
		put32(FN(i), PUSH);
		put32(FN(i) + 4, MOV_FP);
		put32(CALLED(i) - 4, BL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const regs[] = {"pc", "sp", "x29", "x30", NULL};
	unsigned modes, patches;

	input = data;
	input_left = size;
	guest_reset();
	modes = (unsigned)take(1);
	patches = (unsigned)take(1) % 32;
	nothing_known = modes & NO_FUNCTIONS;
	make_code((unsigned)take(1) % FUNCTIONS);
	set_reg("cpsr", modes & USER ? 0 : EL1H);
	set_reg("SCTLR_EL1", modes & MMU ? SCTLR_M : 0);
	set_reg("TCR_EL1", modes & MMU ? TCR_48 : 0);
	take_regs(regs);
	if (modes & LINUX)
		set_symbol("linux_banner", DATA);
	take_text(patches);
	take_stack();
	check_walk(&arm64_unwind, unwind_reg(&guest, "pc"));
	return 0;
}
