/*
 * The verdict (vmm/verdict.h) and its machine: --break's breakpoints, the serial port's output, the guest's ends, the
 * clocks; and once a run has failed, what backs that.
 *
 * A breakpoint of --break is counted on the vCPU's own thread, by a condition that is never true. Whoever decides that
 * the run has failed holds the machine (vm_debug_hold()); the main thread then collects the evidence and ends it. A run
 * that has passed ends at once.
 *
 * Where no verdict is wanted vm->verdict is NULL, and these do nothing but where they say so.
 */
#ifndef VMM_VM_VERDICT_H
#define VMM_VM_VERDICT_H

#include <stdint.h>

struct vm;
struct result;

/* ---- main thread ---- */

/*
 * The image is loaded (again: after a restart). Finds the places of --break. 0, or an enum exit_status with one line
 * logged: STATUS_USAGE for a place or a register that is not there.
 */
int vm_verdict_load(struct vm *vm);
void vm_verdict_close(struct vm *vm); /* NULL-safe, also for one that was never loaded */
/* Before the first vCPU starts: none executes anything until vm_verdict_work() has put the breakpoints in. */
void vm_verdict_hold(struct vm *vm);
/* Whatever is to be done now. Milliseconds until it is due again, -1 if not before vm_wake(). */
int vm_verdict_work(struct vm *vm);
/* The machine has ended: what became of the run, all but its name. Nothing is changed if it was never begun. */
void vm_verdict_result(struct vm *vm, struct result *out);

/* ---- any thread ---- */

/* vm_exit() of a machine with a verdict. */
void vm_verdict_ended(struct vm *vm, int status, const char *why);
/* vm_quit(): returns the status that the process is to end with. */
int vm_verdict_quit(struct vm *vm, int status);
void vm_verdict_output(struct vm *vm, uint8_t byte);
/* The debugger's client leaves: a run that has failed and was kept for it ends. Stub thread. */
void vm_verdict_client_left(struct vm *vm);
/* The kernel has been found at its place (vmm/vm_kaslr.h): its breakpoints can be put in. */
void vm_verdict_slide_found(struct vm *vm);
/* Likewise: it has unpacked itself, and its symbols can be read, or are not there. */
void vm_verdict_symbols_found(struct vm *vm);

#endif
