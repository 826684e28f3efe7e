/* The page tables of a guest, each visited once, and whether they lie in certain pages. Own thread; no locks. */
#ifndef ARCH_PAGE_SET_H
#define ARCH_PAGE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guest_memory;

struct page_set {
	const uint64_t *pages; /* looked for, sorted; the caller's */
	size_t n;
	uint64_t page; /* bytes */
	bool found;    /* one of them was entered */
	uint8_t *seen; /* a bit each 4 KiB up to the end of RAM */
	uint64_t end;
};

int page_set_init(struct page_set *s, const struct guest_memory *mem, const uint64_t *pages, size_t n, uint64_t page);
void page_set_free(struct page_set *s);
/* Does [gpa, gpa + len) touch one of the pages? */
bool page_set_has(const struct page_set *s, uint64_t gpa, uint64_t len);
/* A table of RAM. False if it was entered before. Sets found. */
bool page_set_enter(struct page_set *s, uint64_t table, uint64_t len);

#endif
