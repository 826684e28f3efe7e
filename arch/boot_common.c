#include "arch/boot_common.h"

#include <errno.h>
#include <string.h>

#include "vmm/log.h"

#define ELFNOTE_LINUX_SALT 0x100 /* LINUX_ELFNOTE_BUILD_SALT, Linux 4.19 on */
#define BANNER		   "Linux version "

/* Three bytes are little: the size of what is packed has to make sense as well (lzma-file-format.txt, 1.1.3). */
#define LZMA_MAGIC   "\x5d\0\0"
#define LZMA_SIZE_AT 5
#define LZMA_MAX     ((uint64_t)1 << 40)

static const struct {
	struct boot_packed is;
	const char *magic;
	size_t len;
} formats[] = {
	{{"gzip", "zcat"}, "\x1f\x8b", 2},
	{{"xz", "xzcat"}, "\xfd\x37zXZ", 5},
	{{"zstd", "zstdcat"}, "\x28\xb5\x2f\xfd", 4},
	{{"bzip2", "bzcat"}, "BZh", 3},
	{{"lz4", "lz4cat"}, "\x04\x22\x4d\x18", 4},
	{{"lz4", "lz4cat"}, "\x02\x21\x4c\x18", 4}, /* the format of before, Linux's own */
	{{"lzma", "xzcat --format=lzma"}, LZMA_MAGIC, 3},
	{{"lzop", "lzop -dc"}, "\x89LZO\0", 5},
};

#define NFORMATS (sizeof(formats) / sizeof(formats[0]))

static bool lzma_size_is_sane(const struct image_file *f)
{
	uint64_t size;

	if (f->size < LZMA_SIZE_AT + sizeof(size))
		return false;
	memcpy(&size, f->data + LZMA_SIZE_AT, sizeof(size));
	return size < LZMA_MAX || size == UINT64_MAX;
}

const struct boot_packed *boot_find_packed(const struct image_file *f)
{
	for (size_t i = 0; i < NFORMATS; i++) {
		if (f->size < formats[i].len || memcmp(f->data, formats[i].magic, formats[i].len) != 0)
			continue;
		if (strcmp(formats[i].is.name, "lzma") != 0 || lzma_size_is_sane(f))
			return &formats[i].is;
	}
	return NULL;
}

const struct boot_packed *boot_packed_by_name(const char *name)
{
	if (!strcmp(name, "zstd22"))
		name = "zstd"; /* at its strongest level */
	for (size_t i = 0; i < NFORMATS; i++)
		if (!strcmp(formats[i].is.name, name))
			return &formats[i].is;
	return NULL;
}

bool boot_is_vmlinux(const struct elf_image *elf, uint64_t kernel_half)
{
	bool high = false;
	size_t len;

	for (int i = 0; i < elf->nsegments; i++)
		high |= elf->segment[i].va >= kernel_half;
	if (!high)
		return false;
	if (elf_note(elf, "Linux", ELFNOTE_LINUX_SALT, &len))
		return true;
	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *s = &elf->segment[i];

		if (s->filesz && memmem(elf->file->data + s->offset, s->filesz, BANNER, strlen(BANNER)))
			return true;
	}
	return false;
}

int boot_cmdline_check(const char *const *part, size_t n, size_t limit, const char *path, size_t *len)
{
	*len = 0;
	for (size_t i = 0; i < n; i++)
		if (part[i] && *part[i])
			*len += strlen(part[i]) + (*len > 0);
	if (*len <= limit)
		return 0;
	log_error("--cmdline: the whole command line is %zu bytes, %s takes %zu", *len, path, limit);
	return -E2BIG;
}

void boot_cmdline_join(const char *const *part, size_t n, char *out)
{
	const char *start = out;

	for (size_t i = 0; i < n; i++) {
		if (!part[i] || !*part[i])
			continue;
		if (out != start)
			*out++ = ' ';
		memcpy(out, part[i], strlen(part[i]));
		out += strlen(part[i]);
	}
	*out = '\0';
}
