/* ELF64 files over plain memory: vmlinux, and programs that stay where they are linked. */
#include "tests/unit/boot_arm64.h"

#include <elf.h>

struct elf64 {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	struct {
		Elf64_Nhdr nh;
		char name[8];
		uint32_t desc;
	} note;
	uint8_t code[128], data[32];
};

static void elf64_init(struct elf64 *im, uint64_t va, uint64_t pa)
{
	memset(im, 0, sizeof(*im));
	memcpy(im->eh.e_ident, ELFMAG "\2\1\1", 7);
	im->eh.e_type = ET_EXEC;
	im->eh.e_machine = EM_AARCH64;
	im->eh.e_entry = va + 0x10;
	im->eh.e_phoff = offsetof(struct elf64, ph);
	im->eh.e_phentsize = sizeof(Elf64_Phdr);
	im->eh.e_phnum = 3;
	im->ph[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, offsetof(struct elf64, code), va, pa, 128, 128, 4};
	im->ph[1] = (Elf64_Phdr){
		PT_LOAD, PF_R | PF_W, offsetof(struct elf64, data), va + 0x1000, pa + 0x1000, 32, 0x3000, 4};
	im->ph[2] = (Elf64_Phdr){PT_NOTE, PF_R, offsetof(struct elf64, note), 0, 0, sizeof(im->note), 0, 4};
	memset(im->code, 0xc0, sizeof(im->code));
	memset(im->data, 0xda, sizeof(im->data));
}

static void elf64_linux(struct elf64 *im)
{
	im->note.nh = (Elf64_Nhdr){6, 4, 0x100};
	memcpy(im->note.name, "Linux", 6);
}

/* The Image header that a vmlinux begins with. */
static void elf64_header(struct elf64 *im, uint64_t flags)
{
	uint64_t size = 0x4000;

	memcpy(im->code + 16, &size, 8);
	memcpy(im->code + 24, &flags, 8);
	memcpy(im->code + 56, "ARM\x64", 4);
}

static void test_vmlinux(void)
{
	struct elf64 im;

	memory_make(64 * MIB);
	elf64_init(&im, KERNEL, KERNEL); /* as Linux's linker script has it */
	elf64_linux(&im);
	if (!loaded(&im, sizeof(im), NULL, "vmlinux with a Linux note"))
		return;
	tap_is_u64(boot.entry.pc, RAM + 2 * MIB + 0x10, "vmlinux: its entry, made physical");
	tap_is_u64(boot.entry.x0, RAM, "vmlinux: the device tree is at the start of RAM");
	tap_ok(*(const uint8_t *)at(RAM + 2 * MIB, 1) == 0xc0 &&
			*(const uint8_t *)at(RAM + 2 * MIB + 0x1000, 1) == 0xda,
		"vmlinux: segments keep their distance");
	tap_ok(resolves(KERNEL + 8, RAM + 2 * MIB + 8) && resolves(KERNEL + 0x3fff, RAM + 2 * MIB + 0x3fff),
		"vmlinux: virtual addresses known");
	check_bootargs("console=ttyAMA0 nokaslr", "vmlinux");

	elf64_init(&im, KERNEL + 0x80000, 0);
	memcpy(im.data + 5, "Linux version 4.14", 19);
	loaded(&im, sizeof(im), NULL, "vmlinux known by its banner, linked at an offset");
	tap_is_u64(boot.entry.pc, RAM + 0x80010, "keeps its offset from 2 MiB");

	elf64_init(&im, KERNEL, 0);
	elf64_linux(&im);
	elf64_header(&im, 0);
	loaded(&im, sizeof(im), NULL, "vmlinux whose header wants the start of RAM");
	tap_ok(boot.entry.pc == RAM + 0x10 && boot.entry.x0 >= RAM + 0x4000, "is there, the tree is not");
	elf64_header(&im, 1);
	refused(&im, sizeof(im), NULL, "big-endian", "vmlinux whose header says big-endian");
}

static void test_bad_vmlinux(void)
{
	struct boot wish = {.kind = "elf"};
	struct elf64 im;

	elf64_init(&im, KERNEL, 0);
	elf64_linux(&im);
	refused(&im, sizeof(im), &wish, "needs RAM at 0x0-0x7f", "--boot elf for a vmlinux");
	im.ph[1].p_vaddr = KERNEL + 127;
	refused(&im, sizeof(im), NULL, "segments 0 and 1 share the address", "vmlinux with segments over each other");
	elf64_init(&im, KERNEL, 0);
	elf64_linux(&im);
	im.ph[1].p_vaddr = 0x1000;
	refused(&im, sizeof(im), NULL, "outside of the kernel's half", "vmlinux with a segment in the user's half");
	elf64_init(&im, KERNEL, 0);
	elf64_linux(&im);
	im.ph[1].p_vaddr = 0xfffffffffffff000;
	im.ph[1].p_memsz = 0x1000;
	refused(&im, sizeof(im), NULL, "or the file is damaged", "vmlinux over the whole kernel half");
	elf64_init(&im, KERNEL, 0);
	elf64_linux(&im);
	im.eh.e_entry = 0;
	refused(&im, sizeof(im), NULL, "entry point, 0x0, is in none", "vmlinux entered elsewhere");
	wish.kind = "linux";
	elf64_init(&im, RAM, RAM);
	refused(&im, sizeof(im), &wish, "it is neither an arm64 Image nor", "--boot linux for a bare ELF64");
}

