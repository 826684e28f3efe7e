#include "vmm/symtab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vmm/spelling.h"
#include "vmm/symbols.h"
#include "vmm/symtab_build.h"

#define KERNEL_HALF (1ULL << 63)
#define NAMES_MAX   (256u << 20) /* bytes */
#define LOOK_BACK   32		 /* symbols before an address that may contain it */

struct item {
	uint64_t addr, size;
	uint32_t name; /* offset in names; ascending in the order in which they were added */
	uint16_t len;
	char type;
	uint8_t rank; /* of several at one address the lowest is shown */
};

/* Of a name, for quick misses: its hash, and which letters it has (bit c % 64). */
struct sign {
	uint64_t letters;
	uint32_t hash;
};

struct symtab {
	struct item *item; /* by address, then rank */
	struct sign *sign; /* of the same index; NULL until symtab_finish() */
	size_t n, room;
	char *names;
	size_t used, names_room;
	char source[64];
};

/* ---- building ---- */

struct symtab *symtab_new(const char *path)
{
	struct symtab *t = calloc(1, sizeof(*t));
	const char *last = path ? strrchr(path, '/') : NULL;

	if (!t)
		return NULL;
	last = last && last[1] ? last + 1 : path ? path : "the kernel";
	memcpy(t->source, last, strnlen(last, sizeof(t->source) - 1));
	return t;
}

void symtab_free(struct symtab *t)
{
	if (!t)
		return;
	free(t->item);
	free(t->sign);
	free(t->names);
	free(t);
}

bool symtab_is_code(char type)
{
	return type == 'T' || type == 't' || type == 'W' || type == 'w';
}

/* As the kernel's own table prefers them: code, no weak ones, few underscores at the start; then global ones. */
static uint8_t rank_of(char type, const char *name, size_t len)
{
	unsigned underscores = 0;

	while (underscores < len && underscores < 7 && name[underscores] == '_')
		underscores++;
	return (uint8_t)(!symtab_is_code(type) << 5 | (type == 'W' || type == 'w') << 4 | underscores << 1 |
			 (type >= 'a'));
}

/* ELF for the Arm 64-bit Architecture, 5.5.4: mapping symbols */
static bool is_mark(const char *name, size_t len)
{
	return len >= 2 && name[0] == '$' && (name[1] == 'x' || name[1] == 'd') && (len == 2 || name[2] == '.');
}

static int grow(void **at, size_t *room, size_t wanted, size_t size)
{
	size_t more = *room ? *room : 4096;
	void *bigger;

	if (wanted <= *room)
		return 0;
	while (more < wanted)
		more *= 2;
	bigger = realloc(*at, more * size);
	if (!bigger)
		return -ENOMEM;
	*at = bigger;
	*room = more;
	return 0;
}

int symtab_add(struct symtab *t, uint64_t addr, uint64_t size, char type, const char *name, size_t len)
{
	void *items = t->item, *names = t->names;
	int err;

	if (!len || len > SYMTAB_NAME_MAX || is_mark(name, len))
		return 0;
	if (t->n == SYMTAB_MAX || t->used + len + 1 > NAMES_MAX)
		return -E2BIG;
	err = grow(&items, &t->room, t->n + 1, sizeof(*t->item));
	t->item = items;
	if (!err)
		err = grow(&names, &t->names_room, t->used + len + 1, 1);
	t->names = names;
	if (err)
		return err;
	t->item[t->n++] = (struct item){.addr = addr,
		.size = size,
		.name = (uint32_t)t->used,
		.len = (uint16_t)len,
		.type = type,
		.rank = rank_of(type, name, len)};
	memcpy(t->names + t->used, name, len);
	t->names[t->used + len] = '\0';
	t->used += len + 1;
	return 0;
}

static int compare(const void *left, const void *right)
{
	const struct item *a = left, *b = right;

	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->name < b->name ? -1 : a->name > b->name;
}

static void sort(struct symtab *t)
{
	for (size_t i = 1; i < t->n; i++) {
		if (compare(&t->item[i - 1], &t->item[i]) > 0) {
			qsort(t->item, t->n, sizeof(*t->item), compare);
			return;
		}
	}
}

static struct sign sign_of(const char *name, size_t len)
{
	struct sign s = {.hash = 2166136261u}; /* FNV-1a */

	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)name[i];

		s.letters |= 1ULL << (c % 64);
		s.hash = (s.hash ^ c) * 16777619u;
	}
	return s;
}

