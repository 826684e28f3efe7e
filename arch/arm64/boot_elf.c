/* ELF64 files: Linux's vmlinux, moved to where its boot protocol wants it, and programs that stay where they are
 * linked. */
#include "arch/arm64/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/log.h"

#define INSN_SIZE 4

/* Where the processor starts: in what is loaded, at an instruction. */
static int set_entry(struct boot *b, const struct elf_image *elf)
{
	uint64_t pc = elf_entry_pa(elf);

	for (int i = 0; i < elf->nsegments; i++) {
		if (pc - elf->segment[i].pa >= elf->segment[i].memsz)
			continue;
		if (pc % INSN_SIZE) {
			log_error("%s: the entry point, 0x%" PRIx64 ", is no address of an instruction", b->image->path,
				elf->entry);
			return -ENOEXEC;
		}
		b->entry.pc = pc;
		return 0;
	}
	log_error("%s: the entry point, 0x%" PRIx64 ", is in none of its segments", b->image->path, elf->entry);
	return -ENOEXEC;
}

/* The lowest of its segments, which has the Image header; NULL, logged, if they are not all of one kernel. */
static const struct elf_segment *lowest_segment(struct boot *b, const struct elf_image *elf, uint64_t *size)
{
	const struct elf_segment *lowest = &elf->segment[0];
	uint64_t end = 0;

	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *s = &elf->segment[i];

		if (s->va < ARM64_KERNEL_HALF) {
			log_error("%s: segment %d at 0x%" PRIx64 " is outside of the kernel's half of addresses",
				b->image->path, i, s->va);
			return NULL;
		}
		if (s->va < lowest->va)
			lowest = s;
		if (s->va + (s->memsz - 1) > end)
			end = s->va + (s->memsz - 1);
	}
	*size = end - lowest->va + 1;
	return lowest;
}

int arm64_boot_linux_elf(struct boot *b, const struct elf_image *elf)
{
	struct elf_image moved = *elf;
	struct arm64_image h = {.anywhere = true};
	uint64_t size, gpa, first;
	const struct elf_segment *s = lowest_segment(b, elf, &size);
	int err;

	if (!s)
		return -ENOEXEC;
	first = s->va;
	if (s->filesz)
		arm64_image_header(elf->file->data + s->offset, s->filesz, &h);
	h.text_offset = first % ARM64_IMAGE_ALIGN;
	for (int i = 0; i < elf->nsegments; i++) {
		for (int j = 0; j < i; j++) {
			if (elf->segment[i].va - elf->segment[j].va >= elf->segment[j].memsz &&
				elf->segment[j].va - elf->segment[i].va >= elf->segment[i].memsz)
				continue;
			log_error("%s: segments %d and %d share the address 0x%" PRIx64, b->image->path, j, i,
				elf->segment[i].va);
			return -ENOEXEC;
		}
	}
	err = arm64_image_place(b, &h, size, &gpa);
	if (err)
		return err;
	for (int i = 0; i < elf->nsegments; i++)
		moved.segment[i].pa = gpa + (elf->segment[i].va - first);
	err = set_entry(b, &moved);
	if (!err)
		err = elf_load(&moved, b->mem);
	if (!err)
		elf_layout(&moved, &b->layout);
	return err;
}

int arm64_boot_bare_elf(struct boot *b, const struct elf_image *elf)
{
	int err = 0;

	if (elf->interp) {
		log_error("%s: a program of a running system (it names an interpreter), not a kernel", b->image->path);
		return -ENOEXEC;
	}
	err = set_entry(b, elf);
	for (int i = 0; i < elf->nsegments && !err; i++)
		err = arm64_boot_take_image(b, elf->segment[i].pa, elf->segment[i].memsz);
	if (!err)
		err = elf_load(elf, b->mem);
	if (!err)
		elf_layout(elf, &b->layout);
	return err;
}
