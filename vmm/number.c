#include "vmm/number.h"

#include <errno.h>

static int digit_value(char c, unsigned base)
{
	unsigned v = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
		     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
		     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
					    : base;

	return v < base ? (int)v : -1;
}

int number_parse(const char *text, uint64_t *out, const char **rest)
{
	unsigned base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *at = base == 16 ? text + 2 : text;
	uint64_t n = 0;
	int digit = digit_value(*at, base);

	if (digit < 0)
		return -EINVAL;
	for (; digit >= 0; digit = digit_value(*++at, base))
		if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, (unsigned)digit, &n))
			return -ERANGE;
	if (!rest && *at)
		return -EINVAL;
	*out = n;
	if (rest)
		*rest = at;
	return 0;
}
