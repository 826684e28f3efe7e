/*
 * Foreign kernel images the whole way: choose the kind, parse, place, load, make the device tree. The first byte says
 * which --boot and which machine, the rest is the file.
 */
#include "arch/arm64/boot.h"
#include "arch/arm64/fdt.h"
#include "arch/arm64/layout.h"
#include "tests/fuzz/fuzz_image.h"

#define RAM_SIZE (32ULL << 20)
#define KASLR	 0x80 /* in the first byte */
#define GICV2	 0x40

/* What has to hold of every machine that is allowed to start. */
static void check_boot(const struct boot *b)
{
	static const uint8_t magic[] = {
		FDT_MAGIC >> 24, FDT_MAGIC >> 16 & 0xff, FDT_MAGIC >> 8 & 0xff, FDT_MAGIC & 0xff};
	const uint8_t *tree = memory_at(b->mem, b->entry.x0, sizeof(magic));

	if (!memory_at(b->mem, b->entry.pc, 1) || b->entry.pc % 4)
		abort();
	if (b->entry.pc < b->image_gpa || b->entry.pc >= b->image_end)
		abort();
	if (!tree || b->entry.x0 % 8 || memcmp(tree, magic, sizeof(magic)) != 0)
		abort();
	for (unsigned i = 0; i < b->ntaken; i++)
		for (unsigned j = 0; j < i; j++)
			if (b->taken[i].gpa < b->taken[j].end && b->taken[j].gpa < b->taken[i].end)
				abort();
	for (int i = 0; i < b->layout.n; i++)
		if (!memory_at(b->mem, b->layout.seg[i].pa, b->layout.seg[i].len))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const kinds[] = {"linux", "elf", "raw", NULL};
	static struct guest_memory mem;
	struct image_file f = {.path = "fuzz", .data = data + 1, .size = size - 1};
	struct boot b = {.mem = &mem, .image = &f, .cmdline = "a=b"};
	int err;

	if (size < 2)
		return 0;
	make_ram(&mem, LAYOUT_RAM, RAM_SIZE);
	b.kind = kinds[data[0] % 4];
	b.kaslr = data[0] & KASLR;
	b.board.ncpus = 3;
	b.board.gic_version = data[0] & GICV2 ? 2 : 3;
	errors = 0;
	err = arm64_boot_load(&b);
	/* One line for each refusal, none for a success. */
	if (errors != (err < 0))
		abort();
	if (!err)
		check_boot(&b);
	return 0;
}
