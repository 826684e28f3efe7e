/*
 * Where is the kallsyms table? Nothing points at it, so it is found by what it is made of. Its parts follow one
 *another, each aligned (Linux, scripts/kallsyms.c; facts about the order, no code):
 *
 *	4.6 - 4.19	offsets, base, count, names, markers (8 bytes each), tokens, index
 *	4.20 - 6.1	the same with markers of 4 bytes
 *	6.2, 6.3	the same with three bytes for each symbol between markers and tokens
 *	6.4 - 6.x	count, names, markers, tokens, index, offsets, base, the three bytes
 *	7.0		the same without a base: each offset is from its own place
 *
 * Kernels without CONFIG_KALLSYMS_BASE_RELATIVE have whole addresses for offsets and base. The token index is the
 * surest sign: 256 ascending numbers, each of which is where the string before ends. A marker tells where in the names
 * every 256th begins.
 */
#include "vmm/kallsyms_priv.h"

#include <string.h>

#define ALIGN	    8
#define ALIGN_OLD   256
#define MARK_EVERY  256	  /* symbols */
#define NAME_TOKENS 1024  /* that a name has, generously */
#define NAME_LEAST  2	  /* bytes: a length and a token */
#define BIG	    0x80  /* in a length: its upper bits follow in another byte (6.1) */
#define TABLE_MAX   65536 /* bytes of the token table: its index has 16 bits */

/* How many things that look like a part of a table are looked at in full before giving up. */
#define TOKEN_TRIES  256
#define MARKER_TRIES 64
#define NAME_TRIES   16

struct tries {
	unsigned markers, names;
};

/* Digits are tokens of their own in every kernel, so they stand side by side. */
static const char digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
#define FIRST_DIGIT '0'

static uint32_t word32(const struct kallsyms *k, size_t at)
{
	uint32_t v;

	memcpy(&v, k->in.data + at, sizeof(v));
	return v;
}

static uint64_t word64(const struct kallsyms *k, size_t at)
{
	uint64_t v;

	memcpy(&v, k->in.data + at, sizeof(v));
	return v;
}

static bool aligned(const struct kallsyms *k, size_t at, size_t align)
{
	return (k->in.va + at) % align == 0;
}

static size_t align_up(const struct kallsyms *k, size_t at, size_t align)
{
	return at + (size_t)(-(k->in.va + at) % align);
}

static bool zeros(const struct kallsyms *k, size_t from, size_t to)
{
	while (from < to)
		if (k->in.data[from++])
			return false;
	return true;
}

/* ---- tokens ---- */

/* Where the strings from `at` on end, `n` of them; 0: not in what a token table can have. */
static size_t skip_strings(const struct kallsyms *k, size_t at, unsigned n)
{
	size_t end = k->in.len - at < TABLE_MAX ? k->in.len : at + TABLE_MAX;

	while (n--) {
		const uint8_t *zero = memchr(k->in.data + at, 0, end - at);

		if (!zero)
			return 0;
		at = (size_t)(zero - k->in.data) + 1;
	}
	return at;
}

static bool index_fits(const struct kallsyms *k)
{
	size_t at = k->tokens;

	for (unsigned i = 0; i < TOKENS; i++) {
		if (k->index[i] != at - k->tokens)
			return false;
		at = skip_strings(k, at, 1);
		if (!at)
			return false;
	}
	return true;
}

/* Is the string at `digit` the token "0"? */
static bool take_tokens(struct kallsyms *k, size_t digit)
{
	size_t end = skip_strings(k, digit, TOKENS - FIRST_DIGIT);

	for (k->align = ALIGN; end && k->align <= ALIGN_OLD; k->align *= ALIGN_OLD / ALIGN) {
		size_t at = align_up(k, end, k->align);

		if (at > k->in.len || k->in.len - at < sizeof(k->index))
			return false;
		memcpy(k->index, k->in.data + at, sizeof(k->index));
		if (k->index[FIRST_DIGIT] > digit)
			continue;
		k->tokens = digit - k->index[FIRST_DIGIT];
		k->behind = at + sizeof(k->index);
		if (aligned(k, k->tokens, k->align) && zeros(k, end, at) && index_fits(k))
			return true;
	}
	return false;
}

/* ---- names ---- */

int kallsyms_next_name(const struct kallsyms *k, size_t *at, size_t end, const uint8_t **token)
{
	int len;

	if (*at >= end)
		return -1;
	len = k->in.data[(*at)++];
	if (len & BIG) {
		if (*at >= end)
			return -1;
		len = (len & (BIG - 1)) | k->in.data[(*at)++] << 7;
	}
	if (!len || (size_t)len > end - *at)
		return -1;
	*token = k->in.data + *at;
	*at += (size_t)len;
	return len;
}

/* The markers that may belong to this table: n of `wide` bytes each. */
struct markers {
	size_t at, n, wide;
};

static uint64_t marker(const struct kallsyms *k, const struct markers *m, size_t i)
{
	return m->wide == sizeof(uint32_t) ? word32(k, m->at + i * m->wide) : word64(k, m->at + i * m->wide);
}

