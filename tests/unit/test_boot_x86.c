/* Kernels over plain memory: PVH and bare ELF64, where things land, what the entry state is, what is refused. */
#include "tests/unit/boot_x86.h"

/* ---- the map ---- */

static void check_map(uint64_t size)
{
	uint64_t usable = 0, before = 0;
	bool sorted = true, backed = true, tables = false;

	for (unsigned i = 0; i < boot.map.n; i++) {
		uint64_t gpa = boot.map.e[i].gpa, len = boot.map.e[i].size;

		sorted &= gpa >= before && len;
		before = gpa + len;
		if (boot.map.e[i].type == BOOT_RAM_USABLE) {
			usable += len;
			backed &= memory_at(&mem, gpa, len) != NULL;
		}
		tables |= boot.map.e[i].type == BOOT_RAM_ACPI && boot.rsdp >= gpa && boot.rsdp < gpa + len;
	}
	tap_ok(sorted, "%" PRIu64 " MiB: the map is sorted and nothing overlaps", size / MIB);
	tap_ok(backed && usable == size - (0x100000 - 0x9fc00), "%" PRIu64 " MiB: what is called RAM is RAM, all of it",
		size / MIB);
	tap_ok(tables, "%" PRIu64 " MiB: the ACPI tables are in an ACPI entry", size / MIB);
}

static void test_ram_layout(void)
{
	static const uint64_t good[] = {2 * MIB, 64 * MIB, 3 * GIB - 4096, 3 * GIB, 3 * GIB + 4096, 20 * GIB};
	static const uint64_t wrong[] = {0, 4096, MIB, 64 * MIB + 1, (1ULL << 40) + 4096, UINT64_MAX};
	struct mem_range r[MEM_RANGES_MAX];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int n = arch_ram_layout(good[i], r, MEM_RANGES_MAX);
		uint64_t high = n == 2 ? r[1].size : 0;

		tap_ok(n == (good[i] > 3 * GIB ? 2 : 1) && r[0].gpa == 0 && r[0].size + high == good[i] &&
				r[0].size <= 3 * GIB && (n < 2 || r[1].gpa == 4 * GIB),
			"%" PRIu64 " KiB around the hole", good[i] / 1024);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		layout_refused(wrong[i]);
}

/* ---- PVH and bare ELF64 ---- */

struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

static void check_start_info(uint64_t gpa, const char *cmdline, const char *name)
{
	struct start_info s;
	const uint64_t *first;

	memcpy(&s, at(gpa, sizeof(s)), sizeof(s));
	tap_ok(s.magic == 0x336ec578 && s.version == 1 && s.rsdp == boot.rsdp && s.memmap_entries == boot.map.n,
		"%s: start info", name);
	tap_is_str(at(s.cmdline, 64), cmdline, "%s: command line", name);
	first = at(s.memmap, 24 * s.memmap_entries);
	tap_ok(first[0] == 0 && first[1] == 0x9fc00 && (uint32_t)first[2] == 1, "%s: memory map", name);
}

static void test_pvh(void)
{
	const char *initrd = temp_file(10000, 0x77);
	struct boot wish = {.cmdline = "quiet", .initrd = initrd};
	const uint64_t *module;
	struct start_info s;
	struct elf64 im;
	uint64_t gpa, len;

	memory_make(64 * MIB);
	elf64_init(&im, 0xffffffff80000000);
	elf64_note(&im, "Xen", 18, 0x100020);
	if (!loaded(&im, sizeof(im), &wish, "PVH"))
		return;
	check_prot32("PVH");
	tap_is_u64(boot.entry.rip, 0x100020, "PVH: entry from the note");
	check_start_info(boot.entry.rbx, "console=ttyS0 quiet", "PVH");
	memcpy(&s, at(boot.entry.rbx, sizeof(s)), sizeof(s));
	module = at(s.modlist, 32);
	tap_ok(s.nr_modules == 1 && module[0] % 4096 == 0 && module[1] == 10000 && module[0] + 12288 == 64 * MIB,
		"PVH: initrd at the top of RAM");
	tap_is_u64(*(const uint8_t *)at(module[0] + 9999, 1), 0x77, "PVH: the initrd's last byte");
	tap_is_u64(*(const uint8_t *)at(0x10003f, 1), 0x90, "PVH: code in place");
	tap_ok(image_layout_find(&boot.layout, 0xffffffff80201008, &gpa, &len) && gpa == 0x201008,
		"PVH: virtual addresses known");
	check_map(64 * MIB);
	unlink(initrd);

	elf64_note(&im, "Xen", 18, 0x500000);
	loaded(&im, sizeof(im), NULL, "an entry note that points nowhere");
	tap_is_u64(boot.entry.mode, BOOT_MODE_LONG64, "is no PVH entry");
	wish = (struct boot){.kind = "pvh"};
	refused(&im, sizeof(im), &wish, "--boot pvh: k: it has no PVH entry note", "--boot pvh without the note");
}

