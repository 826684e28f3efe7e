#include "vmm/job.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/job_keys.h"
#include "vmm/result.h"

struct entry {
	const struct job_key *key;
	char *word;  /* "--key=value", or "--key"; a path in it has the folder */
	char *named; /* in it, if %n there is the case's name; or NULL */
	bool off;    /* a flag that says no */
	unsigned line;
};

struct section {
	const char *name;
	unsigned line;
	struct entry *entries; /* room for JOB_KEYS_MAX */
	size_t n;
	unsigned seen[JOB_KEYS]; /* the line of each key, 0: not there */
};

struct parser {
	struct job *job;
	const char *folder;
	const char *at, *end;
	unsigned line;	/* of what is in `text` */
	unsigned lines; /* read so far */
	char text[JOB_LINE_MAX + 1];
	struct section *sections; /* the first one is the defaults' */
	size_t nsections;
	struct section *current;
	unsigned star; /* line of [*] */
	struct job_error *err;
};

__attribute__((format(printf, 3, 4))) static int complain(struct parser *p, unsigned line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->err->text, sizeof(p->err->text), fmt, ap);
	va_end(ap);
	p->err->line = line;
	return -EINVAL;
}

static int out_of_memory(struct parser *p)
{
	complain(p, 0, "out of memory");
	return -ENOMEM;
}

/* Zeroed, freed with the job; NULL: out_of_memory(). */
static void *job_alloc(struct job *job, size_t len)
{
	void **blocks, *block;

	if (!(job->nblocks & (job->nblocks + 1))) {
		blocks = realloc(job->blocks, (2 * job->nblocks + 2) * sizeof(*blocks));
		if (!blocks)
			return NULL;
		job->blocks = blocks;
	}
	block = calloc(1, len);
	if (block)
		job->blocks[job->nblocks++] = block;
	return block;
}

void job_free(struct job *job)
{
	for (size_t i = 0; i < job->nblocks; i++)
		free(job->blocks[i]);
	free(job->blocks);
	*job = (struct job){0};
}

static char *job_text(struct job *job, const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = job_alloc(job, len);

	return copy ? memcpy(copy, text, len) : NULL;
}

/* --- lines --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len && is_blank(text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* Appends the next line of the file to p->text from `len` on, without its end. */
static int read_physical(struct parser *p, size_t *len)
{
	const char *nl = memchr(p->at, '\n', (size_t)(p->end - p->at));
	const char *stop = nl ? nl : p->end;
	const char *next = nl ? nl + 1 : p->end;
	size_t n;

	p->lines++;
	if (stop > p->at && stop[-1] == '\r')
		stop--;
	for (const char *c = p->at; c < stop; c++) {
		if (!*c)
			return complain(p, p->lines, "a NUL byte; a job file is plain text, in UTF-8");
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			return complain(p, p->lines, "the control character 0x%02x; a job file is plain text", *c);
	}
	while (*len && p->at < stop && is_blank(*p->at))
		p->at++;
	n = (size_t)(stop - p->at);
	if (n > JOB_LINE_MAX - *len)
		return complain(p, p->lines, "the line is too long, %d bytes are the most", JOB_LINE_MAX);
	memcpy(p->text + *len, p->at, n);
	*len += n;
	p->text[*len] = '\0';
	p->at = next;
	return 0;
}

static bool continues(const char *text)
{
	size_t len = strlen(text), slashes = 0;

	while (len && is_blank(text[len - 1]))
		len--;
	while (slashes < len && text[len - slashes - 1] == '\\')
		slashes++;
	return slashes % 2;
}

/* A line, and those that continue it, into p->text. */
static int read_line(struct parser *p)
{
	size_t len = 0;
	int err = read_physical(p, &len);

	p->line = p->lines;
	if (err || strchr("#;[", p->text[strspn(p->text, " \t")]))
		return err;
	while (continues(p->text)) {
		if (p->at == p->end)
			return complain(p, p->line, "the last line ends in \\ and there is none to go on with");
		len = (size_t)(strrchr(p->text, '\\') - p->text);
		/* read_physical() drops the blanks that begin a line only behind something. */
		if (!len)
			return complain(p, p->line, "a \\ alone goes on with nothing");
		err = read_physical(p, &len);
		if (err)
			return err;
	}
	return 0;
}

