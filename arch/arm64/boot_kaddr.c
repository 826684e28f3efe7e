/*
 * Where is an Image linked? A kernel that can move itself carries the table of all places that hold an address: as
 * Elf64_Rela entries, or packed (RELR). Both name the places by the addresses they were linked at, so for just one base
 * every place in the table holds what a place has to hold in the file. All have to, or nothing is said. Kernels that
 * cannot move themselves have no such table. Sources: ELF for the Arm 64-bit Architecture, 5.7.16 (R_AARCH64_RELATIVE);
 * generic ABI, "Relative Relocation Table".
 */
#include "arch/arm64/boot.h"

#include <elf.h>
#include <string.h>

#define WORD	   sizeof(uint64_t)
#define PROBE_STEP 1024		      /* shorter than the shortest table of Elf64_Rela that is looked for */
#define RELA_MIN   128		      /* entries; a kernel has tens of thousands */
#define RELR_MIN   1024		      /* places */
#define RELR_TRIES 64		      /* runs that look like a table and are none, before giving up */
#define RELR_BITS  63		      /* places that one bitmap tells about */
#define RELATIVE   R_AARCH64_RELATIVE /* as a whole r_info: no symbol */

struct image {
	const uint8_t *data;
	uint64_t file_size, size, text_offset;
};

static uint64_t word(const struct image *m, uint64_t at)
{
	uint64_t v;

	memcpy(&v, m->data + at, sizeof(v));
	return v;
}

/* The lowest base at which the image still reaches to `end`; bases that a kernel can have follow in steps. */
static uint64_t first_base(const struct image *m, uint64_t end)
{
	uint64_t least = end - m->size - m->text_offset;

	return ((least + ARM64_IMAGE_ALIGN - 1) & -ARM64_IMAGE_ALIGN) + m->text_offset;
}

/* Above it, so close to the end of all addresses that places and bases could wrap around, there is no kernel. */
static uint64_t highest_place(const struct image *m)
{
	return UINT64_MAX - 2 * (m->size + ARM64_IMAGE_ALIGN) + 1;
}

/* ---- Elf64_Rela ---- */

static uint64_t rela_info(const struct image *m, uint64_t entry)
{
	return word(m, entry + offsetof(Elf64_Rela, r_info));
}

/* A place holds 0, the address being in the table, or that address. */
static bool rela_fits(const struct image *m, uint64_t base, uint64_t first, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t entry = first + i * sizeof(Elf64_Rela), place = word(m, entry) - base, value;

		if (place > m->file_size - WORD)
			return false;
		value = word(m, place);
		if (value && value != word(m, entry + offsetof(Elf64_Rela, r_addend)))
			return false;
	}
	return true;
}

static uint64_t rela_base(const struct image *m, uint64_t first, uint64_t n)
{
	uint64_t low = UINT64_MAX, high = 0, found = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t place = word(m, first + i * sizeof(Elf64_Rela));

		low = place < low ? place : low;
		high = place > high ? place : high;
	}
	if (low < ARM64_KERNEL_HALF || high > highest_place(m))
		return 0;
	for (uint64_t base = first_base(m, high + WORD); base <= low; base += ARM64_IMAGE_ALIGN) {
		if (!rela_fits(m, base, first, n))
			continue;
		if (found)
			return 0;
		found = base;
	}
	return found;
}

/* Around an entry, all that are side by side. Returns where they end. */
static uint64_t rela_table(const struct image *m, uint64_t entry, uint64_t *first)
{
	uint64_t end = entry;

	while (entry >= sizeof(Elf64_Rela) && rela_info(m, entry - sizeof(Elf64_Rela)) == RELATIVE)
		entry -= sizeof(Elf64_Rela);
	*first = entry;
	while (m->file_size - end >= sizeof(Elf64_Rela) && rela_info(m, end) == RELATIVE)
		end += sizeof(Elf64_Rela);
	return end;
}

