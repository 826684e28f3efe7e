/* Kernel images: parse, load, look for notes and addresses. */
#include "tests/fuzz/fuzz_image.h"
#include "vmm/elf.h"
#include "vmm/kaslr.h"
#include "vmm/symbols.h"

#define RAM_SIZE (2u << 20)

/* Look a name up, and read where it is. */
static void try_symbols(const struct image_file *f, uint16_t machine)
{
	struct symbols s;
	struct symbol sym;
	struct kaslr k;
	uint8_t bytes[64];
	uint64_t low, high;

	if (symbols_parse(&s, f, machine))
		return;
	symbols_span(&s, &low, &high);
	if (symbols_find(&s, "linux_banner", &sym) == 0 &&
		symbols_bytes(&s, sym.addr, bytes, sizeof(bytes)) > sizeof(bytes))
		abort();
	symbols_find(&s, "", &sym);
	if (kaslr_prepare(&k, &s) == 0 && (k.len >= sizeof(k.text) || strlen(k.text) != k.len))
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

	make_ram(&mem, 0, RAM_SIZE);
	try_machine(&f, &mem, EM_X86_64);
	try_machine(&f, &mem, EM_AARCH64);
	try_symbols(&f, EM_X86_64);
	try_symbols(&f, EM_AARCH64);
	return 0;
}