/* --- what is in them --- */

static int add_section(struct parser *p, const char *name)
{
	struct section *s;

	if (p->nsections > JOB_CASES_MAX)
		return complain(p, p->line, "more than %d cases; make it two files", JOB_CASES_MAX);
	s = &p->sections[p->nsections];
	s->entries = job_alloc(p->job, JOB_KEYS_MAX * sizeof(s->entries[0]));
	s->name = job_text(p->job, name);
	s->line = p->line;
	if (!s->entries || !s->name)
		return out_of_memory(p);
	p->nsections++;
	p->current = s;
	return 0;
}

static int parse_section(struct parser *p, char *text)
{
	char *close = strchr(text, ']'), *name = text + 1;

	if (!close)
		return complain(p, p->line, "%.60s: the ] is missing", text);
	if (close[1])
		return complain(p, p->line, "%.60s: nothing may follow the ]", text);
	*close = '\0';
	name = trim(name);
	if (!*name)
		return complain(p, p->line, "[]: the case needs a name");
	if (strlen(name) >= RESULT_NAME_MAX)
		return complain(p, p->line, "[%.20s...]: a name has at most %d bytes", name, RESULT_NAME_MAX - 1);
	if (!strcmp(name, "*")) {
		if (p->star)
			return complain(p, p->line, "[*] is there already, in line %u; make them one", p->star);
		p->star = p->line;
		p->current = &p->sections[0];
		return 0;
	}
	for (size_t i = 1; i < p->nsections; i++)
		if (!strcmp(p->sections[i].name, name))
			return complain(p, p->line, "[%s]: a case of this name is in line %u; names must differ", name,
				p->sections[i].line);
	return add_section(p, name);
}

static int no_such_key(struct parser *p, const char *name)
{
	const char *near = job_key_near(name);

	if (near)
		return complain(p, p->line, "unknown key %.60s, did you mean %s?", name, near);
	return complain(p, p->line, "unknown key %.60s; the keys are the long options, see minivmm --help", name);
}

/* The word of the command line, in memory of the job. */
static bool make_entry(struct parser *p, struct entry *e, const char *value)
{
	const char *path = job_key_path(e->key, value);
	const char *folder = path && *path != '/' ? p->folder : "";
	size_t len = strlen("--=") + strlen(e->key->name) + strlen(folder) + strlen(value) + 1;
	int before = path ? (int)(path - value) : 0, at;

	e->word = job_alloc(p->job, len);
	if (!e->word)
		return false;
	if (e->key->kind == JOB_KEY_FLAG) {
		e->off = !strcmp(value, "no");
		snprintf(e->word, len, "--%s", e->key->name);
		return true;
	}
	at = snprintf(e->word, len, "--%s=%.*s%s%s", e->key->name, before, value, folder, value + before);
	if (path && job_key_writes(e->key) && strstr(path, "%n"))
		e->named = e->word + at - strlen(path);
	return true;
}

static int check_value(struct parser *p, const struct job_key *key, const char *value)
{
	const char *path = job_key_path(key, value);

	if (key->kind == JOB_KEY_NEVER)
		return complain(p, p->line, "%s is no key of a case: %s", key->name, key->instead);
	if (key->kind == JOB_KEY_FLAG && strcmp(value, "yes") && strcmp(value, "no"))
		return complain(p, p->line, "%s = %.60s: yes or no is needed", key->name, value);
	if (!*value && key->kind != JOB_KEY_TEXT)
		return complain(p, p->line, "%s: the value is missing: %s = VALUE", key->name, key->name);
	if (path && !*path)
		return complain(p, p->line, "%s = %s: a path is missing", key->name, value);
	if (key->kind == JOB_KEY_GDB && !strcmp(value, "stdio"))
		return complain(p, p->line, "gdb = stdio: a case has no standard input; a path or tcp: is needed");
	return 0;
}

