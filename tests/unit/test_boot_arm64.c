/* RAM, raw code over plain memory, and files that are no kernel for this machine: what is said of them. */
#include "tests/unit/boot_arm64.h"

static void test_ram_layout(void)
{
	static const uint64_t good[] = {2 * MIB, 64 * MIB, 3 * GIB + 4096, 1023 * GIB};
	static const uint64_t wrong[] = {0, 4096, MIB, 64 * MIB + 1, 1023 * GIB + 4096, UINT64_MAX, 1 - GIB};
	struct mem_range r[MEM_RANGES_MAX];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		tap_ok(arm64_boot_ram_layout(good[i], r, MEM_RANGES_MAX) == 1 && r[0].gpa == RAM &&
				r[0].size == good[i],
			"%" PRIu64 " KiB in one piece", good[i] / 1024);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		layout_refused(wrong[i]);
}

static void test_raw(void)
{
	static const uint8_t code[] = {0xff, 0x42, 0x03, 0xd5, 0x00, 0x00, 0x00, 0x14}; /* msr daifclr, #2; b . */
	struct boot wish = {.kind = "raw", .cmdline = "a b"};
	static uint8_t large[320 * KIB];

	memory_make(64 * MIB);
	if (loaded(code, sizeof(code), &wish, "raw")) {
		tap_ok(boot.entry.pc == RAM + 0x80000 && boot.entry.x0 == RAM, "raw: entered 512 KiB into RAM");
		tap_is_mem(at(RAM + 0x80000, 8), code, 8, "raw: loaded there");
		check_bootargs("console=ttyAMA0 a b", "raw");
		tap_ok(!boot.layout.n, "raw: no layout");
	}
	loaded(code, sizeof(code), NULL, "the same without --boot");
	tap_is_u64(boot.entry.pc, RAM + 0x80000, "is taken for raw code");
	loaded("echo", 4, &wish, "text with --boot raw");
	wish.kind = "elf";
	refused(code, sizeof(code), &wish, "it is no ELF64 file", "--boot elf for raw code");
	wish.kind = "linux";
	refused(code, sizeof(code), &wish, "it is neither an arm64 Image nor", "--boot linux for raw code");
	memory_make(2 * MIB);
	memcpy(large, code, sizeof(code));
	loaded(large, sizeof(large), NULL, "raw code in the smallest RAM");
}

static void foreign(const char *start, size_t len, size_t where, const char *words, const char *name)
{
	static uint8_t file[1024];

	/* Code that would run, so that only the magic tells. */
	for (size_t i = 0; i < sizeof(file); i += 4)
		memcpy(file + i, "\x1f\x20\x03\xd5", 4);
	memcpy(file + where, start, len);
	refused(file, sizeof(file), NULL, words, name);
}

static void test_foreign(void)
{
	static const char zboot[56] = "MZ\0\0zimg\x00\x10\0\0\x78\x56\0\0\0\0\0\0\0\0\0\0gzip";
	static const char zboot22[56] = "MZ\0\0zimg\x00\x10\0\0\x78\x56\0\0\0\0\0\0\0\0\0\0zstd22";
	static const char zboot_odd[56] = "MZ\0\0zimg\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0a\nb";

	memory_make(64 * MIB);
	foreign("\x1f\x8b\x08", 3, 0, "(gzip), unpack it first: zcat FILE > Image", "gzip");
	foreign("\xfd\x37zXZ", 6, 0, "(xz), unpack it first: xzcat", "xz");
	foreign("\x28\xb5\x2f\xfd", 4, 0, "(zstd), unpack it first: zstdcat", "zstd");
	foreign("BZh9", 4, 0, "(bzip2), unpack it first: bzcat", "bzip2");
	foreign("\x04\x22\x4d\x18", 4, 0, "(lz4), unpack it first: lz4cat", "lz4");
	foreign("\x02\x21\x4c\x18", 4, 0, "(lz4)", "lz4 as Linux makes it");
	foreign("\x5d\0\0\0\4\xff\xff\xff\xff\xff\xff\xff\xff", 13, 0, "(lzma), unpack it first: xzcat --format=lzma",
		"lzma");
	foreign("\x89LZO\0\r\n\x1a\n", 9, 0, "(lzop), unpack it first: lzop -dc", "lzop");
	foreign(zboot, sizeof(zboot), 0,
		"EFI zboot image (compressed: gzip), unpack it first: tail -c +4097 FILE | head -c 22136 | zcat > "
		"Image",
		"EFI zboot");
	foreign(zboot22, sizeof(zboot22), 0, "| zstdcat > Image", "EFI zboot, zstd22");
	foreign(zboot_odd, sizeof(zboot_odd), 0,
		"(compressed: a?b), unpack it first: tail -c +4294967296 FILE | head -c 4294967295 | UNPACKER",
		"EFI zboot with nonsense in it");
	foreign("\x55\xaaj\x6aHdrS", 8, 0x1fe, "x86 kernel (bzImage)", "bzImage");
	foreign("RISCV\0\0\0RSC\x05", 12, 0x30, "RISC-V", "RISC-V Image");
	foreign("\x18\x28\x6f\x01", 4, 0x24, "32-bit ARM kernel", "zImage");
	foreign("\x27\x05\x19\x56", 4, 0, "U-Boot", "uImage");
	foreign("\xd0\x0d\xfe\xed", 4, 0, "FIT", "FIT image");
	foreign("ANDROID!", 8, 0, "Android", "Android boot image");
	foreign("!<arch>\n", 8, 0, "archive", "static library");
	foreign("070701", 6, 0, "--initrd", "an initrd as kernel");
	foreign("MZ\x90", 3, 0, "an EFI program", "EFI program");
	foreign("\0\0\0\0", 4, 0, "does not start with an instruction", "a file that starts with zeros");
	refused("#!/bin/sh\necho \xc3\xa4\n", 18, NULL, "is a text file", "a text file");
	refused("\x1f", 1, NULL, "does not start with an instruction", "a file of one byte");
}

int main(void)
{
	test_ram_layout();
	test_raw();
	test_foreign();
	memory_drop();
	return tap_done();
}
