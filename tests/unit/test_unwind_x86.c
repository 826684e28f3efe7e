/* Backtraces on x86: ORC tables of three formats, frame pointers, and what is left without either. */
#include "arch/x86_64/unwind_x86.h"

#include "arch/x86_64/orc.h"
#include "tests/unit/unwind_guest.h"

#define CR0_64 0x80050033ull
#define LMA    0x500ull
#define IPS    DATA
#define ORC    (DATA + 0x4000)

/* Functions of 256 bytes; a call to nowhere ends at CALLED of each. */
#define FN(i)	  (TEXT + 0x100 * (uint64_t)(i))
#define CALLED(i) (FN(i) + 0x40)
enum { LEAF, MIDDLE, OUTER, ENTRY, BOTTOM, FUNCTIONS };

static const uint8_t call[] = {0xe8, 1, 2, 3, 4};

static void kernel(void)
{
	static const char *const names[] = {"leaf", "middle", "outer", "entry", "bottom"};

	guest_reset();
	for (unsigned i = 0; i < FUNCTIONS; i++) {
		add_function(names[i], FN(i), 0x100);
		put_bytes(CALLED(i) - sizeof(call), call, sizeof(call));
	}
	put_bytes(MODULE + 0x80 - sizeof(call), call, sizeof(call));
	set_reg("cr0", CR0_64);
	set_reg("efer", LMA);
	set_reg("cs", 0x10);
	set_reg("eflags", 2);
	set_reg("rip", FN(LEAF) + 0x10);
	set_reg("rsp", STACK + 0x1000);
	set_reg("rbp", 0);
}

/* ---- ORC ---- */

static unsigned norc;
static enum orc_version version;

static void orc(uint64_t ip, enum orc_reg sp_reg, int sp_offset, enum orc_reg bp_reg, int bp_offset, enum orc_type type)
{
	static const uint8_t old_types[] = {0, 0, 0, 1, 2};
	bool end = type == ORC_END_OF_STACK, signal = type == ORC_REGS || type == ORC_REGS_PARTIAL;
	uint8_t e[6] = {(uint8_t)sp_offset, (uint8_t)(sp_offset >> 8), (uint8_t)bp_offset, (uint8_t)(bp_offset >> 8),
		(uint8_t)(sp_reg | bp_reg << 4)};

	if (version == ORC_6_4)
		e[5] = (uint8_t)(type | signal << 3);
	else
		e[5] = old_types[type];
	if (version == ORC_6_3)
		e[5] |= (uint8_t)(signal << 2 | end << 3);
	if (version == ORC_4_14)
		e[5] |= (uint8_t)(end << 2);
	put32(IPS + 4 * norc, (uint32_t)(ip - (IPS + 4 * norc)));
	put_bytes(ORC + 6 * norc++, e, sizeof(e));
}

static void orc_done(void)
{
	set_symbol("__start_orc_unwind_ip", IPS);
	set_symbol("__stop_orc_unwind_ip", IPS + 4 * norc);
	set_symbol("__start_orc_unwind", ORC);
	set_symbol("__stop_orc_unwind", ORC + 6 * norc);
}

static void orc_kernel(enum orc_version v)
{
	kernel();
	norc = 0;
	version = v;
	orc(FN(LEAF), ORC_REG_SP, 8, ORC_REG_UNDEFINED, 0, ORC_CALL);
	orc(FN(LEAF) + 2, ORC_REG_SP, 16, ORC_REG_PREV_SP, -16, ORC_CALL);
	orc(FN(MIDDLE), ORC_REG_SP, 8, ORC_REG_UNDEFINED, 0, ORC_CALL);
	orc(FN(MIDDLE) + 8, ORC_REG_SP, 40, ORC_REG_UNDEFINED, 0, ORC_CALL);
	/* the return address is the first byte of another entry: the call's own counts */
	orc(CALLED(MIDDLE), ORC_REG_SP, 400, ORC_REG_UNDEFINED, 0, ORC_CALL);
	orc(FN(OUTER), ORC_REG_BP, 16, ORC_REG_PREV_SP, -16, ORC_CALL);
	orc(FN(ENTRY), ORC_REG_SP, 0, ORC_REG_UNDEFINED, 0, ORC_REGS);
	orc(FN(ENTRY) + 0x80, ORC_REG_SP, 8, ORC_REG_UNDEFINED, 0, ORC_REGS_PARTIAL);
	orc(FN(BOTTOM), ORC_REG_UNDEFINED, 0, ORC_REG_UNDEFINED, 0, ORC_END_OF_STACK);
	orc_done();
}

