/*
 * How others get a vCPU's thread out of KVM_RUN. No KVM in here: the fake vCPUs of the tests go through these very
 * lines.
 *
 * Whoever wants a vCPU to leave sets a flag that its may_enter() looks at, and kicks then. The kick is a signal whose
 * handler sets kvm_run.immediate_exit: wherever it lands, KVM_RUN comes back with EINTR or does not start. The thread
 * clears immediate_exit *before* it looks at the flag again: whoever set that earlier is seen, whoever sets it later
 * sends a new signal. In the other order, a kick between the two is lost. (KVM's api.rst, 5, "immediate_exit")
 */
#ifndef VMM_KICK_H
#define VMM_KICK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct kick {
	uint8_t *immediate_exit; /* in kvm_run; before anybody kicks */
	pthread_t thread;	 /* while listening */
	atomic_bool listening;	 /* inside kick_loop(), so a kick has somebody to reach */
};

/* Install the signal's handler; once for a process, main thread. 0 or -errno. */
int kick_init(void);

/*
 * Any thread, never blocks. The kicked one must not have been joined: vm_debug kicks only those that have not passed
 * vm_debug_gone().
 */
void kick_send(struct kick *k);

/*
 * The vCPU's own thread: enters the guest as long as it may. enter() returns true if KVM_RUN was, or may have been, cut
 * short by a kick, with nothing else to it.
 */
void kick_loop(struct kick *k, bool (*may_enter)(void *ctx), bool (*enter)(void *ctx), void *ctx);

#endif
