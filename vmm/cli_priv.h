/* Inside the command line: cli.c (which option is which), cli_values.c (sizes, times), cli_verdict.c (what a
 * run has to prove), cli_help.c. Nobody else includes this. Main thread. */
#ifndef VMM_CLI_PRIV_H
#define VMM_CLI_PRIV_H

#include "vmm/cli.h"

/* cli_verdict.c; false: said why. */
bool cli_add_goal(struct options *opts, enum goal_kind kind, const char *text);
bool cli_set_until(struct options *opts, const char *text);
bool cli_set_ignore(struct options *opts, const char *text);
bool cli_set_duration(uint64_t *out, const char *option, const char *text);
bool cli_set_parallel(struct options *opts, const char *text);
/* All options are known. */
bool cli_check_verdict(struct options *opts);

/* cli_help.c */
void cli_print_help(void);
/* "pvh, linux, ..." */
void cli_boot_kinds(char *buf, size_t len);

#endif
