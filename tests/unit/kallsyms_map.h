/* A table of symbols against the System.map of a kernel package. */
#ifndef TESTS_UNIT_KALLSYMS_MAP_H
#define TESTS_UNIT_KALLSYMS_MAP_H

#include <stdlib.h>

#include "tests/unit/tap.h"
#include "vmm/symtab.h"

struct map_result {
	size_t lines, missing; /* of the wanted ones: not there, or at another address */
	char first[160];       /* the first of those */
};

/* The path of a file of the tests' cache; NULL: it is not there. */
TAP_UNUSED static const char *cached(const char *name)
{
	const char *build = getenv("BUILD");
	static char path[2][4096];
	static unsigned turn;
	FILE *f;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/tests/cache/%s", build ? build : "build", name);
	f = fopen(path[turn], "r");
	if (f)
		fclose(f);
	return f ? path[turn] : NULL;
}

/* Is that name in the table at that address? *at: where to look from, as addresses ascend. */
TAP_UNUSED static bool map_has(const struct symtab *t, size_t *at, uint64_t addr, const char *name)
{
	struct symtab_entry e;

	while (symtab_get(t, *at, &e) && e.addr < addr)
		++*at;
	for (size_t i = *at; symtab_get(t, i, &e) && e.addr == addr; i++)
		if (!strcmp(e.name, name))
			return true;
	return false;
}

/* Of a kernel without CONFIG_KALLSYMS_ALL only what is between these is in its table. */
struct map_text {
	uint64_t text, etext, inittext, einittext;
};

TAP_UNUSED static struct map_text map_text(const char *map)
{
	struct map_text r = {0};
	char line[1024], name[1024], type;
	unsigned long long addr;
	FILE *f = fopen(map, "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %c %1023s", &addr, &type, name) != 3)
			continue;
		if (!strcmp(name, "_stext"))
			r.text = addr;
		else if (!strcmp(name, "_etext"))
			r.etext = addr;
		else if (!strcmp(name, "_sinittext"))
			r.inittext = addr;
		else if (!strcmp(name, "_einittext"))
			r.einittext = addr;
	}
	if (f)
		fclose(f);
	return r;
}

static bool map_in_text(const struct map_text *in, uint64_t addr)
{
	return !in || (addr >= in->text && addr < in->etext) || (addr >= in->inittext && addr < in->einittext);
}

/* Is each line of the map that has one of these types in the table? skip: names that begin so need not be. in: NULL:
 * anywhere. */
TAP_UNUSED static struct map_result map_compare(
	const struct symtab *t, const char *map, const char *types, const char *const *skip, const struct map_text *in)
{
	struct map_result r = {0};
	char line[1024], name[1024], type;
	unsigned long long addr;
	size_t at = 0;
	FILE *f = fopen(map, "r");

	while (f && fgets(line, sizeof(line), f)) {
		bool skipped = false;

		if (sscanf(line, "%llx %c %1023s", &addr, &type, name) != 3 || !strchr(types, type) ||
			!map_in_text(in, addr))
			continue;
		for (size_t i = 0; skip && skip[i]; i++)
			skipped |= !strncmp(name, skip[i], strlen(skip[i]));
		if (skipped)
			continue;
		r.lines++;
		if (map_has(t, &at, addr, name))
			continue;
		r.missing++;
		if (!*r.first)
			snprintf(r.first, sizeof(r.first), "%.150s", line);
	}
	if (f)
		fclose(f);
	return r;
}

TAP_UNUSED static void map_check(const struct symtab *t, const char *map, const char *types, const char *const *skip,
	const struct map_text *in, const char *what)
{
	struct map_result r = map_compare(t, map, types, skip, in);

	tap_diag("%s: %zu symbols, %zu lines of System.map looked up", what, symtab_count(t), r.lines);
	if (!tap_ok(r.lines > 10000 && !r.missing, "%s: every name is where System.map has it", what))
		tap_diag("%zu are not; first: %s", r.missing, r.first);
}

#endif