static uint64_t rela_kaddr(const struct image *m)
{
	for (uint64_t at = 0; m->file_size - at >= 2 * sizeof(Elf64_Rela); at += PROBE_STEP) {
		for (unsigned i = 0; i < sizeof(Elf64_Rela) / WORD; i++) {
			uint64_t entry = at + i * WORD, first, end, base;

			if (m->file_size - entry < sizeof(Elf64_Rela) || rela_info(m, entry) != RELATIVE)
				continue;
			end = rela_table(m, entry, &first);
			if ((end - first) / sizeof(Elf64_Rela) < RELA_MIN)
				continue;
			base = rela_base(m, first, (end - first) / sizeof(Elf64_Rela));
			if (base)
				return base;
			at = end & -(uint64_t)PROBE_STEP;
			break;
		}
		if (m->file_size - at < PROBE_STEP)
			break;
	}
	return 0;
}

/* ---- RELR ---- */

/* Walks the table from `at` on; see next_place(). */
struct relr {
	const struct image *m;
	uint64_t at;	/* of the next word in the file */
	uint64_t where; /* the address after the last one told about */
	uint64_t bits;	/* of the present bitmap that are still to be told, the lowest stands for `bit_where` */
	uint64_t bit_where;
	uint64_t limit; /* no place is above */
};

/* The next place, or 0 at the end of what looks like a table. */
static uint64_t relr_next(struct relr *r)
{
	uint64_t place, v;

	while (!r->bits) {
		if (r->m->file_size - r->at < WORD)
			return 0;
		v = word(r->m, r->at);
		if (v & 1) {
			if (!r->where || r->where > r->limit)
				return 0;
			r->bits = v >> 1;
			r->bit_where = r->where;
			r->where += RELR_BITS * WORD;
		} else {
			if (v < ARM64_KERNEL_HALF || v % WORD || v < r->where || v > r->limit)
				return 0;
			r->where = v + WORD;
			r->at += WORD;
			return v;
		}
		r->at += WORD;
	}
	place = r->bit_where + (uint64_t)__builtin_ctzll(r->bits) * WORD;
	r->bits &= r->bits - 1;
	return place;
}

static struct relr relr_start(const struct image *m, uint64_t at)
{
	return (struct relr){.m = m, .at = at, .limit = word(m, at) + m->size};
}

/* A place holds an address in the image, or one close by: some stand for offsets from its ends. */
static bool relr_fits(const struct image *m, uint64_t base, uint64_t table)
{
	struct relr r = relr_start(m, table);
	uint64_t place;

	while ((place = relr_next(&r))) {
		if (place - base > m->file_size - WORD || word(m, place - base) < ARM64_KERNEL_HALF ||
			word(m, place - base) - base > m->size)
			return false;
	}
	return true;
}

static uint64_t relr_base(const struct image *m, uint64_t table, uint64_t last)
{
	uint64_t first = word(m, table), found = 0;

	for (uint64_t base = first_base(m, last + WORD); base <= first; base += ARM64_IMAGE_ALIGN) {
		if (!relr_fits(m, base, table))
			continue;
		if (found)
			return 0;
		found = base;
	}
	return found;
}

static uint64_t relr_kaddr(const struct image *m)
{
	unsigned tries = 0;

	for (uint64_t at = 0; m->file_size - at >= 2 * WORD && tries < RELR_TRIES; at += WORD) {
		uint64_t place, last = 0, base, n = 0, v = word(m, at);
		struct relr r;

		/* An address, and a bitmap after it: nearly nothing but such a table passes. */
		if (v < ARM64_KERNEL_HALF || v > highest_place(m) || v % WORD || !(word(m, at + WORD) & 1))
			continue;
		r = relr_start(m, at);
		for (; (place = relr_next(&r)); n++)
			last = place;
		if (n < RELR_MIN)
			continue;
		tries++;
		base = relr_base(m, at, last);
		if (base)
			return base;
	}
	return 0;
}

uint64_t arm64_image_kaddr(const uint8_t *data, uint64_t file_size, uint64_t text_offset, uint64_t size)
{
	struct image m = {.data = data, .file_size = file_size, .size = size, .text_offset = text_offset};
	uint64_t base;

	if (file_size < 2 * sizeof(Elf64_Rela) || text_offset >= ARM64_IMAGE_ALIGN || size < file_size)
		return 0;
	base = rela_kaddr(&m);
	return base ? base : relr_kaddr(&m);
}
