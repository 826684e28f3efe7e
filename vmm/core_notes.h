/*
 * The notes of an ELF core: a growing piece of bytes, and how one CPU's registers are asked for while it is filled.
 * Main thread. No KVM.
 */
#ifndef VMM_CORE_NOTES_H
#define VMM_CORE_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/desc.h"

struct core_notes {
	uint8_t *data; /* what a PT_NOTE segment holds */
	size_t size, room;
	bool failed; /* out of memory: some are missing */
};

/* desc of len bytes is copied. What fails shows in n->failed, and once is enough. */
void core_note_add(struct core_notes *n, const char *name, uint32_t type, const void *desc, size_t len);
void core_notes_free(struct core_notes *n);

/* What Linux's struct elf_prstatus begins with, before the ISA's registers. */
struct core_prstatus_head {
	uint32_t signo, code, error;
	uint16_t cursig, pad;
	uint64_t sigpend, sighold;
	uint32_t pid, ppid, pgrp, sid;
	uint64_t times[4][2];
};
_Static_assert(sizeof(struct core_prstatus_head) == 112, "struct elf_prstatus");

/* One CPU, its registers readable. */
struct core_cpu {
	int id;
	const struct arch_desc *desc;
	int (*read)(void *ctx, int cpu, unsigned regno, void *buf, size_t len);
	void *ctx;
};

/*
 * The register of that name, little-endian: at most len bytes of it, the rest of buf zero. False: this VM has none, or
 * it cannot be read now; buf is zero then.
 */
bool core_cpu_reg(const struct core_cpu *c, const char *name, void *buf, size_t len);
/* The same for a family: name<i>suffix. */
bool core_cpu_reg_n(const struct core_cpu *c, const char *name, unsigned i, const char *suffix, void *buf, size_t len);
/* One of at most 64 bits; 0 if there is none. */
uint64_t core_cpu_value(const struct core_cpu *c, const char *name);

#endif
