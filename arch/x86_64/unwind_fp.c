/*
 * The chain of frame pointers: where rbp leads, the caller's rbp, and above it the return address. Code without frame
 * pointers uses rbp for anything, so that nothing is taken that does not look the part.
 */
#include "arch/x86_64/unwind_x86.h"

#include <string.h>

#define SWITCHES_MAX 4 /* of stacks, which need not lie in any order */
#define FRAME_MAX    (64u << 10)
#define STUB_MAX     192  /* bytes from where an interrupt's stub is returned to, to its IRET */
#define SAVED_MAX    512  /* bytes of registers and error code that a stub may have pushed */
#define FUNCTION_MAX 4096 /* bytes of a function without a frame */
#define RET	     0xc3
#define IRET	     0xcf
#define REX_W	     0x48
#define RFLAGS_FIXED 0x2    /* SDM 1, 3.4.3: always one */
#define RFLAGS_ZERO  0x8028 /* always zero */
#define SELECTOR_MAX 0xffff

struct chain {
	const struct unwind_guest *g;
	struct unwind *u;
	unsigned word;
	struct x86_frame f;
	unsigned switches;
	bool broken; /* it ends where it should not */
};

static bool is_return(const struct chain *c, uint64_t pc)
{
	return c->g->text(c->g->ctx, pc - 1) && x86_behind_call(c->g, pc);
}

/* Encoded as compilers do: in 64-bit code, and without REX.W in 32-bit code. */
static const uint8_t push_mov[] = {0x55, 0x48, 0x89, 0xe5}, push_mov_32[] = {0x55, 0x89, 0xe5};

static const uint8_t *prologue(const struct chain *c, size_t *len)
{
	*len = c->word == 8 ? sizeof(push_mov) : sizeof(push_mov_32);
	return c->word == 8 ? push_mov : push_mov_32;
}

/* Has the function that begins at start set a frame up before pc? If it is too long to tell, it has. */
static bool sets_up(const struct chain *c, uint64_t start, uint64_t pc)
{
	uint8_t b[FUNCTION_MAX];
	size_t len, n;
	const uint8_t *code = prologue(c, &len);

	if (pc - start > sizeof(b))
		return true;
	n = c->g->read(c->g->ctx, start, b, (size_t)(pc - start));
	return memmem(b, n, code, len) || n != pc - start;
}

/*
 * A function that never sets a frame up, as compilers like it for those that call nothing: its return address is behind
 * a direct call of that very function. 0: not found.
 */
static uint64_t frameless_leaf(const struct chain *c)
{
	uint64_t end = c->f.bp - c->f.sp < SAVED_MAX ? c->f.bp : c->f.sp + SAVED_MAX, pc, offset, start;
	struct unwind_function fn;
	bool known = c->g->function(c->g->ctx, c->f.pc, &fn);

	for (uint64_t at = c->f.sp; at < end; at += c->word) {
		if (!unwind_word(c->g, at, c->word, &pc))
			return 0;
		if (!is_return(c, pc) || !unwind_word(c->g, pc - sizeof(int32_t), sizeof(int32_t), &offset))
			continue;
		start = pc + (uint64_t)(int64_t)(int32_t)offset;
		if (known ? start == fn.start : start <= c->f.pc && c->f.pc - start < FUNCTION_MAX)
			return sets_up(c, start, c->f.pc) ? 0 : at;
	}
	return 0;
}

/*
 * Where is the return address if the function has not set its frame up yet, has taken it down, or never has one? 0: it
 * has one.
 */
static uint64_t frameless(const struct chain *c)
{
	struct unwind_function fn;
	uint8_t b[sizeof(push_mov)], before;
	uint64_t pc = c->f.pc;
	size_t len;
	const uint8_t *code = prologue(c, &len);

	if (c->g->function(c->g->ctx, pc, &fn) && fn.start == pc)
		return c->f.sp;
	if (c->g->read(c->g->ctx, pc, b, len) != len)
		return c->g->text(c->g->ctx, pc) ? 0 : c->f.sp; /* called through a bad pointer */
	if (b[0] == RET || !memcmp(b, code, len))
		return c->f.sp;
	if (!memcmp(b, code + 1, len - 1) && c->g->read(c->g->ctx, pc - 1, &before, 1) == 1 && before == code[0])
		return c->f.sp + c->word;
	return frameless_leaf(c);
}

/* The frame is one of code that was interrupted at this very instruction: its caller may not be in the chain. */
static bool leaf(struct chain *c)
{
	uint64_t at = frameless(c), pc;

	if (!at || !unwind_word(c->g, at, c->word, &pc) || !is_return(c, pc))
		return true;
	c->f.pc = pc;
	c->f.sp = at + c->word;
	return unwind_add(c->u, (struct unwind_frame){.pc = pc, .call = true});
}

