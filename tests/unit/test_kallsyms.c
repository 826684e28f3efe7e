/* Reading the kallsyms table out of a kernel's bytes: every layout, damaged ones, and Debian's kernels. */
#include "vmm/kallsyms.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/unit/kallsyms_maker.h"
#include "tests/unit/kallsyms_map.h"
#include "tests/unit/tap.h"
#include "vmm/elf.h"
#include "vmm/memory.h"
#include "vmm/symbols.h"
#include "vmm/symtab.h"

/* clang-format off */
static const struct maker_wish layouts[] = {
	{"4.6, arm64",			ORDER_FRONT,	AS_OFFSET,	8, 256,	700, false},
	{"4.6, arm64, whole addresses",	ORDER_FRONT,	AS_WHOLE,	8, 256,	600, false},
	{"4.19, x86_64",		ORDER_FRONT,	AS_PERCPU,	8, 8,	700, false},
	{"4.20, x86_64",		ORDER_FRONT,	AS_PERCPU,	4, 8,	700, false},
	{"5.10, an odd number of markers", ORDER_FRONT,	AS_OFFSET,	4, 8,	600, false},
	{"6.1",				ORDER_FRONT,	AS_OFFSET,	4, 8,	1025, true},
	{"6.1, a base by relocation",	ORDER_FRONT,	AS_RELOCATED,	4, 8,	1024, true},
	{"6.1, whole addresses",	ORDER_FRONT,	AS_WHOLE,	4, 8,	513, true},
	{"6.2",				ORDER_SEQS,	AS_PERCPU,	4, 8,	700, true},
	{"6.3",				ORDER_SEQS,	AS_OFFSET,	4, 8,	1023, true},
	{"6.3, a base by relocation",	ORDER_SEQS,	AS_RELOCATED,	4, 8,	513, true},
	{"6.4, x86_64",			ORDER_BEHIND,	AS_PERCPU,	4, 8,	700, true},
	{"6.4, whole addresses",	ORDER_BEHIND,	AS_WHOLE,	4, 8,	701, true},
	{"6.12, arm64",			ORDER_BEHIND,	AS_RELOCATED,	4, 8,	701, true},
	{"6.15",			ORDER_BEHIND,	AS_OFFSET,	4, 8,	2561, true},
	{"7.0",				ORDER_BEHIND,	AS_PLACE,	4, 8,	701, true},
};
/* clang-format on */
#define LAYOUTS (sizeof(layouts) / sizeof(layouts[0]))

static struct maker image;

/* A heap copy of exactly that size, so that the sanitizer sees a read beyond it. */
static int read_copy(struct symtab **t, const uint8_t *data, size_t len, uint64_t va)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct kallsyms_bytes chunk = {.data = copy, .len = len, .va = va};
	int err;

	memcpy(copy, data, len);
	err = symtab_from_kallsyms(t, "/boot/vmlinux", &chunk, 1);
	free(copy);
	return err;
}

/* -1: all is as it was made; else the first symbol that is not. */
static int first_wrong(const struct symtab *t, const struct maker_wish *w)
{
	for (unsigned i = 0; i < w->count; i++) {
		struct symtab_entry e;
		char name[512];

		maker_name(w, i, name, sizeof(name));
		if (!symtab_get(t, i, &e) || e.addr != maker_addr(w, i) || e.type != maker_type(w, i) || e.size ||
			strcmp(e.name, name) != 0)
			return (int)i;
	}
	return symtab_count(t) == w->count ? -1 : (int)w->count;
}

static void test_layouts(void)
{
	for (size_t i = 0; i < LAYOUTS; i++) {
		struct symtab *t = NULL;
		int err;

		maker_make(&image, &layouts[i]);
		err = read_copy(&t, image.data, image.n, MAKER_VA);
		tap_ok(err == 0 && first_wrong(t, &layouts[i]) < 0, "%s: %u symbols, all of them right",
			layouts[i].what, layouts[i].count);
		if (err)
			tap_diag("error %d", err);
		else if (first_wrong(t, &layouts[i]) >= 0)
			tap_diag("symbol %d is wrong", first_wrong(t, &layouts[i]));
		symtab_free(t);
	}
}

static bool found(const struct kallsyms_bytes *chunk, size_t n)
{
	struct symtab *t = NULL;
	int err = symtab_from_kallsyms(&t, NULL, chunk, n);

	symtab_free(t);
	return err == 0;
}