static void test_bare(void)
{
	struct elf64 im;
	uint64_t stack;

	memory_make(64 * MIB);
	elf64_init(&im, 0);
	if (!loaded(&im, sizeof(im), NULL, "bare ELF64"))
		return;
	check_long64("bare ELF64");
	tap_is_u64(boot.entry.rip, 0x100010, "bare ELF64: entry");
	check_start_info(boot.entry.rdi, "console=ttyS0", "bare ELF64");
	tap_is_mem(at(0xffff0, 6), "\xba\x02\x06\xb0\x42\xee", 6, "the BIOS reset vector reboots");
	tap_ok(!memcmp(at(0x10 * 4, 4), "\x01\xff\x00\xf0", 4) && !memcmp(at(8 * 4, 4), "\x00\xff\x00\xf0", 4) &&
			!memcmp(at(0xfff00, 2), "\xcf\x55", 2),
		"BIOS calls and interrupts have a handler");
	tap_ok(!memcmp(at(0x400, 2), "\xf8\x03", 2) && !memcmp(at(0x40e, 2), "\xc0\x9f", 2), "BIOS data area");
	stack = boot.entry.rsp;
	tap_ok(stack % 16 == 8 && !memcmp(at(stack, 8), "\0\0\0\0\0\0\0", 8) && stack < LAYOUT_EBDA &&
			stack > LAYOUT_LOW + LAYOUT_BOOT_STACK - 8,
		"bare ELF64: a stack below 640 KiB as after a call");
	tap_ok(walk(0xffffffff80100000) == NO_RETURN, "bare ELF64: nothing else is mapped");

	elf64_init(&im, 0xffffffff80000000);
	loaded(&im, sizeof(im), NULL, "higher-half ELF64");
	tap_is_u64(boot.entry.rip, 0xffffffff80100010, "higher-half: entry as linked");
	tap_is_u64(walk(0xffffffff80100010), 0x100010, "higher-half: code mapped as linked");
	tap_is_u64(walk(0xffffffff80203fff), 0x203fff, "higher-half: to the end of bss");
	tap_is_u64(walk(0xffffffff80204000), NO_RETURN, "higher-half: and no further");

	elf64_init(&im, 0x200000);
	loaded(&im, sizeof(im), NULL, "linked low, loaded elsewhere");
	tap_is_u64(walk(0x300010), 0x100010, "low: code mapped as linked");
	tap_is_u64(walk(0x302000), 0x302000, "low: the rest of that large page is itself");

	/* 2 MiB pages where they fit */
	elf64_init(&im, 0);
	im.ph[1].p_vaddr = 0xffff800000200000;
	im.ph[1].p_paddr = 0x200000;
	im.ph[1].p_memsz = 0x400010;
	loaded(&im, sizeof(im), NULL, "large segment");
	tap_ok(walk(0xffff800000200000) == 0x200000 && walk(0xffff8000005fffff) == 0x5fffff &&
			walk(0xffff800000600fff) == 0x600fff && walk(0xffff800000601000) == NO_RETURN,
		"large segment: mapped whole");

	elf64_init(&im, 0xffffffff80000000);
	im.ph[1].p_vaddr += 0x10;
	refused(&im, sizeof(im), NULL, "differ within a page", "addresses that no page can map");
	elf64_init(&im, 0xffffffff80000000);
	im.ph[1].p_vaddr = im.ph[0].p_vaddr + 0x40;
	im.ph[1].p_paddr = im.ph[0].p_paddr + 0x40000 + 0x40;
	refused(&im, sizeof(im), NULL, "share a virtual page", "two segments in one page");
	elf64_init(&im, 0);
	im.ph[1].p_vaddr = 0x0000900000000000;
	refused(&im, sizeof(im), NULL, "no 48-bit addresses", "a non-canonical segment");
	elf64_init(&im, 0);
	im.ph[1].p_paddr = 0xffffffff80201000;
	refused(&im, sizeof(im), NULL, "needs RAM at 0xffffffff80201000", "a segment where no RAM is");
	elf64_init(&im, 0);
	im.ph[1].p_paddr = im.ph[1].p_vaddr = 0xe0000;
	refused(&im, sizeof(im), NULL, "overlaps the ACPI tables", "a segment over the ACPI tables");
}

