/*
 * selfdebug,N,HZ: the guest debugs itself N times with its own hardware breakpoint, watchpoint and software step, and
 * looks whether each exception comes, is right, and leaves its registers as they were. HZ: under a timer. Arm ARM D2.
 */
#include "guests/tests/lab.h"

#include "guests/arm64/io.h"
#include "guests/platform.h"
#include "guests/tests/arm64/scenes.h"

#define MDSCR_SS  (1ul << 0)
#define MDSCR_KDE (1ul << 13)
#define MDSCR_MDE (1ul << 15)
/* DBGBCR, DBGWCR: enabled, at EL1, all four bytes of the instruction; stores, all eight bytes */
#define BCR_EL1	  (1ul | 1ul << 1 | 0xful << 5)
#define WCR_STORE (1ul | 1ul << 1 | 2ul << 3 | 0xfful << 5)

/* lab_insns.S */
void self_target(void);
void self_store(volatile uint64_t *where);
extern char self_target_next[], self_store_at[], self_store_next[];

volatile unsigned long self_breaks, self_watches, self_steps; /* with the right ESR, ELR and FAR */
volatile unsigned long changed;				      /* registers that were not as left */
volatile uint64_t self_word;
static uint64_t self_daif;
static const char *step_to; /* where the software step that is under way has to end */

/* The registers as this program has set them, off while one instruction is stepped. */
static void check_registers(bool stepping)
{
	changed += (GET_SYS(mdscr_el1) & (MDSCR_SS | MDSCR_KDE | MDSCR_MDE)) !=
		   (MDSCR_KDE | MDSCR_MDE | (stepping ? MDSCR_SS : 0));
	changed += GET_SYS(dbgbvr0_el1) != (uint64_t)self_target;
	changed += GET_SYS(dbgbcr0_el1) != (stepping ? 0 : BCR_EL1);
	changed += GET_SYS(dbgwvr0_el1) != (uint64_t)&self_word;
	changed += GET_SYS(dbgwcr0_el1) != (stepping ? 0 : WCR_STORE);
}

static void arm(bool stepping)
{
	SET_SYS(dbgbcr0_el1, stepping ? 0 : BCR_EL1);
	SET_SYS(dbgwcr0_el1, stepping ? 0 : WCR_STORE);
	SET_SYS(mdscr_el1, MDSCR_KDE | MDSCR_MDE | (stepping ? MDSCR_SS : 0));
	ISB();
}

static void step_over(struct trap *t, const char *to)
{
	check_registers(false);
	step_to = to;
	arm(true);
	t->spsr |= SPSR_SS;
}

static bool self_exception(struct trap *t, unsigned vector, uint64_t esr)
{
	bool good = vector == VECTOR_EL1_SYNC && (t->spsr & SPSR_DAIF) == self_daif && GET_SYS(daif) == SPSR_DAIF;

	switch (ESR_EC(esr)) {
	case EC_BREAKPOINT:
		good = good && t->elr == (uint64_t)self_target && !(t->spsr & SPSR_SS);
		self_breaks += good;
		step_over(t, self_target_next);
		break;
	case EC_WATCHPOINT:
		good = good && t->elr == (uint64_t)self_store_at && !(t->spsr & SPSR_SS) && (esr & ESR_WNR) &&
		       GET_SYS(far_el1) == (uint64_t)&self_word;
		self_watches += good;
		step_over(t, self_store_next);
		break;
	case EC_STEP:
		good = good && t->elr == (uint64_t)step_to;
		self_steps += good;
		check_registers(true);
		arm(false);
		t->spsr &= ~SPSR_SS;
		break;
	default:
		return false;
	}
	strays += !good;
	return true;
}

void scene_selfdebug(unsigned long n, unsigned long hz)
{
	on_exception = self_exception;
	SET_SYS(oslar_el1, 0);
	SET_SYS(dbgbvr0_el1, self_target);
	SET_SYS(dbgwvr0_el1, &self_word);
	arm(false);
	if (hz) {
		platform_timer_start((unsigned)hz);
		isa_interrupts_on();
	}
	__asm__ volatile("msr daifclr, #8" : : : "memory"); /* D: debug exceptions may come */
	self_daif = GET_SYS(daif);
	for (unsigned long i = 0; i < n; i++) {
		shared(i, 1);
		self_target();
		self_store(&self_word);
		changed += GET_SYS(daif) != self_daif || self_word != i + 1;
		check_registers(false);
	}
	__asm__ volatile("msr daifset, #10" : : : "memory");
	SET_SYS(mdscr_el1, 0);
	say_count("breaks", self_breaks);
	say_count("watches", self_watches);
	say_count("steps", self_steps);
	say_count("strays", strays);
	say_count("changed", changed);
	say("\n");
}
