#include "devices/exitmmio.h"

#include <stdlib.h>

struct exitmmio {
	struct power power;
};

struct exitmmio *exitmmio_new(const struct power *power)
{
	struct exitmmio *dev = calloc(1, sizeof(*dev));

	if (dev)
		dev->power = *power;
	return dev;
}

static uint64_t exitmmio_read(void *ctx, uint64_t off, unsigned size)
{
	(void)ctx;
	(void)off;
	(void)size;
	return 0;
}

static void exitmmio_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct exitmmio *dev = ctx;

	(void)size;
	if (off == 0)
		dev->power.event(dev->power.ctx, POWER_DEBUG_EXIT, (uint32_t)value);
}

static const struct bus_ops exitmmio_ops = {
	.read = exitmmio_read,
	.write = exitmmio_write,
};

int exitmmio_add(struct exitmmio *dev, struct bus *bus, uint64_t base)
{
	return bus_add(bus, "exit", base, EXITMMIO_LEN, &exitmmio_ops, dev);
}

void exitmmio_free(struct exitmmio *dev)
{
	free(dev);
}
