/* Numbers as people type them. Pure functions, any thread. */
#ifndef VMM_NUMBER_H
#define VMM_NUMBER_H

#include <stdint.h>

/*
 * Whole number, decimal or hexadecimal with 0x; *rest is what follows, NULL: nothing may. 0; -EINVAL: not even a digit
 * (no signs, no blanks), or something follows; -ERANGE: more than 64 bits.
 */
int number_parse(const char *text, uint64_t *out, const char **rest);

#endif
