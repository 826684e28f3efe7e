/*
 * What the fuzzers of files to load share: the log, of which only the formatting is of interest as there are as many
 * messages as inputs, and some RAM.
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/log.h"
#include "vmm/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned errors; /* logged so far */

/* One message, one line. */
static void check_line(const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (!*text || strchr(text, '\n'))
		abort();
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_line(fmt, ap);
	va_end(ap);
	errors++;
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	check_line(fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	(void)fmt;
}

/* RAM in one piece at gpa, unless there is some already. */
static void make_ram(struct guest_memory *mem, uint64_t gpa, size_t size)
{
	if (mem->n)
		return;
	mem->n = 1;
	mem->size = mem->range[0].size = size;
	mem->range[0].gpa = gpa;
	mem->range[0].host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem->range[0].host == MAP_FAILED)
		abort();
}

#endif
