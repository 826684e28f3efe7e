/*
 * Loading a kernel: choose its kind, place everything in RAM, say how the boot processor starts. Main thread, before
 * any vCPU runs. Nothing here knows KVM: all of it works on guest memory and numbers, so it is unit-tested and fuzzed
 * over plain memory, on any host.
 */
#ifndef ARM64_BOOT_H
#define ARM64_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The state in which the boot processor starts: EL1h, DAIF masked, MMU and caches off, X1-X3 and all else 0. Source:
 * Linux Documentation/arm64/booting.rst.
 */
struct boot_entry {
	uint64_t pc;
	uint64_t x0; /* the device tree's address */
};

#endif
