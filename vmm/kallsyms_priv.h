/* The two halves of reading kallsyms: where its parts are (kallsyms_find.c), and what they say (kallsyms.c). */
#ifndef VMM_KALLSYMS_PRIV_H
#define VMM_KALLSYMS_PRIV_H

#include <stdbool.h>

#include "vmm/kallsyms.h"

#define TOKENS	     256
#define SYMBOLS_MAX  (2u << 20)		   /* of a table that is believed */
#define KERNEL_FIRST 0xfff0000000000000ull /* no kernel is linked below it, with any size of addresses */

/* Offsets in the chunk; all that they imply is inside of it. */
struct kallsyms {
	struct kallsyms_bytes in;
	size_t tokens;		/* token table: 256 strings, each with its zero byte */
	uint16_t index[TOKENS]; /* where each of them begins in it */
	size_t behind;		/* the end of the token index */
	size_t names;		/* for each symbol a length and that many tokens */
	size_t count_at;	/* of the word with the number of symbols, in front of the names */
	size_t align;		/* of all parts: 8; 256 in old kernels of arm64 */
	uint32_t count;
};

/* Looks from `from` on. false: no (more) table is there. On success *next is where to look on. */
bool kallsyms_find(struct kallsyms *k, const struct kallsyms_bytes *in, size_t from, size_t *next);

/* The tokens of the name at *at, and *at behind it; -1: it does not end before `end`. */
int kallsyms_next_name(const struct kallsyms *k, size_t *at, size_t end, const uint8_t **token);

#endif
