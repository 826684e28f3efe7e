/* The kallsyms table of an arm64 Image, whose addresses a relocation completes: Debian's kernel. */
#include <errno.h>
#include <stdlib.h>

#include "arch/arm64/boot.h"
#include "tests/unit/kallsyms_map.h"
#include "tests/unit/tap.h"
#include "vmm/kallsyms.h"
#include "vmm/symbols.h"
#include "vmm/symtab.h"

/* What that kernel's table leaves out by its own rules: names of the EFI stub and of the hypervisor. */
static const char *const left_out[] = {"__efistub_", "__kvm_nvhe_", "$", NULL};

static void test_image(void)
{
	const char *path = cached("linux-arm64/vmlinuz"), *map = cached("linux-arm64/System.map");
	struct symtab *t = NULL;
	struct arm64_image h;
	struct image_file f;

	if (!path || !map || image_file_open(&f, path)) {
		tap_skip("Debian's kernel for arm64 is not in the cache: tests/setup.sh arm64", "Debian, arm64");
		return;
	}
	if (tap_ok(arm64_image_header(f.data, f.size, &h), "Debian, arm64: an Image")) {
		struct map_text text = map_text(map);
		struct kallsyms_bytes all = {
			f.data, f.size, arm64_image_kaddr(f.data, f.size, h.text_offset, h.image_size)};

		if (tap_ok(symtab_from_kallsyms(&t, path, &all, 1) == 0, "Debian, arm64: a table"))
			map_check(t, map, "TtWw", left_out, &text, "Debian, arm64");
		symtab_free(t);
		all.va = 0;
		t = NULL;
		tap_is_u64((uint64_t)-symtab_from_kallsyms(&t, path, &all, 1), ENODATA,
			"without the address of the image there is no base");
		symtab_free(t);
	}
	image_file_close(&f);
}

static void test_elf(const char *arch, uint16_t machine)
{
	char name[2][64];
	const char *path, *map;
	struct symtab *t = NULL;
	struct symbols s;

	snprintf(name[0], sizeof(name[0]), "linux-%s/vmlinux.debug", arch);
	snprintf(name[1], sizeof(name[1]), "linux-%s/System.map", arch);
	path = cached(name[0]);
	map = cached(name[1]);
	if (!path || !map || symbols_open(&s, path, machine)) {
		tap_skip("the kernel's debug file is not in the cache: tests/setup.sh nested arm64", "%s: ELF", arch);
		return;
	}
	if (tap_ok(symtab_from_elf(&t, &s) == 0, "%s: ELF: a table", arch)) {
		static const char *const marks[] = {"$", NULL};

		map_check(t, map, "TtWwRrBbVDd", marks, NULL, arch);
	}
	symtab_free(t);
	symbols_close(&s);
}

int main(void)
{
	test_image();
	test_elf("arm64", EM_AARCH64);
	test_elf("amd64", EM_X86_64);
	return tap_done();
}
