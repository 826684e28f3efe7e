/* 32-bit x86 ELF files, as Multiboot kernels are: into the same struct elf_image as 64-bit ones, with the same checks.
 */
#include "arch/x86_64/boot.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "vmm/log.h"

#define SPACE_END ((uint64_t)1 << 32)

static int bad(const struct image_file *f, const char *what)
{
	log_error("%s: 32-bit ELF: %s", f->path, what);
	return -ENOEXEC;
}

/* As it would stand in an ELF64 file. */
static int add_header(struct elf_image *elf, const Elf32_Phdr *ph, int index)
{
	const Elf64_Phdr wide = {
		.p_type = ph->p_type,
		.p_flags = ph->p_flags,
		.p_offset = ph->p_offset,
		.p_vaddr = ph->p_vaddr,
		.p_paddr = ph->p_paddr,
		.p_filesz = ph->p_filesz,
		.p_memsz = ph->p_memsz,
		.p_align = sizeof(uint32_t), /* of notes: whatever the header says */
	};

	if (wide.p_type == PT_LOAD && !wide.p_memsz)
		return 0;
	if (wide.p_type == PT_LOAD &&
		(wide.p_paddr + wide.p_memsz > SPACE_END || wide.p_vaddr + wide.p_memsz > SPACE_END)) {
		log_error("%s: 32-bit ELF: segment %d: goes beyond 4 GiB", elf->file->path, index);
		return -ENOEXEC;
	}
	return elf_add_header(elf, &wide, index);
}

static int check_header(const struct image_file *f, const Elf32_Ehdr *eh)
{
	if (eh->e_machine != EM_386) {
		const char *name = elf_machine_name(eh->e_machine);

		log_error("%s: 32-bit ELF for %s (machine %u), not for x86", f->path, name ? name : "another machine",
			eh->e_machine);
		return -ENOEXEC;
	}
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return bad(f, "not a linked program");
	if (eh->e_phentsize != sizeof(Elf32_Phdr) || !eh->e_phnum || eh->e_phnum == PN_XNUM)
		return bad(f, "no usable program headers");
	if (eh->e_phoff > f->size || (uint64_t)eh->e_phnum * sizeof(Elf32_Phdr) > f->size - eh->e_phoff)
		return bad(f, "program headers outside of the file: truncated");
	return 0;
}

int elf32_parse(struct elf_image *elf, const struct image_file *f)
{
	Elf32_Ehdr eh;
	int err;

	memset(elf, 0, sizeof(*elf));
	elf->file = f;
	if (f->size < sizeof(eh))
		return bad(f, "truncated in its header");
	memcpy(&eh, f->data, sizeof(eh));
	err = check_header(f, &eh);
	if (err)
		return err;
	elf->machine = eh.e_machine;
	elf->entry = eh.e_entry;
	for (int i = 0; i < eh.e_phnum && !err; i++) {
		Elf32_Phdr ph;

		memcpy(&ph, f->data + eh.e_phoff + (size_t)i * sizeof(ph), sizeof(ph));
		err = add_header(elf, &ph, i);
	}
	if (!err && !elf->nsegments)
		err = bad(f, "no loadable segment");
	return err;
}
