#include "vmm/spelling.h"

unsigned spelling_distance(const char *a, size_t alen, const char *b, size_t blen, unsigned limit)
{
	unsigned row[3][SPELLING_MAX + 1], *before = row[0], *last = row[1], *now = row[2];

	for (size_t j = 0; j <= blen; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= alen; i++) {
		unsigned least = now[0] = (unsigned)i, *spare = before;

		for (size_t j = 1; j <= blen; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
			least = best < least ? best : least;
		}
		if (least > limit)
			return limit + 1;
		before = last;
		last = now;
		now = spare;
	}
	return last[blen] <= limit ? last[blen] : limit + 1;
}
