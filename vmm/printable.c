#include "vmm/printable.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Characters that a terminal, a viewer or a parser acts on instead of showing them; beside these, C0, DEL and C1. */
/* clang-format off */
static const struct {
	uint32_t first, last;
} hidden[] = {
	{ 0x00ad, 0x00ad },	/* soft hyphen */
	{ 0x061c, 0x061c },	/* Arabic letter mark */
	{ 0x180e, 0x180e },	/* Mongolian vowel separator, no width */
	{ 0x200b, 0x200f },	/* no width, joiners, direction marks */
	{ 0x2028, 0x202e },	/* line and paragraph separator, embeddings and overrides of direction */
	{ 0x2060, 0x206f },	/* invisible operators, isolates of direction */
	{ 0xfdd0, 0xfdef },	/* not characters */
	{ 0xfeff, 0xfeff },	/* byte order mark */
	{ 0xfff9, 0xfffb },	/* annotations */
	{ 0xe0000, 0xe007f },	/* tags: text that nobody sees */
};
/* clang-format on */

static bool is_hidden(uint32_t c)
{
	if (c < 0xa0)
		return (c < 0x20 && c != '\n' && c != '\t') || c >= 0x7f;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (c >= hidden[i].first && c <= hidden[i].last)
			return true;
	return (c & 0xfffe) == 0xfffe; /* the last two of each plane are no characters */
}

/* Unicode, table 3-7: the length of the well-formed UTF-8 sequence here, or 0. */
static size_t decode(const uint8_t *p, size_t n, uint32_t *character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c = p[0];
	size_t len;

	if (c < 0x80) {
		*character = c;
		return 1;
	}
	len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || n < len)
		return 0;
	c &= 0x7f >> len;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	*character = c;
	return c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? len : 0;
}

size_t glyph_next(const char *text, size_t n, enum glyph *kind, uint32_t *character)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t len;

	if (p[0] >= 0x20 && p[0] < 0x7f && p[0] != '\\') {
		*kind = GLYPH_PLAIN;
		*character = p[0];
		return 1;
	}
	len = decode(p, n, character);
	if (!len || (p[0] == '\\' && n >= 4 && p[1] == 'x' && isxdigit(p[2]) && isxdigit(p[3]))) {
		*kind = GLYPH_BYTE;
		return 1;
	}
	*kind = is_hidden(*character) ? GLYPH_HIDDEN : GLYPH_PLAIN;
	return len;
}

/* Not by printf: a flood of noise has 64 Ki of these. */
size_t glyph_escape(char out[GLYPH_ESCAPED_MAX], const char *bytes, size_t n, const char *backslash)
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)bytes[i];

		for (const char *c = backslash; *c; c++)
			out[at++] = *c;
		out[at++] = 'x';
		out[at++] = digits[byte >> 4];
		out[at++] = digits[byte & 0xf];
	}
	out[at] = '\0';
	return at;
}

/* Whole or not at all: half a character or half an escape is worse than none. */
void printable_put(struct printable_line *l, const char *text, size_t n)
{
	if (n < l->len - l->at) {
		memcpy(l->buf + l->at, text, n);
		l->at += n;
	} else {
		l->len = l->at + 1; /* nothing more, not even what is shorter */
	}
	l->buf[l->at] = '\0';
}

void printable_text(struct printable_line *l, const char *text, size_t n)
{
	char escaped[GLYPH_ESCAPED_MAX];
	enum glyph kind;
	uint32_t c;

	for (size_t len; n; text += len, n -= len) {
		len = glyph_next(text, n, &kind, &c);
		if (kind == GLYPH_PLAIN && c != '\n' && c != '\t')
			printable_put(l, text, len);
		else
			printable_put(l, escaped, glyph_escape(escaped, text, len, "\\"));
	}
}

static void put_line(FILE *to, const char *line, size_t n, size_t max)
{
	char escaped[GLYPH_ESCAPED_MAX];
	enum glyph kind;
	uint32_t c;
	size_t at = 0;

	while (n && line[n - 1] == '\r')
		n--;
	for (size_t len; at < n && at < max; at += len) {
		len = glyph_next(line + at, n - at, &kind, &c);
		if (kind == GLYPH_PLAIN) {
			fwrite(line + at, 1, len, to);
		} else {
			glyph_escape(escaped, line + at, len, "\\");
			fputs(escaped, to);
		}
	}
	if (at < n)
		fprintf(to, "... (%zu bytes more)", n - at);
	fputc('\n', to);
}

void printable_lines(FILE *to, const char *indent, const char *text, size_t n, size_t max)
{
	for (const char *end = text + n, *stop; text < end; text = stop + (stop < end)) {
		stop = memchr(text, '\n', (size_t)(end - text));
		if (!stop)
			stop = end;
		fputs(indent, to);
		put_line(to, text, (size_t)(stop - text), max);
	}
}
