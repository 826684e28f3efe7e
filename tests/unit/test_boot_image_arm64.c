/* Linux's `Image` over plain memory: where things land, where it is linked, what is refused. */
#include "tests/unit/boot_arm64.h"

#include <elf.h>

#define RELA_AT	 0x30000 /* in the synthetic Image */
#define TABLE_AT 0x10000 /* places that hold addresses */
#define SIZE	 0x50000
#define RELOCS	 2000

static _Alignas(8) uint8_t image[SIZE];

static void put64(size_t where, uint64_t v)
{
	memcpy(image + where, &v, 8);
}

static void image_init(uint64_t text_offset, uint64_t image_size, uint64_t flags)
{
	memset(image, 0, sizeof(image));
	/* What is no table has to look like anything but one. */
	for (size_t i = 0x1000; i < SIZE; i += 8)
		put64(i, 0x9e3779b97f4a7c15 * i);
	memcpy(image, "MZ\x40\xfa", 4);
	put64(8, text_offset);
	put64(16, image_size);
	put64(24, flags);
	memcpy(image + 56, "ARM\x64", 4);
}

/* Every second word of the table's place holds an address; `applied`: it is there already. */
static void image_add_rela(uint64_t base, bool applied)
{
	for (size_t i = 0; i < RELOCS; i++) {
		uint64_t place = TABLE_AT + 16 * i, entry = RELA_AT + 24 * i, addend = base + 16 * (RELOCS - i);

		put64(place, applied ? addend : 0);
		put64(entry, base + place);
		put64(entry + 8, R_AARCH64_RELATIVE);
		put64(entry + 16, addend);
	}
	put64(RELA_AT + 24 * RELOCS, 0);
	put64(RELA_AT + 24 * RELOCS + 8, 0);
}

static void image_add_relr(uint64_t base)
{
	size_t entry = RELA_AT;

	for (size_t i = 0; i < RELOCS; i++)
		put64(TABLE_AT + 16 * i, base + 16 * (RELOCS - i));
	put64(entry, base + TABLE_AT);
	/* Bit n of a bitmap, from 1: the n-th word after the last address, or after what the last bitmap was about. */
	for (size_t word = 1; word < 2 * RELOCS; word += 63) {
		uint64_t bits = 1;

		for (size_t n = 0; n < 63; n++)
			if ((word + n) % 2 == 0 && word + n < 2 * RELOCS)
				bits |= (uint64_t)2 << n;
		put64(entry += 8, bits);
	}
	put64(entry + 8, 0);
}

static void test_image(void)
{
	const char *initrd = temp_file(10000, 0x77);
	struct boot wish = {.cmdline = "quiet", .initrd = initrd};
	struct fdt_reader *r;
	uint32_t len = 0;
	const uint8_t *v;

	memory_make(64 * MIB);
	image_init(0, 16 * MIB, 0xa);
	image_add_rela(KERNEL, false);
	if (!loaded(image, SIZE, &wish, "Image"))
		return;
	tap_is_u64(boot.entry.pc, RAM + 2 * MIB, "Image: entered at its first byte, 2 MiB into RAM");
	tap_is_u64(boot.entry.x0, RAM, "Image: the device tree is at the start of RAM");
	tap_is_mem(at(RAM + 2 * MIB, SIZE), image, SIZE, "Image: loaded");
	tap_ok(resolves(KERNEL + 0x1234, RAM + 2 * MIB + 0x1234) &&
			resolves(KERNEL + 16 * MIB - 1, RAM + 18 * MIB - 1) &&
			!resolves(KERNEL + 16 * MIB, RAM + 18 * MIB),
		"Image: virtual addresses known from its relocations");
	r = tree("Image");
	tap_is_str(fdt_get_string(r, "/chosen", "bootargs"), "console=ttyAMA0 nokaslr quiet", "Image: command line");
	tap_ok(fdt_cells(r, "/memory@40000000", "reg", 0, RAM, 0, 64 * MIB), "Image: memory");
	tap_ok(fdt_cells(r, "/chosen", "linux,initrd-start", 0, RAM + 64 * MIB - 64 * KIB) &&
			fdt_cells(r, "/chosen", "linux,initrd-end", 0, RAM + 64 * MIB - 64 * KIB + 10000),
		"Image: initrd at the top of RAM");
	tap_is_u64(*(const uint8_t *)at(RAM + 64 * MIB - 64 * KIB + 9999, 1), 0x77, "Image: the initrd's last byte");
	v = fdt_get(r, "/chosen", "rng-seed", &len);
	tap_ok(v && len == 32 && memcmp(v, v + 16, 16) != 0, "Image: rng-seed");
	tap_ok(!fdt_get(r, "/chosen", "kaslr-seed", &len), "Image: no kaslr-seed");
	wish.kaslr = true;
	if (loaded(image, SIZE, &wish, "Image with --kaslr")) {
		check_bootargs("console=ttyAMA0 quiet", "--kaslr");
		tap_ok(fdt_get(tree("--kaslr"), "/chosen", "kaslr-seed", &len) && len == 8, "--kaslr: a seed");
	}
	unlink(initrd);
}

