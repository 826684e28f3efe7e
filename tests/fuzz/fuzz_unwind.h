/*
 * What the fuzzers of unwinders share: the unit tests' made-up guest, with registers and a stack whose words lead
 * somewhere more often than chance would have it, and what has to hold of any backtrace.
 */
#ifndef TESTS_FUZZ_UNWIND_H
#define TESTS_FUZZ_UNWIND_H

#include "tests/unit/unwind_guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUNCTIONS     16
#define FUNCTION_SIZE 0x100u
#define FN(i)	      (TEXT + FUNCTION_SIZE * (uint64_t)(i))
#define CALLED(i)     (FN(i) + 0x40) /* behind a call */
#define READS_MAX     400000
#define PATCH_SIZE    8

/* The input, read from its beginning; zeros follow it. */
static const uint8_t *input;
static size_t input_left;

static uint64_t take(unsigned n)
{
	uint64_t value = 0;
	size_t have = input_left < n ? input_left : n;

	memcpy(&value, input, have);
	input += have;
	input_left -= have;
	return value;
}

/* An address of code, of the stack, of data, or anything. */
static uint64_t take_word(void)
{
	unsigned kind = (unsigned)take(1);

	switch (kind & 7) {
	case 0:
		return CALLED(take(1) % FUNCTIONS);
	case 1:
		return TEXT + take(2) % TEXT_SIZE;
	case 2:
		return STACK + take(2) * 8 % STACK_SIZE + (kind >> 3 & 1);
	case 3:
		return STACK + take(2) % STACK_SIZE;
	case 4:
		return DATA + take(2) % DATA_SIZE;
	case 5:
		return kind >> 3;
	case 6:
		return take(8);
	default:
		return 0;
	}
}

static void take_regs(const char *const *names)
{
	for (; *names; names++)
		set_reg(*names, take_word());
}

/* Other instructions than those that are there. */
static void take_text(unsigned patches)
{
	while (patches--) {
		uint64_t at = take(2) % (TEXT_SIZE - PATCH_SIZE);

		put64(TEXT + at, take(PATCH_SIZE));
	}
}

/* What is left is the stack's, around where sp most likely is. Some words come many times, for long backtraces. */
static void take_stack(void)
{
	uint64_t at = STACK + 0x1000;

	while (input_left && at < STACK_TOP) {
		unsigned times = *input >= 0xf0 ? 1 + 8 * (*input & 15u) * (*input & 15u) : 1;
		uint64_t word = take_word();

		for (; times-- && at < STACK_TOP; at += 8)
			put64(at, word);
	}
}

static void check_frames(uint64_t pc)
{
	if (found.n < 1 || found.n > UNWIND_FRAMES_MAX || found.frame[0].pc != pc || found.way > UNWIND_SCAN)
		abort();
	if (reads > READS_MAX)
		abort();
	for (size_t i = 0; i < found.n; i++) {
		const struct unwind_frame *f = &found.frame[i];

		if (f->user && i != found.n - 1)
			abort(); /* a program's frames are none of the kernel's */
		if (f->guess && (!f->call || !guest_text(NULL, f->pc - 1)))
			abort();
		if (!i && (f->call || f->guess))
			abort();
	}
}

static void check_walk(const struct unwind_isa *isa, uint64_t pc)
{
	static struct unwind before;

	reads = 0;
	isa->walk(&guest, &found);
	check_frames(pc);
	before.n = found.n;
	memcpy(before.frame, found.frame, found.n * sizeof(found.frame[0]));
	isa->walk(&guest, &found);
	if (found.n != before.n)
		abort();
	for (size_t i = 0; i < found.n; i++) {
		if (found.frame[i].pc != before.frame[i].pc)
			abort(); /* nothing is kept from one to the next */
	}
}

#endif
