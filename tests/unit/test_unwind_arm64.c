/* Backtraces on arm64: frame records, what is only in x30 yet, exceptions, and a stack without records. */
#include "arch/arm64/unwind.h"

#include "tests/unit/unwind_guest.h"

#define EL1H	0x5u
#define SCTLR_M 1ull
#define TCR_48	(16ull | 16ull << 16) /* T0SZ, T1SZ: 48 bits each */

#define BL	  0x94000000u
#define BLR_X8	  0xd63f0100u
#define PUSH	  0xa9be7bfdu /* stp x29, x30, [sp, #-32]! */
#define MOV_FP	  0x910003fdu
#define POP	  0xa8c27bfdu /* ldp x29, x30, [sp], #32 */
#define RET	  0xd65f03c0u
#define NOP	  0xd503201fu
#define FN(i)	  (TEXT + 0x100 * (uint64_t)(i))
#define CALLED(i) (FN(i) + 0x40)
#define RECORD(i) (STACK + 0x1000 + 0x100 * (uint64_t)(i))

enum { LEAF, MIDDLE, OUTER, ENTRY, BOTTOM, FUNCTIONS };

static void record(uint64_t at, uint64_t fp, uint64_t lr)
{
	put64(at, fp);
	put64(at + 8, lr);
}

/* middle <- outer <- bottom, each with its record; x29 is middle's. */
static void kernel(void)
{
	static const char *const names[] = {"leaf", "middle", "outer", "el0t_64_sync", "bottom"};
	static const uint32_t code[] = {PUSH, MOV_FP, NOP, NOP};

	guest_reset();
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		add_function(names[i], FN(i), 0x100);
		for (unsigned k = 0; k < 0x40; k++)
			put32(FN(i) + 4 * k, NOP);
		if (i != LEAF)
			put_bytes(FN(i), code, sizeof(code));
		put32(CALLED(i) - 4, i % 2 ? BL : BLR_X8);
		put32(FN(i) + 0x80, POP);
		put32(FN(i) + 0x84, RET);
	}
	put32(MODULE + 0x3c, BL);
	record(RECORD(0), RECORD(1), CALLED(OUTER));
	record(RECORD(1), RECORD(2), CALLED(BOTTOM));
	record(RECORD(2), 0, 0);
	set_reg("cpsr", EL1H);
	set_reg("SCTLR_EL1", SCTLR_M);
	set_reg("TCR_EL1", TCR_48);
	set_reg("pc", FN(MIDDLE) + 0x20);
	set_reg("sp", STACK + 0x0f00);
	set_reg("x29", RECORD(0));
	set_reg("x30", CALLED(OUTER));
}