static void test_chunks(void)
{
	static uint8_t text[4096];
	struct kallsyms_bytes chunk[3] = {{text, sizeof(text), 0xffff000000000000}, {NULL, 0, 0}};

	maker_make(&image, &layouts[5]);
	chunk[2] = (struct kallsyms_bytes){image.data, image.n, MAKER_VA};
	tap_ok(found(chunk, 3), "in the third of three chunks");
	tap_ok(!found(chunk, 2) && !found(chunk, 0), "not in the others, or none");
	chunk[2].va = 0;
	tap_ok(found(chunk, 3), "an address that is not known is not needed, with a base");
	chunk[2].va = MAKER_VA + 4;
	tap_ok(!found(chunk, 3), "one that does not fit the alignment");
	maker_make(&image, &layouts[6]);
	chunk[2] = (struct kallsyms_bytes){image.data, image.base + 24, MAKER_VA};
	tap_ok(!found(chunk, 3), "the base is a relocation's, which is not there");
	chunk[2].len = image.n;
	chunk[2].va = 0;
	tap_ok(!found(chunk, 3), "nor is it without an address");
}

/* Is nothing found once the byte at `at` has been changed? */
static bool lost(size_t at, uint8_t value)
{
	uint8_t was = image.data[at];
	struct symtab *t = NULL;
	int err;

	image.data[at] = value;
	err = read_copy(&t, image.data, image.n, MAKER_VA);
	image.data[at] = was;
	symtab_free(t);
	return err == -ENODATA;
}

static void test_damaged(void)
{
	size_t i = 0;

	maker_make(&image, &layouts[11]);
	for (size_t at = image.index; at < image.index_end; at += 2)
		i += lost(at, (uint8_t)(image.data[at] + 1));
	tap_is_u64(i, 256, "each entry of the token index counts");
	tap_ok(lost(image.markers + 4, image.data[image.markers + 4] ^ 1), "so does each marker");
	tap_ok(lost(image.markers, 1), "the first is 0");
	tap_ok(lost(image.count + 1, image.data[image.count + 1] + 1), "the count has to fit the markers");
	tap_ok(lost(image.count, image.data[image.count] - 1), "and the names");
	tap_ok(lost(image.count + 5, 1), "all of it");
	tap_ok(lost(image.names, image.data[image.names] + 1), "a name's length");
	tap_ok(lost(image.names, 0), "which is not 0");
	tap_ok(lost(image.tokens + strlen("t00_"), 1), "a token without its end");
	tap_ok(lost(image.base + 7, 0), "a base below the kernel half");
	for (unsigned j = 0; j < 200; j++) /* the first half of the addresses descends */
		memset(image.data + image.offsets + 4 * (MAKER_PERCPU + j), 0x80 + (j & 0x3f), 4);
	tap_ok(lost(image.n - 1, 0), "addresses that do not ascend");
}

/* Names that expand to more than a symbol has: a token of 1000 letters, twice in a name. */
static void test_long_token(void)
{
	struct symtab *t = NULL;
	const size_t more = 1024;
	uint16_t index;

	maker_make(&image, &layouts[13]);
	memmove(image.data + image.tokens + more, image.data + image.tokens, image.n - image.tokens);
	memset(image.data + image.tokens, 'y', more);
	image.n += more;
	for (unsigned i = 1; i < 256; i++) {
		memcpy(&index, image.data + image.index + more + 2 * i, 2);
		index += more;
		memcpy(image.data + image.index + more + 2 * i, &index, 2);
	}
	image.base += more;
	memcpy(image.data + image.n - 200 - 24, &(uint64_t){MAKER_VA + image.base}, 8);
	tap_is_u64((uint64_t)read_copy(&t, image.data, image.n, MAKER_VA), 0, "a token that is long and not used");
	symtab_free(t);
	t = NULL;
	image.data[image.names + 2] = 0;
	tap_is_u64((uint64_t)-read_copy(&t, image.data, image.n, MAKER_VA), ENODATA, "in a name it is refused");
}

static void test_cut(void)
{
	size_t good = 0, last = 0;

	for (size_t i = 0; i < LAYOUTS; i += 3) {
		maker_make(&image, &layouts[i]);
		for (size_t len = 0; len < image.n; len += len < image.names ? 1021 : 37) {
			struct symtab *t = NULL;

			if (read_copy(&t, image.data, len, MAKER_VA) == 0) {
				good += first_wrong(t, &layouts[i]) < 0;
				last++;
			}
			symtab_free(t);
		}
	}
	tap_ok(last && good == last, "cut off anywhere: nothing, or all of it if only what follows is missing");
}

/* Bytes changed at random: whatever is found is a table that can be read. */
static void test_noise(void)
{
	uint32_t seed = 12345;
	size_t found_some = 0;

	for (unsigned round = 0; round < 400; round++) {
		struct symtab *t = NULL;
		struct symtab_entry e;

		if (round % 25 == 0)
			maker_make(&image, &layouts[round / 25 % LAYOUTS]);
		seed = seed * 1664525 + 1013904223;
		image.data[MAKER_TEXT + (seed >> 8) % (image.n - MAKER_TEXT)] = (uint8_t)seed;
		if (read_copy(&t, image.data, image.n, MAKER_VA) == 0) {
			found_some++;
			for (size_t i = 0; symtab_get(t, i, &e); i++)
				if (!e.name[0] || strlen(e.name) > 1023)
					tap_ok(false, "a bad name in round %u", round);
		}
		symtab_free(t);
	}
	tap_ok(found_some, "400 tables with more and more noise (%zu still had names)", found_some);
}

