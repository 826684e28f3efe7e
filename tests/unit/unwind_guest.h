/*
 * A made-up guest for tests of unwinders: a text, a stack and another piece of memory, registers and functions by name.
 * Whatever lies elsewhere cannot be read.
 */
#ifndef TESTS_UNIT_UNWIND_GUEST_H
#define TESTS_UNIT_UNWIND_GUEST_H

#include <stdlib.h>

#include "arch/unwind.h"
#include "tests/unit/tap.h"

#define TEXT	   0xffffffff81000000ull
#define TEXT_SIZE  0x10000u
#define STACK	   0xffffc90000010000ull
#define STACK_SIZE 0x4000u
#define STACK_TOP  (STACK + STACK_SIZE)
#define DATA	   0xffffffff82000000ull
#define DATA_SIZE  0x8000u
#define MODULE	   (TEXT + 0x8000) /* there may be code, but no functions are known */

static uint8_t text_bytes[TEXT_SIZE], stack_bytes[STACK_SIZE], data_bytes[DATA_SIZE];
static struct {
	const char *name;
	uint64_t value;
} guest_regs[48], guest_symbols[16];
static struct unwind_function guest_functions[32];
static size_t nregs, nsymbols, nfunctions, reads;
static bool nothing_known; /* no symbols at all */

static uint8_t *guest_at(uint64_t va, size_t *len)
{
	static const struct {
		uint64_t va;
		size_t size;
		uint8_t *bytes;
	} pieces[] = {{TEXT, TEXT_SIZE, text_bytes}, {STACK, STACK_SIZE, stack_bytes}, {DATA, DATA_SIZE, data_bytes}};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (va - pieces[i].va < pieces[i].size) {
			*len = pieces[i].size - (size_t)(va - pieces[i].va);
			return pieces[i].bytes + (va - pieces[i].va);
		}
	}
	*len = 0;
	return NULL;
}

static size_t guest_read(void *ctx, uint64_t va, void *buf, size_t len)
{
	size_t n;
	const uint8_t *at = guest_at(va, &n);

	(void)ctx;
	reads++;
	if (!at)
		return 0;
	n = n < len ? n : len;
	memcpy(buf, at, n);
	return n;
}

static bool guest_reg(void *ctx, const char *name, uint64_t *value)
{
	(void)ctx;
	for (size_t i = 0; i < nregs; i++) {
		if (!strcmp(guest_regs[i].name, name)) {
			*value = guest_regs[i].value;
			return true;
		}
	}
	return false;
}

static bool guest_symbol(void *ctx, const char *name, uint64_t *addr)
{
	(void)ctx;
	for (size_t i = 0; i < nsymbols; i++) {
		if (!strcmp(guest_symbols[i].name, name)) {
			*addr = guest_symbols[i].value;
			return true;
		}
	}
	return false;
}

static bool guest_function(void *ctx, uint64_t addr, struct unwind_function *out)
{
	(void)ctx;
	for (size_t i = 0; i < nfunctions && !nothing_known; i++) {
		if (addr - guest_functions[i].start < guest_functions[i].size) {
			*out = guest_functions[i];
			return true;
		}
	}
	return false;
}

static bool guest_text(void *ctx, uint64_t addr)
{
	(void)ctx;
	return addr - TEXT < TEXT_SIZE;
}

static const struct unwind_guest guest = {
	.read = guest_read, .reg = guest_reg, .symbol = guest_symbol, .function = guest_function, .text = guest_text};

static inline void guest_reset(void)
{
	memset(text_bytes, 0, sizeof(text_bytes));
	memset(stack_bytes, 0, sizeof(stack_bytes));
	memset(data_bytes, 0, sizeof(data_bytes));
	nregs = nsymbols = nfunctions = reads = 0;
	nothing_known = false;
}

static inline void set_reg(const char *name, uint64_t value)
{
	for (size_t i = 0; i < nregs; i++) {
		if (!strcmp(guest_regs[i].name, name)) {
			guest_regs[i].value = value;
			return;
		}
	}
	guest_regs[nregs].name = name;
	guest_regs[nregs++].value = value;
}

