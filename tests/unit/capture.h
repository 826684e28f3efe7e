/* Catch what the code under test writes to stdout or stderr. One capture at a time; main thread. */
#ifndef TESTS_UNIT_CAPTURE_H
#define TESTS_UNIT_CAPTURE_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct capture {
	int fd;	   /* what is being caught */
	int saved; /* where it led before */
	int mem;
	char text[16384];
};

__attribute__((unused)) static inline void capture_start(struct capture *c, int fd)
{
	fflush(NULL);
	c->fd = fd;
	c->saved = dup(fd);
	c->mem = memfd_create("capture", MFD_CLOEXEC);
	dup2(c->mem, fd);
}

/* The text caught, valid until the next capture. */
__attribute__((unused)) static inline const char *capture_end(struct capture *c)
{
	ssize_t n;

	fflush(NULL);
	dup2(c->saved, c->fd);
	close(c->saved);
	n = pread(c->mem, c->text, sizeof(c->text) - 1, 0);
	close(c->mem);
	c->text[n > 0 ? n : 0] = '\0';
	return c->text;
}

#endif
