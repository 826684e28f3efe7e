/*
 * The process's exit status. isa-debug-exit owns the odd numbers
 * ((value << 1) | 1), so every status of ours is even.
 */
#ifndef VMM_EXIT_STATUS_H
#define VMM_EXIT_STATUS_H

enum exit_status {
	STATUS_OK = 0,		  /* the guest powered off or rebooted */
	STATUS_USAGE = 2,	  /* unknown option, bad value */
	STATUS_IMAGE = 4,	  /* kernel or initrd missing, malformed, or does not fit */
	STATUS_HOST = 6,	  /* no /dev/kvm, no permission, no memory, socket or file cannot be made */
	STATUS_PANIC = 8,	  /* the guest reported a panic (pvpanic) */
	STATUS_TRIPLE_FAULT = 10, /* the guest shut its CPU down */
	STATUS_KVM_EXIT = 12,	  /* KVM gave an exit that cannot be recovered from */
	STATUS_KILLED = 14,	  /* gdb's kill */
	STATUS_ENDED = 16,	  /* ended by its user: Ctrl-a x, SIGINT, SIGTERM, SIGHUP, end of file on --gdb stdio */
	/* Verdicts, see vmm/result.h; a pass is STATUS_OK. */
	STATUS_FAIL = 20,     /* a --break WHERE=fail was reached */
	STATUS_REJECT = 22,   /* the serial output matches a --reject */
	STATUS_OOPS = 24,     /* a kernel's line reports an oops */
	STATUS_LOCKUP = 26,   /* a kernel's line reports a soft lockup, an RCU stall or a hung task */
	STATUS_EARLY = 28,    /* the guest ended before all goals were reached */
	STATUS_DEADLINE = 30, /* --deadline-between-hits */
	STATUS_ORDER = 32,    /* --ordered: a goal was reached before its turn */
	STATUS_JOB = 34,      /* --job: some case did not pass */
	STATUS_SANDBOX = 36,  /* minivmm made a system call that its sandbox does not allow */
	STATUS_TIMEOUT = 124, /* --timeout; as timeout(1) says it */
};

#endif
