#include "devices/bus.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

int bus_add(struct bus *bus, const char *name, uint64_t base, uint64_t len, const struct bus_ops *ops, void *ctx)
{
	if (!len || base + (len - 1) < base)
		return -EINVAL;
	/* Inclusive ends, so a range that ends at the top of the space compares right. */
	for (int i = 0; i < bus->n; i++) {
		uint64_t last = bus->range[i].base + (bus->range[i].len - 1);

		if (base <= last && bus->range[i].base <= base + (len - 1))
			return -EEXIST;
	}
	if (bus->n == BUS_RANGES_MAX)
		return -ENOSPC;
	bus->range[bus->n].base = base;
	bus->range[bus->n].len = len;
	bus->range[bus->n].ops = ops;
	bus->range[bus->n].ctx = ctx;
	bus->range[bus->n].name = name;
	bus->n++;
	return 0;
}

/* Index of the range that has addr, or -1. */
static int bus_find(const struct bus *bus, uint64_t addr)
{
	for (int i = 0; i < bus->n; i++)
		if (addr - bus->range[i].base < bus->range[i].len)
			return i;
	return -1;
}

/* The range that serves the access as one piece; -1: none, or it has to be cut into bytes. */
static int bus_find_whole(const struct bus *bus, uint64_t addr, unsigned size)
{
	int i = bus_find(bus, addr);

	if (i < 0 || (size > 1 && bus->range[i].ops->byte_wide))
		return -1;
	return bus->range[i].len - (addr - bus->range[i].base) >= size ? i : -1;
}

bool bus_read(const struct bus *bus, uint64_t addr, unsigned size, void *data)
{
	uint8_t *out = data;
	bool claimed = false;
	int i = bus_find_whole(bus, addr, size);

	if (i >= 0 && size <= sizeof(uint64_t)) {
		uint64_t value = bus->range[i].ops->read(bus->range[i].ctx, addr - bus->range[i].base, size);

		for (unsigned b = 0; b < size; b++)
			out[b] = (uint8_t)(value >> (8 * b));
		return true;
	}
	memset(out, 0xff, size);
	for (unsigned b = 0; b < size; b++) {
		i = bus_find(bus, addr + b);
		if (i < 0)
			continue;
		out[b] = (uint8_t)bus->range[i].ops->read(bus->range[i].ctx, addr + b - bus->range[i].base, 1);
		claimed = true;
	}
	return claimed;
}

bool bus_write(const struct bus *bus, uint64_t addr, unsigned size, const void *data)
{
	const uint8_t *in = data;
	bool claimed = false;
	int i = bus_find_whole(bus, addr, size);

	if (i >= 0 && size <= sizeof(uint64_t)) {
		uint64_t value = 0;

		for (unsigned b = 0; b < size; b++)
			value |= (uint64_t)in[b] << (8 * b);
		bus->range[i].ops->write(bus->range[i].ctx, addr - bus->range[i].base, size, value);
		return true;
	}
	for (unsigned b = 0; b < size; b++) {
		i = bus_find(bus, addr + b);
		if (i < 0)
			continue;
		bus->range[i].ops->write(bus->range[i].ctx, addr + b - bus->range[i].base, 1, in[b]);
		claimed = true;
	}
	return claimed;
}
