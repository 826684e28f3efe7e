/* Linux by its boot protocol, over plain memory: bzImage and vmlinux. */
#include "tests/unit/boot_x86.h"

#include <asm/bootparam.h>

#define SETUP_SECTS 3
#define CODE_SIZE   4096

struct bzimage {
	uint8_t setup[(SETUP_SECTS + 1) * 512];
	uint8_t code[CODE_SIZE];
	uint8_t signature[100];
};

static struct setup_header *bz_hdr(struct bzimage *im)
{
	return (struct setup_header *)(im->setup + 0x1f1);
}

static void bz_init(struct bzimage *im)
{
	memset(im, 0, sizeof(*im));
	memset(im->setup, 0xff, 0x1f1); /* the sentinel and more that must not be copied */
	*bz_hdr(im) = (struct setup_header){
		.setup_sects = SETUP_SECTS,
		.syssize = CODE_SIZE / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.pref_address = 0x1000000,
		.init_size = 0x1400000,
	};
	memset(im->code, 0xc0, sizeof(im->code));
}

static void test_bzimage(void)
{
	const char *initrd = temp_file(5000, 0x42);
	struct boot wish = {.initrd = initrd, .cmdline = "root=/dev/ram"};
	const struct boot_params *bp;
	struct bzimage im;

	memory_make(64 * MIB);
	bz_init(&im);
	if (!loaded(&im, sizeof(im), &wish, "bzImage"))
		return;
	check_long64("bzImage");
	tap_is_u64(boot.entry.rip, 0x1000200, "bzImage: 64-bit entry at the preferred address");
	tap_ok(boot.unpacked.gpa == 0x1000000 && boot.unpacked.len == 0x1400000 &&
			boot.unpacked.va == 0xffffffff81000000,
		"bzImage: and there it unpacks its kernel");
	tap_is_u64(*(const uint8_t *)at(0x1000fff, 1), 0xc0, "bzImage: code in place");
	tap_is_u64(*(const uint8_t *)at(0x1001000, 1), 0, "bzImage: what follows in the file is not loaded");
	bp = at(boot.entry.rsi, sizeof(*bp));
	tap_ok(bp->hdr.header == 0x53726448 && bp->hdr.type_of_loader == 0xff && bp->hdr.init_size == 0x1400000 &&
			bp->hdr.code32_start == 0x1000000 && bp->sentinel == 0 && bp->edd_mbr_sig_buf_entries == 0,
		"bzImage: the setup header, and only that, in boot_params");
	tap_is_str(at(bp->hdr.cmd_line_ptr, 64), "console=ttyS0 nokaslr root=/dev/ram", "bzImage: command line");
	tap_ok(bp->hdr.ramdisk_size == 5000 && bp->hdr.ramdisk_image == 64 * MIB - 8192, "bzImage: initrd");
	tap_ok(bp->e820_entries == boot.map.n && bp->e820_table[0].size == 0x9fc00 && bp->acpi_rsdp_addr == boot.rsdp,
		"bzImage: e820 and RSDP");
	wish.kaslr = true;
	loaded(&im, sizeof(im), &wish, "bzImage with --kaslr");
	bp = at(boot.entry.rsi, sizeof(*bp));
	tap_is_str(at(bp->hdr.cmd_line_ptr, 64), "console=ttyS0 root=/dev/ram", "--kaslr: no nokaslr");
	tap_is_u64(boot.unpacked.len, 0, "--kaslr: no telling where it unpacks itself");

	bz_hdr(&im)->initrd_addr_max = 0x37fffff; /* right above the kernel */
	loaded(&im, sizeof(im), &wish, "bzImage with a limit for its initrd");
	bp = at(boot.entry.rsi, sizeof(*bp));
	tap_ok(bp->hdr.ramdisk_image + 8192 == 0x3800000, "the initrd is below initrd_addr_max");
	bz_hdr(&im)->initrd_addr_max = 0x23fffff; /* the kernel fills all down to 16 MiB */
	loaded(&im, sizeof(im), &wish, "bzImage, initrd below the kernel");
	bp = at(boot.entry.rsi, sizeof(*bp));
	tap_ok(bp->hdr.ramdisk_image + 8192 == 0x1000000, "the initrd keeps clear of init_size");
	unlink(initrd);

	bz_init(&im);
	memory_make(32 * MIB);
	loaded(&im, sizeof(im), NULL, "bzImage with less RAM than it prefers");
	tap_is_u64(boot.entry.rip, 0x200200, "is moved to where its alignment lets it");
	tap_is_u64(boot.unpacked.len, 0, "where it cannot unpack itself");
	bz_hdr(&im)->init_size = 0xc00000;
	bz_hdr(&im)->pref_address = 0x1600000;
	loaded(&im, sizeof(im), NULL, "bzImage whose preferred address is near the end of RAM");
	tap_ok(!boot.unpacked.len, "unpacks itself nowhere that is known");
	bz_hdr(&im)->init_size = 0x1400000;
	bz_hdr(&im)->pref_address = 0x80000;
	loaded(&im, sizeof(im), NULL, "bzImage that has to go above where it prefers to be");
	tap_ok(boot.entry.rip == boot.unpacked.gpa + 0x200 && boot.unpacked.gpa > 0x80000 &&
			boot.unpacked.va == 0xffffffff80080000,
		"unpacks itself there, at the same virtual address");
	bz_hdr(&im)->pref_address = 0x1000000;
	bz_hdr(&im)->relocatable_kernel = 0;
	refused(&im, sizeof(im), NULL, "needs 20480 KiB of RAM at 0x1000000", "one that cannot be moved");
	memory_make(64 * MIB);
}

