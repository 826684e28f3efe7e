/* The command line. Main thread. */
#ifndef VMM_CLI_H
#define VMM_CLI_H

#include <stdbool.h>
#include <stdint.h>

#define MINIVMM_VERSION "0.1.0"

#define CPUS_MAX	   64
#define MEM_DEFAULT	   (256ULL << 20)
#define MEM_MINIMUM	   (1ULL << 20)
#define MEM_GRANULE	   4096ULL
#define BUILTIN_GUEST_CPUS 2

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
};

enum cli_result {
	CLI_RUN,
	CLI_DONE, /* --help, --version: printed, exit 0 */
	CLI_BAD,  /* message printed, exit STATUS_USAGE */
};

/* Fills all of opts; strings stay those of argv. Errors are one log_error() line each. */
enum cli_result cli_parse(struct options *opts, int argc, char **argv);

/* "512M", "2G", "65536K", plain bytes (decimal or 0x) -> *out. 0 or -EINVAL, -ERANGE. */
int cli_parse_size(const char *text, uint64_t *out);

#endif
