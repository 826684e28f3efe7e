/*
 * Text of guests and users for people's eyes: any bytes, shown so that nothing acts on a terminal, forges a line or
 * hides another, and nothing is lost. What cannot be shown is written as \xNN, byte by byte, and so is a backslash that
 * would read as one of these. Any thread.
 */
#ifndef VMM_PRINTABLE_H
#define VMM_PRINTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum glyph {
	GLYPH_PLAIN,  /* can be shown as it is; '\n' and '\t' are */
	GLYPH_HIDDEN, /* a character that is not to be shown: control, direction, line separator, none at all */
	GLYPH_BYTE,   /* one byte that is no UTF-8 here, or the backslash of a \xNN */
};

/* How many bytes the first piece of these n > 0 has, what it is and, unless a byte, which character. */
size_t glyph_next(const char *text, size_t n, enum glyph *kind, uint32_t *character);

#define GLYPH_ESCAPED_MAX 32
/* Appends "\xNN" for each of n <= 4 bytes; backslash: how one is written there. Returns the length; NUL-terminated. */
size_t glyph_escape(char out[GLYPH_ESCAPED_MAX], const char *bytes, size_t n, const char *backslash);

/* One line that grows in len > 0 bytes at buf, a string from the first piece on. What does not fit ends it. */
struct printable_line {
	char *buf;
	size_t at, len;
};
void printable_put(struct printable_line *l, const char *text, size_t n); /* our own words */
/* Others'; newlines and tabs are \xNN, too. */
void printable_text(struct printable_line *l, const char *text, size_t n);

/* Text of many lines; carriage returns at their ends are dropped, of one over max bytes the rest is counted only. */
void printable_lines(FILE *to, const char *indent, const char *text, size_t n, size_t max);

#endif
