/*
 * Loading a kernel: choose its kind, place everything in RAM, say how the boot processor starts. Main thread, before
 * any vCPU runs. Nothing here knows KVM: all of it works on guest memory and numbers, so it is unit-tested and fuzzed
 * over plain memory.
 *
 * Every function that can fail returns 0 or -errno with one line logged, -ENOEXEC where a file is at fault.
 *
 * Sources: Linux Documentation/x86/boot.rst and zero-page.rst; Xen docs/misc/pvh.pandoc and
 * public/arch-x86/hvm/start_info.h; Multiboot Specification 0.6.96; ACPI 6.4, chapter 15 (memory map).
 */
#ifndef X86_BOOT_H
#define X86_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/elf.h"
#include "vmm/memory.h"

enum boot_mode {
	BOOT_MODE_PROT32, /* protected mode, paging off, flat 4 GiB segments */
	BOOT_MODE_LONG64, /* long mode, paging on, flat segments */
};

/*
 * The state in which the boot processor starts. Registers that are not here are 0, RFLAGS is 2 (IF, DF, TF clear),
 * IDTR is base 0 limit 0. Segments: CS = `cs` (base 0, limit 4 GiB, 32-bit code in PROT32, L=1 code in LONG64),
 * DS ES FS GS SS = `ds` (base 0, limit 4 GiB, writable data), TR = `tr` (base 0, limit 0x67, busy TSS), LDTR = 0
 * (unusable). The same descriptors stand in the GDT.
 */
struct boot_entry {
	enum boot_mode mode;
	uint64_t rip;
	uint64_t rax, rbx, rsi, rdi, rsp;
	uint64_t cr0, cr3, cr4, efer;
	uint64_t gdt_base;
	uint16_t gdt_limit;
	uint16_t cs, ds, tr;
};

/* ---- boot_map.c: the memory map and who has which part of it ---- */

enum boot_ram_type { /* the numbers of e820, PVH and Multiboot alike */
	BOOT_RAM_USABLE = 1,
	BOOT_RAM_RESERVED = 2,
	BOOT_RAM_ACPI = 3,
};

#define BOOT_MAP_MAX 8
struct boot_map {
	struct {
		uint64_t gpa, size;
		enum boot_ram_type type;
	} e[BOOT_MAP_MAX];
	unsigned n;
};

#define BOOT_TAKEN_MAX 96

struct boot;

/* The map for this RAM; the ACPI tables end at acpi_end. */
void boot_map_fill(struct boot_map *map, const struct guest_memory *mem, uint64_t acpi_end);
/* Note that [gpa, gpa+size) is occupied. -ENOSPC: too many pieces. */
int boot_take(struct boot *b, uint64_t gpa, uint64_t size);
/* As boot_take, for a piece of the image: -ENOEXEC, logged, if RAM lacks it or the ACPI tables are there. */
int boot_take_image(struct boot *b, uint64_t gpa, uint64_t size);
/*
 * Find room for size bytes (align: a power of two) and take it. low: first fit from LAYOUT_LOW to the EBDA and, if
 * that is full, as high as possible below 3 GiB. high: the highest place whose last byte is <= max, below 3 GiB and
 * above 1 MiB. after: the first fit from `from` up. All return -ENOSPC without a message.
 */
int boot_place_low(struct boot *b, uint64_t size, uint64_t align, uint64_t *gpa);
int boot_place_high(struct boot *b, uint64_t size, uint64_t align, uint64_t max, uint64_t *gpa);
int boot_place_after(struct boot *b, uint64_t from, uint64_t size, uint64_t align, uint64_t *gpa);
/* boot_place_low, logged when full, with `what` in the message; the memory is zero. NULL on failure. */
void *boot_alloc(struct boot *b, uint64_t size, uint64_t align, const char *what, uint64_t *gpa);

/* ---- the work itself ---- */

struct boot {
	/* what is wanted; set by the caller */
	struct guest_memory *mem;
	const struct image_file *image;
	const char *kind;    /* one of arch_boot_kinds, or NULL: by the file */
	const char *cmdline; /* of --cmdline, or NULL */
	const char *initrd;  /* of --initrd, or NULL */
	bool kaslr;
	unsigned ncpus;

	/* what came of it */
	struct boot_entry entry;
	struct image_layout layout;
	/* Where a bzImage unpacks its kernel (not with KASLR), with how much room, and where that is linked; or 0. */
	struct {
		uint64_t gpa, len, va;
	} unpacked;

	/* in between */
	struct boot_map map;
	struct {
		uint64_t gpa, end;
	} taken[BOOT_TAKEN_MAX];
	unsigned ntaken;
	uint64_t acpi_end; /* 0: no tables yet */
	uint64_t rsdp;
	uint64_t initrd_gpa, initrd_size;
};

/* boot.c: everything but the files: b->image is open. b->entry and b->layout are valid after 0. */
int boot_load(struct boot *b);
/* One file as initrd, page aligned, the last byte <= max. Sets initrd_gpa and initrd_size; without --initrd, 0. */
int boot_load_initrd(struct boot *b, uint64_t max);
/*
 * prefix, the default command line, extra and --cmdline, in this order and joined by spaces (each but the default may
 * be NULL), put into RAM. limit: bytes without the final 0.
 */
int boot_put_cmdline(struct boot *b, const char *prefix, const char *extra, size_t limit, uint64_t *gpa);
/* Segments of an ELF image: take their room, load them, fill b->layout. */
int boot_load_elf(struct boot *b, const struct elf_image *elf);

/*
 * firmware.c: the ACPI tables, the BIOS data area and vectors. Before anything of the image is loaded, which may go
 * over all of it but the tables. Sets rsdp and acpi_end.
 */
int boot_put_firmware(struct boot *b);

/* boot_paging.c: GDT, and page tables with every address below 4 GiB and all RAM mapped to itself. */
int boot_set_prot32(struct boot *b);
int boot_set_long64(struct boot *b);
/* After boot_set_long64: map an ELF's segments where they were linked; -ENOEXEC if that cannot be. */
int boot_map_segments(struct boot *b, const struct elf_image *elf);

/* boot_linux.c */
bool boot_is_bzimage(const struct image_file *f);
int boot_bzimage(struct boot *b);
int boot_linux_elf(struct boot *b, const struct elf_image *elf);

/* boot_pvh.c */
bool boot_pvh_entry(const struct elf_image *elf, uint64_t *entry);
int boot_pvh(struct boot *b, const struct elf_image *elf);
/* The hvm_start_info block and what it points to, also for bare ELF64. */
int boot_put_start_info(struct boot *b, uint64_t cmdline_gpa, uint64_t *gpa);
int boot_bare_elf(struct boot *b, const struct elf_image *elf);

/* boot_multiboot.c */
struct multiboot_header {
	size_t offset; /* in the file */
	uint32_t flags;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr; /* with MULTIBOOT_KLUDGE */
};
#define MULTIBOOT_KLUDGE (1U << 16)
bool boot_find_multiboot(const struct image_file *f, struct multiboot_header *h);
bool boot_has_multiboot2(const struct image_file *f);
/* elf: NULL if the header has its own addresses (MULTIBOOT_KLUDGE). */
int boot_multiboot(struct boot *b, const struct multiboot_header *h, const struct elf_image *elf);

/* elf32.c: a 32-bit x86 ELF file's program headers, checked as elf_parse() does, as an elf_image. */
int elf32_parse(struct elf_image *elf, const struct image_file *f);

#endif
