/*
 * Foreign kernel images the whole way: choose the kind, parse, place, load, make the entry state. The first byte says
 * which --boot, the rest is the file.
 */
#include "arch/arch.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/layout.h"
#include "tests/fuzz/fuzz_image.h"

#define RAM_SIZE (32ULL << 20)

/* What has to hold of every machine that is allowed to start. */
static void check_entry(const struct boot *b)
{
	const struct boot_entry *e = &b->entry;

	if (!memory_at(b->mem, e->gdt_base, e->gdt_limit + 1))
		abort();
	if (e->mode == BOOT_MODE_PROT32 && (e->rip > UINT32_MAX || e->rbx > UINT32_MAX || e->cr3))
		abort();
	if (e->mode == BOOT_MODE_LONG64 && (e->cr3 & 4095 || !memory_at(b->mem, e->cr3, 4096)))
		abort();
	/* A bare ELF may have addresses in the list where it is linked, too, and those may be anywhere. */
	for (unsigned i = 0; i < b->ntaken && !e->rdi; i++)
		for (unsigned j = 0; j < i; j++)
			if (b->taken[i].gpa < b->taken[j].end && b->taken[j].gpa < b->taken[i].end)
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct guest_memory mem;
	struct image_file f = {.path = "fuzz", .data = data + 1, .size = size - 1};
	struct boot b = {.mem = &mem, .image = &f, .cmdline = "a=b", .ncpus = 3};
	int err;

	if (size < 2)
		return 0;
	make_ram(&mem, 0, RAM_SIZE);
	if (data[0] % 5 < 4)
		b.kind = arch_boot_kinds[data[0] % 5];
	errors = 0;
	err = boot_load(&b);
	/* One line for each refusal, none for a success. */
	if (errors != (err < 0))
		abort();
	if (!err)
		check_entry(&b);
	return 0;
}
