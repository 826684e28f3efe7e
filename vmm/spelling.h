/* How near a misspelt name is to another. Pure. */
#ifndef VMM_SPELLING_H
#define VMM_SPELLING_H

#include <stddef.h>

#define SPELLING_MAX 128 /* characters; longer names are not compared */

/*
 * Edit distance (letters to add, drop or change), neighbours that change places counting once; anything above limit:
 * limit + 1. alen, blen <= SPELLING_MAX.
 */
unsigned spelling_distance(const char *a, size_t alen, const char *b, size_t blen, unsigned limit);

#endif