/* Boot data goes around an image that sits in low memory. */
static void test_low_image(void)
{
	struct elf64 im;
	uint64_t lo = 0x1000, hi = 0x9f000;

	memory_make(64 * MIB);
	elf64_init(&im, 0);
	im.ph[1].p_paddr = im.ph[1].p_vaddr = lo;
	im.ph[1].p_memsz = hi - lo;
	if (!loaded(&im, sizeof(im), NULL, "an image over nearly all low memory"))
		return;
	tap_ok(boot.entry.rsp >= LAYOUT_HIGH && boot.entry.rdi >= LAYOUT_HIGH && boot.entry.cr3 >= LAYOUT_HIGH,
		"boot data is above 1 MiB then");
	tap_is_u64(*(const uint8_t *)at(lo + 31, 1), 0xda, "and the image is whole");
	check_start_info(boot.entry.rdi, "console=ttyS0", "low image");
	memory_make(2 * MIB);
	elf64_init(&im, 0);
	im.ph[1].p_paddr = im.ph[1].p_vaddr = 0x101000;
	im.ph[1].p_memsz = 0xff000;
	loaded(&im, sizeof(im), NULL, "the smallest RAM, full to its end");
	im.ph[2] = im.ph[1];
	im.ph[2].p_paddr = im.ph[2].p_vaddr = lo;
	im.ph[2].p_memsz = hi - lo;
	refused(&im, sizeof(im), NULL, "no room in 2 MiB", "no room for boot data anywhere");
}

static void test_big_ram(void)
{
	struct elf64 im;

	memory_make(5 * GIB);
	elf64_init(&im, 0);
	if (loaded(&im, sizeof(im), NULL, "bare ELF64 in 5 GiB")) {
		tap_ok(walk(6 * GIB - 1) == 6 * GIB - 1 && walk(6 * GIB) == NO_RETURN, "all RAM is mapped to itself");
		check_map(5 * GIB);
	}
	memory_make(600 * GIB);
	if (loaded(&im, sizeof(im), NULL, "bare ELF64 in 600 GiB"))
		tap_ok(walk(601 * GIB - 1) == 601 * GIB - 1 && walk(601 * GIB) == NO_RETURN &&
				walk(3 * GIB - PAGE) == 3 * GIB - PAGE,
			"page tables that outgrow low memory");
	memory_make(64 * MIB);
}

static void test_not_a_kernel(void)
{
	static const uint8_t gzip[64] = {0x1f, 0x8b, 8};
	uint8_t arm64[0x100] = {0};

	memcpy(arm64 + 0x38, "ARM\x64", 4);
	refused("x", 1, NULL, "not a kernel", "one byte");
	refused(gzip, sizeof(gzip), NULL, "compressed (gzip)", "a gzip file");
	refused(arm64, sizeof(arm64), NULL, "arm64 kernel", "an arm64 Image");
	refused("\177ELF\2\1\1", 8, NULL, "truncated", "an ELF file of eight bytes");
}

int main(void)
{
	test_ram_layout();
	test_pvh();
	test_bare();
	test_low_image();
	test_big_ram();
	test_not_a_kernel();
	memory_drop();
	return tap_done();
}