static void test_bad_bzimage(void)
{
	static char long_line[3000];
	struct boot wish = {.initrd = "/nonexistent/initrd"};
	const char *initrd;
	struct bzimage im;

	bz_init(&im);
	refused(&im, 0x230, NULL, "truncated", "a bzImage that ends in its header");
	loaded(&im, sizeof(im) - 115, NULL, "a bzImage without the padding of its last 16 bytes");
	refused(&im, sizeof(im) - 116, NULL, "truncated", "a bzImage that ends in its code");
	refused(&im, 0x7ff, NULL, "truncated", "a bzImage that ends in its setup code");
	bz_hdr(&im)->xloadflags = 0;
	refused(&im, sizeof(im), NULL, "32-bit kernel", "a 32-bit bzImage");
	bz_init(&im);
	bz_hdr(&im)->version = 0x20b;
	refused(&im, sizeof(im), NULL, "2.12", "an old boot protocol");
	bz_init(&im);
	bz_hdr(&im)->syssize = UINT32_MAX;
	refused(&im, sizeof(im), NULL, "truncated", "an absurd syssize");
	bz_init(&im);
	bz_hdr(&im)->syssize = 0;
	refused(&im, sizeof(im), NULL, "truncated", "no code at all");
	bz_init(&im);
	bz_hdr(&im)->kernel_alignment = 0x300000;
	refused(&im, sizeof(im), NULL, "power of two", "an alignment that is none");
	bz_init(&im);
	bz_hdr(&im)->init_size = UINT32_MAX;
	bz_hdr(&im)->pref_address = UINT64_MAX - 5;
	refused(&im, sizeof(im), NULL, "give it more (--mem)", "absurd addresses");
	bz_init(&im);
	refused(&im, sizeof(im), &wish, "/nonexistent/initrd", "an initrd that is not there");
	initrd = temp_file(45 * MIB, 1);
	wish.initrd = initrd;
	refused(&im, sizeof(im), &wish, "an initrd of 46080 KiB does not fit", "an initrd that does not fit");
	unlink(initrd);
	memset(long_line, 'a', sizeof(long_line) - 1);
	wish = (struct boot){.cmdline = long_line};
	refused(&im, sizeof(im), &wish, "takes 2047", "a command line that is too long");
	wish = (struct boot){.kind = "elf"};
	refused(&im, sizeof(im), &wish, "it is no ELF64 file", "--boot elf for a bzImage");
	wish.kind = "efi";
	refused(&im, sizeof(im), &wish, "--boot efi: unknown", "--boot of an unknown kind");
}

static void test_vmlinux(void)
{
	struct boot wish = {.kind = "elf"};
	const struct boot_params *bp;
	struct elf64 im;

	elf64_init(&im, 0xffffffff80000000);
	elf64_note(&im, "Linux", 0x100, 0);
	im.eh.e_entry = 0x100010; /* Linux states a physical one */
	if (!loaded(&im, sizeof(im), NULL, "vmlinux with a Linux note"))
		return;
	check_long64("vmlinux");
	bp = at(boot.entry.rsi, sizeof(*bp));
	tap_ok(boot.entry.rsi && bp->hdr.header == 0x53726448 && bp->hdr.type_of_loader == 0xff,
		"vmlinux: boot_params");
	tap_is_str(at(bp->hdr.cmd_line_ptr, 64), "console=ttyS0", "vmlinux: command line");
	tap_is_u64(boot.entry.rip, 0x100010, "vmlinux: entry");
	elf64_note(&im, "Other", 0x100, 0);
	memcpy(im.data + 5, "Linux version 4.14", 19);
	loaded(&im, sizeof(im), NULL, "vmlinux known by its banner");
	tap_ok(boot.entry.rsi != 0, "is entered as Linux");
	loaded(&im, sizeof(im), &wish, "the same with --boot elf");
	tap_ok(boot.entry.rsi == 0 && boot.entry.rdi != 0, "is entered as a bare ELF64");
	elf64_init(&im, 0);
	memcpy(im.data + 5, "Linux version 4.14", 19);
	loaded(&im, sizeof(im), NULL, "a low ELF64 that talks about Linux");
	tap_ok(boot.entry.rsi == 0, "is no Linux");
	elf64_init(&im, 0xffffffff80000000);
	elf64_note(&im, "Xen", 18, 0x100020);
	memcpy(im.data + 5, "Linux version 6.1", 18);
	loaded(&im, sizeof(im), NULL, "vmlinux with a PVH note");
	tap_is_u64(boot.entry.mode, BOOT_MODE_PROT32, "is entered by PVH");
	wish.kind = "linux";
	loaded(&im, sizeof(im), &wish, "the same with --boot linux");
	tap_is_u64(boot.entry.mode, BOOT_MODE_LONG64, "is entered by the boot protocol");
}

int main(void)
{
	test_bzimage();
	test_bad_bzimage();
	test_vmlinux();
	memory_drop();
	return tap_done();
}
