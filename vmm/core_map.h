/*
 * Where virtual addresses lead, for a core's program headers: page tables walked from end to end, neighbours merged,
 * RAM only. Main thread; no KVM. Page tables are the guest's: time and memory are bounded whatever they say.
 */
#ifndef VMM_CORE_MAP_H
#define VMM_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;
struct mapping;

/* va..va+len is gpa..gpa+len, all of it in one range of RAM. */
struct core_piece {
	uint64_t va, gpa, len;
	uint32_t flags; /* PF_R, PF_W, PF_X of <elf.h> */
};

struct core_map {
	struct core_piece *piece; /* ascending by va, none overlaps another */
	size_t n, room;
	bool cut;    /* there was more than fits, or than could be looked at */
	bool failed; /* out of memory */
};

/*
 * Pieces that a core can have: their number has 16 bits, unless it is said elsewhere, and tools for crash dumps do
 * not look there. Some are left for what else there is.
 */
#define CORE_PIECES_MAX 65000

/* As arch_translate(): 0, or out->len is the length of the hole. */
typedef int (*core_translate)(void *ctx, uint64_t va, struct mapping *out);

/*
 * Adds what translate() knows of the addresses first..last and the map does not yet. budget: calls of translate(),
 * counted down. What comes first stays when there is no room for more.
 */
void core_map_add(struct core_map *m, const struct guest_memory *mem, uint64_t first, uint64_t last,
	core_translate translate, void *ctx, uint64_t *budget);
void core_map_free(struct core_map *m);

#endif
