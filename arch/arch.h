/*
 * The door to one ISA. Link-time: arch/$(ARCH)/ defines every function here,
 * one ISA per binary. The ISA's private state hangs off vm->arch and
 * vcpu->arch (opaque to vmm/).
 *
 * "own thread" = the vCPU's own pthread. "parked" = that vCPU is parked in
 * vm_debug, or its thread has not started or has ended.
 * All int functions return 0 or -errno unless they say otherwise, and log
 * (log_error) what went wrong in one line when they fail at set-up.
 */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H

#include "arch/desc.h"
#include "vmm/debug.h"

struct vm;
struct vcpu;
struct mem_range;
struct symbols;	   /* vmm/symbols.h */
struct kaslr_hint; /* vmm/kaslr.h */
struct core_notes; /* vmm/core_notes.h */
struct core_cpu;

extern const struct arch_desc arch_desc; /* all that the ISA can have */
/* What this VM has of it: see arch/desc.h. After arch_vm_ready(), any thread; valid until arch_vm_free(). */
const struct arch_desc *arch_vm_desc(const struct vm *vm);

/* ---- set-up, main thread, in this order ---- */

/*
 * What KVM_CREATE_VM wants as its argument for a VM with this much RAM. -EINVAL: this host's guests cannot have so
 * much.
 */
int arch_vm_type(int kvm_fd, uint64_t ram_size, unsigned long *type);

/* Where `size` bytes of RAM go in the guest-physical map. Returns the number of ranges (<= max), or -EINVAL. */
int arch_ram_layout(uint64_t size, struct mem_range *ranges, int max);

/*
 * After KVM_CREATE_VM and the RAM slots (which take milliseconds once an in-kernel interrupt controller exists),
 * before vCPUs: interrupt controllers, PIT, TSS address, caps. Allocates vm->arch.
 */
int arch_vm_init(struct vm *vm);

/* After RAM exists: put the devices on vm->pio / vm->mmio. */
int arch_board_init(struct vm *vm);

/*
 * Load vm->opts->kernel (or the built-in guest), initrd, command line and firmware tables into RAM; remember the
 * entry state in vm->arch; fill vm->layout. Returns 0 or an -errno; a bad file is -ENOEXEC (message logged).
 */
int arch_load(struct vm *vm);

/* After KVM_CREATE_VCPU and mmap of vcpu->run: CPUID, MSRs, sync_regs; allocates vcpu->arch. Main thread. */
int arch_vcpu_init(struct vcpu *vcpu);

/*
 * After all vCPUs exist, before any runs: what arch_vm_desc() tells is complete (arm64: initialise the vGIC). Main
 * thread.
 */
int arch_vm_ready(struct vm *vm);

/* The vCPU threads run: what takes milliseconds and can wait. Main thread. */
void arch_vm_started(struct vm *vm);

/* Entry state into the vCPU. Own thread, first thing it does. */
int arch_vcpu_reset(struct vcpu *vcpu);

void arch_vcpu_free(struct vcpu *vcpu); /* after its thread has ended */
void arch_vm_free(struct vm *vm);	/* frees devices, vm->arch */

/* ---- exits, own thread ---- */

enum arch_exit {
	ARCH_EXIT_HANDLED, /* go on running */
	ARCH_EXIT_UNKNOWN, /* nobody's: an unrecoverable exit */
	ARCH_EXIT_SWBREAK, /* a software breakpoint instruction at pc (also as an emulation failure): ask vm_debug whose
			    */
	ARCH_EXIT_WRITE,   /* the instruction at pc may be a write to a protected page; if not, as UNKNOWN */
};

/* Exit reasons that vcpu.c does not handle by itself (it handles IO, MMIO, DEBUG, INTR, SHUTDOWN, SYSTEM_EVENT). */
enum arch_exit arch_vcpu_exit(struct vcpu *vcpu);

/* ---- writes to write-protected RAM, own thread ---- */

/* What the instruction at pc writes. */
struct arch_write {
	uint64_t va, len; /* len 0: not known */
	unsigned steps;	  /* how many have to be executed without an exit in between for it to succeed */
};

/* After arch_regs_fetch(). */
void arch_write_at(struct vcpu *vcpu, struct arch_write *out);
/*
 * At a KVM_EXIT_MMIO that writes to RAM, not finished yet: does it tell the whole write, and where it goes? KVM on
 * arm64 does not for one that crosses a page.
 */
bool arch_write_whole(struct vcpu *vcpu);
/*
 * The write of that exit is not to be made. pc: before the access is finished; undo, afterwards: as if the instruction
 * at pc had not been tried. -EOPNOTSUPP: an ISA that reports watchpoints after the access.
 */
