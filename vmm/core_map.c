#include "vmm/core_map.h"

#include <elf.h>
#include <stdlib.h>

#include "arch/desc.h"
#include "vmm/memory.h"

#define FIRST_ROOM 256
#define HOLE_MIN   4096 /* where nobody says how long a hole is */

/*
 * One page that is mapped over and over (the shadow of what is not there, under a kernel's address sanitizer: terabytes
 * of it) is of no interest. After so many in a row its end is looked for by leaps, and after as many of these by longer
 * ones: entries of the next two levels of tables.
 */
#define SAME_MAX 512
static const uint64_t leaps[] = {0, 2ull << 20, 1ull << 30};
#define LEAPS (sizeof(leaps) / sizeof(leaps[0]))

static struct core_piece *piece_new(struct core_map *m)
{
	size_t room = m->room ? m->room * 2 : FIRST_ROOM;
	struct core_piece *p;

	if (m->n >= CORE_PIECES_MAX) {
		m->cut = true;
		return NULL;
	}
	if (m->n == m->room) {
		p = realloc(m->piece, room * sizeof(*p));
		if (!p) {
			m->failed = true;
			return NULL;
		}
		m->piece = p;
		m->room = room;
	}
	return &m->piece[m->n++];
}

/* At the end; ascending. The caller has seen to it that a range of RAM holds it. */
static void append(struct core_map *m, const struct core_piece *p)
{
	struct core_piece *last = m->n ? &m->piece[m->n - 1] : NULL;

	if (last && last->va + last->len == p->va && last->gpa + last->len == p->gpa && last->flags == p->flags) {
		last->len += p->len;
		return;
	}
	last = piece_new(m);
	if (last)
		*last = *p;
}

/* The parts of it that are RAM. */
static void append_ram(struct core_map *m, const struct guest_memory *mem, const struct core_piece *p)
{
	for (int i = 0; i < mem->n; i++) {
		const struct mem_range *r = &mem->range[i];
		uint64_t from = p->gpa > r->gpa ? p->gpa : r->gpa;
		uint64_t to = p->gpa + p->len < r->gpa + r->size ? p->gpa + p->len : r->gpa + r->size;
		struct core_piece part = {p->va + (from - p->gpa), from, to - from, p->flags};

		if (from < to)
			append(m, &part);
	}
}

struct repeats {
	uint64_t gpa;
	unsigned same; /* in a row */
	size_t level;  /* in leaps[] */
};

/* Where to go on behind a mapping of len bytes at va. */
static uint64_t step_over(struct repeats *r, uint64_t va, const struct mapping *map)
{
	uint64_t len = map->len;

	if (map->gpa != r->gpa || len >= leaps[1]) {
		*r = (struct repeats){.gpa = map->gpa};
		return va + len;
	}
	if (++r->same >= SAME_MAX && r->level < LEAPS - 1) {
		r->level++;
		r->same = 0;
	}
	return r->level ? (va | (leaps[r->level] - 1)) + 1 : va + len;
}

static void walk(struct core_map *m, const struct guest_memory *mem, uint64_t va, uint64_t last,
	core_translate translate, void *ctx, uint64_t *budget)
{
	struct repeats repeats = {.gpa = ~0ull};
	uint64_t next;

	for (;; va = next) {
		struct mapping map = {0};

		if (!*budget) {
			m->cut = true;
			return;
		}
		--*budget;
		if (translate(ctx, va, &map) == 0 && map.len) {
			struct core_piece p = {va, map.gpa, map.len - 1 < last - va ? map.len : last - va + 1,
				PF_R | (map.writable ? PF_W : 0u) | (map.executable ? PF_X : 0u)};

			if (p.gpa + p.len > p.gpa)
				append_ram(m, mem, &p);
			next = step_over(&repeats, va, &map);
		} else {
			next = va + (map.len ? map.len : HOLE_MIN - va % HOLE_MIN);
		}
		if (next <= va || next > last || m->failed)
			return;
	}
}

static uint64_t end_of(const struct core_piece *p)
{
	return p->va + (p->len - 1); /* the last byte: one behind it may be 2^64 */
}

/* What of p lies before the piece `other` goes to out; p becomes what lies behind it (len 0: nothing). */
static void subtract(struct core_map *out, struct core_piece *p, const struct core_piece *other)
{
	uint64_t gone;

	if (p->va < other->va) {
		struct core_piece before = *p;

		before.len = other->va - p->va;
		append(out, &before);
	}
	if (end_of(other) >= end_of(p)) {
		p->len = 0;
		return;
	}
	gone = end_of(other) + 1 - p->va;
	p->va += gone;
	p->gpa += gone;
	p->len -= gone;
}

/* Both ascending: old whole, and what of more is not in it. */
static void merge(struct core_map *old, struct core_map *more)
{
	/* Each old piece can split one of the others. */
	size_t max = 2 * old->n < CORE_PIECES_MAX ? CORE_PIECES_MAX - 2 * old->n : 0, i = 0;
	struct core_map all = {.cut = old->cut || more->cut || more->n > max, .failed = old->failed || more->failed};

	for (size_t j = 0; j < more->n && j < max; j++) {
		struct core_piece p = more->piece[j];

		while (p.len) {
			while (i < old->n && end_of(&old->piece[i]) < p.va)
				append(&all, &old->piece[i++]);
			if (i == old->n || old->piece[i].va > end_of(&p)) {
				append(&all, &p);
				break;
			}
			subtract(&all, &p, &old->piece[i]);
		}
	}
	while (i < old->n)
		append(&all, &old->piece[i++]);
	free(old->piece);
	*old = all;
}

void core_map_add(struct core_map *m, const struct guest_memory *mem, uint64_t first, uint64_t last,
	core_translate translate, void *ctx, uint64_t *budget)
{
	struct core_map more = {0};

	walk(&more, mem, first, last, translate, ctx, budget);
	merge(m, &more);
	free(more.piece);
}

void core_map_free(struct core_map *m)
{
	free(m->piece);
	*m = (struct core_map){0};
}
