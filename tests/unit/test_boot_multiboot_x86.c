/* Multiboot kernels over plain memory: ELF32, ELF64 and flat images. */
#include "tests/unit/boot_x86.h"

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

int main(void)
{
	test_multiboot();
	test_multiboot_elf64();
	test_kludge();
	memory_drop();
	return tap_done();
}
