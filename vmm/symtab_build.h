/* How a table of symbols comes into being: for its sources (ELF, kallsyms) and tests. One thread. */
#ifndef VMM_SYMTAB_BUILD_H
#define VMM_SYMTAB_BUILD_H

#include "vmm/symtab.h"

#define SYMTAB_NAME_MAX 1023	   /* longer names are left out: the kernel's longest has 511 */
#define SYMTAB_MAX	(4u << 20) /* symbols; kernels with everything built in have less than a million */

/* path: of the file, or NULL; its last part is kept. NULL: out of memory. */
struct symtab *symtab_new(const char *path);
/*
 * name: len bytes, without a zero byte in them. Nameless ones and arm64's marks ($x, $d) are left out. 0; -ENOMEM;
 * -E2BIG: more than any kernel has.
 */
int symtab_add(struct symtab *t, uint64_t addr, uint64_t size, char type, const char *name, size_t len);
/* No more follow. 0 or -ENOMEM; the table is to be freed in any case. */
int symtab_finish(struct symtab *t);

#endif