int arch_write_pc(struct vcpu *vcpu, uint64_t *pc);
int arch_write_undo(struct vcpu *vcpu, uint64_t pc);

/* RAM is, or is no longer, write-protected: make KVM exit for what it does not decode. All vCPUs parked, any thread. */
void arch_protected(struct vm *vm, bool on);

/*
 * Own thread, parked: why writes to one of these pages (of `page` bytes, sorted) cannot be caught by protecting them,
 * as this vCPU stands: what it walks, pushes to and KVM writes by itself. NULL: they can.
 */
const char *arch_page_busy(struct vcpu *vcpu, const uint64_t *pages, size_t n, uint64_t page);

/* One or more lines about the vCPU's present state and exit, for an unrecoverable exit: pc, instruction bytes,
 * suberror. */
void arch_vcpu_describe(struct vcpu *vcpu, char *buf, size_t len);

/* ---- debug, own thread ---- */

/*
 * Write back dirty registers, then the whole KVM_SET_GUEST_DEBUG state. slots == NULL and VM_ARM_RUN: debugging off.
 * Order: registers first, the step armed last. Sets vcpu->stepping: the next instruction's end is one of a step.
 * 1 for VM_ARM_LET_IN: interrupts cannot be let in at this pc, or none would come in; armed to step instead.
 */
int arch_debug_arm(struct vcpu *vcpu, const struct hw_slots *slots, enum vm_arm how);

/*
 * Decode KVM_EXIT_DEBUG. Fills kind (VM_STOP_STEPPED, _SWBREAK, _HWBREAK, _WATCH), pc and addr.
 * Also repairs what a step left in guest-visible state (TF in pushed flags, PSTATE masks).
 * Returns 1 when the exit is no news (a step without progress, a let-in that goes on: run again with the same arming),
 * 0 when *out is filled, -errno on failure.
 */
int arch_debug_cause(struct vcpu *vcpu, struct vm_stop *out);

/*
 * Before KVM_RUN, armed to step: true if the step is best made without KVM, and has been; *out is as arch_debug_cause()
 * fills it then, its kind VM_STOP_NONE if that is no news.
 */
bool arch_step_alone(struct vcpu *vcpu, struct vm_stop *out);

/*
 * Armed to step, and the instruction was finished by KVM without a debug exit, as accesses to devices are. As
 * arch_debug_cause().
 */
int arch_step_finished(struct vcpu *vcpu, struct vm_stop *out);

/* Give the guest the breakpoint exception that its own instruction at pc asked for. */
int arch_inject_break(struct vcpu *vcpu);

/* The vCPU is about to park: make its registers readable to other threads (free with sync_regs). */
int arch_regs_fetch(struct vcpu *vcpu);

/* Own thread: this vCPU parks, as all others do now. */
void arch_time_stop(struct vcpu *vcpu);

/* Whole-VM pause ends for this vCPU (not for mere steps): kvmclock control, counter offset. */
void arch_time_resume(struct vcpu *vcpu);

/* ---- registers and translation ---- */

/*
 * regno: index in arch_desc.regs; len must be its size in arch_vm_desc(); bytes in target (little-endian) order.
 * Not deferred: any thread while the vCPU is parked; a write goes back on the next arch_debug_arm.
 * Deferred (writes: deferred or write_deferred): own thread only. -EINVAL: value the hardware cannot take; -ENOENT:
 * this host or VM lacks the register.
 */
int arch_reg_read(struct vcpu *vcpu, unsigned regno, void *buf, size_t len);
int arch_reg_write(struct vcpu *vcpu, unsigned regno, const void *buf, size_t len);
uint64_t arch_pc(struct vcpu *vcpu); /* linear: CS.base + RIP in x86 real mode. Parked, or own thread after fetch */

/* Walk the vCPU's own page tables. Any thread while parked. -EFAULT: not mapped; -EIO: a table is outside RAM;
 * out->len is then the length of the hole from va on, see the ISA's mmu.h. */
int arch_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out);

/* Own thread, not parked: make arch_translate() and arch_space() true for this moment. 0 or -errno. */
int arch_translate_ready(struct vcpu *vcpu);

/*
 * Which address space va belongs to in this vCPU's view: a number for the tables (aligned, so less than the next two),
 * VM_SPACE_SHARED for the kernel's half, VM_SPACE_PHYSICAL without paging.
 */
uint64_t arch_space(struct vcpu *vcpu, uint64_t va);

/*
 * Length of the instruction if it is one that kernels replace while they run, else 0. Decoded as this vCPU would; when
 * arch_translate() is allowed.
 */
size_t arch_patch_site(struct vcpu *vcpu, const uint8_t *bytes, size_t n);

