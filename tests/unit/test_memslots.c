/* Ranges of RAM split at write-protected pages. */
#include "vmm/memslots.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/tap.h"
#include "vmm/memory.h"

#define PAGE 0x1000ull
#define MAX  32

static const struct guest_memory mem = {
	.range = {{.gpa = 0, .size = 0x10000}, {.gpa = 0x10000, .size = 0x4000}, {.gpa = 0x100000, .size = 0x3000}},
	.n = 3,
};

struct piece {
	uint64_t gpa, size;
	int readonly;
};

static void splits(const uint64_t *pages, size_t n, const struct piece *want, size_t nwant, const char *text)
{
	struct mem_piece got[MAX];
	size_t ngot = memslots_split(&mem, pages, n, PAGE, got, MAX);
	bool same = ngot == nwant;

	for (size_t i = 0; same && i < ngot; i++)
		same = got[i].gpa == want[i].gpa && got[i].size == want[i].size && got[i].readonly == want[i].readonly;
	tap_ok(same, "%s", text);
	for (size_t i = 0; !same && i < ngot && i < MAX; i++)
		tap_diag("0x%" PRIx64 " + 0x%" PRIx64 " %s", got[i].gpa, got[i].size, got[i].readonly ? "r" : "rw");
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SPLITS(text, pages, ...)                                                                                       \
	do {                                                                                                           \
		static const struct piece want[] = {__VA_ARGS__};                                                      \
		splits(pages, COUNT(pages), want, COUNT(want), text);                                                  \
	} while (0)

#define LAST                                                                                                           \
	{0x10000, 0x4000, 0},                                                                                          \
	{                                                                                                              \
		0x100000, 0x3000, 0                                                                                    \
	}

/* No KVM at all: the old slots cannot be put back either. As many pieces as ranges, so that no limit is asked about. */
static void test_broken(void)
{
	uint64_t page = memslots_page(), whole[] = {32 * page};
	struct guest_memory ram = {.range = {{.size = 16 * page}, {.gpa = 32 * page, .size = page}}, .n = 2};
	struct memslots s = {0};

	tap_is_u64((uint64_t)-memslots_protect(&s, &ram, -1, whole, COUNT(whole), false), EIO, "RAM that is lost");
	tap_ok(s.broken, "is remembered");
	tap_is_u64((uint64_t)-memslots_protect(&s, &ram, -1, NULL, 0, false), EIO, "as long as the machine lives");
	memslots_free(&s);
	tap_ok(!s.broken && !s.slot && !s.n, "and not by the next one");
	tap_ok(memslots_protect(&s, &ram, -1, NULL, 0, false) == 0, "which begins anew");
}

int main(void)
{
	static const uint64_t middle[] = {0x3000}, first[] = {0}, end[] = {0xf000}, run[] = {0x2000, 0x3000, 0x4000};
	static const uint64_t gap[] = {0x2000, 0x4000}, border[] = {0xf000, 0x10000},
			      whole[] = {0x100000, 0x101000, 0x102000};
	static const uint64_t outside[] = {0x14000, 0xff000, 0x103000, 0x200000}, all[] = {0x1000, 0x11000, 0x102000};
	struct mem_piece few[2];

	splits(NULL, 0, (const struct piece[]){{0, 0x10000, 0}, LAST}, 3, "no page: a piece each");
	SPLITS("in the middle", middle, {0, 0x3000, 0}, {0x3000, PAGE, 1}, {0x4000, 0xc000, 0}, LAST);
	SPLITS("the first", first, {0, PAGE, 1}, {0x1000, 0xf000, 0}, LAST);
	SPLITS("the last of a range", end, {0, 0xf000, 0}, {0xf000, PAGE, 1}, LAST);
	SPLITS("neighbours are one piece", run, {0, 0x2000, 0}, {0x2000, 3 * PAGE, 1}, {0x5000, 0xb000, 0}, LAST);
	SPLITS("a page between", gap, {0, 0x2000, 0}, {0x2000, PAGE, 1}, {0x3000, PAGE, 0}, {0x4000, PAGE, 1},
		{0x5000, 0xb000, 0}, LAST);
	SPLITS("ranges that touch stay apart", border, {0, 0xf000, 0}, {0xf000, PAGE, 1}, {0x10000, PAGE, 1},
		{0x11000, 0x3000, 0}, {0x100000, 0x3000, 0});
	SPLITS("a whole range", whole, {0, 0x10000, 0}, {0x10000, 0x4000, 0}, {0x100000, 0x3000, 1});
	SPLITS("outside RAM", outside, {0, 0x10000, 0}, LAST);
	SPLITS("in each range", all, {0, PAGE, 0}, {0x1000, PAGE, 1}, {0x2000, 0xe000, 0}, {0x10000, PAGE, 0},
		{0x11000, PAGE, 1}, {0x12000, 0x2000, 0}, {0x100000, 0x2000, 0}, {0x102000, PAGE, 1});
	memset(few, 0, sizeof(few));
	tap_is_u64(memslots_split(&mem, gap, COUNT(gap), PAGE, few, 2), 7, "pieces that do not fit are counted");
	tap_is_u64(few[1].gpa, 0x2000, "those that fit are there");
	test_broken();
	return tap_done();
}