static bool interrupted(struct chain *c, uint64_t pc, uint64_t cs, uint64_t sp)
{
	c->f.pc = pc;
	c->f.sp = sp;
	return x86_unwind_interrupted(c->u, pc, cs) && leaf(c);
}

/* Linux with frame pointers marks a struct pt_regs in the chain by an odd address: asm/frame.h, ENCODE_FRAME_POINTER.
 */
static bool encoded_regs(struct chain *c)
{
	uint64_t regs = c->f.bp & ~1ull, pc, cs, sp;

	if (!unwind_word(c->g, regs + PT_IP, 8, &pc) || !unwind_word(c->g, regs + PT_CS, 8, &cs) ||
		!unwind_word(c->g, regs + PT_SP, 8, &sp) || !unwind_word(c->g, regs + PT_BP, 8, &c->f.bp) ||
		cs > SELECTOR_MAX || (pc && !(cs & CS_RPL) && !c->g->text(c->g->ctx, pc))) {
		c->broken = true;
		return false;
	}
	return interrupted(c, pc, cs, sp);
}

/* Does what is returned to end in IRET? */
static bool is_stub(const struct chain *c, uint64_t pc)
{
	uint8_t b[STUB_MAX];
	size_t n = c->g->read(c->g->ctx, pc, b, sizeof(b));

	for (size_t i = 0; i + 1 < n; i++) {
		if (c->word == 8 ? b[i] == REX_W && b[i + 1] == IRET : b[i] == IRET)
			return true;
	}
	return false;
}

/*
 * A stub of an interrupt that does not touch rbp: somewhere between this frame and the next one is what the processor
 * has pushed. In 64-bit code that has the stack pointer in it, which is right behind it but for alignment to 16.
 */
static bool behind_stub(struct chain *c, uint64_t from)
{
	uint64_t w[5];

	if (c->word != 8 || !is_stub(c, c->f.pc))
		return true;
	for (uint64_t at = from; at < from + SAVED_MAX; at += c->word) {
		for (unsigned i = 0; i < 5; i++) {
			if (!unwind_word(c->g, at + i * c->word, c->word, &w[i]))
				return true;
		}
		if (!w[0] || !w[1] || w[1] > SELECTOR_MAX || w[4] > SELECTOR_MAX ||
			(w[1] & CS_RPL) != (w[4] & CS_RPL) || (w[2] & (RFLAGS_FIXED | RFLAGS_ZERO)) != RFLAGS_FIXED)
			continue;
		if (w[1] & CS_RPL || (w[3] - (at + 5 * c->word) < 16 && c->g->text(c->g->ctx, w[0])))
			return interrupted(c, w[0], w[1], w[3]);
	}
	return true;
}

/* One link of the chain. false: it ends here. */
static bool link_on(struct chain *c)
{
	uint64_t at = c->f.bp, pc, next;

	if (c->word == 8 && (at & 1))
		return encoded_regs(c);
	if (!at)
		return false;
	if (!unwind_word(c->g, at, c->word, &next) || !unwind_word(c->g, at + c->word, c->word, &pc) ||
		(pc ? !is_return(c, pc) : next != 0)) {
		c->broken = true;
		return false;
	}
	if (!pc)
		return false;
	c->f = (struct x86_frame){.pc = pc, .sp = at + 2 * c->word, .bp = next, .call = true};
	if (!unwind_add(c->u, (struct unwind_frame){.pc = pc, .call = true}) || !behind_stub(c, c->f.sp))
		return false;
	if (next && (next <= at || next - at > FRAME_MAX) && c->switches++ >= SWITCHES_MAX) {
		c->broken = true;
		return false;
	}
	return true;
}

enum unwind_way x86_unwind_fp(const struct unwind_guest *g, unsigned word, struct x86_frame f, struct unwind *u)
{
	struct chain c = {.g = g, .u = u, .word = word, .f = f};
	struct unwind_scan s = {.g = g, .word = word, .behind_call = x86_behind_call};
	unsigned links = 0;

	if (leaf(&c)) {
		while (link_on(&c))
			links++;
	}
	if (!links && !c.f.bp)
		c.broken = true; /* there never was a chain */
	if (c.broken) {
		unwind_scan_from(&s, c.f.sp);
		unwind_scan_all(&s, u);
	}
	return links || !c.broken ? UNWIND_FRAME_POINTERS : UNWIND_SCAN;
}
