/*
 * The machine: what vmm/ and arch/ share. Everything in struct vm is written
 * by the main thread before the first vCPU starts and is read-only
 * afterwards, except where a field says otherwise. A machine that a debugger
 * puts in place of another is made the same way, after the last vCPU of that
 * one has been joined; vm_debug keeps everybody else away meanwhile.
 */
#ifndef VMM_KVM_H
#define VMM_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/own_desc.h"
#include "devices/bus.h"
#include "devices/power.h"
#include "vmm/cli.h"
#include "vmm/debug.h"
#include "vmm/elf.h"
#include "vmm/kick.h"
#include "vmm/memory.h"
#include "vmm/memslots.h"
#include "vmm/remains.h"
#include "vmm/vm_symtab.h"

struct arch_vm; /* arch/$(ARCH)'s own */
struct arch_vcpu;
struct console;	   /* vmm/console.h: the host side of the serial port */
struct vm_kaslr;   /* vmm/vm_kaslr.h: where the kernel has moved itself */
struct vm_verdict; /* vmm/vm_verdict.h: what the run has to prove */

/* An end or a reset that the guest has asked for, put off until the debugger has seen why. */
struct held_power {
	bool held;
	bool told; /* of a reset that is caught */
	bool due;  /* now: not to be put off again */
	enum power_event event;
	unsigned value;
};

enum ram_news {
	RAM_NONE,
	RAM_HIT,  /* it hits a watchpoint */
	RAM_LIFT, /* KVM does not tell enough of it: to be executed with the protection lifted */
};

/* What a write to write-protected RAM leaves to do once KVM has finished the access. */
struct vcpu_ram {
	enum ram_news news;
	struct vm_stop stop; /* RAM_HIT: but for its pc */
	bool withheld;	     /* it was not made: back to pc */
	uint64_t pc;
};

struct vcpu {
	struct vm *vm;
	int id;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool started; /* thread exists (main thread's) */
	struct kick kick;
	/* Own thread's: */
	bool io_pending; /* the last exit was I/O: registers are whole only after KVM_RUN was entered again */
	bool exit_held;	 /* run->exit_reason came while I/O was being finished and is still to be handled */
	bool stepping;	 /* armed to step: arch_debug_arm() sets it */
	bool panicked;	 /* the guest has reported a panic: to be dealt with behind the next checkpoint */
	bool catching;	 /* in an access that is to be caught */
	struct held_power power;
	struct vcpu_ram ram;
	char fault[512]; /* own thread: what to log when a fault ends the VM */
	bool fault_ends; /* own thread: resumed after a fault, the VM ends with fault_status */
	int fault_status;
	struct arch_vcpu *arch;
};

struct vm {
	const struct options *opts;
	int kvm_fd;
	int vm_fd;
	struct guest_memory mem;
	struct memslots memslots; /* vm_debug's protect(): changed while all vCPUs are parked */
	struct bus pio;		  /* port I/O (x86; empty elsewhere) */
	struct bus mmio;
	int ncpus;
	struct vcpu *vcpus;
	struct vm_debug *debug;
	struct console *console;
	struct image_layout layout; /* where the kernel's headers put virtual addresses */
	/*
	 * The kernel does not stay where they put it (KASLR). A breakpoint planted by them would be met at another
	 * address and be taken for the guest's own.
	 */
	bool layout_moves;
	struct vm_kaslr *kaslr;	    /* NULL: no --symbols; has a lock of its own */
	struct vm_verdict *verdict; /* NULL: none is wanted; has a lock of its own */
	struct power power;	    /* handed to devices: off, reset, panic, debug exit */
	struct own_desc desc;	    /* its registers, for the debugger; the same in every life */
	struct arch_vm *arch;
	int sig_fd;		/* signalfd of what ends the VM, or -1; the caller of vm_run() sets and owns it */
	int end_fd;		/* eventfd: there is news for the main thread */
	atomic_int exit_status; /* of this machine; -1 until vm_exit() */
	atomic_bool restart_wanted;
	struct remains remains; /* main thread: of the last machine */
	struct vm_unpacked unpacked;
};

