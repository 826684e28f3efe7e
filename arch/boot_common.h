/*
 * What the loaders of all ISAs have in common. As them it knows no KVM. Main thread; nothing here logs unless it says
 * so.
 */
#ifndef ARCH_BOOT_COMMON_H
#define ARCH_BOOT_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/elf.h"

/* A compressed file: the name of the format, and the command that writes its contents to stdout. */
struct boot_packed {
	const char *name, *tool;
};
/* By its first bytes; NULL: in no known format. */
const struct boot_packed *boot_find_packed(const struct image_file *f);
/* By the name that Linux gives the format in a zboot header; NULL: unknown. */
const struct boot_packed *boot_packed_by_name(const char *name);

/*
 * Is it Linux's vmlinux? That is linked into the kernel half, which begins at kernel_half, and has either a note by the
 * name of "Linux" or, being older than that, its version banner in what it loads.
 */
bool boot_is_vmlinux(const struct elf_image *elf, uint64_t kernel_half);

/*
 * The n parts of a command line (NULL or empty: left out), joined by spaces. _check: *len is its length
 * without the final 0; -E2BIG, logged, if that is more than limit, which is what the kernel at `path` takes. _join:
 * into out, which has room for it.
 */
int boot_cmdline_check(const char *const *part, size_t n, size_t limit, const char *path, size_t *len);
void boot_cmdline_join(const char *const *part, size_t n, char *out);

#endif
