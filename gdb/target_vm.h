/* The machine as the protocol's target: gdb/target.h on top of vmm/debug.h, and the service for gdb/server.h. */
#ifndef GDB_TARGET_VM_H
#define GDB_TARGET_VM_H

#include "gdb/server.h"
#include "vmm/debug.h"

struct target_vm;

/* Main thread. eof_exits: end of file on the line ends the VM (--gdb stdio). NULL: no memory. */
struct target_vm *target_vm_new(struct vm_debug *debug);
void target_vm_free(struct target_vm *t);
struct gdb_service target_vm_service(struct target_vm *t);

#endif