/* ---- a Linux kernel that has moved itself ---- */

/*
 * Main thread, before the first vCPU starts: takes what of the kernel's symbols this ISA needs for the following.
 * Returns the address, as linked, of the instruction with which the kernel jumps to where it has moved, if it runs
 * where the image was loaded until then; 0: not known.
 */
uint64_t arch_kaslr_symbols(struct vm *vm, const struct symbols *s);

/* Own thread, not in KVM_RUN: where this vCPU's state says that a kernel may be. How many of max; 0: no idea. */
size_t arch_kaslr_hints(struct vcpu *vcpu, struct kaslr_hint *hint, size_t max);

/*
 * As arch_translate(), by the kernel's own tables even while Linux runs a program under page-table isolation. Parked,
 * or own thread after arch_kaslr_hints().
 */
int arch_kernel_translate(struct vcpu *vcpu, uint64_t va, struct mapping *out);

/*
 * On: vm_kaslr_look() and vm_unpacked_look() are to be called on a vCPU's thread in the kernel's first instructions
 * (after its move), until this is switched off. Main thread before the first vCPU starts; vCPU threads. -ENOTSUP, not
 * logged: not on this host or ISA.
 */
int arch_kaslr_watch(struct vm *vm, bool on);

/* Where a kernel image that unpacks itself puts the kernel, and runs it. */
struct arch_unpacked {
	uint64_t gpa, len; /* all that the kernel occupies before it has looked at the memory map; in RAM */
	uint64_t va;	   /* at which gpa is linked */
};

/*
 * After arch_load(), any thread. false: the image is the kernel itself, or one that does not say, or it chooses its
 * place anew each time (KASLR).
 */
bool arch_kernel_unpacked(const struct vm *vm, struct arch_unpacked *out);

/* ---- */

/*
 * Do these fit the debug hardware? 0; -ENOSPC: no slot left; -EINVAL: a length/kind/alignment it cannot express;
 * -EOPNOTSUPP: data accesses do not trap on this host. May run the host probe. Stub thread.
 */
int arch_slots_check(struct vm *vm, const struct hw_slots *slots);

/*
 * How a software breakpoint is served for code that this vCPU runs in its present mode. May run the host probe
 * (once, some ms). Stub thread, vCPU parked.
 */
enum vm_swbreak arch_swbreak(struct vcpu *vcpu);

/* "running", "halted", "waiting for SIPI", ... and mode; for thread lists. Parked only. */
void arch_vcpu_state_text(struct vcpu *vcpu, char *buf, size_t len);

/* Planted bytes became visible to instruction fetch (arm64 cleans caches; x86 has nothing to do). */
void arch_code_written(struct vm *vm, void *host, size_t len);

/* ---- what a debugger's monitor shows and does ---- */

/* The i-th range that KVM serves by itself; false past the end. Any thread. */
bool arch_kernel_region(struct vm *vm, size_t i, struct region *out);

/* Interrupt controllers that arch_chip_text() knows, in words: "lapic, ioapic, pic". */
extern const char arch_chips[];
/* The state of one of them, as that vCPU has it. Own thread, all vCPUs parked. -ENOENT: no such chip here. */
int arch_chip_text(struct vcpu *vcpu, const char *name, char *buf, size_t len);

/* Own thread, parked: a non-maskable interrupt. -ENOTSUP: the ISA has none; -EAGAIN: this CPU is not started yet. */
int arch_nmi(struct vcpu *vcpu);

/*
 * Can accesses of this kind be seen (c->kind: what RAM and arch_kernel_region() do not decide)? 0, or -errno and the
 * reason in why. Stub thread.
 */
int arch_catch_check(struct vm *vm, const struct vm_catch *c, char *why, size_t len);
/* From now on these MSRs (and no others) leave KVM when the guest uses them. No vCPU runs; any thread. 0 or -errno. */
int arch_catch_msrs(struct vm *vm, const uint32_t *msrs, size_t n);

/* ---- a core dump: main thread, all vCPUs parked; pure ---- */

/* The registers of one CPU, as Linux's own cores have them. */
void arch_core_cpu(struct core_notes *out, const struct core_cpu *c);
/* What tools for crash dumps look for besides, after all CPUs' registers: once for each CPU, in order. */
void arch_core_machine(struct core_notes *out, const struct core_cpu *c);

/* `--probe-host`: print facts as name=value lines on stdout. Returns 0 or -errno. */
int arch_probe_host(int kvm_fd);

/* For the usage text and checks: valid names for --boot, NULL-terminated; default cmdline ("console=ttyS0"). */
extern const char *const arch_boot_kinds[];
extern const char arch_default_cmdline[];

#endif
