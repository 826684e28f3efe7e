/* own,N,HZ: the guest's own BRK, SVC and undefined instruction; HZ: under a timer, interrupts on */
#include "guests/tests/lab.h"

#include "guests/arm64/io.h"
#include "guests/platform.h"
#include "guests/tests/arm64/scenes.h"

/* lab_insns.S */
void own_exceptions(void);
extern char brk_at[], svc_after[], udf_at[];
#define BRK_IMM 0x123
#define SVC_IMM 0x45

volatile unsigned long brk_seen, svc_seen, udf_seen; /* with the right ESR, ELR and SPSR */
static uint64_t own_daif;			     /* of the program */

static bool is(const struct trap *t, uint64_t esr, unsigned ec, uint64_t iss, const char *elr)
{
	return ESR_EC(esr) == ec && ESR_ISS(esr) == iss && t->elr == (uint64_t)elr && !(t->spsr & SPSR_SS) &&
	       (t->spsr & SPSR_DAIF) == own_daif && GET_SYS(daif) == SPSR_DAIF;
}

static bool own_exception(struct trap *t, unsigned vector, uint64_t esr)
{
	bool good = vector == VECTOR_EL1_SYNC;

	if (good && is(t, esr, EC_BRK, BRK_IMM, brk_at))
		brk_seen++;
	else if (good && is(t, esr, EC_SVC, SVC_IMM, svc_after))
		svc_seen++;
	else if (good && is(t, esr, EC_UNKNOWN, 0, udf_at))
		udf_seen++;
	else
		strays++;
	if (ESR_EC(esr) != EC_SVC)
		t->elr += 4;
	return true;
}

void scene_own(unsigned long n, unsigned long hz)
{
	on_exception = own_exception;
	if (hz) {
		platform_timer_start((unsigned)hz);
		isa_interrupts_on();
	}
	own_daif = GET_SYS(daif);
	for (unsigned long i = 0; i < n; i++) {
		shared(i, 1);
		own_exceptions();
		strays += GET_SYS(daif) != own_daif;
	}
	isa_interrupts_off();
	say_count("brk", brk_seen);
	say_count("svc", svc_seen);
	say_count("udf", udf_seen);
	say_count("strays", strays);
	say("\n");
}
