/* Locks, vector registers, and stores of every size. */
#include "guests/tests/lab.h"

#include "guests/arm64/io.h"
#include "guests/platform.h"
#include "guests/tests/arm64/info.h"
#include "guests/tests/arm64/scenes.h"

/* ---- lock,N,CPUS: every CPU adds to one counter N times, under a lock made of exclusives ---- */

/* lab_insns.S */
void lock_take(volatile uint32_t *lock);
void lock_release(volatile uint32_t *lock);

extern volatile unsigned online, finished;
volatile uint32_t the_lock;
volatile unsigned long locked_total, lock_rounds;

__attribute__((noinline)) static void lock_work(void)
{
	for (unsigned long i = 0; i < lock_rounds; i++) {
		lock_take(&the_lock);
		locked_total = locked_total + 1;
		lock_release(&the_lock);
	}
}

static void lock_worker(unsigned cpu)
{
	(void)cpu;
	__atomic_fetch_add(&online, 1, __ATOMIC_SEQ_CST);
	lock_work();
	__atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
	isa_idle();
}

void scene_lock(unsigned long n, unsigned long cpus)
{
	lock_rounds = n;
	if (cpus > 1)
		platform_start_cpus(lock_worker);
	while (online < cpus)
		;
	lock_work();
	while (finished + 1 < cpus)
		;
	say_count("total", locked_total);
	say("\n");
}

/* ---- simd,N: all vector registers are filled, N calls later they are looked at ---- */

#define FPEN  (3ul << 20) /* CPACR_EL1: no traps at EL1 and EL0 */
#define VREGS 32

/* lab_insns.S: byte k of register i is i * 16 + k, folded */
void simd_fill(void);
void simd_store(void *where);

void scene_simd(unsigned long n, unsigned long m)
{
	static uint8_t stored[VREGS][16] __attribute__((aligned(16)));
	unsigned wrong = 0;

	(void)m;
	SET_SYS(cpacr_el1, FPEN);
	ISB();
	simd_fill();
	for (unsigned long i = 0; i < n; i++)
		shared(i, 1);
	simd_store(stored);
	for (unsigned i = 0; i < VREGS; i++)
		for (unsigned k = 0; k < 16; k++)
			wrong += stored[i][k] != (uint8_t)(i * 16 + k);
	info_hex("wrong", wrong);
	info_hex("v3.low", *(uint64_t *)stored[3]);
	info_hex("v3.high", *(uint64_t *)(stored[3] + 8));
	info_hex("v31.low", *(uint64_t *)stored[31]);
	info_hex("fpcr", GET_SYS(s3_3_c4_c4_0));
	info_hex("fpsr", GET_SYS(s3_3_c4_c4_1));
}

/* ---- stores,N: stores and loads of every size at known places of `watched`, N times; see lab_insns.S ---- */

void stores(volatile uint8_t *where);
uint8_t watched[256] __attribute__((aligned(256)));

void scene_stores(unsigned long n, unsigned long m)
{
	unsigned long sum = 0;

	(void)m;
	for (unsigned long i = 0; i < n; i++)
		stores(watched);
	for (unsigned i = 0; i < sizeof(watched); i++)
		sum += watched[i];
	say_count("stored", sum);
	say("\n");
}