static int add_entry(struct parser *p, const struct job_key *key, const char *value)
{
	struct section *s = p->current;
	size_t index = job_key_index(key);
	struct entry *e = &s->entries[s->n];
	int err = check_value(p, key, value);

	if (err)
		return err;
	if (s->seen[index] && key->kind != JOB_KEY_REPEAT)
		return complain(p, p->line, "%s is there already, in line %u; only break, expect and reject may repeat",
			key->name, s->seen[index]);
	if (s->n == JOB_KEYS_MAX)
		return complain(p, p->line, "more than %d keys in one section", JOB_KEYS_MAX);
	e->key = key;
	e->line = p->line;
	if (!make_entry(p, e, value))
		return out_of_memory(p);
	s->seen[index] = p->line;
	s->n++;
	return 0;
}

static int parse_key(struct parser *p, char *text)
{
	char *equals = strchr(text, '='), *name;
	const struct job_key *key;

	if (equals)
		*equals = '\0';
	name = trim(text);
	if (!*name)
		return complain(p, p->line, "the key is missing before the =: KEY = VALUE is needed");
	key = job_key_find(name);
	if (!equals) {
		if (key && key->kind == JOB_KEY_FLAG)
			return complain(p, p->line, "%s: the = is missing: %s = yes", name, name);
		return complain(p, p->line, "%.60s: the = is missing: KEY = VALUE is needed", name);
	}
	return key ? add_entry(p, key, trim(equals + 1)) : no_such_key(p, name);
}

static int parse_lines(struct parser *p)
{
	int err = 0;

	while (!err && p->at < p->end) {
		char *text;

		err = read_line(p);
		if (err)
			break;
		text = trim(p->text);
		if (*text == '[')
			err = parse_section(p, text);
		else if (*text && *text != '#' && *text != ';')
			err = parse_key(p, text);
	}
	return err;
}

/* --- sections into command lines --- */

static int add_word(struct job_case *c, unsigned *lines, char *word, unsigned line)
{
	lines[c->argc] = line;
	c->argv[c->argc++] = word;
	return 0;
}

/* %n in the name of a file that is written is the case's, as one component of a path. */
static int add_named(struct parser *p, struct job_case *c, unsigned *lines, const struct entry *e)
{
	char word[PATH_MAX + 64];
	size_t at = (size_t)(e->named - e->word), name_len = strlen(c->name);
	char *copy;

	if (at >= sizeof(word))
		return complain(p, e->line, "%s: the path is too long", e->key->name);
	memcpy(word, e->word, at);
	for (const char *from = e->named; *from; from++) {
		if (at + name_len + 1 >= sizeof(word))
			return complain(p, e->line, "%s: the path is too long", e->key->name);
		if (from[0] != '%' || from[1] != 'n') {
			word[at++] = *from;
			continue;
		}
		from++;
		for (const char *n = c->name; *n; n++)
			word[at++] = *n == '/' ? '_' : *n;
	}
	word[at] = '\0';
	copy = job_text(p->job, word);
	return copy ? add_word(c, lines, copy, e->line) : out_of_memory(p);
}

/* Those of the defaults that the case does not have itself, or that add up. */
static int add_words(
	struct parser *p, struct job_case *c, unsigned *lines, const struct section *from, const struct section *own)
{
	int err = 0;

	for (size_t i = 0; i < from->n && !err; i++) {
		const struct entry *e = &from->entries[i];

		if (e->off || (from != own && e->key->kind != JOB_KEY_REPEAT && own->seen[job_key_index(e->key)]))
			continue;
		err = e->named ? add_named(p, c, lines, e) : add_word(c, lines, e->word, e->line);
	}
	return err;
}

