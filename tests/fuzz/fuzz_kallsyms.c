/* Kallsyms tables and what is asked of them: the first eight bytes are the address of those that follow. */
#include <stdlib.h>
#include <string.h>

#include "vmm/kallsyms.h"
#include "vmm/symtab.h"
#include "vmm/where.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ASKED 64 /* symbols of a table */

static bool is_absolute(const struct symtab_entry *e)
{
	return e->type == 'A' || e->type == 'a';
}

static void ask(const struct symtab *t, size_t i)
{
	struct symtab_entry e, again;
	const char *near[3];
	uint64_t addr;
	struct where w;
	char why[80];

	if (!symtab_get(t, i, &e) || !*e.name || !symtab_find(t, e.name, &again, 1) || strcmp(e.name, again.name) != 0)
		abort();
	/* Nothing is inside of an absolute one: what is below it may be near enough. */
	if (symtab_at(t, e.addr, &again) && (is_absolute(&e) ? again.addr > e.addr : again.addr != e.addr))
		abort();
	if (symtab_near(t, e.name, near, 3) > 3)
		abort();
	if (where_parse(&w, e.name, why, sizeof(why)) == 0)
		where_resolve(&w, t, &addr, why, sizeof(why));
}

static void check(struct symtab *t)
{
	struct symtab_entry e, before = {0};

	for (size_t i = 0; symtab_get(t, i, &e); i++) {
		if (e.addr < before.addr)
			abort();
		before = e;
	}
	for (size_t i = 0; i < symtab_count(t) && i < ASKED; i++)
		ask(t, i);
	symtab_slide(t, 0x200000);
}

/* The same bytes as what somebody typed. */
static void type(const uint8_t *data, size_t size)
{
	char text[600], why[WHERE_WHY_MAX];
	struct where w;

	if (size >= sizeof(text))
		size = sizeof(text) - 1;
	memcpy(text, data, size);
	text[size] = '\0';
	if (where_parse(&w, text, why, sizeof(why)) && !*why)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kallsyms_bytes chunk = {0};
	struct symtab *t;

	type(data, size);
	if (size < sizeof(chunk.va))
		return 0;
	memcpy(&chunk.va, data, sizeof(chunk.va));
	chunk.len = size - sizeof(chunk.va);
	chunk.data = data + sizeof(chunk.va);
	if (symtab_from_kallsyms(&t, "fuzz", &chunk, 1))
		return 0;
	check(t);
	symtab_free(t);
	return 0;
}
