/*
 * Command lines: the words of the input, a line each; a line of one control character is the word before many times.
 * Each is taken, or refused with one message that says what was wrong and names an option.
 */
#include <regex.h>
#include <stdint.h>

#include "arch/arch.h"
#include "tests/fuzz/fuzz_log.h"
#include "vmm/cli.h"
#include "vmm/verdict.h"
#include "vmm/where.h"

#define WORDS_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *words[WORDS_MAX + 2];
static int nwords;

/* Each in memory of its own, so that reading past its end is seen. */
static void add_word(const char *text, size_t n)
{
	if (nwords <= WORDS_MAX)
		words[nwords++] = strndup(text, n);
	words[nwords] = NULL;
}

static void make_words(const uint8_t *data, size_t size)
{
	add_word("minivmm", SIZE_MAX);
	while (size) {
		const uint8_t *nl = memchr(data, '\n', size);
		size_t n = nl ? (size_t)(nl - data) : size;

		for (int times = n == 1 && *data < ' ' ? 8 * *data : 0; times > 0; times--)
			add_word(words[nwords - 1], SIZE_MAX);
		if (n != 1 || *data >= ' ')
			add_word((const char *)data, n);
		data += n + !!nl;
		size -= n + !!nl;
	}
}

static void free_words(void)
{
	while (nwords)
		free(words[--nwords]);
}

/*
 * libc's regcomp() doubles what a '+' repeats, so that repeated repetitions take all time and memory, and nesting takes
 * its stack. What a user's own expression does to the user's own process is not looked for here.
 */
static bool regex_is_cheap(const char *word)
{
	size_t costly = 0;

	for (const char *c = word; *c; c++)
		costly += *c == '(' || *c == '+';
	return costly < 6 && !strchr(word, '{') && strlen(word) < 200;
}

static bool cheap(void)
{
	for (int i = 1; i < nwords; i++) {
		if (!regex_is_cheap(words[i]))
			return false;
	}
	return true;
}

static void check_goal(const struct goal_option *g)
{
	char why[WHERE_WHY_MAX];
	struct where w;
	regex_t re;

	if (!g->text || g->kind > GOAL_REJECT)
		abort();
	if (g->kind == GOAL_BREAK) {
		if (g->where_len > strlen(g->text) || cli_goal_where(g, &w, why, sizeof(why)) ||
			g->action > ACTION_COUNT || (g->regs && (g->action != ACTION_LOG || !*g->regs)))
			abort();
	} else {
		if (!*g->text || regcomp(&re, g->text, VERDICT_REGEX_FLAGS))
			abort();
		regfree(&re);
	}
}

/* What the rest of the program relies on. */
static void check_options(const struct options *o)
{
	bool known = !o->boot;

	for (int i = 0; o->boot && arch_boot_kinds[i]; i++)
		known |= !strcmp(o->boot, arch_boot_kinds[i]);
	if (!known || o->ncpus < 1 || o->ncpus > CPUS_MAX || o->mem_size < MEM_MINIMUM || o->mem_size % MEM_GRANULE)
		abort();
	if (!o->serial || (o->gdb_attach && !o->gdb) || (o->initrd && !o->kernel) || (o->gdb && !*o->gdb))
		abort();
	if (o->ngoals > GOALS_MAX || o->until > UNTIL_END || o->ignore > 7 || o->parallel < 0 ||
		o->timeout_us > INT64_MAX || o->deadline_us > INT64_MAX || (o->ngoals && !o->verdict))
		abort();
	for (size_t i = 0; i < o->ngoals; i++)
		check_goal(&o->goal[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options opts;
	enum cli_result result;

	static FILE *nowhere;

	if (!nowhere)
		nowhere = stdout = fopen("/dev/null", "w"); /* --help goes there */
	make_words(data, size);
	if (cheap()) {
		errors = 0;
		result = cli_parse(&opts, nwords, words);
		if (errors != (result == CLI_BAD))
			abort();
		if (result == CLI_BAD && !strchr(last_error, '-'))
			abort();
		if (result == CLI_RUN)
			check_options(&opts);
	}
	free_words();
	return 0;
}