/* leaf <- middle <- outer <- bottom, outer by its frame pointer, which leaf has saved. */
static void orc_stack(void)
{
	uint64_t sp = STACK + 0x1000, bp = STACK + 0x1100;

	put64(sp, bp);
	put64(sp + 8, CALLED(MIDDLE));
	put64(sp + 48, CALLED(OUTER));
	put64(bp, 0);
	put64(bp + 8, CALLED(BOTTOM));
}

static void test_orc_formats(void)
{
	static const char *const names[] = {"ORC of Linux 4.14", "ORC of Linux 6.3", "ORC of Linux 6.4"};

	for (unsigned v = ORC_4_14; v <= ORC_6_4; v++) {
		orc_kernel(v);
		orc_stack();
		put64(STACK + 0x1180, CALLED(MIDDLE)); /* above where the stack ends */
		FRAMES_ARE(&x86_unwind, UNWIND_ORC, names[v], {FN(LEAF) + 0x10, "i"}, {CALLED(MIDDLE), "c"},
			{CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	}
}

/* bottom <- entry's registers <- leaf; regs at sp of entry. */
static void put_regs(uint64_t regs, uint64_t pc, uint64_t cs, uint64_t sp, uint64_t bp)
{
	put64(regs + PT_IP, pc);
	put64(regs + PT_CS, cs);
	put64(regs + PT_SP, sp);
	put64(regs + PT_BP, bp);
}

static void test_orc_interrupts(void)
{
	for (unsigned v = ORC_4_14; v <= ORC_6_4; v++) {
		orc_kernel(v);
		put64(STACK + 0x1008, CALLED(ENTRY));
		put_regs(STACK + 0x1010, FN(LEAF), 0x10, STACK + 0x2000, STACK + 0x2100);
		put64(STACK + 0x2000, CALLED(OUTER));
		put64(STACK + 0x2108, CALLED(BOTTOM));
		FRAMES_ARE(&x86_unwind, UNWIND_ORC, "interrupted at a function's first instruction",
			{FN(LEAF) + 0x10, "i"}, {CALLED(ENTRY), "c"}, {FN(LEAF), "i"}, {CALLED(OUTER), "c"},
			{CALLED(BOTTOM), "c"});
		/* its frame pointer is among what was saved: the handler's own is another, or none */
		put_regs(STACK + 0x1010, CALLED(OUTER), 0x10, STACK + 0x2000, STACK + 0x2100);
		set_reg("rbp", 0);
		FRAMES_ARE(&x86_unwind, UNWIND_ORC, "interrupted in a function with a frame pointer",
			{FN(LEAF) + 0x10, "i"}, {CALLED(ENTRY), "c"}, {CALLED(OUTER), "i"}, {CALLED(BOTTOM), "c"});
		put_regs(STACK + 0x1010, 0x401234, 0x33, 0x7ffe0000, 0);
		FRAMES_ARE(&x86_unwind, UNWIND_ORC, "a program was interrupted", {FN(LEAF) + 0x10, "i"},
			{CALLED(ENTRY), "c"}, {0x401234, "u"});
		put_regs(STACK + 0x1010, 0, 0, 0, 0);
		FRAMES_ARE(&x86_unwind, UNWIND_ORC, "a kernel thread's empty registers", {FN(LEAF) + 0x10, "i"},
			{CALLED(ENTRY), "c"});
		/* only what the processor pushes; rbp is what it was */
		set_reg("rip", FN(ENTRY) + 0x90);
		set_reg("rbp", STACK + 0x2100);
		put_regs(STACK + 0x1008 - PT_IP, CALLED(OUTER), 0x10, STACK + 0x2000, 0);
		FRAMES_ARE(&x86_unwind, UNWIND_ORC, "an interrupt's first instructions", {FN(ENTRY) + 0x90, "i"},
			{CALLED(OUTER), "i"}, {CALLED(BOTTOM), "c"});
	}
}

static void test_orc_registers(void)
{
	static const struct {
		enum orc_reg sp_reg;
		int offset;
		const char *reg;
		uint64_t value; /* so that the caller's stack is at STACK + 0x2000 */
	} cases[] = {
		{ORC_REG_SP_INDIRECT, 8, NULL, 0},
		{ORC_REG_BP_INDIRECT, -8, "rbp", STACK + 0x1808},
		{ORC_REG_R10, 0, "r10", STACK + 0x2000},
		{ORC_REG_R13, 0, "r13", STACK + 0x2000},
		{ORC_REG_DI, 0, "rdi", STACK + 0x2000},
		{ORC_REG_DX, 0, "rdx", STACK + 0x2000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kernel();
		norc = 0;
		version = ORC_6_4;
		for (unsigned k = 0; k < 4; k++)
			orc(FN(LEAF) + k, ORC_REG_SP, 8, ORC_REG_UNDEFINED, 0, ORC_CALL);
		orc(FN(LEAF) + 8, cases[i].sp_reg, cases[i].offset, ORC_REG_UNDEFINED, 0, ORC_CALL);
		orc(FN(BOTTOM), ORC_REG_UNDEFINED, 0, ORC_REG_UNDEFINED, 0, ORC_END_OF_STACK);
		orc_done();
		put64(STACK + 0x1000, STACK + 0x2000 - 8);
		put64(STACK + 0x1800, STACK + 0x2000);
		put64(STACK + 0x2000 - 8, CALLED(BOTTOM));
		if (cases[i].reg)
			set_reg(cases[i].reg, cases[i].value);
		FRAMES_ARE(&x86_unwind, UNWIND_ORC, cases[i].reg ? cases[i].reg : "indirect by rsp",
			{FN(LEAF) + 0x10, "i"}, {CALLED(BOTTOM), "c"});
	}
}

static void test_orc_gaps(void)
{
	orc_kernel(ORC_6_4);
	set_reg("rip", MODULE + 0x20);
	put64(STACK + 0x1010, MODULE + 0x80);
	put64(STACK + 0x1030, CALLED(MIDDLE) + 1); /* no call before it */
	put64(STACK + 0x1040, CALLED(MIDDLE));
	put64(STACK + 0x1068, CALLED(BOTTOM)); /* 40 above the word behind the last one: middle's frame */
	FRAMES_ARE(&x86_unwind, UNWIND_ORC, "code of a module, which has no entries here", {MODULE + 0x20, "i"},
		{MODULE + 0x80, "c?"}, {CALLED(MIDDLE), "c?"}, {CALLED(BOTTOM), "c"});

	orc_kernel(ORC_6_4);
	set_reg("rip", 0);
	put64(STACK + 0x1000, CALLED(BOTTOM));
	FRAMES_ARE(&x86_unwind, UNWIND_ORC, "a call of NULL", {0, "i"}, {CALLED(BOTTOM), "c"});

	orc_kernel(ORC_6_4);
	put64(STACK + 0x1008, 0x1234);
	FRAMES_ARE(&x86_unwind, UNWIND_ORC, "a return address that is overwritten, and nothing above",
		{FN(LEAF) + 0x10, "i"});
}

static void test_orc_bad(void)
{
	orc_kernel(ORC_6_4);
	orc_stack();
	put32(IPS + 4, 0x7fffffff);
	set_reg("rbp", 0);
	frames_are(&x86_unwind, UNWIND_SCAN,
		(const struct wanted[]){
			{FN(LEAF) + 0x10, "i"}, {CALLED(MIDDLE), "c?"}, {CALLED(OUTER), "c?"}, {CALLED(BOTTOM), "c?"}},
		4, "a table that is not sorted is not believed");

	orc_kernel(ORC_6_4);
	orc_stack();
	guest_symbols[3].value += 6;
	x86_unwind.walk(&guest, &found);
	tap_is_u64(found.way, UNWIND_SCAN, "nor one whose parts differ in length");

	orc_kernel(ORC_6_4);
	guest_symbols[1].value = IPS + (1ull << 40);
	guest_symbols[3].value = ORC + 6 * (1ull << 38);
	x86_unwind.walk(&guest, &found);
	tap_is_u64(found.way, UNWIND_SCAN, "nor one that is too long");

	/* an entry that leads to itself for ever */
	orc_kernel(ORC_6_4);
	put_bytes(ORC + 6, (const uint8_t[]){8, 0, 0, 0, ORC_REG_BP, ORC_CALL}, 6);
	set_reg("rbp", STACK + 0x1000);
	put64(STACK + 0x1000, FN(LEAF) + 0x11);
	x86_unwind.walk(&guest, &found);
	tap_is_u64(found.n, UNWIND_FRAMES_MAX, "an endless chain has an end");
}

/* ---- frame pointers ---- */

static uint64_t chain(uint64_t at, uint64_t next, uint64_t pc)
{
	put64(at, next);
	put64(at + 8, pc);
	return at;
}

static void test_fp(void)
{
	static const uint8_t push_mov[] = {0x55, 0x48, 0x89, 0xe5}, ret = 0xc3;
	uint64_t bp = STACK + 0x1010;

	kernel();
	set_reg("rbp", bp);
	chain(bp, STACK + 0x1100, CALLED(MIDDLE));
	chain(STACK + 0x1100, STACK + 0x1200, CALLED(OUTER));
	chain(STACK + 0x1200, 0, 0);
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "a chain", {FN(LEAF) + 0x10, "i"}, {CALLED(MIDDLE), "c"},
		{CALLED(OUTER), "c"});
	nothing_known = true;
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "a chain without symbols", {FN(LEAF) + 0x10, "i"},
		{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"});
	nothing_known = false;

	put64(STACK + 0x1000, CALLED(ENTRY));
	set_reg("rip", FN(LEAF));
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "at a function's first instruction", {FN(LEAF), "i"},
		{CALLED(ENTRY), "c"}, {CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"});
	put_bytes(FN(LEAF) + 5, push_mov, sizeof(push_mov));
	set_reg("rip", FN(LEAF) + 5);
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "at a push of rbp", {FN(LEAF) + 5, "i"}, {CALLED(ENTRY), "c"},
		{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"});
	set_reg("rip", FN(LEAF) + 6);
	set_reg("rsp", STACK + 0x1000 - 8);
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "right behind it", {FN(LEAF) + 6, "i"}, {CALLED(ENTRY), "c"},
		{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"});
	put_bytes(FN(LEAF) + 0x20, &ret, 1);
	set_reg("rip", FN(LEAF) + 0x20);
	set_reg("rsp", STACK + 0x1000);
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "at a return", {FN(LEAF) + 0x20, "i"}, {CALLED(ENTRY), "c"},
		{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c"});
}

/* A function that never pushes rbp: its return address is behind a call of it. */
static void test_fp_leaf(void)
{
	static const uint8_t push_mov[] = {0x55, 0x48, 0x89, 0xe5};
	uint64_t bp = STACK + 0x1100;

	kernel();
	set_reg("rbp", chain(bp, 0, CALLED(MIDDLE)));
	put64(STACK + 0x1000, CALLED(ENTRY)); /* not one of it */
	put64(STACK + 0x1010, CALLED(OUTER));
	put32(CALLED(OUTER) - 4, (uint32_t)(FN(LEAF) - CALLED(OUTER)));
	for (int i = 0; i < 2; i++, nothing_known = true)
		FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "a function without a frame", {FN(LEAF) + 0x10, "i"},
			{CALLED(OUTER), "c"}, {CALLED(MIDDLE), "c"});
	put_bytes(FN(LEAF) + 4, push_mov, sizeof(push_mov));
	for (int i = 0; i < 2; i++, nothing_known = false)
		FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "a function with one", {FN(LEAF) + 0x10, "i"},
			{CALLED(MIDDLE), "c"});
	set_reg("rip", 0);
	put64(STACK + 0x1000, CALLED(OUTER));
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "a call of NULL", {0, "i"}, {CALLED(OUTER), "c"},
		{CALLED(MIDDLE), "c"});
}

static void test_fp_interrupts(void)
{
	static const uint8_t iretq[] = {0x48, 0xcf};
	uint64_t regs = STACK + 0x1100, frame;

	/* Linux with frame pointers */
	kernel();
	set_reg("rbp", chain(STACK + 0x1010, regs | 1, CALLED(ENTRY)));
	put_regs(regs, FN(MIDDLE), 0x10, STACK + 0x2000, chain(STACK + 0x2020, 0, CALLED(BOTTOM)));
	put64(STACK + 0x2000, CALLED(OUTER));
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "struct pt_regs in the chain", {FN(LEAF) + 0x10, "i"},
		{CALLED(ENTRY), "c"}, {FN(MIDDLE), "i"}, {CALLED(OUTER), "c"}, {CALLED(BOTTOM), "c"});
	put_regs(regs, 0x401000, 0x33, 0x7ffe0000, 0);
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "struct pt_regs of a program", {FN(LEAF) + 0x10, "i"},
		{CALLED(ENTRY), "c"}, {0x401000, "u"});

	/* a stub that saves registers and calls */
	kernel();
	put_bytes(CALLED(ENTRY) + 0x20, iretq, sizeof(iretq));
	set_reg("rbp", chain(STACK + 0x1010, STACK + 0x1100, CALLED(ENTRY)));
	frame = STACK + 0x1060;
	put64(frame, FN(MIDDLE) + 0x33);
	put64(frame + 8, 0x10);
	put64(frame + 16, 0x246);
	put64(frame + 24, frame + 40 + 8);
	put64(frame + 32, 0x18);
	chain(STACK + 0x1100, 0, CALLED(OUTER));
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "an interrupt's stub", {FN(LEAF) + 0x10, "i"},
		{CALLED(ENTRY), "c"}, {FN(MIDDLE) + 0x33, "i"}, {CALLED(OUTER), "c"});
	put64(frame + 24, STACK);
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "what only looks like one", {FN(LEAF) + 0x10, "i"},
		{CALLED(ENTRY), "c"}, {CALLED(OUTER), "c"});
}

