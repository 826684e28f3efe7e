/*
 * Kallsyms tables as kernels of different ages have them, in small: some text, the table in the layout that is asked
 * for, some bytes behind it.
 */
#ifndef TESTS_UNIT_KALLSYMS_MAKER_H
#define TESTS_UNIT_KALLSYMS_MAKER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MAKER_VA     0xffffffff81000000ull
#define MAKER_STEP   16 /* bytes from a symbol to the next */
#define MAKER_TEXT   4096
#define MAKER_LONG   5	 /* this symbol's name is long, where the layout has a way to say so */
#define MAKER_PERCPU 7	 /* so many symbols are absolute, in that coding */
#define MAKER_ALPHA  200 /* a code for "alpha_" */

enum maker_order { ORDER_FRONT, ORDER_SEQS, ORDER_BEHIND };
enum maker_coding { AS_OFFSET, AS_PERCPU, AS_WHOLE, AS_PLACE, AS_RELOCATED };

struct maker_wish {
	const char *what;
	enum maker_order order;
	enum maker_coding coding;
	unsigned wide;	/* of a marker */
	unsigned align; /* of all parts */
	unsigned count;
	bool long_names;
};

struct maker {
	uint8_t data[128 << 10];
	size_t n;
	struct maker_wish wish;
	uint32_t marker[16];
	size_t offsets, base, count, names, names_end, markers, tokens, index, index_end; /* where they are */
};

static void maker_align(struct maker *m)
{
	m->n = (m->n + m->wish.align - 1) & -(size_t)m->wish.align;
}

static size_t maker_put(struct maker *m, const void *bytes, size_t len)
{
	size_t at = m->n;

	memcpy(m->data + m->n, bytes, len);
	m->n += len;
	return at;
}

/* What the i-th symbol is. */
static uint64_t maker_addr(const struct maker_wish *w, unsigned i)
{
	return w->coding == AS_PERCPU && i < MAKER_PERCPU ? i * 8 : MAKER_VA + (uint64_t)i * MAKER_STEP;
}

static char maker_type(const struct maker_wish *w, unsigned i)
{
	return w->coding == AS_PERCPU && i < MAKER_PERCPU ? 'A' : "TtDb"[i % 4];
}

static size_t maker_name(const struct maker_wish *w, unsigned i, char *out, size_t len)
{
	int n = snprintf(out, len, "alpha_%u", i);

	if (i == MAKER_LONG && w->long_names)
		for (; n < 300; n++)
			out[n] = 'x';
	out[n] = '\0';
	return (size_t)n;
}

static void maker_offsets(struct maker *m)
{
	const struct maker_wish *w = &m->wish;
	uint64_t base = w->coding == AS_RELOCATED ? 0 : MAKER_VA;

	maker_align(m);
	m->offsets = m->n;
	for (unsigned i = 0; i < w->count; i++) {
		uint64_t addr = maker_addr(w, i);
		uint32_t offset = (uint32_t)(addr - MAKER_VA);

		if (w->coding == AS_WHOLE) {
			maker_put(m, &addr, sizeof(addr));
			continue;
		}
		if (w->coding == AS_PERCPU)
			offset = i < MAKER_PERCPU ? (uint32_t)addr : (uint32_t)(MAKER_VA - 1 - addr);
		else if (w->coding == AS_PLACE)
			offset = (uint32_t)(addr - (MAKER_VA + m->n));
		maker_put(m, &offset, sizeof(offset));
	}
	if (w->coding == AS_WHOLE || w->coding == AS_PLACE)
		return;
	maker_align(m);
	m->base = maker_put(m, &base, sizeof(base));
}

static void maker_names(struct maker *m)
{
	uint64_t count = m->wish.count;

	maker_align(m);
	m->count = maker_put(m, &count, sizeof(count));
	maker_align(m);
	m->names = m->n;
	for (unsigned i = 0; i < m->wish.count; i++) {
		char name[512];
		uint8_t token[512];
		size_t len = maker_name(&m->wish, i, name, sizeof(name)), n = 0;
		const size_t begin = strlen("alpha_");

		if (i % 256 == 0)
			m->marker[i / 256] = (uint32_t)(m->n - m->names);
		token[n++] = (uint8_t)maker_type(&m->wish, i);
		token[n++] = MAKER_ALPHA;
		memcpy(token + n, name + begin, len - begin);
		n += len - begin;
		if (n >= 0x80)
			m->data[m->n++] = (uint8_t)((n & 0x7f) | 0x80);
		m->data[m->n++] = (uint8_t)(n >= 0x80 ? n >> 7 : n);
		maker_put(m, token, n);
	}
	m->names_end = m->n;
	maker_align(m);
	m->markers = m->n;
	for (unsigned i = 0; i < (m->wish.count + 255) / 256; i++) {
		uint64_t marker = m->marker[i];

		maker_put(m, &marker, m->wish.wide);
	}
	if (m->wish.order != ORDER_SEQS)
		return;
	maker_align(m);
	for (unsigned i = 0; i < m->wish.count; i++) {
		unsigned other = (i * 7 + 3) % m->wish.count;
		uint8_t seq[3] = {(uint8_t)(other >> 16), (uint8_t)(other >> 8), (uint8_t)other};

		maker_put(m, seq, sizeof(seq));
	}
}

/* Printable characters are their own tokens. */
static void maker_tokens(struct maker *m)
{
	uint16_t index[256];

	maker_align(m);
	m->tokens = m->n;
	for (unsigned i = 0; i < 256; i++) {
		char text[16] = {(char)i};

		if (i == MAKER_ALPHA)
			strcpy(text, "alpha_");
		else if (i <= ' ' || i >= 0x7f)
			snprintf(text, sizeof(text), "t%02x_", i);
		index[i] = (uint16_t)(m->n - m->tokens);
		maker_put(m, text, strlen(text) + 1);
	}
	maker_align(m);
	m->index = maker_put(m, index, sizeof(index));
	m->index_end = m->n;
}

/* The whole image, linked at MAKER_VA. */
__attribute__((unused)) static void maker_make(struct maker *m, const struct maker_wish *wish)
{
	memset(m, 0, sizeof(*m));
	m->wish = *wish;
	memset(m->data, 0x90, MAKER_TEXT);
	m->n = MAKER_TEXT;
	if (wish->order != ORDER_BEHIND)
		maker_offsets(m);
	maker_names(m);
	maker_tokens(m);
	if (wish->order == ORDER_BEHIND)
		maker_offsets(m);
	maker_align(m);
	if (wish->coding == AS_RELOCATED) {
		uint64_t rela[3] = {MAKER_VA + m->base, 0x403, MAKER_VA};

		maker_put(m, rela, sizeof(rela));
	}
	for (unsigned i = 0; i < 200; i++)
		m->data[m->n++] = (uint8_t)(i * 37 + 11);
}

#endif
