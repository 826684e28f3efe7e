#include "devices/pvpanic.h"

#include <stdlib.h>

struct pvpanic {
	struct power power;
};

struct pvpanic *pvpanic_new(const struct power *power)
{
	struct pvpanic *dev = calloc(1, sizeof(*dev));

	if (dev)
		dev->power = *power;
	return dev;
}

static uint64_t pvpanic_read(void *ctx, uint64_t off, unsigned size)
{
	(void)ctx;
	(void)off;
	(void)size;
	return PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct pvpanic *dev = ctx;

	(void)off;
	(void)size;
	if (value & PVPANIC_PANICKED)
		dev->power.event(dev->power.ctx, POWER_PANIC, 0);
}

static const struct bus_ops pvpanic_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
	.byte_wide = true,
};

int pvpanic_add(struct pvpanic *dev, struct bus *bus, uint64_t base)
{
	return bus_add(bus, "pvpanic", base, PVPANIC_LEN, &pvpanic_ops, dev);
}

void pvpanic_free(struct pvpanic *dev)
{
	free(dev);
}
