/* The parts of the lab that only arm64 has; lab_isa.c lists them. */
#ifndef GUESTS_TESTS_ARM64_SCENES_H
#define GUESTS_TESTS_ARM64_SCENES_H

#include <stdbool.h>
#include <stdint.h>

#include "guests/arm64/trap.h"

/* PSTATE as in SPSR_EL1: Arm ARM C5.2.18 */
#define SPSR_EL1H 5ul
#define SPSR_F	  (1ul << 6)
#define SPSR_I	  (1ul << 7)
#define SPSR_A	  (1ul << 8)
#define SPSR_D	  (1ul << 9)
#define SPSR_SS	  (1ul << 21)
#define SPSR_DAIF (SPSR_D | SPSR_A | SPSR_I | SPSR_F)

/* ESR_EL1: D24.2.40 */
#define ESR_EC(esr)   ((unsigned)((esr) >> 26 & 0x3f))
#define ESR_ISS(esr)  ((esr)&0x1ffffff)
#define ESR_WNR	      (1ul << 6)
#define EC_UNKNOWN    0x00
#define EC_SVC	      0x15
#define EC_DATA_ABORT 0x25 /* from EL1 */
#define EC_BREAKPOINT 0x31 /* this and the next two: from EL1 */
#define EC_STEP	      0x33
#define EC_WATCHPOINT 0x35
#define EC_BRK	      0x3c

/* What a scene does with exceptions; false: not its own, hence the end. */
extern bool (*on_exception)(struct trap *t, unsigned vector, uint64_t esr);
extern volatile unsigned long strays; /* that should not have come, or not so */

void say_count(const char *what, unsigned long n); /* "what n " */

void scene_own(unsigned long n, unsigned long hz);	 /* lab_own.c */
void scene_selfdebug(unsigned long n, unsigned long hz); /* lab_selfdebug.c */
void scene_el0(unsigned long n, unsigned long hz);	 /* lab_user.c */
void scene_lock(unsigned long n, unsigned long cpus);	 /* lab_data.c, this and the next two */
void scene_simd(unsigned long n, unsigned long m);
void scene_stores(unsigned long n, unsigned long m);
void scene_sve(unsigned long n, unsigned long len); /* lab_sve.c */

#endif
