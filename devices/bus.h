/*
 * An address space of devices: ports or MMIO. Ranges are added by the main
 * thread before the first vCPU starts and frozen then, so look-ups take no
 * lock; a device locks itself where several vCPUs may reach it.
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include <stdbool.h>
#include <stdint.h>

/* off: from the range's base. size: 1, 2, 4 or 8; only the low `size` bytes of value count. Any vCPU thread. */
struct bus_ops {
	uint64_t (*read)(void *ctx, uint64_t off, unsigned size);
	void (*write)(void *ctx, uint64_t off, unsigned size, uint64_t value);
	bool byte_wide; /* an 8-bit device: the bus splits wider accesses into bytes, lowest first, so size is 1 */
};

#define BUS_RANGES_MAX 32

struct bus {
	struct {
		uint64_t base, len;
		const struct bus_ops *ops;
		void *ctx;
		const char *name;
	} range[BUS_RANGES_MAX];
	int n;
};

/* -EEXIST: overlaps a range; -ENOSPC: table full; -EINVAL: empty or wraps. name is kept, not copied. */
int bus_add(struct bus *bus, const char *name, uint64_t base, uint64_t len, const struct bus_ops *ops, void *ctx);

/*
 * One access of `size` bytes (little-endian in data). Unclaimed reads give all-ones, unclaimed writes vanish; an
 * access that straddles the end of a range is served byte by byte. Returns whether a device claimed it.
 */
bool bus_read(const struct bus *bus, uint64_t addr, unsigned size, void *data);
bool bus_write(const struct bus *bus, uint64_t addr, unsigned size, const void *data);

/* An interrupt line, level triggered from the device's view. Any thread. */
struct irq_line {
	void (*set)(void *ctx, unsigned irq, int level);
	void *ctx;
	unsigned irq;
};

static inline void irq_line_set(const struct irq_line *line, int level)
{
	line->set(line->ctx, line->irq, level);
}

#endif
