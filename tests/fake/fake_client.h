/* A client of vm_debug over a fake machine: what tests of breakpoints do again and again. */
#ifndef TESTS_FAKE_CLIENT_H
#define TESTS_FAKE_CLIENT_H

#include "tests/fake/fake_machine.h"

#define CLIENT_SHARED_BP (FAKE_SHARED + 3)

/* Starts the machine, with a client attached: it has stopped before its first instruction. */
struct fake_machine *client_attach(struct fake_machine *m);
struct fake_machine *client_attached(int ncpus, bool delays);
/* The next event is a stop of this kind; everybody is outside the guest and no breakpoint byte is in memory. */
bool client_stopped_by(struct fake_machine *m, enum vm_stop_kind kind, struct vm_debug_event *ev);
int client_resume_all(struct fake_machine *m, enum vm_action_kind kind);
int client_resume_one(struct fake_machine *m, int cpu, enum vm_action_kind kind);
/* A condition that is false, and counts in an atomic_uint how often it was asked for. */
bool client_never(void *ctx, int cpu, const struct vm_stop *stop);
bool client_next(struct fake_machine *m, struct vm_debug_event *ev, int timeout_ms);
/* Every vCPU goes on. */
void client_run(struct fake_machine *m);
/* Asks for a stop and takes what comes; NONE if nothing does. */
enum vm_stop_kind client_pause(struct fake_machine *m, struct vm_debug_event *ev);
int client_insert(struct fake_machine *m, int cpu, enum vm_break_type type, uint64_t addr);
int client_remove(struct fake_machine *m, enum vm_break_type type, uint64_t addr);
/* How the breakpoint at that address is served: "planted", "hardware", "pending"; "" if there is none. */
const char *client_how(struct fake_machine *m, enum vm_break_type type, uint64_t addr);

#endif
