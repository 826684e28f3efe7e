/* For tests of arm64's loaders: the driver, and the device tree that a kernel was given. */
#ifndef TESTS_UNIT_BOOT_ARM64_H
#define TESTS_UNIT_BOOT_ARM64_H

#include "arch/arm64/boot.h"
#include "tests/unit/boot_driver.h"
#include "tests/unit/fdt_reader.h"

#define RAM    0x40000000ULL
#define KERNEL 0xffff800008000000ULL

static int driver_layout(uint64_t size, struct mem_range *ranges, int max)
{
	return arm64_boot_ram_layout(size, ranges, max);
}

static int driver_load(struct boot *b)
{
	if (!b->board.ncpus)
		b->board = (struct arm64_board_info){.ncpus = 2, .gic_version = 3};
	return arm64_boot_load(b);
}

/* The tree that X0 leads to. */
TAP_UNUSED static struct fdt_reader *tree(const char *name)
{
	static struct fdt_reader r;
	uint64_t room = 0;
	const void *p = memory_span(&mem, boot.entry.x0, &room);

	tap_is_str(p ? fdt_reader_open(&r, p, room) : "not in RAM", NULL, "%s: a device tree at X0", name);
	tap_ok(boot.entry.x0 % 8 == 0, "%s: aligned", name);
	return &r;
}

TAP_UNUSED static void check_bootargs(const char *want, const char *name)
{
	tap_is_str(fdt_get_string(tree(name), "/chosen", "bootargs"), want, "%s: command line", name);
}

#endif
