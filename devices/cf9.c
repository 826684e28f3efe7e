#include "devices/cf9.h"

#include <stdatomic.h>
#include <stdlib.h>

#define CF9_BASE	 0xcf8
#define CF9_LEN		 4
#define CF9_RST_CNT	 1    /* offset of the register */
#define RST_CNT_SYS_RST	 0x02 /* hard rather than soft */
#define RST_CNT_RST_CPU	 0x04 /* do it now */
#define RST_CNT_FULL_RST 0x08 /* with a power cycle */

struct cf9 {
	struct power power;
	_Atomic uint8_t rst_cnt;
};

struct cf9 *cf9_new(const struct power *power)
{
	struct cf9 *dev = calloc(1, sizeof(*dev));

	if (dev)
		dev->power = *power;
	return dev;
}

static uint64_t cf9_read(void *ctx, uint64_t off, unsigned size)
{
	struct cf9 *dev = ctx;

	return off == CF9_RST_CNT && size == 1 ? atomic_load(&dev->rst_cnt) : UINT64_MAX;
}

static void cf9_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct cf9 *dev = ctx;

	if (off != CF9_RST_CNT || size != 1)
		return;
	atomic_store(&dev->rst_cnt, (uint8_t)(value & (RST_CNT_SYS_RST | RST_CNT_FULL_RST)));
	if (value & RST_CNT_RST_CPU)
		dev->power.event(dev->power.ctx, POWER_RESET, 0);
}

static const struct bus_ops cf9_ops = {
	.read = cf9_read,
	.write = cf9_write,
};

int cf9_add(struct cf9 *dev, struct bus *bus)
{
	return bus_add(bus, "cf9", CF9_BASE, CF9_LEN, &cf9_ops, dev);
}

void cf9_free(struct cf9 *dev)
{
	free(dev);
}