/* Does the `to`th marker lie as far behind the one before as 256 names are long? */
static bool step_fits(uint64_t from, uint64_t to)
{
	return to > from && to - from >= MARK_EVERY * NAME_LEAST && to - from <= MARK_EVERY * (uint64_t)NAME_TOKENS;
}

/* All names from the i-th on, of which the first begins at `at`: are the markers right, and do they end with them? */
static bool walk(const struct kallsyms *k, const struct markers *m, size_t at, uint32_t i)
{
	const uint8_t *token;

	for (; i < k->count; i++) {
		if (i % MARK_EVERY == 0 && at - k->names != marker(k, m, i / MARK_EVERY))
			return false;
		if (kallsyms_next_name(k, &at, m->at, &token) < 0)
			return false;
	}
	return m->at - at < k->align && zeros(k, at, m->at);
}

/* Their begin: where the count in front of it, the last marker and the walk over all of them agree. */
static bool take_names(struct kallsyms *k, const struct markers *m, struct tries *tries)
{
	uint64_t last = marker(k, m, m->n - 1), room = MARK_EVERY * NAME_TOKENS + k->align;
	size_t high = m->at - (size_t)last, low = high > room ? (size_t)(high - room) : 0;

	if (!tries->markers)
		return false;
	tries->markers--;
	for (size_t at = high; at > low && at >= k->align && tries->names; at--) {
		uint64_t count;

		if (!aligned(k, at, k->align))
			continue;
		count = word64(k, at - k->align);
		if (count > SYMBOLS_MAX || (count + MARK_EVERY - 1) / MARK_EVERY != m->n)
			continue;
		k->names = at;
		k->count_at = at - k->align;
		k->count = (uint32_t)count;
		if (!walk(k, m, at + (size_t)last, (uint32_t)(m->n - 1) * MARK_EVERY))
			continue;
		tries->names--;
		if (walk(k, m, at, 0))
			return true;
	}
	return false;
}

/* Downwards from the last marker, which is at `last`, to the first, which is 0. */
static bool markers_down(const struct kallsyms *k, struct markers *m, size_t last, size_t wide)
{
	*m = (struct markers){.at = last, .n = 1, .wide = wide};
	while (m->at >= wide) {
		uint64_t after = marker(k, m, 0);

		m->at -= wide;
		m->n++;
		if (!step_fits(marker(k, m, 0), after))
			return false;
		if (!marker(k, m, 0))
			return aligned(k, m->at, k->align);
	}
	return false;
}

/* Directly in front of the tokens. */
static bool names_before_tokens(struct kallsyms *k, struct tries *tries)
{
	const size_t word = sizeof(uint32_t);
	size_t end = k->tokens;
	struct markers m;

	while (end >= word && k->tokens - end < ALIGN_OLD && !word32(k, end - word))
		end -= word;
	if (end < word)
		return false;
	if (markers_down(k, &m, end - word, sizeof(uint32_t)) && m.at >= marker(k, &m, m.n - 1) &&
		take_names(k, &m, tries))
		return true;
	return k->tokens > end && markers_down(k, &m, end - word, sizeof(uint64_t)) && m.at >= marker(k, &m, m.n - 1) &&
	       take_names(k, &m, tries);
}

static bool markers_up(const struct kallsyms *k, const struct markers *m)
{
	if (marker(k, m, 0))
		return false;
	for (size_t i = 1; i < m->n; i++)
		if (!step_fits(marker(k, m, i - 1), marker(k, m, i)))
			return false;
	return m->at >= marker(k, m, m->n - 1);
}

/*
 * With three bytes for each symbol in between. How long they are says how many symbols there are, to within the
 * padding, and so how long the markers are.
 */
static bool names_before_order(struct kallsyms *k, struct tries *tries)
{
	for (size_t len = ALIGN; len <= k->tokens && len / 3 <= SYMBOLS_MAX && tries->markers; len += ALIGN) {
		size_t most = (len / 3 + MARK_EVERY - 1) / MARK_EVERY;
		size_t least = ((len - ALIGN + 1) / 3 + MARK_EVERY - 1) / MARK_EVERY;

		for (size_t n = least < 2 ? 2 : least; n <= most; n++) {
			struct markers m = {.n = n, .wide = sizeof(uint32_t)};
			size_t room = len + (n * m.wide + ALIGN - 1) / ALIGN * ALIGN;

			if (room > k->tokens)
				return false;
			m.at = k->tokens - room;
			if (markers_up(k, &m) && take_names(k, &m, tries))
				return true;
		}
	}
	return false;
}

bool kallsyms_find(struct kallsyms *k, const struct kallsyms_bytes *in, size_t from, size_t *next)
{
	struct tries tries = {.markers = MARKER_TRIES, .names = NAME_TRIES};

	*k = (struct kallsyms){.in = *in};
	if (in->va % ALIGN)
		return false;
	for (unsigned i = 0; i < TOKEN_TRIES && from < in->len && tries.markers && tries.names; i++) {
		const uint8_t *at = memmem(in->data + from, in->len - from, digits, sizeof(digits));

		if (!at)
			return false;
		from = (size_t)(at - in->data) + 1;
		if (!take_tokens(k, (size_t)(at - in->data)))
			continue;
		*next = k->behind;
		if (names_before_tokens(k, &tries) || names_before_order(k, &tries))
			return true;
	}
	return false;
}
