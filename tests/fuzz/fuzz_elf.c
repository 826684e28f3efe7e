/* Kernel images: parse, load, look for notes and addresses. */
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/elf.h"
#include "vmm/log.h"
#include "vmm/memory.h"

#define RAM_SIZE (2u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of the real one: as many messages as inputs, of which only the formatting is of interest. */
void log_error(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* One message, one line. */
	if (strchr(text, '\n'))
		abort();
}

static void try_machine(const struct image_file *f, struct guest_memory *mem, uint16_t machine)
{
	static const char *const names[] = {"Xen", "GNU", "", "CORE"};
	struct image_layout layout;
	struct elf_image elf;
	uint64_t gpa, len;
	size_t desc_len;

	if (elf_parse(&elf, f, machine))
		return;
	elf_load(&elf, mem);
	elf_entry_pa(&elf);
	elf_layout(&elf, &layout);
	if (image_layout_find(&layout, elf.entry, &gpa, &len) && (!len || gpa + len < gpa))
		abort();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		for (uint32_t type = 0; type < 20; type++) {
			const uint8_t *desc = elf_note(&elf, names[i], type, &desc_len);

			/* Inside the file, or one past its end when empty. */
			if (desc && (desc < f->data || desc_len > (size_t)(f->data + f->size - desc)))
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image_file f = {.path = "fuzz", .data = data, .size = size};
	static struct guest_memory mem;

	if (!mem.n) {
		mem.n = 1;
		mem.size = mem.range[0].size = RAM_SIZE;
		mem.range[0].host = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mem.range[0].host == MAP_FAILED)
			abort();
	}
	try_machine(&f, &mem, EM_X86_64);
	try_machine(&f, &mem, EM_AARCH64);
	return 0;
}
