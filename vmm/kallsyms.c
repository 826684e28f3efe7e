#include "vmm/kallsyms.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "vmm/kallsyms_priv.h"
#include "vmm/symtab_build.h"

#define FALLS_PER 1000	       /* addresses ascend, but for one in so many */
#define SPAN_MAX  (4ULL << 30) /* from a kernel's first symbol to its last */

/* How the table has its addresses. */
enum coding {
	CODING_OFFSET, /* u32, from the base */
	CODING_PERCPU, /* s32: from 0 up an absolute number, else the base - 1 - it (CONFIG_KALLSYMS_ABSOLUTE_PERCPU) */
	CODING_PLACE,  /* s32, from where it stands */
	CODING_WHOLE,  /* u64, the address itself */
};

struct addresses {
	enum coding coding;
	size_t at;
	uint64_t base;
};

static uint64_t word(const struct kallsyms *k, size_t at)
{
	uint64_t v;

	memcpy(&v, k->in.data + at, sizeof(v));
	return v;
}

static uint64_t address(const struct kallsyms *k, const struct addresses *a, size_t i)
{
	size_t at = a->at + i * sizeof(int32_t);
	int32_t offset;

	if (a->coding == CODING_WHOLE)
		return word(k, a->at + i * sizeof(uint64_t));
	memcpy(&offset, k->in.data + at, sizeof(offset));
	if (a->coding == CODING_PLACE)
		return k->in.va + at + (uint64_t)(int64_t)offset;
	if (a->coding == CODING_OFFSET)
		return a->base + (uint32_t)offset;
	return offset >= 0 ? (uint64_t)offset : a->base - 1 - (uint64_t)(int64_t)offset;
}

/* Ascending addresses, most of them a kernel's: only the right way to read the table gives these. */
static bool plausible(const struct kallsyms *k, const struct addresses *a)
{
	uint64_t low = UINT64_MAX, high = 0, before = 0;
	size_t falls = 0, kernel = 0;

	for (size_t i = 0; i < k->count; i++) {
		uint64_t addr = address(k, a, i);

		falls += addr < before;
		before = addr;
		if (addr < KERNEL_FIRST)
			continue;
		kernel++;
		low = addr < low ? addr : low;
		high = addr > high ? addr : high;
	}
	return falls <= k->count / FALLS_PER && kernel > k->count / 2 && high > low && high - low <= SPAN_MAX;
}

/* ---- the base ---- */

/*
 * What a kernel that relocates itself will put into the word at va: the addend of its Elf64_Rela entry, wherever that
 * is in the chunks. Its place in the file may hold 0 instead. 0: there is no such entry. Source: ELF for the Arm 64-bit
 * Architecture, 5.7.16; only arm64 links kernels this way.
 */
static uint64_t relocated(const struct kallsyms_bytes *chunk, size_t n, uint64_t va)
{
	const uint64_t entry[2] = {va, R_AARCH64_RELATIVE};

	for (size_t i = 0; i < n; i++) {
		const uint8_t *data = chunk[i].data, *at = data;
		size_t left = chunk[i].len;

		while (left >= sizeof(Elf64_Rela) && (at = memmem(at, left, entry, sizeof(entry)))) {
			uint64_t value;

			left = chunk[i].len - (size_t)(at - data);
			if (left < sizeof(Elf64_Rela))
				break;
			memcpy(&value, at + offsetof(Elf64_Rela, r_addend), sizeof(value));
			if (value >= KERNEL_FIRST)
				return value;
			at++;
			left--;
		}
	}
	return 0;
}

/* ---- the ways to read it ---- */

struct search {
	const struct kallsyms *k;
	const struct kallsyms_bytes *chunk;
	size_t nchunks;
};

static size_t round_up(const struct kallsyms *k, size_t n)
{
	return (n + k->align - 1) & -k->align;
}

