/* A client of vm_debug over a fake machine: what tests of breakpoints do again and again. */
#ifndef TESTS_FAKE_CLIENT_H
#define TESTS_FAKE_CLIENT_H

#include "tests/fake/fake_machine.h"

/* A machine that has stopped before its first instruction, with a client attached. */
struct fake_machine *client_start(struct fake_machine *m);
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
