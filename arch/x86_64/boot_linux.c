/*
 * Linux by its own boot protocol, always at the 64-bit entry: a bzImage, or a vmlinux without a PVH note.
 * Documentation/x86/boot.rst ("64-bit BOOT PROTOCOL") and zero-page.rst.
 */
#include "arch/x86_64/boot.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "vmm/log.h"

#define MIB		    ((uint64_t)1 << 20)
#define SECTOR		    512
#define PARAGRAPH	    16
#define BOOT_FLAG	    0xaa55
#define BOOT_FLAG_AT	    0x1fe
#define HDR_AT		    0x1f1
#define HDR_MAGIC	    0x53726448 /* "HdrS" */
#define HDR_MAGIC_AT	    0x202
#define HDR_JUMP_LEN_AT	    0x201  /* the header ends that many bytes behind 0x202 */
#define PROTOCOL_XLOADFLAGS 0x020c /* the first with XLF_KERNEL_64 */
#define LOADER_UNDEFINED    0xff
#define ENTRY64		    0x200	/* from the start of the protected-mode code */
#define SETUP_SECTS_OLD	    4		/* what 0 means */
#define INITRD_MAX	    0x7fffffffU /* highest byte, for kernels that say nothing */
#define CMDLINE_MAX	    2047	/* COMMAND_LINE_SIZE - 1 of every x86 kernel */
#define VMLINUX_ALIGN	    0x200000
#define KERNEL_MAP	    0xffffffff80000000ull /* Documentation/arch/x86/x86_64/mm.rst: "kernel text mapping" */

bool boot_is_bzimage(const struct image_file *f)
{
	uint32_t magic;
	uint16_t flag;

	if (f->size < HDR_MAGIC_AT + sizeof(magic))
		return false;
	memcpy(&magic, f->data + HDR_MAGIC_AT, sizeof(magic));
	memcpy(&flag, f->data + BOOT_FLAG_AT, sizeof(flag));
	return magic == HDR_MAGIC && flag == BOOT_FLAG;
}

/* The command line, the memory map and the rest that every Linux gets; *gpa is where boot_params is. */
static int put_boot_params(
	struct boot *b, struct boot_params *wanted, const char *extra, size_t cmdline_max, uint64_t *gpa)
{
	uint64_t cmdline;
	struct boot_params *bp;
	int err = boot_put_cmdline(b, NULL, extra, cmdline_max, &cmdline);

	if (err)
		return err;
	wanted->hdr.type_of_loader = LOADER_UNDEFINED;
	wanted->hdr.cmd_line_ptr = cmdline;
	wanted->hdr.ramdisk_image = b->initrd_gpa;
	wanted->hdr.ramdisk_size = b->initrd_size;
	wanted->acpi_rsdp_addr = b->rsdp;
	for (unsigned i = 0; i < b->map.n; i++) {
		wanted->e820_table[i].addr = b->map.e[i].gpa;
		wanted->e820_table[i].size = b->map.e[i].size;
		wanted->e820_table[i].type = b->map.e[i].type;
	}
	wanted->e820_entries = b->map.n;
	bp = boot_alloc(b, sizeof(*bp), 4096, "boot parameters", gpa);
	if (!bp)
		return -ENOSPC;
	*bp = *wanted;
	return 0;
}

static int linux_entry(struct boot *b, uint64_t entry, uint64_t params)
{
	int err = boot_set_long64(b);

	b->entry.rip = entry;
	b->entry.rsi = params;
	return err;
}

int boot_linux_elf(struct boot *b, const struct elf_image *elf)
{
	struct boot_params bp = {
		.hdr =
			{
				.boot_flag = BOOT_FLAG,
				.header = HDR_MAGIC,
				.version = PROTOCOL_XLOADFLAGS,
				.loadflags = LOADED_HIGH,
				.xloadflags = XLF_KERNEL_64,
				.initrd_addr_max = INITRD_MAX,
				.kernel_alignment = VMLINUX_ALIGN,
				.cmdline_size = CMDLINE_MAX,
			},
	};
	uint64_t params;
	int err = boot_load_elf(b, elf);

	if (!err)
		err = boot_load_initrd(b, INITRD_MAX);
	if (!err)
		err = put_boot_params(b, &bp, NULL, CMDLINE_MAX, &params);
	if (!err)
		err = linux_entry(b, elf_entry_pa(elf), params);
	return err;
}

static int bad(struct boot *b, const char *what)
{
	log_error("%s: bzImage: %s", b->image->path, what);
	return -ENOEXEC;
}

static bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* Copies the header (whose length it states itself) and checks what is used of it. *code: the 64-bit part. */
static int read_header(struct boot *b, struct setup_header *hdr, const uint8_t **code, uint64_t *code_size)
{
	const struct image_file *f = b->image;
	uint64_t end = HDR_MAGIC_AT + f->data[HDR_JUMP_LEN_AT], setup;

	if (end > HDR_AT + sizeof(*hdr))
		end = HDR_AT + sizeof(*hdr);
	if (end > f->size)
		return bad(b, "truncated in the setup header");
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr, f->data + HDR_AT, end - HDR_AT);
	if (hdr->version < PROTOCOL_XLOADFLAGS)
		return bad(b, "boot protocol older than 2.12 (Linux 3.8): no 64-bit entry");
	if (!(hdr->xloadflags & XLF_KERNEL_64))
		return bad(b, "a 32-bit kernel: it has no 64-bit entry");
	if (!(hdr->loadflags & LOADED_HIGH))
		return bad(b, "a zImage: it loads below 1 MiB");

	setup = (uint64_t)(hdr->setup_sects ? hdr->setup_sects : SETUP_SECTS_OLD) * SECTOR + SECTOR;
	*code_size = (uint64_t)hdr->syssize * PARAGRAPH;
	/* It is rounded up, and not every kernel's file is padded to it. */
	if (setup<f->size && * code_size> f->size - setup && *code_size - (f->size - setup) < PARAGRAPH)
		*code_size = f->size - setup;
	if (setup >= f->size || *code_size > f->size - setup || *code_size <= ENTRY64) {
		log_error("%s: bzImage: truncated: %" PRIu64 " bytes of setup and %" PRIu64
			  " of kernel are said to be in a file of %zu",
			f->path, setup, *code_size, f->size);
		return -ENOEXEC;
	}
	*code = f->data + setup;
	if (hdr->relocatable_kernel && !power_of_two(hdr->kernel_alignment))
		return bad(b, "its kernel_alignment is no power of two");
	if (!hdr->cmdline_size)
		return bad(b, "it takes no command line (cmdline_size is 0)");
	return 0;
}

/*
 * Where it wants to be if that is free, else, for a relocatable one, anywhere aligned. init_size is what the kernel
 * uses before it has looked at the memory map.
 */
static int place_kernel(struct boot *b, const struct setup_header *hdr, uint64_t size, uint64_t *gpa)
{
	uint64_t want = hdr->pref_address, room = hdr->init_size > size ? hdr->init_size : size;

	if (memory_has(b->mem, want, room) && want >= b->acpi_end) {
		*gpa = want;
		return boot_take(b, want, room);
	}
	if (hdr->relocatable_kernel && !boot_place_after(b, 0, room, hdr->kernel_alignment, gpa))
		return 0;
	log_error("%s: needs %" PRIu64 " KiB of RAM at 0x%" PRIx64 ", the guest has %" PRIu64
		  " KiB: give it more (--mem)",
		b->image->path, room / 1024, want, b->mem->size / 1024);
	return -ENOEXEC;
}

/*
 * The unpacker leaves the kernel where it has been loaded itself, but no lower than where the kernel wants to be: by
 * paging that is at the same virtual address then. Linux, arch/x86/boot/compressed/head_64.S, startup_64.
 */
static void note_unpacked(struct boot *b, const struct setup_header *hdr, uint64_t gpa)
{
	uint64_t to = gpa > hdr->pref_address ? gpa : hdr->pref_address;

	if (b->kaslr || !memory_has(b->mem, to, hdr->init_size))
		return;
	b->unpacked.gpa = to;
	b->unpacked.len = hdr->init_size;
	b->unpacked.va = KERNEL_MAP + hdr->pref_address;
}

int boot_bzimage(struct boot *b)
{
	struct boot_params bp = {0};
	struct setup_header *hdr = &bp.hdr;
	const uint8_t *code = NULL;
	uint64_t size = 0, gpa, params;
	int err = read_header(b, hdr, &code, &size);

	if (err)
		return err;
	err = place_kernel(b, hdr, size, &gpa);
	if (err)
		return err;
	memory_write(b->mem, gpa, code, size);
	hdr->code32_start = gpa;
	note_unpacked(b, hdr, gpa);
	err = boot_load_initrd(b, hdr->initrd_addr_max ? hdr->initrd_addr_max : INITRD_MAX);
	if (!err)
		err = put_boot_params(b, &bp, b->kaslr ? NULL : "nokaslr", hdr->cmdline_size, &params);
	if (!err)
		err = linux_entry(b, gpa + ENTRY64, params);
	return err;
}
