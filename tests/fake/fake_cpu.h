/* Inside the fake machine: what its vCPUs (fake_cpu.c) have for its operations (fake_machine.c). */
#ifndef TESTS_FAKE_CPU_H
#define TESTS_FAKE_CPU_H

#include "tests/fake/fake_machine.h"

/* The thread: arg is its struct fake_cpu. */
void *fake_cpu_thread(void *arg);
/* A random pause, if the machine has delays; own thread. */
void fake_delay(struct fake_cpu *c);
/* Where an address leads for this vCPU. */
bool fake_leads(const struct fake_cpu *c, uint64_t va, uint64_t *gpa);

#endif
