/* What target_vm.c shares with target_vm_monitor.c. Nobody else includes this. */
#ifndef GDB_TARGET_VM_MONITOR_H
#define GDB_TARGET_VM_MONITOR_H

#include "gdb/target.h"
#include "vmm/debug.h"

struct vm_debug *target_vm_debug(void *t); /* target_vm.c: of the ops' first argument */

int target_vm_next(void *t, int cpu, uint64_t *va, unsigned *budget, struct mapping *out);
void *target_vm_host(void *t, uint64_t gpa);
bool target_vm_region(void *t, size_t i, struct region *out);
int target_vm_chip(void *t, int cpu, const char *name, char *buf, size_t len);
const char *target_vm_chips(void *t);
int target_vm_poweroff(void *t);
int target_vm_nmi(void *t, int cpu);
extern const struct gdb_catch_ops target_vm_catch_ops;
/* The signal and the words for VM_STOP_EVENT. */
void target_vm_event_stop(int cpu, const struct vm_access *a, struct gdb_stop *stop);

#endif