/* What looks like the begin of a table again and again does not take long. */
static void test_floods(void)
{
	const char digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
	const size_t size = 8 << 20;
	uint8_t *data = calloc(1, size);
	struct symtab *t = NULL;

	for (size_t at = 0; at + sizeof(digits) < size; at += sizeof(digits))
		memcpy(data + at, digits, sizeof(digits));
	tap_is_u64((uint64_t)-read_copy(&t, data, size, MAKER_VA), ENODATA, "8 MiB of digits");
	maker_make(&image, &layouts[14]);
	for (size_t at = 0; at + 4096 < size; at += 4096) /* tokens without names, thousands of times */
		memcpy(data + at, image.data + image.tokens, image.index_end - image.tokens);
	tap_is_u64((uint64_t)-read_copy(&t, data, size, MAKER_VA), ENODATA, "tokens without names");
	for (size_t at = 0; at + 8 < size; at += 8) /* each zero could be the first of two markers */
		memcpy(data + at, &(uint32_t[2]){0, 1024}, 8);
	memcpy(data + size - 4096, image.data + image.tokens, image.index_end - image.tokens);
	tap_is_u64((uint64_t)-read_copy(&t, data, size, MAKER_VA), ENODATA, "markers without end");
	for (size_t at = 0; at + 8 < size - 4096; at += 8) /* and each word a count */
		memcpy(data + at, &(uint64_t){700}, 8);
	tap_is_u64((uint64_t)-read_copy(&t, data, size, MAKER_VA), ENODATA, "counts without end");
	free(data);
}

/* ---- Debian's kernel for amd64 ---- */

#define LINUX_PA 0x1000000ull
#define LINUX_VA 0xffffffff81000000ull

static void check_ram(const struct elf_image *elf, const char *map)
{
	struct guest_memory mem = {.n = 1, .size = 128 << 20};
	struct kallsyms_bytes chunk = {.len = 64 << 20, .va = LINUX_VA};
	struct symtab *t = NULL;

	mem.range[0] = (struct mem_range){.size = mem.size,
		.host = mmap(NULL, mem.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
	if (elf_load(elf, &mem) == 0) {
		chunk.data = memory_at(&mem, LINUX_PA, chunk.len);
		if (tap_ok(symtab_from_kallsyms(&t, "vmlinuz", &chunk, 1) == 0, "Debian, amd64: found in memory"))
			map_check(t, map, "TtWw", NULL, NULL, "Debian, amd64, in memory");
		symtab_free(t);
	}
	munmap(mem.range[0].host, mem.size);
}

static void test_debian(void)
{
	/* the table leaves itself out */
	static const char *const left_out[] = {"kallsyms_", NULL};
	struct kallsyms_bytes chunk[ELF_SEGMENTS_MAX];
	const char *path = cached("linux-amd64/vmlinux"), *map = cached("linux-amd64/System.map");
	struct symtab *t = NULL;
	struct image_file f;
	struct elf_image elf;
	struct symtab_entry e;

	if (!path || !map || image_file_open(&f, path) || elf_parse(&elf, &f, EM_X86_64)) {
		tap_skip("Debian's kernel for amd64 is not in the cache: tests/setup.sh nested", "Debian, amd64");
		return;
	}
	for (int i = 0; i < elf.nsegments; i++)
		chunk[i] = (struct kallsyms_bytes){
			f.data + elf.segment[i].offset, elf.segment[i].filesz, elf.segment[i].va};
	if (tap_ok(symtab_from_kallsyms(&t, path, chunk, (size_t)elf.nsegments) == 0, "Debian, amd64: a table")) {
		map_check(t, map, "TtWwRrBbVDd", left_out, NULL, "Debian, amd64");
		tap_ok(symtab_find(t, "start_kernel", &e, 1) == 1 && symtab_at(t, e.addr + 9, &e) &&
				!strcmp(e.name, "start_kernel"),
			"and back");
		tap_ok(symtab_find(t, "fixed_percpu_data", &e, 1) == 1 && e.type == 'A' && !symtab_at(t, 8, &e),
			"per-CPU symbols are absolute, and nothing is at address 8");
	}
	symtab_free(t);
	check_ram(&elf, map);
	image_file_close(&f);
}

int main(void)
{
	test_layouts();
	test_chunks();
	test_damaged();
	test_long_token();
	test_cut();
	test_noise();
	test_floods();
	test_debian();
	return tap_done();
}
