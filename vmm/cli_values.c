/* Numbers, sizes and times as they are typed. */
#include <errno.h>
#include <string.h>

#include "vmm/cli_priv.h"

static int digit_value(char c, unsigned base)
{
	unsigned v = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
		     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
		     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
					    : base;

	return v < base ? (int)v : -1;
}

int cli_parse_number(const char *text, uint64_t *out, const char **rest)
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
	*out = n;
	*rest = at;
	return 0;
}

int cli_parse_size(const char *text, uint64_t *out)
{
	const char *unit;
	unsigned shift = 0;
	uint64_t n;
	int err = cli_parse_number(text, &n, &unit);

	if (err)
		return err;
	switch (*unit) {
	case '\0':
		break;
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	default:
		return -EINVAL;
	}
	if (*unit && unit[1])
		return -EINVAL;
	if (n > UINT64_MAX >> shift)
		return -ERANGE;
	*out = n << shift;
	return 0;
}

int cli_parse_duration(const char *text, uint64_t *out)
{
	static const struct {
		const char *name;
		uint64_t us;
	} units[] = {{"", 1000000}, {"s", 1000000}, {"ms", 1000}, {"us", 1}, {"m", 60000000}, {"h", 3600000000}};
	const char *unit;
	uint64_t n;
	int err = cli_parse_number(text, &n, &unit);

	if (err)
		return err;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(unit, units[i].name))
			return __builtin_mul_overflow(n, units[i].us, out) || *out > INT64_MAX ? -ERANGE : 0;
	}
	return -EINVAL;
}
