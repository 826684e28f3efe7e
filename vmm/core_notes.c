#include "vmm/core_notes.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_ALIGN   4 /* in cores, of 64 bits, too: System V gABI says 8, and nobody does it */
#define REG_NAME_MAX 32
#define FIRST_ROOM   4096
#define PADDED(n)    (((n) + NOTE_ALIGN - 1) / NOTE_ALIGN * NOTE_ALIGN)

static uint8_t *extend(struct core_notes *n, size_t len)
{
	size_t room = n->room ? n->room : FIRST_ROOM;
	uint8_t *data, *at;

	while (room - n->size < len)
		room *= 2;
	if (room != n->room) {
		data = realloc(n->data, room);
		if (!data)
			return NULL;
		n->data = data;
		n->room = room;
	}
	at = n->data + n->size;
	memset(at, 0, len);
	n->size += len;
	return at;
}

void core_note_add(struct core_notes *n, const char *name, uint32_t type, const void *desc, size_t len)
{
	const Elf64_Nhdr header = {
		.n_namesz = (uint32_t)strlen(name) + 1,
		.n_descsz = (uint32_t)len,
		.n_type = type,
	};
	uint8_t *at = n->failed ? NULL : extend(n, sizeof(header) + PADDED(header.n_namesz) + PADDED(len));

	if (!at) {
		n->failed = true;
		return;
	}
	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), name, header.n_namesz);
	memcpy(at + sizeof(header) + PADDED(header.n_namesz), desc, len);
}

void core_notes_free(struct core_notes *n)
{
	free(n->data);
	*n = (struct core_notes){0};
}

bool core_cpu_reg(const struct core_cpu *c, const char *name, void *buf, size_t len)
{
	uint8_t value[REG_SIZE_MAX];
	unsigned regno;
	size_t size;

	memset(buf, 0, len);
	if (!arch_desc_find(c->desc, name, strlen(name), &regno))
		return false;
	size = c->desc->regs[regno].size;
	if (size > sizeof(value) || c->read(c->ctx, c->id, regno, value, size) < 0)
		return false;
	memcpy(buf, value, size < len ? size : len);
	return true;
}

bool core_cpu_reg_n(const struct core_cpu *c, const char *name, unsigned i, const char *suffix, void *buf, size_t len)
{
	char full[REG_NAME_MAX];

	snprintf(full, sizeof(full), "%s%u%s", name, i, suffix);
	return core_cpu_reg(c, full, buf, len);
}

uint64_t core_cpu_value(const struct core_cpu *c, const char *name)
{
	uint64_t value;

	core_cpu_reg(c, name, &value, sizeof(value));
	return value;
}
