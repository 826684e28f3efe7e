/* Notes of a core, read back; and a CPU whose registers hold what is easily recognised. */
#ifndef TESTS_UNIT_CORE_READER_H
#define TESTS_UNIT_CORE_READER_H

#include <elf.h>
#include <stdlib.h>

#include "arch/desc.h"
#include "tests/unit/tap.h"
#include "vmm/core_notes.h"

/* The i-th note of that kind: its contents. NULL: there is none, or the notes are not well-formed. */
static const uint8_t *core_note(const struct core_notes *n, const char *name, uint32_t type, int i, size_t *len)
{
	for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= n->size;) {
		const uint8_t *p = n->data + at;
		Elf64_Nhdr h;
		size_t room;

		memcpy(&h, p, sizeof(h));
		room = sizeof(h) + (h.n_namesz + 3) / 4 * 4 + (h.n_descsz + 3) / 4 * 4;
		if (room > n->size - at)
			return NULL;
		if (h.n_type == type && h.n_namesz == strlen(name) + 1 && !strcmp((const char *)p + sizeof(h), name) &&
			i-- == 0) {
			*len = h.n_descsz;
			return p + sizeof(h) + (h.n_namesz + 3) / 4 * 4;
		}
		at += room;
	}
	return NULL;
}

/* Byte b of register regno of a CPU. */
static uint8_t core_byte(int cpu, unsigned regno, size_t b)
{
	return (uint8_t)(regno * 7 + b * 3 + (unsigned)cpu * 101 + 1);
}

static int core_read(void *ctx, int cpu, unsigned regno, void *buf, size_t len)
{
	const unsigned *refused_from = ctx; /* as of this register, they cannot be read */

	if (refused_from && regno >= *refused_from)
		return -1;
	for (size_t b = 0; b < len; b++)
		((uint8_t *)buf)[b] = core_byte(cpu, regno, b);
	return 0;
}

/* Do size bytes at p hold that register, what it has not being zero? */
static bool core_holds(const struct core_cpu *c, const uint8_t *p, size_t size, const char *name)
{
	for (unsigned r = 0; r < c->desc->nregs; r++) {
		if (strcmp(c->desc->regs[r].name, name) != 0)
			continue;
		for (size_t b = 0; b < size; b++)
			if (p[b] != (b < c->desc->regs[r].size ? core_byte(c->id, r, b) : 0)) {
				tap_diag("%s differs at byte %zu", name, b);
				return false;
			}
		return true;
	}
	tap_diag("there is no %s", name);
	return false;
}

static inline uint32_t core_u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#endif
