/* RAM, and who has which part of it while a kernel is loaded. */
#include "arch/arm64/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "arch/arm64/layout.h"
#include "vmm/log.h"

#define MIB	  ((uint64_t)1 << 20)
#define GIB	  ((uint64_t)1 << 30)
#define PAGE_SIZE 4096ULL
#define RAM_MIN	  (2 * MIB)
#define RAM_END	  ((uint64_t)1 << 40) /* of the guest-physical addresses that KVM gives a VM unless asked for others */
#define RAM_MAX	  (RAM_END - LAYOUT_RAM)

int arm64_boot_ram_layout(uint64_t size, struct mem_range *ranges, int max)
{
	if (size % PAGE_SIZE || size < RAM_MIN || size > RAM_MAX) {
		log_error("--mem: %" PRIu64 " bytes: RAM is whole pages of 4K, from %" PRIu64 " MiB to %" PRIu64 " GiB",
			size, RAM_MIN / MIB, (uint64_t)(RAM_MAX / GIB));
		return -EINVAL;
	}
	if (max < 1)
		return -EINVAL;
	ranges[0] = (struct mem_range){.gpa = LAYOUT_RAM, .size = size};
	return 1;
}

static int take(struct boot *b, uint64_t gpa, uint64_t size)
{
	uint64_t end = gpa + size;

	for (unsigned i = 0; i < b->ntaken; i++) {
		if (b->taken[i].end == gpa) {
			b->taken[i].end = end;
			return 0;
		}
	}
	if (b->ntaken == ARM64_BOOT_TAKEN_MAX)
		return -ENOSPC;
	b->taken[b->ntaken].gpa = gpa;
	b->taken[b->ntaken].end = end;
	b->ntaken++;
	return 0;
}

/* Index of a piece that overlaps, or -1. Addresses here are inside of RAM, far from overflow. */
static int overlap(const struct boot *b, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < b->ntaken; i++)
		if (gpa < b->taken[i].end && gpa + size > b->taken[i].gpa)
			return (int)i;
	return -1;
}

int arm64_boot_take_image(struct boot *b, uint64_t gpa, uint64_t size)
{
	uint64_t end = gpa + size;
	int err;

	if (!memory_has(b->mem, gpa, size)) {
		log_error("%s: needs RAM at 0x%" PRIx64 "-0x%" PRIx64 ", the guest has it at 0x%" PRIx64 "-0x%" PRIx64
			  " (--mem gives more of it)",
			b->image->path, gpa, end - 1, b->mem->range[0].gpa,
			b->mem->range[0].gpa + b->mem->range[0].size - 1);
		return -ENOEXEC;
	}
	if (overlap(b, gpa, size) >= 0) {
		log_error("%s: two of its segments want the memory at 0x%" PRIx64 "-0x%" PRIx64, b->image->path, gpa,
			end - 1);
		return -ENOEXEC;
	}
	if (!b->image_end || gpa < b->image_gpa)
		b->image_gpa = gpa;
	if (end > b->image_end)
		b->image_end = end;
	err = take(b, gpa, size);
	if (err)
		log_error("%s: too many pieces", b->image->path);
	return err;
}

bool arm64_boot_place_at(struct boot *b, uint64_t gpa, uint64_t size)
{
	return memory_has(b->mem, gpa, size) && overlap(b, gpa, size) < 0 && !take(b, gpa, size);
}

int arm64_boot_place_high(struct boot *b, uint64_t size, uint64_t align, uint64_t max, uint64_t *gpa)
{
	uint64_t start = b->mem->range[0].gpa, end = start + b->mem->range[0].size;

	if (max < end - 1)
		end = max + 1;
	while (end > start && size <= end - start) {
		uint64_t at = (end - size) & -align;
		int i;

		if (at < start)
			break;
		i = overlap(b, at, size);
		if (i < 0) {
			*gpa = at;
			return take(b, at, size);
		}
		end = b->taken[i].gpa;
	}
	return -ENOSPC;
}

int arm64_boot_place_after(struct boot *b, uint64_t from, uint64_t size, uint64_t align, uint64_t *gpa)
{
	uint64_t end = b->mem->range[0].gpa + b->mem->range[0].size, at = (from + align - 1) & -align;

	while (at < end && size <= end - at) {
		int i = overlap(b, at, size);

		if (i < 0) {
			*gpa = at;
			return take(b, at, size);
		}
		at = (b->taken[i].end + align - 1) & -align;
	}
	return -ENOSPC;
}