static inline void set_symbol(const char *name, uint64_t value)
{
	guest_symbols[nsymbols].name = name;
	guest_symbols[nsymbols++].value = value;
}

static inline uint64_t add_function(const char *name, uint64_t start, uint64_t size)
{
	guest_functions[nfunctions++] = (struct unwind_function){.name = name, .start = start, .size = size};
	return start;
}

static inline void put_bytes(uint64_t va, const void *bytes, size_t len)
{
	size_t n;
	uint8_t *at = guest_at(va, &n);

	if (at && n >= len)
		memcpy(at, bytes, len);
	else
		tap_ok(false, "0x%" PRIx64 " can be written", va);
}

static inline void put64(uint64_t va, uint64_t value)
{
	put_bytes(va, &value, sizeof(value));
}

static inline void put32(uint64_t va, uint32_t value)
{
	put_bytes(va, &value, sizeof(value));
}

static struct unwind found;

/* Walks; are these the frames? Each is an address and letters: c call, i interrupted here, ? guess, u user mode. */
struct wanted {
	uint64_t pc;
	const char *kind;
};

static inline void frames_are(
	const struct unwind_isa *isa, enum unwind_way way, const struct wanted *want, size_t n, const char *what)
{
	char kind[4];
	size_t i;

	memset(&found, 0xa5, sizeof(found));
	isa->walk(&guest, &found);
	tap_is_u64(found.way, way, "%s: way", what);
	for (i = 0; i < found.n && i < n; i++) {
		const struct unwind_frame *f = &found.frame[i];

		snprintf(kind, sizeof(kind), "%s%s", f->user ? "u" : f->call ? "c" : "i", f->guess ? "?" : "");
		if (f->pc != want[i].pc || strcmp(kind, want[i].kind) != 0)
			break;
	}
	if (!tap_ok(i == n && found.n == n, "%s: %zu frames", what, n)) {
		for (i = 0; i < found.n && i < 20; i++)
			tap_diag("  %zu: 0x%" PRIx64 " call %d guess %d user %d", i, found.frame[i].pc,
				found.frame[i].call, found.frame[i].guess, found.frame[i].user);
	}
}

#define FRAMES_ARE(isa, way, what, ...)                                                                                \
	frames_are(isa, way, (const struct wanted[]){__VA_ARGS__},                                                     \
		sizeof((const struct wanted[]){__VA_ARGS__}) / sizeof(struct wanted), what)

/* Memory and registers at random, with addresses that lead somewhere among them: it ends, within bounds. */
static inline void survives_junk(const struct unwind_isa *isa, unsigned rounds, void (*again)(unsigned round))
{
	static const uint64_t near[] = {TEXT, STACK, DATA, MODULE};
	size_t most = 0;
	bool bounded = true;

	srand(1);
	for (unsigned round = 0; round < rounds; round++) {
		for (size_t i = 0; i < STACK_SIZE; i += 8) {
			uint64_t word = (uint64_t)rand() << 32 ^ (uint64_t)rand();

			if (rand() % 4)
				word = near[rand() % 4] + (word & 0x3ff8) + (rand() % 8 == 0);
			put64(STACK + i, word);
		}
		for (size_t i = 0; i < TEXT_SIZE; i++)
			text_bytes[i] = (uint8_t)(rand() % 3 ? rand() : 0xe8);
		for (size_t i = 0; i < nregs; i++)
			guest_regs[i].value = near[rand() % 4] + (uint64_t)(rand() & 0x3ff8);
		again(round);
		reads = 0;
		isa->walk(&guest, &found);
		bounded = bounded && found.n >= 1 && found.n <= UNWIND_FRAMES_MAX;
		most = reads > most ? reads : most;
	}
	tap_ok(bounded, "junk: between 1 and %d frames", UNWIND_FRAMES_MAX);
	tap_ok(most < 400000, "junk: at most %zu reads", most);
}

#endif
