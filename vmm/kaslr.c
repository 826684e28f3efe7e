#include "vmm/kaslr.h"

#include <errno.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/symbols.h"

#define PAGE	     4096u
#define BANNER_BEGIN "Linux version "

/* No kernel links itself over more; a file that claims to would make the search one without end. */
#define SIZE_MAX_KERNEL (1ULL << 30)

int kaslr_prepare(struct kaslr *k, const struct symbols *s)
{
	const size_t begin = strlen(BANNER_BEGIN);
	struct symbol banner;
	const char *end;
	size_t got;

	memset(k, 0, sizeof(*k));
	symbols_span(s, &k->low, &k->high);
	k->first = s->elf.segment[0].va;
	for (int i = 0; i < s->elf.nsegments; i++)
		k->percpu_at_zero |= !s->elf.segment[i].va && s->elf.segment[i].pa;
	if (k->high - k->low > SIZE_MAX_KERNEL || symbols_find(s, "linux_banner", &banner)) {
		log_error("%s: is not the vmlinux of a Linux kernel: it has no linux_banner, or no kernel's addresses",
			s->file.path);
		return -ENOEXEC;
	}
	k->banner = banner.addr;
	got = symbols_bytes(s, banner.addr, k->text, sizeof(k->text) - 1);
	end = memchr(k->text, 0, got);
	k->len = end ? (size_t)(end - k->text) : got;
	memset(k->text + k->len, 0, sizeof(k->text) - k->len);
	if (k->len > begin && !memcmp(k->text, BANNER_BEGIN, begin))
		return 0;
	/* Files of debugging information only have the symbols, but not what is there. */
	log_error("%s: the kernel's linux_banner is not in it: the vmlinux of its build is needed", s->file.path);
	return -ENOEXEC;
}

static bool is_here(const struct kaslr *k, uint64_t slide, kaslr_read_fn *read, void *ctx)
{
	char there[KASLR_BANNER_MAX];

	return read(ctx, k->banner + slide, there, k->len + 1) && !memcmp(there, k->text, k->len + 1);
}

/* The lowest addresses that the kernel can have: multiples of KASLR_ALIGN away from where it is linked. */
static void candidates(const struct kaslr *k, const struct kaslr_hint *hint, uint64_t *first, uint64_t *count)
{
	uint64_t size = k->high - k->low, from = hint->addr, room = hint->len;

	*count = 0;
	if (!room && size) {
		from = hint->addr - (size - 1);
		room = 2 * size - 1;
	}
	if (!size || room < size)
		return;
	*first = from + (k->low - from) % KASLR_ALIGN;
	if (*first - from <= room - size)
		*count = (room - size - (*first - from)) / KASLR_ALIGN + 1;
}

bool kaslr_search(
	const struct kaslr *k, const struct kaslr_hint *hint, size_t n, kaslr_read_fn *read, void *ctx, uint64_t *slide)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t first = 0, count;

		candidates(k, &hint[i], &first, &count);
		for (uint64_t j = 0; j < count; j++) {
			*slide = first + j * KASLR_ALIGN - k->low;
			if (is_here(k, *slide, read, ctx))
				return true;
		}
	}
	return false;
}

/* Copies the line at va to text, as far as it is mapped. */
static void copy_line(uint64_t va, kaslr_read_fn *read, void *ctx, char *text, size_t len)
{
	size_t n = 0;

	while (n + 1 < len && read(ctx, va + n, text + n, 1) && text[n] >= ' ' && text[n] < 0x7f)
		n++;
	text[n] = '\0';
}

static bool other_in_page(uint64_t page, kaslr_read_fn *read, void *ctx, char *text, size_t len)
{
	const size_t begin = strlen(BANNER_BEGIN);
	char bytes[PAGE + sizeof(BANNER_BEGIN)];
	size_t got = PAGE;
	const char *at;

	if (!read(ctx, page, bytes, PAGE))
		return false;
	if (read(ctx, page + PAGE, bytes + PAGE, begin)) /* one that goes on in the next page */
		got += begin;
	at = memmem(bytes, got, BANNER_BEGIN, begin);
	if (at)
		copy_line(page + (uint64_t)(at - bytes), read, ctx, text, len);
	return at;
}

bool kaslr_other_banner(const struct kaslr *k, const struct kaslr_hint *hint, size_t n, kaslr_read_fn *read, void *ctx,
	char *text, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t size = 2 * (k->high - k->low), from = hint[i].addr & ~(uint64_t)(PAGE - 1);
		uint64_t room = hint[i].len;

		/* The other kernel may be larger than this one. */
		if (!room) {
			from -= size & ~(uint64_t)(PAGE - 1);
			room = 2 * size;
		}
		for (uint64_t off = 0; off < room; off += PAGE)
			if (other_in_page(from + off, read, ctx, text, len))
				return true;
	}
	return false;
}
