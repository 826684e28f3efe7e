/* The command line. Main thread. */
#ifndef VMM_CLI_H
#define VMM_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MINIVMM_VERSION "0.1.0"

#define CPUS_MAX	   64
#define MEM_DEFAULT	   (256ULL << 20)
#define MEM_MINIMUM	   (1ULL << 20)
#define MEM_GRANULE	   4096ULL
#define BUILTIN_GUEST_CPUS 2

#define GOALS_MAX 64

enum goal_kind {
	GOAL_BREAK,
	GOAL_EXPECT,
	GOAL_REJECT,
};

enum break_action {
	ACTION_PASS,
	ACTION_FAIL,
	ACTION_LOG,
	ACTION_COUNT,
	ACTIONS,
};

/* One --break, --expect or --reject. */
struct goal_option {
	enum goal_kind kind;
	const char *text;	  /* BREAK: WHERE[=ACTION], others: the regular expression */
	size_t where_len;	  /* BREAK: of text */
	enum break_action action; /* BREAK */
	const char *regs;	  /* ACTION_LOG: "rdi,rsi", or NULL */
};

enum until {
	UNTIL_DEFAULT, /* one of the passing breaks, and every --expect */
	UNTIL_ANY,     /* one goal */
	UNTIL_ALL,     /* every goal */
	UNTIL_END,     /* every goal, and the guest's own end */
};

/* What --ignore names, as bits. */
enum {
	IGNORE_PANIC = 1,
	IGNORE_OOPS = 2,
	IGNORE_LOCKUP = 4,
};

struct options {
	const char *kernel; /* NULL: the built-in guest */
	const char *initrd;
	const char *cmdline;	  /* what --cmdline added, or NULL */
	const char *boot;	  /* one of arch_boot_kinds, or NULL: pick by the file */
	const char *cpu_features; /* "-cx16,-xsave", or NULL */
	const char *serial;	  /* "stdio", "null", "pty", "file:PATH", "unix:PATH" */
	const char *gdb;	  /* path | tcp:[HOST:]PORT | stdio | chardev:PATH, or NULL */
	uint64_t mem_size;	  /* bytes */
	int ncpus;
	bool gdb_attach;     /* do not wait for the debugger */
	const char *symbols; /* the kernel's vmlinux, or NULL */
	bool kaslr;
	bool probe_host;
	bool verbose;
	bool no_sandbox;
	/* The run has a verdict; any of these asks for one. */
	bool verdict;
	struct goal_option goal[GOALS_MAX]; /* in the order given */
	size_t ngoals;
	enum until until;
	bool ordered;
	unsigned ignore;      /* IGNORE_... */
	uint64_t timeout_us;  /* 0: none */
	uint64_t deadline_us; /* between hits; 0: none */
	const char *report;   /* [FORMAT:]FILE, or NULL */
	const char *dump;     /* file for a core of the guest that has failed, or NULL */
	bool stop_on_fail;
	const char *job; /* a file of cases, or NULL */
	int parallel;	 /* -j: cases at a time; 0: as many as there are processors */
};

enum cli_result {
	CLI_RUN,
	CLI_DONE, /* --help, --version: printed, exit 0 */
	CLI_BAD,  /* message printed, exit STATUS_USAGE */
};

/* Fills all of opts; strings stay those of argv. Errors are one log_error() line each. */
enum cli_result cli_parse(struct options *opts, int argc, char **argv);

struct where;
/* The place of a break; -EINVAL and the reason in why. Any thread. */
int cli_goal_where(const struct goal_option *g, struct where *out, char *why, size_t len);

/* "60", "60s", "500ms", "2m", "1h" -> *out microseconds. 0 or -EINVAL, -ERANGE. */
int cli_parse_duration(const char *text, uint64_t *out);

/* "512M", "2G", "65536K", plain bytes (decimal or 0x) -> *out. 0 or -EINVAL, -ERANGE. */
int cli_parse_size(const char *text, uint64_t *out);

#endif
