/* 32-bit x86 ELF files, as Multiboot kernels are: into the same struct elf_image as 64-bit ones, with the same checks.
 */
#include "arch/x86_64/boot.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/log.h"

static int bad(const struct image_file *f, const char *what)
{
	log_error("%s: 32-bit ELF: %s", f->path, what);
	return -ENOEXEC;
}

static int bad_segment(const struct image_file *f, int i, const char *what)
{
	log_error("%s: 32-bit ELF: segment %d: %s", f->path, i, what);
	return -ENOEXEC;
}

static int add_segment(struct elf_image *elf, const Elf32_Phdr *ph, int index)
{
	const struct image_file *f = elf->file;
	uint64_t end = (uint64_t)ph->p_paddr + ph->p_memsz;

	if (!ph->p_memsz)
		return 0;
	if (ph->p_filesz > ph->p_memsz)
		return bad_segment(f, index, "more bytes in the file than in memory");
	/* Linkers give a segment without bytes any offset. */
	if (ph->p_filesz && (ph->p_offset > f->size || ph->p_filesz > f->size - ph->p_offset))
		return bad_segment(f, index, "outside of the file: truncated");
	if (end > (uint64_t)UINT32_MAX + 1 || (uint64_t)ph->p_vaddr + ph->p_memsz > (uint64_t)UINT32_MAX + 1)
		return bad_segment(f, index, "goes beyond 4 GiB");
	if (elf->nsegments == ELF_SEGMENTS_MAX)
		return bad(f, "too many loadable segments");
	for (int i = 0; i < elf->nsegments; i++)
		if (ph->p_paddr < elf->segment[i].pa + elf->segment[i].memsz && end > elf->segment[i].pa)
			return bad_segment(f, index, "overlaps another one in physical memory");
	elf->segment[elf->nsegments++] = (struct elf_segment){
		.offset = ph->p_filesz ? ph->p_offset : 0,
		.va = ph->p_vaddr,
		.pa = ph->p_paddr,
		.filesz = ph->p_filesz,
		.memsz = ph->p_memsz,
		.flags = ph->p_flags,
	};
	return 0;
}

static int add_notes(struct elf_image *elf, const Elf32_Phdr *ph, int index)
{
	const struct image_file *f = elf->file;

	if (ph->p_offset > f->size || ph->p_filesz > f->size - ph->p_offset)
		return bad_segment(f, index, "notes outside of the file: truncated");
	if (elf->nnotes < (int)(sizeof(elf->notes_off) / sizeof(elf->notes_off[0]))) {
		elf->notes_off[elf->nnotes] = ph->p_offset;
		elf->notes_len[elf->nnotes] = ph->p_filesz;
		elf->notes_align[elf->nnotes] = 4;
		elf->nnotes++;
	}
	return 0;
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
		if (ph.p_type == PT_LOAD)
			err = add_segment(elf, &ph, i);
		else if (ph.p_type == PT_NOTE)
			err = add_notes(elf, &ph, i);
	}
	if (!err && !elf->nsegments)
		err = bad(f, "no loadable segment");
	return err;
}
