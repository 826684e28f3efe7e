/* The guest-physical memory map, and who has which part of RAM while a kernel is loaded. */
#include "arch/x86_64/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "vmm/log.h"

#define MIB	  ((uint64_t)1 << 20)
#define PAGE_SIZE 4096ULL

int arch_ram_layout(uint64_t size, struct mem_range *ranges, int max)
{
	if (size % PAGE_SIZE || size < LAYOUT_RAM_MIN || size > LAYOUT_RAM_MAX) {
		log_error("--mem: %" PRIu64 " bytes: RAM is whole pages of 4K, from %" PRIu64 " MiB to %" PRIu64 " GiB",
			size, LAYOUT_RAM_MIN / MIB, LAYOUT_RAM_MAX / (1024 * MIB));
		return -EINVAL;
	}
	if (max < 2)
		return -EINVAL;
	memset(ranges, 0, 2 * sizeof(*ranges));
	ranges[0].size = size < LAYOUT_PCI_HOLE ? size : LAYOUT_PCI_HOLE;
	if (size <= LAYOUT_PCI_HOLE)
		return 1;
	ranges[1].gpa = LAYOUT_RAM_ABOVE_4G;
	ranges[1].size = size - LAYOUT_PCI_HOLE;
	return 2;
}

static void map_add(struct boot_map *map, uint64_t gpa, uint64_t end, enum boot_ram_type type)
{
	if (end <= gpa || map->n == BOOT_MAP_MAX)
		return;
	map->e[map->n].gpa = gpa;
	map->e[map->n].size = end - gpa;
	map->e[map->n].type = type;
	map->n++;
}

void boot_map_fill(struct boot_map *map, const struct guest_memory *mem, uint64_t acpi_end)
{
	map->n = 0;
	map_add(map, 0, LAYOUT_EBDA, BOOT_RAM_USABLE);
	map_add(map, LAYOUT_EBDA, LAYOUT_HOLE, BOOT_RAM_RESERVED);
	map_add(map, LAYOUT_ACPI, acpi_end, BOOT_RAM_ACPI);
	map_add(map, acpi_end, LAYOUT_HIGH, BOOT_RAM_RESERVED);
	map_add(map, LAYOUT_HIGH, mem->range[0].size, BOOT_RAM_USABLE);
	map_add(map, LAYOUT_KVM_IDMAP, LAYOUT_KVM_END, BOOT_RAM_RESERVED);
	for (int i = 1; i < mem->n; i++)
		map_add(map, mem->range[i].gpa, mem->range[i].gpa + mem->range[i].size, BOOT_RAM_USABLE);
}

int boot_take(struct boot *b, uint64_t gpa, uint64_t size)
{
	uint64_t end = gpa + size;

	if (!size)
		return 0;
	for (unsigned i = 0; i < b->ntaken; i++) {
		if (b->taken[i].end == gpa) {
			b->taken[i].end = end;
			return 0;
		}
		if (b->taken[i].gpa == end) {
			b->taken[i].gpa = gpa;
			return 0;
		}
	}
	if (b->ntaken == BOOT_TAKEN_MAX)
		return -ENOSPC;
	b->taken[b->ntaken].gpa = gpa;
	b->taken[b->ntaken].end = end;
	b->ntaken++;
	return 0;
}

int boot_take_image(struct boot *b, uint64_t gpa, uint64_t size)
{
	const char *path = b->image->path;

	if (!memory_has(b->mem, gpa, size)) {
		log_error("%s: needs RAM at 0x%" PRIx64 "-0x%" PRIx64 ", the guest has %" PRIu64
			  " MiB (see --mem) with a hole from 3 to 4 GiB",
			path, gpa, gpa + size - 1, b->mem->size / MIB);
		return -ENOEXEC;
	}
	if (gpa < b->acpi_end && gpa + size > LAYOUT_ACPI) {
		log_error("%s: its memory at 0x%" PRIx64 "-0x%" PRIx64 " overlaps the ACPI tables at 0x%x-0x%" PRIx64,
			path, gpa, gpa + size - 1, LAYOUT_ACPI, b->acpi_end - 1);
		return -ENOEXEC;
	}
	return boot_take(b, gpa, size);
}

/* Index of a piece that overlaps, or -1. */
static int overlap(const struct boot *b, uint64_t gpa, uint64_t size)
{
	for (unsigned i = 0; i < b->ntaken; i++)
		if (gpa < b->taken[i].end && gpa + size > b->taken[i].gpa)
			return i;
	return -1;
}

/* Lowest place in [low, high); sizes and addresses here are all far from overflow (RAM ends below 2 TiB). */
static int place_up(struct boot *b, uint64_t low, uint64_t high, uint64_t size, uint64_t align, uint64_t *gpa)
{
	uint64_t at = (low + align - 1) & -align;

	if (size > LAYOUT_RAM_MAX)
		return -ENOSPC;
	while (at + size <= high) {
		int i = overlap(b, at, size);

		if (i < 0) {
			*gpa = at;
			return boot_take(b, at, size);
		}
		at = (b->taken[i].end + align - 1) & -align;
	}
	return -ENOSPC;
}

int boot_place_high(struct boot *b, uint64_t size, uint64_t align, uint64_t max, uint64_t *gpa)
{
	uint64_t end = b->mem->range[0].size;

	if (max < end - 1)
		end = max + 1;
	while (end > LAYOUT_HIGH && size <= end - LAYOUT_HIGH) {
		uint64_t at = (end - size) & -align;
		int i;

		if (at < LAYOUT_HIGH)
			break;
		i = overlap(b, at, size);
		if (i < 0) {
			*gpa = at;
			return boot_take(b, at, size);
		}
		end = b->taken[i].gpa;
	}
	return -ENOSPC;
}

int boot_place_after(struct boot *b, uint64_t from, uint64_t size, uint64_t align, uint64_t *gpa)
{
	if (from < LAYOUT_HIGH)
		from = LAYOUT_HIGH;
	return place_up(b, from, b->mem->range[0].size, size, align, gpa);
}

int boot_place_low(struct boot *b, uint64_t size, uint64_t align, uint64_t *gpa)
{
	if (!place_up(b, LAYOUT_LOW, LAYOUT_EBDA, size, align, gpa))
		return 0;
	return boot_place_high(b, size, align, UINT32_MAX, gpa);
}

void *boot_alloc(struct boot *b, uint64_t size, uint64_t align, const char *what, uint64_t *gpa)
{
	void *at = NULL;

	if (!boot_place_low(b, size, align, gpa))
		at = memory_at(b->mem, *gpa, size);
	if (!at) {
		log_error("%s: no room in %" PRIu64 " MiB of RAM for %" PRIu64 " bytes of %s (see --mem)",
			b->image->path, b->mem->size / MIB, size, what);
		return NULL;
	}
	memset(at, 0, size);
	return at;
}
