/*
 * For tests of the loaders: some RAM, a file that is loaded into it or refused, and what was said. The includer has its
 * ISA's boot.h, and defines the two functions that it calls.
 */
#ifndef TESTS_UNIT_BOOT_DRIVER_H
#define TESTS_UNIT_BOOT_DRIVER_H

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "tests/unit/tap.h"

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* The includer's: the ISA's RAM layout, and its loader on a boot whose mem and image are set. */
static int driver_layout(uint64_t size, struct mem_range *ranges, int max);
static int driver_load(struct boot *b);

static struct guest_memory mem;
static struct boot boot;
static struct capture cap;
static const char *said;

TAP_UNUSED static void memory_drop(void)
{
	for (int i = 0; i < mem.n; i++)
		munmap(mem.range[i].host, mem.range[i].size);
	mem.n = 0;
}

TAP_UNUSED static void memory_make(uint64_t size)
{
	memory_drop();
	mem.n = driver_layout(size, mem.range, MEM_RANGES_MAX);
	mem.size = size;
	for (int i = 0; i < mem.n; i++)
		mem.range[i].host = mmap(NULL, mem.range[i].size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Loads a heap copy of exactly this size, so that the sanitizer sees a read beyond it. */
TAP_UNUSED static int load_with(const void *data, size_t size, const struct boot *wish)
{
	uint8_t *copy = malloc(size);
	struct image_file f = {.path = "k", .data = copy, .size = size};
	int err;

	memcpy(copy, data, size);
	boot = wish ? *wish : (struct boot){0};
	boot.mem = &mem;
	boot.image = &f;
	capture_start(&cap, STDERR_FILENO);
	err = driver_load(&boot);
	said = capture_end(&cap);
	free(copy);
	return err;
}

TAP_UNUSED static bool one_line(const char *s)
{
	const char *nl = strchr(s, '\n');

	return nl && !nl[1];
}

TAP_UNUSED static void refused(
	const void *data, size_t size, const struct boot *wish, const char *words, const char *name)
{
	int err = load_with(data, size, wish);

	if (!tap_ok(err < 0 && one_line(said) && strstr(said, words), "refused: %s", name))
		tap_diag("returned %d, said: %s", err, said);
}

TAP_UNUSED static bool loaded(const void *data, size_t size, const struct boot *wish, const char *name)
{
	int err = load_with(data, size, wish);

	if (!tap_ok(!err && !*said, "loaded: %s", name))
		tap_diag("returned %d, said: %s", err, said);
	return !err;
}

TAP_UNUSED static void layout_refused(uint64_t size)
{
	struct mem_range r[MEM_RANGES_MAX];
	int n;

	capture_start(&cap, STDERR_FILENO);
	n = driver_layout(size, r, MEM_RANGES_MAX);
	said = capture_end(&cap);
	tap_ok(n == -EINVAL && one_line(said), "refused: --mem of %" PRIu64 " bytes", size);
}

TAP_UNUSED static const void *at(uint64_t gpa, uint64_t len)
{
	static const uint8_t nothing[65536];
	const void *p = memory_at(&mem, gpa, len);

	return p ? p : nothing;
}

TAP_UNUSED static bool resolves(uint64_t va, uint64_t gpa)
{
	uint64_t got = 0, len = 0;

	return image_layout_find(&boot.layout, va, &got, &len) && got == gpa && len;
}

/* A file of that size; the name is good until the next but one. The caller unlinks it. */
TAP_UNUSED static const char *temp_file(size_t size, uint8_t fill)
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

#endif