int symtab_finish(struct symtab *t)
{
	sort(t);
	t->sign = calloc(t->n ? t->n : 1, sizeof(*t->sign));
	if (!t->sign)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++)
		t->sign[i] = sign_of(t->names + t->item[i].name, t->item[i].len);
	return 0;
}

int symtab_from_elf(struct symtab **out, const struct symbols *s)
{
	struct symtab *t = symtab_new(s->file.path);
	int err = t ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < s->count && !err; i++) {
		struct symbol_line line;

		if (symbols_nth(s, i, &line))
			err = symtab_add(t, line.addr, line.size, line.type, line.name, line.len);
	}
	if (!err)
		err = symtab_finish(t);
	if (err) {
		symtab_free(t);
		return err;
	}
	*out = t;
	return 0;
}

void symtab_slide(struct symtab *t, uint64_t slide)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->item[i].addr & KERNEL_HALF)
			t->item[i].addr += slide;
	sort(t);
	for (size_t i = 0; i < t->n; i++) /* in case that has moved any */
		t->sign[i] = sign_of(t->names + t->item[i].name, t->item[i].len);
}

/* ---- asking ---- */

size_t symtab_count(const struct symtab *t)
{
	return t->n;
}

const char *symtab_source(const struct symtab *t)
{
	return t->source;
}

static const char *name_of(const struct symtab *t, size_t i)
{
	return t->names + t->item[i].name;
}

bool symtab_get(const struct symtab *t, size_t i, struct symtab_entry *out)
{
	if (i >= t->n)
		return false;
	*out = (struct symtab_entry){
		.addr = t->item[i].addr, .size = t->item[i].size, .type = t->item[i].type, .name = name_of(t, i)};
	return true;
}

size_t symtab_find(const struct symtab *t, const char *name, struct symtab_entry *out, size_t max)
{
	size_t len = strlen(name), found = 0;
	struct sign s = sign_of(name, len);

	for (size_t i = 0; i < t->n; i++) {
		if (t->sign[i].hash != s.hash || t->item[i].len != len || memcmp(name_of(t, i), name, len) != 0)
			continue;
		if (found < max)
			symtab_get(t, i, &out[found]);
		found++;
	}
	return found;
}

