/*
 * --dump FILE: an ELF core of the guest, its memory and all CPUs' registers, for gdb and crash. Main thread.
 *
 * FILE exists afterwards if, and only if, this run has dumped: an older dump there is removed when it is opened, and
 * what is there then (empty until the dump is made) when it is closed and no dump was made, or one that is not whole.
 */
#ifndef VMM_CORE_H
#define VMM_CORE_H

struct core;
struct vm;

/*
 * Before the guest starts. path is copied. An existing file has to be a core or empty: it could be anything that
 * somebody needs. 0, or -errno with one line logged that names the file and the reason.
 */
int core_open(struct core **out, const char *path);

/*
 * All vCPUs parked and held (vm_debug_*() of the stub's side may be used). A second dump replaces the first. 0, or
 * -errno with one line logged; the file is empty then.
 */
int core_write(struct core *c, struct vm *vm);

void core_close(struct core *c); /* NULL-safe */

#endif
