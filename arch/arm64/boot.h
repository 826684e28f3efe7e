/*
 * Loading a kernel: choose its kind, place everything in RAM, say how the boot processor starts. Main thread, before
 * any vCPU runs. Nothing here knows KVM: all of it works on guest memory and numbers, so it is unit-tested and fuzzed
 * over plain memory, on any host.
 *
 * Every function that can fail returns 0 or -errno with one line logged, -ENOEXEC where a file is at fault.
 *
 * Sources: Linux Documentation/arm64/booting.rst; Devicetree Specification 0.4; the ELF for the Arm 64-bit
 * Architecture.
 */
#ifndef ARM64_BOOT_H
#define ARM64_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arm64/dtb.h"
#include "vmm/elf.h"
#include "vmm/memory.h"

/*
 * The state in which the boot processor starts: EL1h, DAIF masked, MMU and caches off, X1-X3 and all else 0. Source:
 * Linux Documentation/arm64/booting.rst.
 */
struct boot_entry {
	uint64_t pc;
	uint64_t x0; /* the device tree's address */
};

/* Names for --boot, in the order of preference, as an initialiser; and the first part of every command line. */
#define ARM64_BOOT_KINDS                                                                                               \
	{                                                                                                              \
		"linux", "elf", "raw", NULL                                                                            \
	}
#define ARM64_BOOT_CMDLINE "console=ttyAMA0"

#define ARM64_BOOT_TAKEN_MAX 72 /* every segment of an ELF file, and what else there is */
#define ARM64_IMAGE_ALIGN    ((uint64_t)1 << 21)

struct boot {
	/* what is wanted; set by the caller */
	struct guest_memory *mem; /* one range, from arm64_boot_ram_layout() */
	const struct image_file *image;
	const char *kind;    /* one of ARM64_BOOT_KINDS, or NULL: by the file */
	const char *cmdline; /* of --cmdline, or NULL */
	const char *initrd;  /* of --initrd, or NULL */
	bool kaslr;
	struct arm64_board_info board;

	/* what came of it */
	struct boot_entry entry;
	struct image_layout layout;

	/* in between */
	struct {
		uint64_t gpa, end;
	} taken[ARM64_BOOT_TAKEN_MAX];
	unsigned ntaken;
	uint64_t image_gpa, image_end; /* of the whole image in RAM */
	uint64_t initrd_gpa, initrd_size;
	bool linux_kernel;
};

/* boot.c: everything but the image and initrd files: b->image is open. b->entry and b->layout are valid after 0. */
int arm64_boot_load(struct boot *b);

/* boot_map.c: who has which part of RAM. As arch_ram_layout(). */
int arm64_boot_ram_layout(uint64_t size, struct mem_range *ranges, int max);
/* A piece of the image: -ENOEXEC, logged, if RAM lacks it. Keeps image_gpa and image_end. */
int arm64_boot_take_image(struct boot *b, uint64_t gpa, uint64_t size);
/*
 * Find room for size bytes (align: a power of two) and take it. high: the highest place whose last byte is <= max;
 * after: the first fit from `from` up. -ENOSPC without a message. at: just there, false if something is in the way.
 */
int arm64_boot_place_high(struct boot *b, uint64_t size, uint64_t align, uint64_t max, uint64_t *gpa);
int arm64_boot_place_after(struct boot *b, uint64_t from, uint64_t size, uint64_t align, uint64_t *gpa);
bool arm64_boot_place_at(struct boot *b, uint64_t gpa, uint64_t size);

/* boot_image.c: Linux's `Image`. */
struct arm64_image {
	uint64_t text_offset; /* from a 2 MiB aligned base */
	uint64_t image_size;  /* in memory; 0: an old kernel that does not say */
	bool big_endian;
	unsigned page_kib; /* 0: it does not say */
	bool anywhere;	   /* memory below the image is not lost to it */
};
/* Is there such a header at data? Any values in it are taken as they are. */
bool arm64_image_header(const uint8_t *data, uint64_t size, struct arm64_image *out);
/* Where such an image goes, text_offset included: size bytes, all of them in RAM and taken. */
int arm64_image_place(struct boot *b, const struct arm64_image *h, uint64_t size, uint64_t *gpa);
int arm64_boot_image(struct boot *b, const struct arm64_image *h);

/*
 * boot_kaddr.c: the virtual address at which an Image is linked, from the relocations in it; 0 if it has none, or
 * none that can be relied on. text_offset as in its header, size in memory.
 */
uint64_t arm64_image_kaddr(const uint8_t *data, uint64_t file_size, uint64_t text_offset, uint64_t size);

/* boot_elf.c */
#define ARM64_KERNEL_HALF 0xfff0000000000000ULL /* translated by TTBR1, with any size of addresses */
int arm64_boot_linux_elf(struct boot *b, const struct elf_image *elf);
int arm64_boot_bare_elf(struct boot *b, const struct elf_image *elf);

/* boot_formats.c: -ENOEXEC, logged with the way out, if f is not to be run as raw code unless that is asked for. */
int arm64_boot_refuse(const struct image_file *f);

#endif
