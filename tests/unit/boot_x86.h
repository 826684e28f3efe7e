/* For tests of x86's loaders: the driver, checks of the boot processor's state, and an ELF64 file. */
#ifndef TESTS_UNIT_BOOT_X86_H
#define TESTS_UNIT_BOOT_X86_H

#include <elf.h>

#include "arch/arch.h"
#include "arch/x86_64/boot.h"
#include "arch/x86_64/layout.h"
#include "tests/unit/boot_driver.h"

#define PAGE	  4096ULL
#define NO_RETURN 12345

static int driver_layout(uint64_t size, struct mem_range *ranges, int max)
{
	return arch_ram_layout(size, ranges, max);
}

static int driver_load(struct boot *b)
{
	if (!b->ncpus)
		b->ncpus = 2;
	return boot_load(b);
}

/* ---- walking what was built ---- */

TAP_UNUSED static uint64_t walk(uint64_t va)
{
	uint64_t table = boot.entry.cr3;

	for (int level = 4; level; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t e;

		memcpy(&e, at(table + (va >> shift & 511) * 8, 8), 8);
		if (!(e & 1))
			return NO_RETURN;
		if (level == 2 && e & 0x80)
			return (e & 0x000fffffffe00000) + (va & 0x1fffff);
		table = e & 0x000ffffffffff000;
	}
	return table + (va & 0xfff);
}

TAP_UNUSED static void check_long64(const char *name)
{
	const struct boot_entry *e = &boot.entry;
	const uint64_t *gdt = at(e->gdt_base, e->gdt_limit + 1);

	tap_ok(e->mode == BOOT_MODE_LONG64 && (e->cr0 & 0x80000001) == 0x80000001 && e->cr4 & 0x20 && e->efer == 0x500,
		"%s: long mode", name);
	tap_ok(e->cs == 0x10 && e->ds == 0x18 && gdt[2] == 0x00af9b000000ffff && gdt[3] == 0x00cf93000000ffff,
		"%s: GDT with 64-bit code at 0x10, data at 0x18", name);
	tap_ok(walk(0x1000) == 0x1000 && walk(4 * GIB - 1) == 4 * GIB - 1, "%s: low 4 GiB mapped to themselves", name);
}

TAP_UNUSED static void check_prot32(const char *name)
{
	const struct boot_entry *e = &boot.entry;
	const uint64_t *gdt = at(e->gdt_base, e->gdt_limit + 1);

	tap_ok(e->mode == BOOT_MODE_PROT32 && (e->cr0 & 0x80000001) == 1 && !e->cr4 && !e->efer && !e->cr3,
		"%s: protected mode, paging off", name);
	tap_ok(gdt[e->cs / 8] == 0x00cf9b000000ffff && gdt[e->ds / 8] == 0x00cf93000000ffff &&
			(gdt[e->tr / 8] >> 40 & 0xff) == 0x8b && e->gdt_limit >= e->tr + 7,
		"%s: flat segments and a TSS in the GDT", name);
}

/* ---- ELF64 ---- */

struct elf64 {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	struct {
		Elf64_Nhdr nh;
		char name[8];
		uint32_t desc;
	} note;
	uint32_t multiboot[12];
	uint8_t code[64], data[32];
};

TAP_UNUSED static void elf64_init(struct elf64 *im, uint64_t offset)
{
	memset(im, 0, sizeof(*im));
	memcpy(im->eh.e_ident, ELFMAG "\2\1\1", 7);
	im->eh.e_type = ET_EXEC;
	im->eh.e_machine = EM_X86_64;
	im->eh.e_entry = 0x100010 + offset;
	im->eh.e_phoff = offsetof(struct elf64, ph);
	im->eh.e_phentsize = sizeof(Elf64_Phdr);
	im->eh.e_phnum = 3;
	im->ph[0] = (Elf64_Phdr){
		PT_LOAD, PF_R | PF_X, offsetof(struct elf64, code), 0x100000 + offset, 0x100000, 64, 64, 4};
	im->ph[1] = (Elf64_Phdr){
		PT_LOAD, PF_R | PF_W, offsetof(struct elf64, data), 0x201000 + offset, 0x201000, 32, 0x3000, 4};
	im->ph[2] = (Elf64_Phdr){PT_NOTE, PF_R, offsetof(struct elf64, note), 0, 0, sizeof(im->note), 0, 4};
	memset(im->code, 0x90, sizeof(im->code));
	memset(im->data, 0xda, sizeof(im->data));
}

TAP_UNUSED static void elf64_note(struct elf64 *im, const char *name, uint32_t type, uint32_t desc)
{
	im->note.nh = (Elf64_Nhdr){strlen(name) + 1, 4, type};
	memset(im->note.name, 0, sizeof(im->note.name));
	strcpy(im->note.name, name);
	im->note.desc = desc;
	if (strlen(name) < 4) { /* the name is padded to 4, not to 8 */
		memcpy(im->note.name + 4, &desc, 4);
		im->ph[2].p_filesz = sizeof(im->note) - 4;
	}
}

#endif
