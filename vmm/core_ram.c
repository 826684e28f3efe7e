#include "vmm/core_ram.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/memory.h"

/* Linux, Documentation/admin-guide/mm/pagemap.rst: in memory, or swapped out. The rest was never touched. */
#define PAGEMAP_TOUCHED (3ull << 62)
#define WORDS		(sizeof(((struct core_ram *)0)->bits) / sizeof(uint64_t))

void core_ram_open(struct core_ram *r)
{
	r->page = (uint64_t)sysconf(_SC_PAGESIZE);
	r->n = 0;
	r->fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

void core_ram_close(struct core_ram *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* r->bits from this page on. */
static bool fetch(struct core_ram *r, uintptr_t at)
{
	ssize_t n;

	if (r->n && at >= r->at && at - r->at < r->n * r->page)
		return true;
	n = r->fd < 0 ? -1 : pread(r->fd, r->bits, sizeof(r->bits), (off_t)(at / r->page * sizeof(r->bits[0])));
	if (n < (ssize_t)sizeof(r->bits[0])) {
		core_ram_close(r);
		r->n = 0;
		return false;
	}
	r->at = at;
	r->n = (size_t)n / sizeof(r->bits[0]);
	return true;
}

/* Without the host's page map, all are. */
static bool touched(struct core_ram *r, uintptr_t at)
{
	return r->fd < 0 || !fetch(r, at) || (r->bits[(at - r->at) / r->page] & PAGEMAP_TOUCHED);
}

size_t core_ram_next(struct core_ram *r, const uint8_t **host, const uint8_t *end, size_t max)
{
	size_t n = 0;

	while (*host < end && !touched(r, (uintptr_t)*host))
		*host += r->page;
	while (n < max && *host + n < end && touched(r, (uintptr_t)*host + n))
		n += r->page;
	return n < (size_t)(end - *host) ? n : (size_t)(end - *host);
}

bool core_ram_zero(const uint8_t *p, size_t n)
{
	const uint64_t *q = (const uint64_t *)(const void *)p;

	for (size_t i = 0; i < n / sizeof(*q); i += 8)
		if (q[i] | q[i + 1] | q[i + 2] | q[i + 3] | q[i + 4] | q[i + 5] | q[i + 6] | q[i + 7])
			return false;
	return true;
}

/* ---- VMCOREINFO: Linux's kernel/crash_core.c (vmcore_info.c) makes the note on pages of its own ---- */

#define NAME	   "VMCOREINFO"
#define FIRST_LINE "OSRELEASE="
#define GUEST_PAGE 4096	 /* the smallest that a guest can have */
#define TEXT_MAX   65536 /* it has one page of the guest's, and those have 64 KiB at most */

struct vmcoreinfo {
	Elf64_Nhdr header;
	char name[(sizeof(NAME) + 3) / 4 * 4];
};

/* Lines of printable text, the first of which is the kernel's version? */
static bool is_text(const uint8_t *p, size_t len)
{
	if (len < sizeof(FIRST_LINE) || memcmp(p, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0 || p[len - 1] != '\n')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((p[i] < ' ' || p[i] > '~') && p[i] != '\n' && p[i] != '\t')
			return false;
	return true;
}

static const uint8_t *vmcoreinfo_at(const uint8_t *p, size_t room, size_t *len)
{
	struct vmcoreinfo v;

	if (room < sizeof(v))
		return NULL;
	memcpy(&v, p, sizeof(v));
	if (v.header.n_namesz != sizeof(NAME) || v.header.n_type || memcmp(v.name, NAME, sizeof(NAME)) != 0)
		return NULL;
	if (v.header.n_descsz > TEXT_MAX || v.header.n_descsz > room - sizeof(v) ||
		!is_text(p + sizeof(v), v.header.n_descsz))
		return NULL;
	*len = v.header.n_descsz;
	return p + sizeof(v);
}

const uint8_t *core_ram_vmcoreinfo(struct core_ram *r, const struct guest_memory *mem, size_t *len)
{
	for (int i = 0; i < mem->n; i++) {
		const uint8_t *p = mem->range[i].host, *end = p + mem->range[i].size, *text;
		size_t n;

		for (; (n = core_ram_next(r, &p, end, sizeof(r->bits))) != 0; p += n)
			for (size_t at = 0; at < n; at += GUEST_PAGE) {
				text = vmcoreinfo_at(p + at, (size_t)(end - p) - at, len);
				if (text)
					return text;
			}
	}
	return NULL;
}
