/* Files that are known by their first bytes and are no kernel for this machine: what they are, and the way out. */
#include "arch/arm64/boot.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arch/boot_common.h"
#include "vmm/log.h"

#define TEXT_LOOK 512

/* EFI zboot: Linux drivers/firmware/efi/libstub/zboot-header.S */
#define ZBOOT_MAGIC    "zimg"
#define ZBOOT_MAGIC_AT 4
#define ZBOOT_OFFSET   8
#define ZBOOT_SIZE     12
#define ZBOOT_TYPE     24
#define ZBOOT_TYPE_LEN 32
#define ZBOOT_END      56

static const struct {
	size_t at;
	const char *magic;
	size_t len;
	const char *what;
} foreign[] = {
	{0x202, "HdrS", 4, "an x86 kernel (bzImage), this is minivmm for arm64"},
	{0x30, "RISCV\0", 6, "a RISC-V kernel, this is minivmm for arm64"},
	{0x24, "\x18\x28\x6f\x01", 4, "a 32-bit ARM kernel (zImage), a 64-bit one is needed here"},
	{0, "\x27\x05\x19\x56", 4, "a U-Boot image: take its 64 bytes of header off (tail -c +65 FILE > Image)"},
	{0, "\xd0\x0d\xfe\xed", 4, "a device tree or FIT image: take the kernel out of it (dumpimage)"},
	{0, "ANDROID!", 8, "an Android boot image: take the kernel out of it (unpack_bootimg)"},
	{0, "!<arch>\n", 8, "an archive: link a program from it"},
	{0, "070701", 6, "a cpio archive, as an initrd is: that goes to --initrd"},
	{0, "MZ", 2, "an EFI program and no arm64 Linux Image: only a firmware could start it"},
};

static bool has(const struct image_file *f, size_t at, const char *magic, size_t len)
{
	return f->size >= at + len && !memcmp(f->data + at, magic, len);
}

static int refuse_zboot(const struct image_file *f)
{
	char type[ZBOOT_TYPE_LEN + 1] = "";
	uint32_t offset, size;
	const struct boot_packed *packed;

	memcpy(&offset, f->data + ZBOOT_OFFSET, sizeof(offset));
	memcpy(&size, f->data + ZBOOT_SIZE, sizeof(size));
	memcpy(type, f->data + ZBOOT_TYPE, ZBOOT_TYPE_LEN);
	for (char *c = type; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '?';
	packed = boot_packed_by_name(type);
	log_error("%s: is an EFI zboot image (compressed: %s), unpack it first: tail -c +%" PRIu64
		  " FILE | head -c %" PRIu32 " | %s > Image",
		f->path, *type ? type : "it does not say how", (uint64_t)offset + 1, size,
		packed ? packed->tool : "UNPACKER");
	return -ENOEXEC;
}

/*
 * Where a program without any header starts is an instruction: Arm ARM, C4.1, has none with such bits 28:25 (0: UDF,
 * which is what zeros are).
 */
static bool starts_with_code(const struct image_file *f)
{
	uint32_t insn;
	unsigned op0;

	if (f->size < sizeof(insn))
		return false;
	memcpy(&insn, f->data, sizeof(insn));
	op0 = insn >> 25 & 0xf;
	return op0 != 0 && op0 != 1 && op0 != 3;
}

/* Every character of its start is one of text, UTF-8 included. */
static bool is_text(const struct image_file *f)
{
	size_t n = f->size < TEXT_LOOK ? f->size : TEXT_LOOK;

	for (size_t i = 0; i < n; i++)
		if (!isprint(f->data[i]) && !isspace(f->data[i]) && f->data[i] < 0x80)
			return false;
	return f->data[0] < 0x80;
}

int arm64_boot_refuse(const struct image_file *f)
{
	const struct boot_packed *packed = boot_find_packed(f);

	if (f->size >= ZBOOT_END && has(f, 0, "MZ", 2) && has(f, ZBOOT_MAGIC_AT, ZBOOT_MAGIC, strlen(ZBOOT_MAGIC)))
		return refuse_zboot(f);
	if (packed) {
		log_error("%s: is compressed (%s), unpack it first: %s FILE > Image", f->path, packed->name,
			packed->tool);
		return -ENOEXEC;
	}
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (!has(f, foreign[i].at, foreign[i].magic, foreign[i].len))
			continue;
		log_error("%s: is %s", f->path, foreign[i].what);
		return -ENOEXEC;
	}
	if (is_text(f)) {
		log_error("%s: is a text file, not a kernel (--boot raw would run it as code)", f->path);
		return -ENOEXEC;
	}
	if (!starts_with_code(f)) {
		log_error(
			"%s: not a kernel: no Image, no ELF file, and it does not start with an instruction", f->path);
		return -ENOEXEC;
	}
	return 0;
}