static void test_chain(void)
{
	kernel();
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "records", {FN(MIDDLE) + 0x20, "i"}, {CALLED(OUTER), "c"},
		{CALLED(BOTTOM), "c"});
	set_reg("x30", CALLED(MIDDLE) - 0x10);
	put32(CALLED(MIDDLE) - 0x14, BL);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "something that was called has returned",
		{FN(MIDDLE) + 0x20, "i"}, {CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	nothing_known = true;
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "likewise, without symbols", {FN(MIDDLE) + 0x20, "i"},
		{CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	put64(RECORD(0) + 8, (CALLED(OUTER) & 0x0000ffffffffffff) | 0x5a80ull << 48);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "pointer authentication", {FN(MIDDLE) + 0x20, "i"},
		{CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
}

static void test_leaf(void)
{
	static const struct {
		unsigned offset;
		const char *what;
	} places[] = {{0, "at a function's first instruction"}, {4, "its record is written, x29 not yet set"},
		{0x84, "behind the pop, at the return"}};

	kernel();
	set_reg("pc", FN(LEAF) + 0x10);
	set_reg("x30", CALLED(MIDDLE));
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "a function without a record", {FN(LEAF) + 0x10, "i"},
		{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	nothing_known = true;
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "likewise, without symbols", {FN(LEAF) + 0x10, "i"},
		{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	nothing_known = false;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		set_reg("pc", FN(ENTRY) + places[i].offset);
		FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, places[i].what, {FN(ENTRY) + places[i].offset, "i"},
			{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	}
	/* middle calls itself: x30 leads into it, before it has a record and when it has one */
	put32(CALLED(MIDDLE) - 4, BL | ((uint32_t) - ((CALLED(MIDDLE) - 4 - FN(MIDDLE)) / 4) & 0x03ffffff));
	set_reg("pc", FN(MIDDLE) + 4);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "a recursion has no record yet", {FN(MIDDLE) + 4, "i"},
		{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	set_reg("pc", CALLED(MIDDLE) + 4);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "a recursion has returned", {CALLED(MIDDLE) + 4, "i"},
		{CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	/* a part of it elsewhere */
	add_function("middle.cold", FN(8), 0x100);
	set_reg("pc", FN(8) + 8);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "the cold part of a function", {FN(8) + 8, "i"},
		{CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	set_reg("pc", 0);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "a call of NULL", {0, "i"}, {CALLED(MIDDLE), "c"},
		{CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
}

/* Linux, struct pt_regs at STACK + 0x2000: leaf was interrupted, called by middle. */
static void interrupted(uint64_t pc, uint64_t pstate)
{
	uint64_t regs = STACK + 0x2000;

	put64(regs + 29 * 8, RECORD(0));
	put64(regs + 30 * 8, CALLED(MIDDLE));
	put64(regs + 31 * 8, STACK + 0xf00);
	put64(regs + 32 * 8, pc);
	put64(regs + 33 * 8, pstate);
}

static void test_exceptions(void)
{
	uint64_t regs = STACK + 0x2000, entry = STACK + 0x2200;

	kernel();
	interrupted(FN(LEAF) + 0x10, EL1H);
	set_reg("pc", FN(BOTTOM) + 0x20);
	set_reg("x29", entry);
	set_reg("x30", CALLED(ENTRY));
	record(entry, regs + 304, CALLED(ENTRY));
	record(regs + 304, RECORD(0), FN(LEAF) + 0x10);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "an interrupt: its registers have a record",
		{FN(BOTTOM) + 0x20, "i"}, {CALLED(ENTRY), "c"}, {FN(LEAF) + 0x10, "i"}, {CALLED(MIDDLE), "c"},
		{CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});

	record(entry, regs + 296, CALLED(ENTRY));
	record(regs + 296, 0, 0);
	put64(regs + 312, 2);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "Linux 6.13: a record with a type", {FN(BOTTOM) + 0x20, "i"},
		{CALLED(ENTRY), "c"}, {FN(LEAF) + 0x10, "i"}, {CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"},
		{CALLED(BOTTOM), "c"});

	interrupted(0x401234, 0);
	put64(regs + 312, 1);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "Linux 6.13: a program's call", {FN(BOTTOM) + 0x20, "i"},
		{CALLED(ENTRY), "c"}, {0x401234, "u"});
	record(entry, regs + 304, CALLED(ENTRY));
	record(regs + 304, 0, 0);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "a program's call", {FN(BOTTOM) + 0x20, "i"},
		{CALLED(ENTRY), "c"}, {0x401234, "u"});
	interrupted(FN(LEAF), 0);
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "what is no program's address is not taken for one",
		{FN(BOTTOM) + 0x20, "i"}, {CALLED(ENTRY), "c"});
}

static void test_bad(void)
{
	kernel();
	put64(RECORD(1), 0x1234);
	put64(STACK + 0x1180, CALLED(MIDDLE));
	FRAMES_ARE(&arm64_unwind, UNWIND_FRAME_POINTERS, "a chain that breaks, the rest by scan",
		{FN(MIDDLE) + 0x20, "i"}, {CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"}, {CALLED(MIDDLE), "c?"});
	set_reg("x29", 0x1234);
	set_reg("x30", 0);
	set_reg("sp", STACK + 0x1004);
	FRAMES_ARE(&arm64_unwind, UNWIND_SCAN, "no chain at all", {FN(MIDDLE) + 0x20, "i"}, {CALLED(OUTER), "c?"},
		{CALLED(BOTTOM), "c?"}, {CALLED(MIDDLE), "c?"});
	put64(RECORD(1), RECORD(0));
	set_reg("x29", RECORD(0));
	arm64_unwind.walk(&guest, &found);
	tap_ok(found.n < 64, "records in a circle end after %zu frames", found.n);
	set_reg("x29", 0xfffffffffffffff8ull);
	set_reg("sp", 0xfffffffffffffff8ull);
	FRAMES_ARE(&arm64_unwind, UNWIND_SCAN, "a stack at the end of all addresses", {FN(MIDDLE) + 0x20, "i"});
}

static void test_modes(void)
{
	kernel();
	set_reg("cpsr", 0);
	FRAMES_ARE(&arm64_unwind, UNWIND_USER, "EL0", {FN(MIDDLE) + 0x20, "u"});
	set_reg("cpsr", 0x10);
	FRAMES_ARE(&arm64_unwind, UNWIND_USER, "EL0, AArch32", {FN(MIDDLE) + 0x20, "u"});
}

static void again(unsigned round)
{
	set_reg("cpsr", EL1H);
	set_reg("SCTLR_EL1", round % 2);
	nothing_known = round % 3 == 0;
	for (size_t i = 0; i < TEXT_SIZE; i += 4) {
		if (rand() % 3 == 0)
			put32(TEXT + i, rand() % 2 ? BL | (uint32_t)(rand() & 0xff) : PUSH);
	}
}

int main(void)
{
	test_chain();
	test_leaf();
	test_exceptions();
	test_bad();
	test_modes();
	kernel();
	survives_junk(&arm64_unwind, 300, again);
	return tap_done();
}