static void test_fp_broken(void)
{
	kernel();
	set_reg("rbp", chain(STACK + 0x1010, 0x1234, CALLED(MIDDLE)));
	put64(STACK + 0x1080, CALLED(OUTER));
	FRAMES_ARE(&x86_unwind, UNWIND_FRAME_POINTERS, "a chain that breaks, the rest by scan", {FN(LEAF) + 0x10, "i"},
		{CALLED(MIDDLE), "c"}, {CALLED(OUTER), "c?"});
	set_reg("rbp", STACK + 0x1018);
	FRAMES_ARE(&x86_unwind, UNWIND_SCAN, "rbp is something else", {FN(LEAF) + 0x10, "i"}, {CALLED(MIDDLE), "c?"},
		{CALLED(OUTER), "c?"});
	set_reg("rbp", chain(STACK + 0x1010, STACK + 0x1010, CALLED(MIDDLE)));
	x86_unwind.walk(&guest, &found);
	tap_ok(found.n < 16, "a frame that leads to itself ends the chain after %zu frames", found.n);
	nothing_known = true;
	set_reg("rsp", 0xfffffffffffffff8ull);
	set_reg("rbp", 0xfffffffffffffff8ull);
	FRAMES_ARE(&x86_unwind, UNWIND_SCAN, "a stack at the end of all addresses", {FN(LEAF) + 0x10, "i"});
}