/* Offsets at `at`, from the base in the word at base_at; both checked to be in the chunk. */
static bool relative(const struct search *s, size_t at, size_t base_at, struct addresses *out)
{
	const struct kallsyms *k = s->k;

	*out = (struct addresses){.at = at, .base = word(k, base_at)};
	if (!out->base && k->in.va)
		out->base = relocated(s->chunk, s->nchunks, k->in.va + base_at);
	if (out->base < KERNEL_FIRST)
		return false;
	out->coding = CODING_OFFSET;
	if (plausible(k, out))
		return true;
	out->coding = CODING_PERCPU;
	return plausible(k, out);
}

static bool other(const struct search *s, size_t at, enum coding coding, struct addresses *out)
{
	*out = (struct addresses){.at = at, .coding = coding};
	return plausible(s->k, out);
}

/* Until 6.3: in front of the count. */
static bool in_front(const struct search *s, struct addresses *out)
{
	const struct kallsyms *k = s->k;
	size_t offsets = round_up(k, (size_t)k->count * sizeof(uint32_t));
	size_t whole = round_up(k, (size_t)k->count * sizeof(uint64_t));

	if (k->count_at >= k->align && k->count_at - k->align >= offsets &&
		relative(s, k->count_at - k->align - offsets, k->count_at - k->align, out))
		return true;
	return k->count_at >= whole && other(s, k->count_at - whole, CODING_WHOLE, out);
}

/* Since 6.4: behind the token index. A table with a base could be read as one without, but not the other way round. */
static bool behind(const struct search *s, struct addresses *out)
{
	const struct kallsyms *k = s->k;
	size_t offsets = round_up(k, (size_t)k->count * sizeof(uint32_t)), room = k->in.len - k->behind;

	if (room >= offsets && room - offsets >= sizeof(uint64_t) && relative(s, k->behind, k->behind + offsets, out))
		return true;
	if (room >= (size_t)k->count * sizeof(uint64_t) && other(s, k->behind, CODING_WHOLE, out))
		return true;
	return k->in.va && room >= offsets && other(s, k->behind, CODING_PLACE, out);
}

/* ---- names ---- */

/* The type, and after it the name: how long both are; 0: longer than any is. */
static size_t expand(const struct kallsyms *k, const uint8_t *token, int n, char *text, size_t room)
{
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		const uint8_t *from = k->in.data + k->tokens + k->index[token[i]];
		size_t more = strnlen((const char *)from, room - len);

		if (more == room - len)
			return 0;
		memcpy(text + len, from, more);
		len += more;
	}
	return len;
}

static int build(struct symtab *t, const struct kallsyms *k, const struct addresses *a)
{
	size_t at = k->names;
	int err = 0;

	for (size_t i = 0; i < k->count && !err; i++) {
		char text[1 + SYMTAB_NAME_MAX + 1];
		const uint8_t *token;
		int n = kallsyms_next_name(k, &at, k->tokens, &token);
		uint64_t addr = address(k, a, i);
		size_t len;

		if (n < 0)
			return -ENODATA;
		len = expand(k, token, n, text, sizeof(text));
		if (len < 2)
			return -ENODATA;
		err = symtab_add(t, addr, 0, addr < KERNEL_FIRST ? 'A' : text[0], text + 1, len - 1);
	}
	return err ? err : symtab_finish(t);
}

static int take(struct symtab **out, const char *path, const struct search *s)
{
	struct addresses a;
	struct symtab *t;
	int err;

	if (!in_front(s, &a) && !behind(s, &a))
		return -ENODATA;
	t = symtab_new(path);
	err = t ? build(t, s->k, &a) : -ENOMEM;
	if (err) {
		symtab_free(t);
		return err == -E2BIG ? -ENODATA : err;
	}
	*out = t;
	return 0;
}

int symtab_from_kallsyms(struct symtab **out, const char *path, const struct kallsyms_bytes *chunk, size_t n)
{
	struct kallsyms k;

	for (size_t i = 0; i < n; i++) {
		struct search s = {.k = &k, .chunk = chunk, .nchunks = n};
		size_t from = 0;

		for (unsigned tries = 0; tries < 4 && kallsyms_find(&k, &chunk[i], from, &from); tries++) {
			int err = take(out, path, &s);

			if (err != -ENODATA)
				return err;
		}
	}
	return -ENODATA;
}