/* An open /dev/kvm of the right version, or -errno with one line logged. Any thread. */
int kvm_open(void);

/*
 * vmm/vm.c, main thread. vm_create: /dev/kvm to loaded image and created vCPUs, nothing running. Returns 0 or an
 * enum exit_status with one line logged; vm_destroy undoes whatever was done, also after a failed create.
 */
int vm_create(struct vm *vm, const struct options *opts);
void vm_destroy(struct vm *vm);
/* Run the machine, and those that a debugger puts in its place, until the process is to end. Returns its exit status.
 */
int vm_run(struct vm *vm);
/*
 * These: any thread, also from vCPU threads and device callbacks; never block; the first status wins. vm_exit: the
 * machine ends, and the process with it unless a debugger stays; why: a line for the verdict, or NULL. If there is a
 * verdict that the run has failed, it ends once that has been backed, and with the verdict's status. vm_end_now:
 * without that. vm_quit: the process ends. vm_restart: vm_run() makes the machine anew; vm_debug has told its vCPUs to
 * leave. vm_wake: the main thread is to look around.
 */
void vm_exit(struct vm *vm, int status, const char *why);
void vm_end_now(struct vm *vm, int status);
void vm_wake(struct vm *vm);
void vm_quit(struct vm *vm, int status);
void vm_restart(struct vm *vm);
/* The guest's serial port: see struct char_backend. */
bool vm_serial_write(struct vm *vm, uint8_t byte);
void vm_serial_want_input(struct vm *vm);
/* Raise or lower an interrupt line (KVM_IRQ_LINE). Any thread. */
void vm_irq(struct vm *vm, unsigned gsi, int level);

/* vmm/vcpu.c */
int vcpu_create(struct vcpu *vcpu, struct vm *vm, int id); /* main thread; 0 or -errno, logged */
int vcpu_start(struct vcpu *vcpu);			   /* main thread; 0 or -errno, logged */
void vcpu_destroy(struct vcpu *vcpu);			   /* main thread, its thread has been joined or never was */
/* Own thread: KVM has refused (-errno) what cannot be done without. The debugger is told, or the machine ends. */
void vcpu_failed(struct vcpu *vcpu, int err);
/* Called from a device: the vCPU of this thread stops with that (or ends the VM) once the access is done. */
void vcpu_panic(struct vm *vm);
/* Likewise; true: the debugger is to see this first, and it is asked for again when that has been done. */
bool vcpu_hold_power(struct vm *vm, enum power_event event, unsigned value);
/*
 * Own thread. An access that has been made for the guest, and that KVM is still to finish: is it to be caught?
 */
void vcpu_accessed(struct vcpu *vcpu, const struct vm_access *a);
/*
 * Own thread. Let KVM finish a half-done access, so that the registers are whole; further accesses that this leads to
 * are served. A debug stop that it ends in goes to *late (else kind is VM_STOP_NONE). 0, 1 (a debug exit that is no
 * news), or -errno.
 */
int vcpu_finish_io(struct vcpu *vcpu, struct vm_stop *late);
/*
 * vmm/vcpu_ram.c, own thread. write: make the write of this KVM_EXIT_MMIO if it goes to RAM; false: it does not.
 * report: the access is finished, tell vm_debug what it was; true: the instruction is still to be executed. blocked: an
 * exit that may be a write to protected RAM which KVM does not decode; false: it is not.
 */
bool vcpu_ram_write(struct vcpu *vcpu);
bool vcpu_ram_report(struct vcpu *vcpu);
bool vcpu_ram_blocked(struct vcpu *vcpu);

/* Fills the machine operations that vm_debug works on (vmm/vm_debug_ops.c). */
struct vm_debug_machine vm_debug_machine(struct vm *vm);

#endif
