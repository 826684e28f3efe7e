/* Kernels of every kind over plain memory: where things land, what the entry state is, what is refused and how. */
#include "arch/x86_64/boot.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/x86_64/layout.h"
#include "tests/unit/capture.h"
#include "tests/unit/tap.h"

#define MIB	  ((uint64_t)1 << 20)
#define GIB	  ((uint64_t)1 << 30)
#define PAGE	  4096ULL
#define NO_RETURN 12345

static struct guest_memory mem;
static struct boot boot;
static struct capture cap;
static const char *said;

/* ---- a machine ---- */

static void memory_drop(void)
{
	for (int i = 0; i < mem.n; i++)
		munmap(mem.range[i].host, mem.range[i].size);
	mem.n = 0;
}

static void memory_make(uint64_t size)
{
	memory_drop();
	mem.n = arch_ram_layout(size, mem.range, MEM_RANGES_MAX);
	mem.size = size;
	for (int i = 0; i < mem.n; i++)
		mem.range[i].host = mmap(NULL, mem.range[i].size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
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
	if (!boot.ncpus)
		boot.ncpus = 2;
	capture_start(&cap, STDERR_FILENO);
	err = boot_load(&boot);
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

static const char *temp_file(size_t size, uint8_t fill)
{
	static char path[2][64];
	static int turn;
	char *name = path[turn++ & 1], block[4096];
	int fd;

	snprintf(name, sizeof(path[0]), "/tmp/minivmm-test-XXXXXX");
	fd = mkstemp(name);
	memset(block, fill, sizeof(block));
	for (size_t done = 0; done < size; done += sizeof(block))
		if (write(fd, block, size - done < sizeof(block) ? size - done : sizeof(block)) < 0)
			abort();
	close(fd);
	return name;
}

/* ---- walking what was built ---- */

static uint64_t walk(uint64_t va)
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

static void check_long64(const char *name)
{
	const struct boot_entry *e = &boot.entry;
	const uint64_t *gdt = at(e->gdt_base, e->gdt_limit + 1);

	tap_ok(e->mode == BOOT_MODE_LONG64 && (e->cr0 & 0x80000001) == 0x80000001 && e->cr4 & 0x20 && e->efer == 0x500,
		"%s: long mode", name);
	tap_ok(e->cs == 0x10 && e->ds == 0x18 && gdt[2] == 0x00af9b000000ffff && gdt[3] == 0x00cf93000000ffff,
		"%s: GDT with 64-bit code at 0x10, data at 0x18", name);
	tap_ok(walk(0x1000) == 0x1000 && walk(4 * GIB - 1) == 4 * GIB - 1, "%s: low 4 GiB mapped to themselves", name);
}

static void check_prot32(const char *name)
{
	const struct boot_entry *e = &boot.entry;
	const uint64_t *gdt = at(e->gdt_base, e->gdt_limit + 1);

	tap_ok(e->mode == BOOT_MODE_PROT32 && (e->cr0 & 0x80000001) == 1 && !e->cr4 && !e->efer && !e->cr3,
		"%s: protected mode, paging off", name);
	tap_ok(gdt[e->cs / 8] == 0x00cf9b000000ffff && gdt[e->ds / 8] == 0x00cf93000000ffff &&
			(gdt[e->tr / 8] >> 40 & 0xff) == 0x8b && e->gdt_limit >= e->tr + 7,
		"%s: flat segments and a TSS in the GDT", name);
}

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
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int n;

		capture_start(&cap, STDERR_FILENO);
		n = arch_ram_layout(wrong[i], r, MEM_RANGES_MAX);
		said = capture_end(&cap);
		tap_ok(n == -EINVAL && one_line(said), "refused: --mem of %" PRIu64 " bytes", wrong[i]);
	}
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

static void elf64_init(struct elf64 *im, uint64_t offset)
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

static void elf64_note(struct elf64 *im, const char *name, uint32_t type, uint32_t desc)
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

/* ---- Linux ---- */

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

/* ---- Multiboot ---- */

#define MB_MAGIC 0x1badb002

struct elf32 {
	Elf32_Ehdr eh;
	Elf32_Phdr ph[2];
	uint32_t multiboot[8];
	uint8_t code[64];
};

static void multiboot_put(uint32_t *h, uint32_t flags)
{
	h[0] = MB_MAGIC;
	h[1] = flags;
	h[2] = -(MB_MAGIC + flags);
}

static void elf32_init(struct elf32 *im)
{
	memset(im, 0, sizeof(*im));
	memcpy(im->eh.e_ident, ELFMAG "\1\1\1", 7);
	im->eh.e_type = ET_EXEC;
	im->eh.e_machine = EM_386;
	im->eh.e_entry = 0xc0100010;
	im->eh.e_phoff = offsetof(struct elf32, ph);
	im->eh.e_phentsize = sizeof(Elf32_Phdr);
	im->eh.e_phnum = 2;
	im->ph[0] =
		(Elf32_Phdr){PT_LOAD, offsetof(struct elf32, code), 0xc0100000, 0x100000, 64, 0x2345, PF_R | PF_X, 4};
	memset(im->code, 0x90, sizeof(im->code));
	multiboot_put(im->multiboot, 3);
}

static void check_mbi(uint64_t size)
{
	const uint32_t *mbi = at(boot.entry.rbx, 120);
	const char *mmap = at(mbi[12], mbi[11]);
	uint64_t total = 0;
	unsigned n = 0;

	tap_is_u64(boot.entry.rax, 0x2badb002, "Multiboot: EAX");
	tap_ok(mbi[0] & 1 && mbi[1] == 639 && mbi[2] == (size - MIB) / 1024, "Multiboot: mem_lower and mem_upper");
	for (uint32_t off = 0; off < mbi[11]; n++) {
		uint32_t len, type;
		uint64_t bytes;

		memcpy(&len, mmap + off, 4);
		memcpy(&bytes, mmap + off + 12, 8);
		memcpy(&type, mmap + off + 20, 4);
		total += type == 1 ? bytes : 0;
		off += len + 4;
	}
	tap_ok(mbi[0] & 64 && n == boot.map.n && total == size - (0x100000 - 0x9fc00), "Multiboot: memory map");
	tap_is_str(at(mbi[16], 8), "minivmm", "Multiboot: loader name");
}

static void test_multiboot(void)
{
	char one[64], modules[200];
	const char *two;
	struct boot wish = {.initrd = modules};
	const uint32_t *mbi, *mod;
	struct elf32 im;

	memory_make(64 * MIB);
	snprintf(one, sizeof(one), "%s", temp_file(5000, 0x11));
	two = temp_file(100, 0x22);
	snprintf(modules, sizeof(modules), "%s with args,%s", one, two);
	elf32_init(&im);
	if (!loaded(&im, sizeof(im), &wish, "Multiboot ELF32 with modules"))
		return;
	check_prot32("Multiboot");
	tap_is_u64(boot.entry.rip, 0x100010, "Multiboot: physical entry");
	check_mbi(64 * MIB);
	mbi = at(boot.entry.rbx, 120);
	tap_is_str(at(mbi[4], 64), "k console=ttyS0", "Multiboot: command line begins with the kernel's name");
	mod = at(mbi[6], 32);
	if (tap_ok(mbi[0] & 8 && mbi[5] == 2, "Multiboot: two modules")) {
		tap_ok(mod[0] == 0x103000 && mod[1] == mod[0] + 5000, "the first is right behind the kernel");
		tap_ok(mod[4] == 0x105000 && mod[5] == mod[4] + 100, "the second on the next page");
		tap_ok(*(const uint8_t *)at(mod[1] - 1, 1) == 0x11 && *(const uint8_t *)at(mod[4], 1) == 0x22,
			"with bytes");
		tap_ok(strstr(at(mod[2], 64), " with args") && !strcmp(at(mod[6], 64), two), "with arguments");
	}
	unlink(one);
	unlink(two);
	refused(&im, sizeof(im), &wish, one, "a module that is not there");

	multiboot_put(im.multiboot, 0x8003);
	refused(&im, sizeof(im), NULL, "features that nobody knows", "unknown mandatory features");
	im.multiboot[2]++;
	refused(&im, sizeof(im), NULL, "has to have a Multiboot header", "ELF32 with a wrong checksum");
	elf32_init(&im);
	memmove((char *)im.multiboot + 2, im.multiboot, 12);
	refused(&im, sizeof(im), NULL, "has to have a Multiboot header", "ELF32 with a misaligned header");
	elf32_init(&im);
	im.ph[0].p_paddr = 0xfffff000;
	refused(&im, sizeof(im), NULL, "beyond 4 GiB", "ELF32 segment over the end");
	elf32_init(&im);
	im.ph[0].p_filesz = 0x2000;
	refused(&im, sizeof(im), NULL, "truncated", "ELF32 segment outside of the file");
	elf32_init(&im);
	im.ph[1] = im.ph[0];
	im.ph[1].p_paddr += 0x2344;
	refused(&im, sizeof(im), NULL, "overlaps", "ELF32 segments over each other");
	im.ph[1].p_paddr++;
	loaded(&im, sizeof(im), NULL, "ELF32 segments side by side");
	elf32_init(&im);
	im.eh.e_phnum = 60000;
	refused(&im, sizeof(im), NULL, "truncated", "ELF32 with huge counts");
	elf32_init(&im);
	im.eh.e_machine = EM_ARM;
	refused(&im, sizeof(im), NULL, "32-bit arm", "ELF32 of another machine");
	refused(&im, 40, NULL, "truncated", "ELF32 of 40 bytes");
}

static void test_multiboot_elf64(void)
{
	struct boot wish = {.kind = "elf"};
	struct elf64 im;

	elf64_init(&im, 0);
	multiboot_put(im.multiboot, 0);
	loaded(&im, sizeof(im), NULL, "Multiboot ELF64");
	check_prot32("Multiboot ELF64");
	tap_is_u64(boot.entry.rip, 0x100010, "Multiboot ELF64: entry");
	loaded(&im, sizeof(im), &wish, "the same with --boot elf");
	tap_is_u64(boot.entry.mode, BOOT_MODE_LONG64, "is entered in long mode");
	elf64_init(&im, 0);
	im.multiboot[0] = 0xe85250d6;
	im.multiboot[2] = 24;
	im.multiboot[3] = -(0xe85250d6 + 24);
	/* 8-aligned in the file? The struct decides; find a place that is. */
	if (offsetof(struct elf64, multiboot) % 8)
		memmove(im.multiboot + 1, im.multiboot, 16);
	refused(&im, sizeof(im), NULL, "Multiboot 2", "ELF64 with Multiboot 2 only");
	loaded(&im, sizeof(im), &wish, "the same with --boot elf");
}

static void test_kludge(void)
{
	uint32_t file[1024] = {0};
	uint32_t *h = file + 4;

	memory_make(64 * MIB);
	memset(file, 0xab, sizeof(file));
	multiboot_put(h, 0x10000);
	h[3] = 0x200010; /* header, 16 bytes into the image */
	h[4] = 0x200000;
	h[5] = 0x200400;
	h[6] = 0x200800;
	h[7] = 0x200100;
	memset(memory_at(&mem, 0x200000, 0x1000), 0xee, 0x1000);
	if (loaded(file, sizeof(file), NULL, "flat Multiboot image")) {
		tap_is_u64(boot.entry.rip, 0x200100, "flat: entry");
		tap_is_mem(at(0x200000, 0x400), file, 0x400, "flat: loaded to its address");
		tap_ok(*(const uint8_t *)at(0x200400, 1) == 0 && *(const uint8_t *)at(0x2007ff, 1) == 0 &&
				*(const uint8_t *)at(0x200800, 1) == 0xee,
			"flat: bss is cleared and no more");
	}
	h[5] = h[6] = 0;
	loaded(file, sizeof(file), NULL, "flat image without ends");
	tap_is_mem(at(0x200000, sizeof(file)), file, sizeof(file), "is loaded to the end of the file");
	h[4] = 0x200020;
	refused(file, sizeof(file), NULL, "load address", "load address behind the header");
	h[4] = 0x1f0000;
	refused(file, sizeof(file), NULL, "load address", "load address before the file");
	h[4] = 0x200000;
	h[5] = 0x300000;
	refused(file, sizeof(file), NULL, "truncated or absurd", "load end behind the file");
	h[5] = 0x1000;
	refused(file, sizeof(file), NULL, "truncated or absurd", "load end before the start");
	h[5] = 0;
	h[6] = 0x200008;
	refused(file, sizeof(file), NULL, "bss ends", "bss end inside the code");
	h[6] = 0xfffffff0;
	refused(file, sizeof(file), NULL, "needs RAM", "bss larger than RAM");
	multiboot_put(h, 0);
	refused(file, sizeof(file), NULL, "neither an ELF file nor load addresses", "no ELF, no addresses");
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
	test_bzimage();
	test_bad_bzimage();
	test_vmlinux();
	test_multiboot();
	test_multiboot_elf64();
	test_kludge();
	test_not_a_kernel();
	memory_drop();
	return tap_done();
}
