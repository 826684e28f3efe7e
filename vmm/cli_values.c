/* Sizes and times as they are typed. */
#include <errno.h>
#include <string.h>

#include "vmm/cli_priv.h"
#include "vmm/number.h"

int cli_parse_size(const char *text, uint64_t *out)
{
	const char *unit;
	unsigned shift = 0;
	uint64_t n;
	int err = number_parse(text, &n, &unit);

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
	int err = number_parse(text, &n, &unit);

	if (err)
		return err;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(unit, units[i].name))
			return __builtin_mul_overflow(n, units[i].us, out) || *out > INT64_MAX ? -ERANGE : 0;
	}
	return -EINVAL;
}
