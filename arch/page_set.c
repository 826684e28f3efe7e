#include "arch/page_set.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/memory.h"

#define SEEN_SHIFT 12

int page_set_init(struct page_set *s, const struct guest_memory *mem, const uint64_t *pages, size_t n, uint64_t page)
{
	*s = (struct page_set){.pages = pages, .n = n, .page = page};
	for (int i = 0; i < mem->n; i++) {
		if (mem->range[i].gpa + mem->range[i].size > s->end)
			s->end = mem->range[i].gpa + mem->range[i].size;
	}
	s->seen = calloc((s->end >> SEEN_SHIFT) / 8 + 1, 1); /* of which few pages are touched */
	return s->seen ? 0 : -ENOMEM;
}

void page_set_free(struct page_set *s)
{
	free(s->seen);
	s->seen = NULL;
}

bool page_set_has(const struct page_set *s, uint64_t gpa, uint64_t len)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) { /* the first page that ends behind gpa */
		size_t mid = (lo + hi) / 2;

		if (s->pages[mid] + s->page <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->pages[lo] < gpa + len;
}

bool page_set_enter(struct page_set *s, uint64_t table, uint64_t len)
{
	uint64_t bit = table >> SEEN_SHIFT;

	if (table >= s->end || (s->seen[bit / 8] >> bit % 8 & 1))
		return false;
	s->seen[bit / 8] |= (uint8_t)(1u << bit % 8);
	s->found = s->found || page_set_has(s, table, len);
	return true;
}
