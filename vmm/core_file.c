#include "vmm/core_file.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/core_map.h"
#include "vmm/core_notes.h"
#include "vmm/core_ram.h"
#include "vmm/memory.h"

#define ALIGN 65536	 /* of memory in the file: any guest's pages */
#define CHUNK (1u << 20) /* looked through for zeros, and written while it is still in the caches */
/*
 * Fewer zeros than this between two other pieces are written with them: a hole costs the file system and the reader
 * more than that.
 */
#define HOLE_MIN  16384
#define ZERO_STEP 4096

/* ---- writing ---- */

static int write_all(int fd, const void *buf, size_t len, uint64_t at)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static size_t step_of(size_t left)
{
	return left < ZERO_STEP ? left : ZERO_STEP;
}

/* n bytes at p, the long runs of zeros left out. */
static int write_data(int fd, const uint8_t *p, size_t n, uint64_t at, uint64_t *written)
{
	size_t from = 0, to = 0, i = 0;

	for (; i <= n; i += step_of(n - i)) {
		bool end = i == n;
		int err;

		if (!end && !core_ram_zero(p + i, step_of(n - i))) {
			if (to == from)
				from = i;
			to = i + step_of(n - i);
			continue;
		}
		if (to > from && (end || i - to >= HOLE_MIN)) {
			err = write_all(fd, p + from, to - from, at + from);
			if (err)
				return err;
			*written += to - from;
			from = to = 0;
		}
		if (end)
			break;
	}
	return 0;
}

static int write_range(int fd, const struct mem_range *r, struct core_ram *ram, uint64_t at, uint64_t *written)
{
	const uint8_t *p = r->host, *end = p + r->size;
	size_t n;
	int err;

	for (; (n = core_ram_next(ram, &p, end, CHUNK)) != 0; p += n) {
		err = write_data(fd, p, n, at + (uint64_t)(p - r->host), written);
		if (err)
			return err;
	}
	return 0;
}

/* ---- headers ---- */

struct headers {
	uint8_t *data; /* ELF header, program headers, notes */
	size_t size;
	uint64_t ram[MEM_RANGES_MAX]; /* where each range begins in the file */
	uint64_t end;
};

static uint64_t align_up(uint64_t n)
{
	return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static void fill_elf_header(Elf64_Ehdr *e, uint16_t machine, size_t nheaders)
{
	*e = (Elf64_Ehdr){
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT, ELFOSABI_NONE},
		.e_type = ET_CORE,
		.e_machine = machine,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(*e),
		.e_ehsize = sizeof(*e),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (uint16_t)nheaders,
	};
}

/* p_align stays 0: by that, crash takes it for kdump's kind and not for an older one that knows less. */
static Elf64_Phdr load(uint64_t va, uint64_t pa, uint64_t offset, uint64_t len, uint32_t flags)
{
	return (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = flags,
		.p_offset = offset,
		.p_vaddr = va,
		.p_paddr = pa,
		.p_filesz = len,
		.p_memsz = len,
	};
}

static uint64_t offset_of(const struct headers *h, const struct guest_memory *mem, uint64_t gpa)
{
	for (int i = 0; i < mem->n; i++)
		if (gpa >= mem->range[i].gpa && gpa - mem->range[i].gpa < mem->range[i].size)
			return h->ram[i] + (gpa - mem->range[i].gpa);
	return 0; /* core_map.h: there is none such */
}

static int headers_make(struct headers *h, const struct core_content *c)
{
	size_t n = 1 + (size_t)c->mem->n + c->map->n, at = sizeof(Elf64_Ehdr) + n * sizeof(Elf64_Phdr);
	Elf64_Phdr *ph;

	if (n >= PN_XNUM)
		return -EOVERFLOW;
	h->size = at + c->notes->size;
	h->data = calloc(1, h->size);
	if (!h->data)
		return -ENOMEM;
	h->end = align_up(h->size);
	for (int i = 0; i < c->mem->n; i++) {
		h->ram[i] = h->end;
		h->end += align_up(c->mem->range[i].size);
	}
	fill_elf_header((Elf64_Ehdr *)(void *)h->data, c->machine, n);
	ph = (Elf64_Phdr *)(void *)(h->data + sizeof(Elf64_Ehdr));
	*ph++ = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = at, .p_filesz = c->notes->size};
	for (int i = 0; i < c->mem->n; i++) {
		const struct mem_range *r = &c->mem->range[i];

		*ph++ = load(CORE_PHYSICAL + r->gpa, r->gpa, h->ram[i], r->size, PF_R | PF_W | PF_X);
	}
	for (size_t i = 0; i < c->map->n; i++) {
		const struct core_piece *p = &c->map->piece[i];

		*ph++ = load(p->va, p->gpa, offset_of(h, c->mem, p->gpa), p->len, p->flags);
	}
	memcpy(h->data + at, c->notes->data, c->notes->size);
	return 0;
}

int core_file_write(int fd, const struct core_content *c, uint64_t *written)
{
	struct headers h = {0};
	int err = headers_make(&h, c);

	*written = 0;
	if (!err && ftruncate(fd, (off_t)h.end) < 0)
		err = -errno;
	for (int i = 0; i < c->mem->n && !err; i++)
		err = write_range(fd, &c->mem->range[i], c->ram, h.ram[i], written);
	if (!err)
		err = write_all(fd, h.data, h.size, 0);
	free(h.data);
	return err;
}

bool core_file_is(const uint8_t *head, size_t len)
{
	uint16_t type;

	if (len < EI_NIDENT + sizeof(type) || memcmp(head, ELFMAG, SELFMAG) != 0)
		return false;
	memcpy(&type, head + EI_NIDENT, sizeof(type));
	return type == ET_CORE;
}