static int make_case(struct parser *p, struct job_case *c, const struct section *own)
{
	static char program[] = "minivmm", no_serial[] = "--serial=null", end[] = "--";
	const struct section *defaults = &p->sections[0];
	size_t serial = job_key_index(job_key_find("serial"));
	size_t words = defaults->n + own->n + 4; /* these three and NULL */
	unsigned *lines = job_alloc(p->job, words * sizeof(*lines));
	int err;

	c->name = own->name;
	c->line = own->line;
	c->argv = job_alloc(p->job, words * sizeof(c->argv[0]));
	c->lines = lines;
	if (!c->argv || !lines)
		return out_of_memory(p);
	add_word(c, lines, program, 0);
	if (!defaults->seen[serial] && !own->seen[serial])
		add_word(c, lines, no_serial, 0);
	err = add_words(p, c, lines, defaults, own);
	if (!err)
		err = add_words(p, c, lines, own, own);
	return err ? err : add_word(c, lines, end, 0);
}

static const char *written_path(const char *word)
{
	static const char *const prefixes[] = {"--dump=", "--serial=file:", "--serial=unix:"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(word, prefixes[i], strlen(prefixes[i])))
			return word + strlen(prefixes[i]);
	return NULL;
}

/* Two cases that write the same file would have one's evidence in the other's place. */
static int check_files(struct parser *p)
{
	struct written {
		const char *path;
		const struct job_case *of;
		unsigned line;
	} *all = job_alloc(p->job, p->job->ncases * 2 * sizeof(*all)); /* a dump and a serial line */
	size_t n = 0;

	if (!all)
		return out_of_memory(p);
	for (size_t i = 0; i < p->job->ncases; i++) {
		const struct job_case *c = &p->job->cases[i];

		for (int w = 0; w < c->argc; w++) {
			const char *path = written_path(c->argv[w]);

			if (!path || !strncmp(path, "/dev/", strlen("/dev/")))
				continue;
			for (size_t k = 0; k < n; k++)
				if (!strcmp(all[k].path, path))
					return complain(p, c->lines[w],
						"[%s] and [%s] would both write %.120s; %%n in the path is the case's "
						"name",
						all[k].of->name, c->name, path);
			all[n++] = (struct written){path, c, c->lines[w]};
		}
	}
	return 0;
}

static int make_cases(struct parser *p)
{
	struct job *job = p->job;
	int err = 0;

	if (p->nsections < 2)
		return complain(p, 0, "there is no case in it: a line [NAME] begins one");
	job->cases = job_alloc(job, (p->nsections - 1) * sizeof(job->cases[0]));
	if (!job->cases)
		return out_of_memory(p);
	while (!err && job->ncases < p->nsections - 1) {
		err = make_case(p, &job->cases[job->ncases], &p->sections[job->ncases + 1]);
		job->ncases++;
	}
	return err ? err : check_files(p);
}

int job_parse(struct job *job, const char *folder, const char *text, size_t len, struct job_error *err)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct parser *p;
	int ret;

	*job = (struct job){0};
	*err = (struct job_error){0};
	p = calloc(1, sizeof(*p));
	if (p)
		p->sections = calloc(JOB_CASES_MAX + 1, sizeof(p->sections[0]));
	if (!p || !p->sections) {
		free(p);
		snprintf(err->text, sizeof(err->text), "out of memory");
		return -ENOMEM;
	}
	p->job = job;
	p->err = err;
	p->folder = folder;
	p->at = len >= 3 && !memcmp(text, bom, 3) ? text + 3 : text;
	p->end = text + len;
	ret = len > JOB_FILE_MAX ? complain(p, 0, "too large, %u bytes are the most", JOB_FILE_MAX)
				 : add_section(p, "*");
	if (!ret)
		ret = parse_lines(p);
	if (!ret)
		ret = make_cases(p);
	if (ret)
		job_free(job);
	free(p->sections);
	free(p);
	return ret;
}