static void test_bare(void)
{
	const char *initrd = temp_file(100, 0x55);
	struct boot wish = {.initrd = initrd, .cmdline = "x"};
	struct elf64 im;

	memory_make(64 * MIB);
	elf64_init(&im, RAM + 0x80000, RAM + 0x80000);
	if (loaded(&im, sizeof(im), &wish, "bare ELF64")) {
		tap_is_u64(boot.entry.pc, RAM + 0x80010, "bare: entry");
		tap_is_u64(boot.entry.x0, RAM, "bare: the device tree is at the start of RAM");
		check_bootargs("console=ttyAMA0 x", "bare");
		tap_ok(fdt_cells(tree("bare"), "/chosen", "linux,initrd-end", 0, RAM + 64 * MIB - 64 * KIB + 100),
			"bare: initrd");
		tap_ok(resolves(RAM + 0x80000, RAM + 0x80000), "bare: layout");
	}
	unlink(initrd);

	elf64_init(&im, KERNEL, RAM + 2 * MIB);
	loaded(&im, sizeof(im), NULL, "higher-half ELF64");
	tap_is_u64(boot.entry.pc, RAM + 2 * MIB + 0x10, "higher-half: the entry is made physical");
	tap_ok(resolves(KERNEL + 0x1001, RAM + 2 * MIB + 0x1001), "higher-half: virtual addresses known");
	im.eh.e_entry = RAM + 2 * MIB + 0x20;
	loaded(&im, sizeof(im), NULL, "higher-half ELF64 with a physical entry");
	tap_is_u64(boot.entry.pc, RAM + 2 * MIB + 0x20, "is entered there");

	elf64_init(&im, RAM, RAM);
	loaded(&im, sizeof(im), NULL, "ELF64 at the start of RAM");
	tap_is_u64(boot.entry.x0, RAM + 64 * MIB - 4096, "the device tree is at the end of RAM");
	tap_is_u64(*(const uint8_t *)at(RAM, 1), 0xc0, "and the image is whole");
	tree("end of RAM");
	im.ph[1].p_memsz = 64 * MIB - 0x1000 - 4096;
	loaded(&im, sizeof(im), NULL, "ELF64 that leaves just a page");
	im.ph[1].p_memsz += 4096;
	refused(&im, sizeof(im), NULL, "no room in 64 MiB of RAM for a device tree", "ELF64 that leaves nothing");
	im.ph[1].p_memsz += 1;
	refused(&im, sizeof(im), NULL, "needs RAM at 0x40001000-0x44000000", "ELF64 beyond the end of RAM");
}

static void test_bad_bare(void)
{
	struct boot wish = {.kind = "raw"};
	struct elf64 im;

	elf64_init(&im, 0x80000, 0x80000);
	refused(&im, sizeof(im), NULL, "the guest has it at 0x40000000-0x43ffffff", "ELF64 linked for another board");
	elf64_init(&im, RAM, RAM);
	im.eh.e_entry = RAM + 0x12;
	refused(&im, sizeof(im), NULL, "no address of an instruction", "an odd entry point");
	im.eh.e_entry = 0;
	refused(&im, sizeof(im), NULL, "is in none of its segments", "an entry point outside");
	elf64_init(&im, RAM, RAM);
	im.ph[2].p_type = PT_INTERP;
	refused(&im, sizeof(im), NULL, "names an interpreter", "a program of a running system");
	elf64_init(&im, RAM, RAM);
	im.eh.e_machine = EM_X86_64;
	refused(&im, sizeof(im), NULL, "x86_64 image, this build runs aarch64", "ELF64 of another machine");
	im.eh.e_ident[EI_CLASS] = ELFCLASS32;
	refused(&im, sizeof(im), NULL, "32-bit ELF", "a 32-bit ELF file");
	im.eh.e_ident[EI_CLASS] = ELFCLASS64;
	im.eh.e_ident[EI_DATA] = ELFDATA2MSB;
	refused(&im, sizeof(im), NULL, "not little-endian", "a big-endian ELF file");
	elf64_init(&im, RAM, RAM);
	refused(&im, sizeof(im) - 1, NULL, "truncated", "a truncated ELF file");
	loaded(&im, sizeof(im), &wish, "ELF64 with --boot raw");
	tap_is_mem(at(RAM + 0x80000, 4), ELFMAG, 4, "is loaded as it is");
}

int main(void)
{
	test_vmlinux();
	test_bad_vmlinux();
	test_bare();
	test_bad_bare();
	memory_drop();
	return tap_done();
}
