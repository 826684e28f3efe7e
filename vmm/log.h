/*
 * One-line messages on stderr, prefixed "minivmm: ". Any thread; one write()
 * per message, so lines of several threads do not mix. While the console has
 * the terminal raw, "\n" is written as "\r\n".
 */
#ifndef VMM_LOG_H
#define VMM_LOG_H

#include <stdbool.h>
#include <stddef.h>

void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* "minivmm: warning: " */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* only with --verbose */
/* What is a message already, as it is; as good as it goes. */
void log_bytes(const char *text, size_t len);
void log_set_verbose(bool on);
void log_set_raw_tty(bool on);

/* What this thread says begins with what context() returns ("tests.job:7: "), until it is set to NULL. */
void log_set_context(const char *(*context)(void));

#endif
