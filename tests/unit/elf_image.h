/* The header of an ELF64 kernel that tests make up. */
#ifndef TESTS_UNIT_ELF_IMAGE_H
#define TESTS_UNIT_ELF_IMAGE_H

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/elf.h"

/* An x86_64 executable with so many program headers, which follow it at once; no sections. */
static inline Elf64_Ehdr elf_image_header(unsigned phnum)
{
	return (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)phnum,
	};
}

/* A heap copy of exactly that size, so that the sanitizer sees a read beyond it. */
static inline struct image_file elf_image_file(const char *path, const void *image, size_t size)
{
	uint8_t *copy = malloc(size);

	memcpy(copy, image, size);
	return (struct image_file){.path = path, .data = copy, .size = size};
}

static inline void elf_image_free(struct image_file *f)
{
	free((void *)(uintptr_t)f->data);
}

#endif