/* ---- the rest ---- */

static void test_modes(void)
{
	kernel();
	put64(STACK + 0x1000, CALLED(MIDDLE));
	set_reg("cs", 0x33);
	FRAMES_ARE(&x86_unwind, UNWIND_USER, "user mode", {FN(LEAF) + 0x10, "u"});
	set_reg("cs", 0x13);
	set_reg("cr0", 0x10);
	FRAMES_ARE(&x86_unwind, UNWIND_NONE, "real mode", {FN(LEAF) + 0x10, "i"});
}

/* The stack below linux_banner's kernels ends at a multiple of its size. */
static void test_scan_ends(void)
{
	kernel();
	set_reg("rsp", STACK + 0x3ff0);
	put64(STACK + 0x3ff8, CALLED(MIDDLE));
	FRAMES_ARE(&x86_unwind, UNWIND_SCAN, "up to where nothing is mapped", {FN(LEAF) + 0x10, "i"},
		{CALLED(MIDDLE), "c?"});
	kernel();
	set_symbol("linux_banner", DATA);
	set_reg("rsp", TEXT + 0x3ff0);
	put64(TEXT + 0x3ff8, CALLED(MIDDLE));
	put64(TEXT + 0x4000, CALLED(MIDDLE));
	FRAMES_ARE(&x86_unwind, UNWIND_SCAN, "up to the end of a task's stack", {FN(LEAF) + 0x10, "i"},
		{CALLED(MIDDLE), "c?"});
}

