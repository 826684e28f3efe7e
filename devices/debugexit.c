#include "devices/debugexit.h"

#include <stdlib.h>

struct debugexit {
	struct power power;
};

struct debugexit *debugexit_new(const struct power *power)
{
	struct debugexit *dev = calloc(1, sizeof(*dev));

	if (dev)
		dev->power = *power;
	return dev;
}

static uint64_t debugexit_read(void *ctx, uint64_t off, unsigned size)
{
	(void)ctx;
	(void)off;
	(void)size;
	return 0;
}

static void debugexit_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct debugexit *dev = ctx;

	(void)size;
	if (off == 0)
		dev->power.event(dev->power.ctx, POWER_DEBUG_EXIT, (unsigned)value);
}

static const struct bus_ops debugexit_ops = {
	.read = debugexit_read,
	.write = debugexit_write,
};

int debugexit_add(struct debugexit *dev, struct bus *bus, uint64_t base)
{
	return bus_add(bus, "debug-exit", base, DEBUGEXIT_LEN, &debugexit_ops, dev);
}

void debugexit_free(struct debugexit *dev)
{
	free(dev);
}