/* The first symbol that is not below addr. */
static size_t first_from(const struct symtab *t, uint64_t addr)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (t->item[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool contains(const struct item *item, uint64_t addr, bool nearest)
{
	uint64_t off = addr - item->addr;

	if (item->type == 'A' || item->type == 'a')
		return false;
	return item->size ? off < item->size : nearest && off < SYMTAB_REACH;
}

/* Nearest first. What has no size ends at the next symbol, so only the nearest can be without. */
bool symtab_at(const struct symtab *t, uint64_t addr, struct symtab_entry *out)
{
	size_t end = addr == UINT64_MAX ? t->n : first_from(t, addr + 1);
	unsigned tries = 0;
	bool nearest = true;

	while (end && tries < LOOK_BACK) {
		size_t first = first_from(t, t->item[end - 1].addr);
		bool real = false;

		for (size_t i = first; i < end && tries < LOOK_BACK; i++, tries++) {
			if (contains(&t->item[i], addr, nearest))
				return symtab_get(t, i, out);
			real |= t->item[i].type != 'A' && t->item[i].type != 'a';
		}
		nearest &= !real;
		end = first;
	}
	return false;
}

/* ---- what else may have been meant ---- */

#define NEAR_KEEP     16
#define NEAR_DISTANCE 3

/* A suggestion; the lower its score the better. */
struct near {
	size_t item;
	unsigned score;
};

/* Letters of two names that differ by one change differ by at most two bits. */
static bool letters_fit(uint64_t a, uint64_t b, unsigned distance)
{
	return (unsigned)__builtin_popcountll(a ^ b) <= 2 * distance;
}

/* What the build puts beside every symbol: nothing for who did not begin with an underscore. */
static bool generated(const char *name)
{
	static const char *const begin[] = {"__ksymtab_", "__kstrtab", "__crc_", "__pfx_", "__cfi_", "__UNIQUE_ID_",
		"__export_symbol_", "__event_", "__initcall__", "__tpstrtab_", "__bpf_trace_"};

	for (size_t i = 0; name[0] == '_' && i < sizeof(begin) / sizeof(begin[0]); i++)
		if (!strncmp(name, begin[i], strlen(begin[i])))
			return true;
	return false;
}

#define SCORE_NONE     1000u
#define SCORE_SUFFIX   4u  /* foo.cold, foo.isra.0 */
#define SCORE_CASE     8u  /* Foo */
#define SCORE_CHANGE   16u /* for each letter */
#define SCORE_PREFIX   20u /* and one for each letter that follows */
#define SCORE_INSIDE   40u
#define SCORE_BEGIN    70u /* they begin alike */
#define SCORE_NOT_CODE 4u
#define PARTS_MIN      3 /* letters of a name that are looked for in longer ones */
#define BEGIN_MIN      6 /* letters */

/* Two thirds of it: a name that begins so is worth showing if nothing is nearer. */
static size_t begin_len(size_t wlen)
{
	return wlen * 2 / 3 < BEGIN_MIN ? SIZE_MAX : wlen * 2 / 3;
}

static unsigned begin_score(const char *want, size_t wlen, const char *have)
{
	size_t same = 0;

	while (same < wlen && want[same] == have[same])
		same++;
	return same >= begin_len(wlen) ? SCORE_BEGIN + (unsigned)(wlen - same) : SCORE_NONE;
}

static unsigned score(const char *want, size_t wlen, const char *have, size_t hlen, bool may_differ, unsigned limit)
{
	unsigned changes = may_differ ? spelling_distance(want, wlen, have, hlen, limit) : limit + 1;
	unsigned more = hlen > wlen ? (unsigned)(hlen - wlen) : 0, best = SCORE_NONE;

	if (changes <= limit)
		best = SCORE_CHANGE * changes;
	if (hlen == wlen && !strcasecmp(want, have))
		best = SCORE_CASE;
	if (wlen < PARTS_MIN || (!more && best < SCORE_NONE))
		return best;
	if (!strncmp(have, want, wlen)) {
		unsigned prefix = have[wlen] == '.' ? SCORE_SUFFIX : SCORE_PREFIX + (more < 19 ? more : 19);

		return prefix < best ? prefix : best;
	}
	if (SCORE_INSIDE + more < best && strstr(have, want))
		best = SCORE_INSIDE + more;
	return best < SCORE_NONE ? best : begin_score(want, wlen, have);
}

static size_t keep(const struct symtab *t, struct near *list, size_t n, size_t max, struct near new)
{
	size_t at = n;

	for (size_t i = 0; i < n; i++)
		if (!strcmp(name_of(t, list[i].item), name_of(t, new.item)))
			return n;
	while (at && list[at - 1].score > new.score)
		at--;
	if (at == max)
		return n;
	if (n < max)
		n++;
	memmove(&list[at + 1], &list[at], (n - at - 1) * sizeof(*list));
	list[at] = new;
	return n;
}

size_t symtab_near(const struct symtab *t, const char *name, const char **out, size_t max)
{
	size_t len = strlen(name), n = 0, begin = begin_len(len);
	unsigned limit = len < 4 ? 1 : len < 9 ? 2 : NEAR_DISTANCE;
	struct near list[NEAR_KEEP];
	struct sign s = sign_of(name, len);

	if (max > NEAR_KEEP)
		max = NEAR_KEEP;
	if (!len || len > SPELLING_MAX)
		return 0;
	for (size_t i = 0; i < t->n && max; i++) {
		const struct item *item = &t->item[i];
		size_t apart = item->len > len ? item->len - len : len - item->len;
		bool differ = apart <= limit && letters_fit(s.letters, t->sign[i].letters, limit);
		bool longer = item->len > len && !(s.letters & ~t->sign[i].letters);
		struct near new = {.item = i};

		if (item->len > SPELLING_MAX || (generated(name_of(t, i)) && name[0] != '_'))
			continue;
		if (!differ && !longer && item->len != len &&
			(item->len < begin || memcmp(name_of(t, i), name, begin) != 0))
			continue;
		new.score = score(name, len, name_of(t, i), item->len, differ, limit);
		if (new.score >= SCORE_NONE || (n == max && new.score >= list[n - 1].score))
			continue;
		new.score += symtab_is_code(item->type) ? 0 : SCORE_NOT_CODE;
		n = keep(t, list, n, max, new);
	}
	for (size_t i = 0; i < n; i++)
		out[i] = name_of(t, list[i].item);
	return n;
}
