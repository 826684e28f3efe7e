/*
 * --report [FORMAT:]FILE: what became of one run or of many, for machines: JUnit XML, TAP 13 or JSON (RFC 8259). Main
 * thread. Every error is one line by log_error() that names the file and the way out, and comes back as -errno.
 */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

#include <stdbool.h>
#include <stddef.h>

struct report;
struct result;

/*
 * FORMAT is junit, tap or json; without it the end of FILE's name decides: .xml, .tap, .json. "-" is standard output.
 * FILE is created and emptied at once, so that nobody takes an old report for this run's. -EINVAL: the spec is wrong.
 */
int report_open(struct report **out, const char *spec);
/* Would that be standard output? */
bool report_is_stdout(const char *spec);
/*
 * The whole report of n results, in their order; suite names them all (NULL or "": "minivmm"). Blocks until it is
 * written. Again: replaces what was written before where FILE is a regular file. After an error the file is empty.
 */
int report_write(struct report *report, const char *suite, const struct result *const *results, size_t n);
/*
 * NULL is fine. A file that is still empty, since nothing or not all could be written, is removed if report_open() made
 * it, by the process that called that: a forked child only lets go of it.
 */
void report_close(struct report *report);

#endif
