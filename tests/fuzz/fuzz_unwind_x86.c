/*
 * Stacks, registers and ORC tables of x86 made of anything. The input: a byte of modes, the number of ORC entries, that
 * of patches to the code, registers, ORC entries, patches, and the stack.
 */
#include "arch/x86_64/orc.h"
#include "arch/x86_64/unwind_x86.h"
#include "tests/fuzz/fuzz_unwind.h"

#define CR0_PE 1
#define LMA    0x500
#define IPS    DATA
#define ORC    (DATA + 0x4000)

enum { WITH_ORC = 1, NO_FUNCTIONS = 2, CODE_32 = 4, UNSORTED = 8, LINUX = 16, USER = 32 };

/* One entry for each 64 bytes of code. */
static void take_orc(unsigned n, bool unsorted)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t ip = unsorted ? take_word() : TEXT + 0x40 * i, at = IPS + 4 * i;

		put32(at, (uint32_t)(ip - at));
		put32(ORC + 6 * i, (uint32_t)take(4));
		put_bytes(ORC + 6 * i + 4, (const uint8_t[]){(uint8_t)take(1), (uint8_t)take(1)}, 2);
	}
	set_symbol("__start_orc_unwind_ip", IPS);
	set_symbol("__stop_orc_unwind_ip", IPS + 4 * n);
	set_symbol("__start_orc_unwind", ORC);
	set_symbol("__stop_orc_unwind", ORC + 6 * n);
}

static void make_code(void)
{
	static const uint8_t call[] = {0xe8, 1, 2, 3, 4}, push_mov[] = {0x55, 0x48, 0x89, 0xe5};

	for (unsigned i = 0; i < FUNCTIONS; i++) {
		add_function("f", FN(i), FUNCTION_SIZE);
		put_bytes(FN(i), push_mov, sizeof(push_mov));
		put_bytes(CALLED(i) - sizeof(call), call, sizeof(call));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const regs[] = {"rip", "rsp", "rbp", "rdx", "rdi", "r10", "r13", NULL};
	unsigned modes, entries, patches;

	input = data;
	input_left = size;
	guest_reset();
	modes = (unsigned)take(1);
	entries = (unsigned)take(1);
	patches = (unsigned)take(1) % 32;
	nothing_known = modes & NO_FUNCTIONS;
	make_code();
	set_reg("cr0", CR0_PE);
	set_reg("efer", modes & CODE_32 ? 0 : LMA);
	set_reg("cs", modes & USER ? 0x33 : 0x10);
	set_reg("eflags", 2);
	take_regs(regs);
	if (modes & WITH_ORC)
		take_orc(entries, modes & UNSORTED);
	if (modes & LINUX)
		set_symbol("linux_banner", DATA);
	take_text(patches);
	take_stack();
	check_walk(&x86_unwind, unwind_reg(&guest, "rip"));
	return 0;
}
