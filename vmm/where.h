/*
 * WHERE of --break: SYMBOL, SYMBOL+OFFSET or *ADDRESS, numbers decimal or 0x. Pure.
 *
 * What is wrong goes to why: one line, no full stop, with the way out.
 */
#ifndef VMM_WHERE_H
#define VMM_WHERE_H

#include <stddef.h>
#include <stdint.h>

struct symtab;

#define WHERE_SYMBOL_MAX 512 /* with the zero byte: the longest name that Linux allows */
#define WHERE_WHY_MAX	 512 /* enough for every reason */

struct where {
	char symbol[WHERE_SYMBOL_MAX]; /* "": none, the address is known */
	uint64_t offset;	       /* from the symbol */
	uint64_t addr;		       /* of "*ADDRESS" */
};

/* 0 or -EINVAL. */
int where_parse(struct where *w, const char *text, char *why, size_t len);
/*
 * t: NULL, there is none: only addresses can be had then. 0; -ENOENT: no such symbol; -ENOTUNIQ: several; -EINVAL: it
 * is no place in memory, or ends before the offset.
 */
int where_resolve(const struct where *w, const struct symtab *t, uint64_t *addr, char *why, size_t len);

#endif