static void test_image_places(void)
{
	memory_make(64 * MIB);
	image_init(0x80000, 16 * MIB, 0xa);
	image_add_rela(KERNEL + 0x80000, true);
	loaded(image, SIZE, NULL, "Image with a text_offset");
	tap_ok(boot.entry.pc == RAM + 0x80000 && boot.entry.x0 == RAM, "is at the text_offset, the tree below it");
	tap_ok(resolves(KERNEL + 0x80000 + 8, RAM + 0x80000 + 8), "relocations that are applied already");

	image_init(0, 16 * MIB, 0x2);
	loaded(image, SIZE, NULL, "Image that wants the start of RAM");
	tap_is_u64(boot.entry.pc, RAM, "is there");
	tap_is_u64(boot.entry.x0, RAM + 16 * MIB, "the device tree is behind it");
	check_bootargs("console=ttyAMA0 nokaslr", "tree behind the image");
	memory_make(16 * MIB + 16 * KIB);
	loaded(image, SIZE, NULL, "the same with little RAM");
	tap_is_u64(boot.entry.x0, RAM + 16 * MIB, "the device tree is in what is left");
	memory_make(16 * MIB);
	refused(image, SIZE, NULL, "no room in 16 MiB of RAM for a device tree of", "an image that fills all RAM");

	memory_make(64 * MIB);
	image_init(0x12345, 0, 0);
	loaded(image, SIZE, NULL, "Image of a kernel before 3.17");
	tap_is_u64(boot.entry.pc, RAM + 0x80000, "is at 512 KiB whatever its header says");
	tap_ok(!boot.layout.n, "and does not tell where it is linked");
	image_init(0, 0x100, 0xa);
	loaded(image, SIZE, NULL, "Image with more in its file than in its image_size");
	tap_is_mem(at(RAM + 2 * MIB, SIZE), image, SIZE, "is loaded whole");
	loaded(image, 64, NULL, "an Image that is only a header");
}

static void test_kaddr(void)
{
	uint8_t *large;

	image_init(0, SIZE, 0xa);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, SIZE), 0, "no table: no address");
	image_add_relr(KERNEL);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, 8 * MIB), KERNEL, "a packed table");
	put64(TABLE_AT + 16 * 77, 0x1234);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, 8 * MIB), 0, "one place without an address: nothing is said");
	image_init(0, SIZE, 0xa);
	image_add_rela(KERNEL, false);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, 8 * MIB), KERNEL, "a table of Elf64_Rela");
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0x80000, 8 * MIB), 0, "with another text_offset it does not fit");
	put64(TABLE_AT + 16 * 77, 0x1234);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, 8 * MIB), 0, "one place with something else: nothing is said");
	image_init(0, SIZE, 0xa);
	image_add_rela(KERNEL, false);
	put64(RELA_AT + 24 * 5, KERNEL + SIZE - 4);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, 8 * MIB), 0, "a place that is not in the file");
	put64(RELA_AT + 24 * 5, UINT64_MAX);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, 8 * MIB), 0, "a place at the end of all addresses");
	image_init(0, SIZE, 0xa);
	put64(RELA_AT, 0xffffffffffff0000);
	for (size_t i = 1; i < 1000; i++)
		put64(RELA_AT + 8 * i, UINT64_MAX);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, SIZE), 0, "a packed table beyond the end of all addresses");
	image_init(0, SIZE, 0xa);
	put64(RELA_AT, -MIB);
	for (size_t i = 1; i < 40; i++)
		put64(RELA_AT + 8 * i, UINT64_MAX);
	put64(RELA_AT + 8 * 40, 0);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, SIZE), 0, "a packed table in the last 2 MiB of all addresses");
	image_init(0, SIZE, 0xa);
	image_add_rela(-MIB, false);
	tap_is_u64(arm64_image_kaddr(image, SIZE, 0, SIZE), 0, "a table of Elf64_Rela there");
	image_init(0, SIZE, 0xa);
	image_add_rela(KERNEL + 4 * MIB, false);
	large = calloc(1, 8 * MIB);
	memcpy(large, image, SIZE);
	memset(large + TABLE_AT, 0, 16 * RELOCS);
	tap_is_u64(arm64_image_kaddr(large, 8 * MIB, 0, 8 * MIB), 0, "places that hold 0 under several bases");
	free(large);
}

