/*
 * The breakpoints of --break: where they lead in this machine's kernel, and what happens on the vCPU's own thread when
 * they are hit. Main thread, unless it says otherwise.
 */
#ifndef VMM_VM_BREAKS_H
#define VMM_VM_BREAKS_H

struct vm;
struct verdict;
struct vm_breaks;
struct symtab;

/*
 * The image is loaded: finds the places and the registers of all --break of vm->opts. 0, or an enum exit_status with
 * one line logged. Hits are told to v.
 */
int vm_breaks_load(struct vm_breaks **out, struct vm *vm, struct verdict *v);
void vm_breaks_free(struct vm_breaks *b); /* NULL-safe; no vCPU runs */

/*
 * All vCPUs parked: put in what is known by now; 0, or an enum exit_status with one line logged. insert: nothing has
 * run yet; found: the kernel has unpacked itself, and vm_verdict_symbols_found() was called; slide: it has moved
 * itself, and was found.
 */
int vm_breaks_insert(struct vm_breaks *b);
int vm_breaks_found(struct vm_breaks *b);
int vm_breaks_slide(struct vm_breaks *b);

/* All vCPUs parked. The kernel's symbols, where they are by now; NULL: not known. Valid until vm_breaks_free(). */
const struct symtab *vm_breaks_symbols(struct vm_breaks *b);

#endif
