/* Kernels of every kind over plain memory: where things land, what the entry state is, what is refused and how. */
#include "arch/arm64/boot.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "tests/unit/fdt_reader.h"
#include "tests/unit/tap.h"

#define KIB	 ((uint64_t)1 << 10)
#define MIB	 ((uint64_t)1 << 20)
#define GIB	 ((uint64_t)1 << 30)
#define RAM	 0x40000000ULL
#define KERNEL	 0xffff800008000000ULL
#define RELA_AT	 0x30000 /* in the synthetic Image */
#define TABLE_AT 0x10000 /* places that hold addresses */
#define SIZE	 0x50000
#define RELOCS	 2000

static struct guest_memory mem;
static struct boot boot;
static struct capture cap;
static const char *said;

/* ---- a machine ---- */

static void memory_make(uint64_t size)
{
	if (mem.n)
		munmap(mem.range[0].host, mem.range[0].size);
	mem.n = arm64_boot_ram_layout(size, mem.range, MEM_RANGES_MAX);
	mem.size = size;
	mem.range[0].host =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Loads a heap copy of exactly this size, so that the sanitizer sees a read beyond it. */
static int load_with(const void *data, size_t size, const struct boot *wish)
{
	uint8_t *copy = malloc(size);
	struct image_file f = {.path = "k", .data = copy, .size = size};
	int err;

	memcpy(copy, data, size);
	boot = wish ? *wish : (struct boot){0};
	boot.mem = &mem;
	boot.image = &f;
	if (!boot.board.ncpus)
		boot.board = (struct arm64_board_info){.ncpus = 2, .gic_version = 3};
	capture_start(&cap, STDERR_FILENO);
	err = arm64_boot_load(&boot);
	said = capture_end(&cap);
	free(copy);
	return err;
}

static bool one_line(const char *s)
{
	const char *nl = strchr(s, '\n');

	return nl && !nl[1];
}

static void refused(const void *data, size_t size, const struct boot *wish, const char *words, const char *name)
{
	int err = load_with(data, size, wish);

	if (!tap_ok(err < 0 && one_line(said) && strstr(said, words), "refused: %s", name))
		tap_diag("returned %d, said: %s", err, said);
}

static bool loaded(const void *data, size_t size, const struct boot *wish, const char *name)
{
	int err = load_with(data, size, wish);

	if (!tap_ok(!err && !*said, "loaded: %s", name))
		tap_diag("returned %d, said: %s", err, said);
	return !err;
}

static const void *at(uint64_t gpa, uint64_t len)
{
	static const uint8_t nothing[65536];
	const void *p = memory_at(&mem, gpa, len);

	return p ? p : nothing;
}

static bool resolves(uint64_t va, uint64_t gpa)
{
	uint64_t got = 0, len = 0;

	return image_layout_find(&boot.layout, va, &got, &len) && got == gpa && len;
}

static const char *temp_file(size_t size, uint8_t fill)
{
	static char name[64];
	char block[4096];
	int fd;

	snprintf(name, sizeof(name), "/tmp/minivmm-test-XXXXXX");
	fd = mkstemp(name);
	memset(block, fill, sizeof(block));
	for (size_t done = 0; done < size; done += sizeof(block))
		if (write(fd, block, size - done < sizeof(block) ? size - done : sizeof(block)) < 0)
			abort();
	close(fd);
	return name;
}

/* The tree that X0 leads to. */
static struct fdt_reader *tree(const char *name)
{
	static struct fdt_reader r;
	uint64_t room = 0;
	const void *p = memory_span(&mem, boot.entry.x0, &room);

	tap_is_str(p ? fdt_reader_open(&r, p, room) : "not in RAM", NULL, "%s: a device tree at X0", name);
	tap_ok(boot.entry.x0 % 8 == 0, "%s: aligned", name);
	return &r;
}

static void check_bootargs(const char *want, const char *name)
{
	tap_is_str(fdt_get_string(tree(name), "/chosen", "bootargs"), want, "%s: command line", name);
}

static void test_ram_layout(void)
{
	static const uint64_t good[] = {2 * MIB, 64 * MIB, 3 * GIB + 4096, 1023 * GIB};
	static const uint64_t wrong[] = {0, 4096, MIB, 64 * MIB + 1, 1023 * GIB + 4096, UINT64_MAX, 1 - GIB};
	struct mem_range r[MEM_RANGES_MAX];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		tap_ok(arm64_boot_ram_layout(good[i], r, MEM_RANGES_MAX) == 1 && r[0].gpa == RAM &&
				r[0].size == good[i],
			"%" PRIu64 " KiB in one piece", good[i] / 1024);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int n;

		capture_start(&cap, STDERR_FILENO);
		n = arm64_boot_ram_layout(wrong[i], r, MEM_RANGES_MAX);
		said = capture_end(&cap);
		tap_ok(n == -EINVAL && one_line(said), "refused: --mem of %" PRIu64 " bytes", wrong[i]);
	}
}

/* ---- Image ---- */

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

/* ---- ELF64 ---- */

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
}

/* ---- raw, and what is none ---- */

static void test_raw(void)
{
	static const uint8_t code[] = {0xff, 0x42, 0x03, 0xd5, 0x00, 0x00, 0x00, 0x14}; /* msr daifclr, #2; b . */
	struct boot wish = {.kind = "raw", .cmdline = "a b"};
	struct elf64 im;

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
	elf64_init(&im, RAM, RAM);
	loaded(&im, sizeof(im), &wish, "ELF64 with --boot raw");
	tap_is_mem(at(RAM + 0x80000, 4), ELFMAG, 4, "is loaded as it is");
	wish.kind = "elf";
	refused(code, sizeof(code), &wish, "it is no ELF64 file", "--boot elf for raw code");
	wish.kind = "linux";
	refused(code, sizeof(code), &wish, "it is neither an arm64 Image nor", "--boot linux for raw code");
	memory_make(2 * MIB);
	image_init(0, 0, 0);
	memcpy(image, code, sizeof(code));
	memset(image + 56, 0, 4);
	loaded(image, SIZE, NULL, "raw code in the smallest RAM");
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
	test_ram_layout();
	test_image();
	test_image_places();
	test_kaddr();
	test_bad_image();
	test_window();
	test_vmlinux();
	test_bad_vmlinux();
	test_bare();
	test_bad_bare();
	test_raw();
	test_foreign();
	return tap_done();
}