static void test_calls(void)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
		bool call;
		const char *text;
	} cases[] = {
		{{0xe8, 1, 2, 3, 4}, 5, true, "call rel32"},
		{{0x2e, 0xe8, 1, 2, 3, 4}, 6, true, "cs call rel32"},
		{{0xff, 0xd0}, 2, true, "call *%rax"},
		{{0x41, 0xff, 0xd3}, 3, true, "call *%r11"},
		{{0xff, 0x10}, 2, true, "call *(%rax)"},
		{{0xff, 0x50, 8}, 3, true, "call *8(%rax)"},
		{{0xff, 0x14, 0xc5, 1, 2, 3, 4}, 7, true, "call *table(,%rax,8)"},
		{{0xff, 0x54, 0x24, 8}, 4, true, "call *8(%rsp)"},
		{{0xff, 0x15, 1, 2, 3, 4}, 6, true, "call *rel(%rip)"},
		{{0xff, 0x90, 1, 2, 3, 4}, 6, true, "call *disp32(%rax)"},
		{{0xff, 0xe0}, 2, false, "jmp *%rax"},
		{{0xe9, 1, 2, 3, 4}, 5, false, "jmp rel32"},
		{{0xff, 0x50}, 2, false, "half a call *disp8(%rax)"},
		{{0x90, 0x90, 0x90}, 3, false, "nop"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		guest_reset();
		put_bytes(TEXT + 0x100 - cases[i].len, cases[i].bytes, cases[i].len);
		tap_is_u64(x86_behind_call(&guest, TEXT + 0x100), cases[i].call, "%s", cases[i].text);
	}
	put_bytes(TEXT, (const uint8_t[]){0xff, 0xd0}, 2);
	tap_ok(x86_behind_call(&guest, TEXT + 2), "a call where a mapping begins");
	tap_ok(!x86_behind_call(&guest, 1), "address 1");
}

static void again(unsigned round)
{
	set_reg("cr0", CR0_64);
	set_reg("efer", round % 5 ? LMA : 0);
	set_reg("cs", 0x10);
	set_reg("eflags", 2);
	for (unsigned i = 0; i < norc && round % 2; i++)
		put_bytes(ORC + 6 * i,
			(const uint8_t[]){(uint8_t)rand(), (uint8_t)(rand() % 4), (uint8_t)rand(), 0xff,
				(uint8_t)(i % 2 ? ORC_REG_SP : rand()), (uint8_t)(i % 2 ? ORC_CALL : rand())},
			6);
}

int main(void)
{
	test_orc_formats();
	test_orc_interrupts();
	test_orc_registers();
	test_orc_gaps();
	test_orc_bad();
	test_fp();
	test_fp_leaf();
	test_fp_interrupts();
	test_fp_broken();
	test_modes();
	test_scan_ends();
	test_calls();
	orc_kernel(ORC_6_4);
	survives_junk(&x86_unwind, 300, again);
	nsymbols = 0;
	survives_junk(&x86_unwind, 300, again);
	return tap_done();
}
