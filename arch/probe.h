/*
 * What can this host's KVM do for a debugger? Found out by running a tiny VM,
 * not assumed: software KVMs and nested ones differ from the hardware they
 * imitate. Each ISA has its own probe.c behind this header.
 *
 * Three modes of the guest are asked about, because hosts differ by mode:
 *
 *   kernel   privileged, paging on (x86: long mode, CPL 0; arm64: EL1, MMU on)
 *   reset    the mode in which a machine starts (x86: real mode; arm64: EL1,
 *            MMU off)
 *   user     unprivileged, paging on (x86: CPL 3; arm64: EL0)
 */
#ifndef ARCH_PROBE_H
#define ARCH_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a planted breakpoint instruction does, debugging of planted breakpoints enabled. */
enum host_swbreak {
	HOST_SWBREAK_NONE,	 /* the guest takes the exception itself, or the VM cannot go on */
	HOST_SWBREAK_TRAPS,	 /* KVM_EXIT_DEBUG, pc at the instruction */
	HOST_SWBREAK_EMUL_FAILS, /* an emulation failure, pc at the instruction: restore the code and run on (x86) */
};

/* Where pc has to be when the guest is given the exception of its own breakpoint instruction. */
enum host_inject {
	HOST_INJECT_NONE,  /* not possible, or never needed because the guest takes it by itself */
	HOST_INJECT_AT,	   /* leave pc at the instruction (arm64: emulate the entry to EL1, which sets ELR_EL1) */
	HOST_INJECT_AFTER, /* advance pc past the instruction first */
};

struct host_probe {
	int api;	      /* KVM_GET_API_VERSION */
	uint32_t guest_debug; /* KVM_GUESTDBG_* flags that KVM says it takes; 0: it does not say */
	uint32_t sync_regs;   /* bits that kvm_valid_regs may have; 0: none */
	bool immediate_exit;
	unsigned max_vcpus;
	unsigned max_memslots;

	enum host_swbreak swbreak; /* kernel mode */
	enum host_swbreak swbreak_reset;
	enum host_swbreak swbreak_user;
	bool own_break; /* nobody debugs: the guest's own breakpoint instruction reaches its handler */
	enum host_inject inject_break;

	bool single_step; /* kernel mode */
	bool single_step_user;
	bool step_persists;   /* armed once, each KVM_RUN is a step, also past code that writes the flags */
	unsigned step_stalls; /* step exits seen whose pc had not moved */
	bool block_irq;	      /* a step can hold interrupts off (arm64: PSTATE.I set for it); they arrive afterwards */

	unsigned hw_break_slots; /* that fire, kernel mode */
	bool hw_break_reset;
	bool hw_break_user;
	unsigned watch_write_slots;  /* that fire on a store */
	unsigned watch_access_slots; /* set to watch reads and writes, that fire on a load */
};

/*
 * Run the tiny VM and fill *out. kvm_fd is an open /dev/kvm and stays the caller's; everything else made here is gone
 * on return. Any thread, several at a time; no signal handler is needed or called. Blocks for some milliseconds, never
 * longer than five seconds; signals to this thread wait meanwhile, and SIGRTMAX is used up.
 * Returns 0; -ETIMEDOUT when the tiny VM did not come back in time; another -errno when it could not be made. *out is
 * zeroed (hence "nothing works") in whatever was not found out.
 */
int host_probe_run(int kvm_fd, struct host_probe *out);

/* The same, but a host is asked only once: what has been found out holds for every machine of this process. */
int host_probe_once(int kvm_fd, struct host_probe *out);

/*
 * What KVM says by itself, api to max_memslots; the rest of *out is left alone. host_probe_run() does this first. Any
 * thread.
 */
void host_probe_caps(int kvm_fd, struct host_probe *out);

/*
 * One fact a line, `name=value`, in a stable order and with stable names; new names may come at the end.
 *
 *   api=12                       KVM_GET_API_VERSION
 *   guest_debug=0x1f0003         flags that KVM_SET_GUEST_DEBUG takes (KVM_CAP_SET_GUEST_DEBUG2)
 *   sync_regs=0x7                register sets that KVM_RUN can hand over; 0 on arm64
 *   immediate_exit=yes|no
 *   max_vcpus=N  max_memslots=N  one line each
 *   swbreak=W                    W: traps, emulation-fails or none, as enum host_swbreak; kernel mode
 *   swbreak_reset=W              in the mode of reset
 *   swbreak_user=W               in user mode
 *   own_break=yes|no             a guest's own breakpoint instruction works while nobody debugs
 *   inject_break=P               P: at, after or none, as enum host_inject
 *   single_step=yes|no
 *   single_step_user=yes|no
 *   step_persists=yes|no
 *   step_stalls=N
 *   block_irq=yes|no
 *   hw_break_slots=N             0: hardware breakpoints do not fire
 *   hw_break_reset=yes|no
 *   hw_break_user=yes|no
 *   watch_write_slots=N          0: write watchpoints do not fire
 *   watch_access_slots=N         0: read/write watchpoints do not fire
 */
void host_probe_print(const struct host_probe *p, FILE *f);

#endif