static void test_bad_image(void)
{
	static char long_line[3000];
	struct boot wish = {.initrd = "/nonexistent/initrd"};
	const char *initrd;

	memory_make(64 * MIB);
	image_init(0, 16 * MIB, 0xb);
	refused(image, SIZE, NULL, "big-endian", "a big-endian Image");
	image_init(0, 63 * MIB, 0xa);
	refused(image, SIZE, NULL, "takes 64512 KiB at 0x200000", "an image_size a little too large");
	image_init(0, 62 * MIB, 0xa);
	loaded(image, SIZE, NULL, "an image_size that just fits");
	image_init(0, UINT64_MAX, 0xa);
	refused(image, SIZE, NULL, "or the file is damaged", "an absurd image_size");
	image_init(UINT64_MAX - 0xfff, 16 * MIB, 0xa);
	refused(image, SIZE, NULL, "or the file is damaged", "an absurd text_offset");
	image_init(0x80010, 16 * MIB, 0xa);
	refused(image, SIZE, NULL, "no whole page", "an odd text_offset");
	image_init(-RAM, UINT64_MAX - 64, 0xa);
	refused(image, SIZE, NULL, "or the file is damaged", "both");
	image_init(0, 16 * MIB, 0xa);
	refused(image, 60, NULL, "is an EFI program", "an Image that ends in its header");
	refused(image, SIZE, &wish, "/nonexistent/initrd", "an initrd that is not there");
	initrd = temp_file(49 * MIB, 1);
	wish.initrd = initrd;
	refused(image, SIZE, &wish, "an initrd of 50176 KiB does not fit", "an initrd that does not fit");
	unlink(initrd);
	memset(long_line, 'a', sizeof(long_line) - 1);
	wish = (struct boot){.cmdline = long_line};
	refused(image, SIZE, &wish, "takes 2047", "a command line that is too long");
	long_line[2047 - strlen("console=ttyAMA0 nokaslr ")] = '\0';
	loaded(image, SIZE, &wish, "the longest command line");
	tap_is_u64(strlen(fdt_get_string(tree("the longest"), "/chosen", "bootargs")), 2047, "is in the tree");
	wish = (struct boot){.kind = "elf"};
	refused(image, SIZE, &wish, "--boot elf: k: it is no ELF64 file", "--boot elf for an Image");
	wish.kind = "pvh";
	refused(image, SIZE, &wish, "--boot pvh: unknown", "--boot of an unknown kind");
	wish = (struct boot){.board = {.ncpus = 100000, .gic_version = 3}};
	refused(image, SIZE, &wish, "the device tree would be more than 2 MiB", "more CPUs than a tree has room for");
}

/* Far from the kernel an initrd is of no use. */
static void test_window(void)
{
	const char *initrd = temp_file(4096, 1);
	struct boot wish = {.initrd = initrd};

	memory_make(100 * GIB);
	image_init(0, 16 * MIB, 0xa);
	if (loaded(image, SIZE, &wish, "Image in 100 GiB"))
		tap_ok(fdt_cells(tree("100 GiB"), "/chosen", "linux,initrd-end", 8, 0x3fff0000 + 4096),
			"the initrd is within the 32 GiB around the kernel");
	unlink(initrd);
	memory_make(64 * MIB);
}

/* Where is that file linked? */
static int show(const char *path)
{
	struct image_file f;
	struct arm64_image h;

	if (image_file_open(&f, path) || !arm64_image_header(f.data, f.size, &h))
		return 1;
	printf("0x%" PRIx64 "\n", arm64_image_kaddr(f.data, f.size, h.text_offset, h.image_size));
	image_file_close(&f);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return show(argv[1]);
	test_image();
	test_image_places();
	test_kaddr();
	test_bad_image();
	test_window();
	memory_drop();
	return tap_done();
}
