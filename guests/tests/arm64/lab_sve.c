/*
 * sve,N,LEN: all SVE registers are filled, N calls later they are looked at. LEN: vectors of LEN + 1 quadwords at most.
 * Only for a processor that has SVE.
 */
#include "guests/arm64/io.h"
#include "guests/tests/arm64/info.h"
#include "guests/tests/arm64/scenes.h"
#include "guests/tests/lab.h"

#define ZEN_FPEN (3ul << 16 | 3ul << 20) /* CPACR_EL1: SVE and FP without traps at EL1 and EL0: Arm ARM D24.2.30 */

#define ZREGS	 32
#define PREGS	 16
#define BYTES	 256 /* of the longest vector that the architecture has */
#define SEED_Z	 16  /* byte k of register i is i * SEED + k, folded */
#define SEED_P	 3
#define FFR_ONES 5 /* an FFR is ones, then zeros */

/* lab_sve_insns.S; registers one after another, as long as they are */
void sve_fill(const void *z, const void *p, const void *ffr);
void sve_store(void *z, void *p, void *ffr);
unsigned long sve_bytes(void);

struct sve_state {
	uint8_t z[ZREGS * BYTES] __attribute__((aligned(16)));
	uint8_t p[PREGS * BYTES / 8] __attribute__((aligned(16)));
	uint8_t ffr[BYTES / 8] __attribute__((aligned(16)));
};

static struct sve_state filled, stored;

static unsigned differences(const uint8_t *a, const uint8_t *b, unsigned long n)
{
	unsigned found = 0;

	for (unsigned long i = 0; i < n; i++)
		found += a[i] != b[i];
	return found;
}

static void fill(unsigned long bytes)
{
	unsigned long pbytes = bytes / 8;

	for (unsigned long i = 0; i < ZREGS; i++)
		for (unsigned long k = 0; k < bytes; k++)
			filled.z[i * bytes + k] = (uint8_t)(i * SEED_Z + k);
	for (unsigned long i = 0; i < PREGS; i++)
		for (unsigned long k = 0; k < pbytes; k++)
			filled.p[i * pbytes + k] = (uint8_t)(i * SEED_P + k);
	filled.ffr[0] = (1u << FFR_ONES) - 1;
	sve_fill(filled.z, filled.p, filled.ffr);
}

static void report(unsigned long bytes)
{
	unsigned long pbytes = bytes / 8;

	info_hex("bytes", bytes);
	info_hex("wrong.z", differences(filled.z, stored.z, ZREGS * bytes));
	info_hex("wrong.p", differences(filled.p, stored.p, PREGS * pbytes));
	info_hex("z3.low", *(uint64_t *)(stored.z + 3 * bytes));
	info_hex("z3.high", *(uint64_t *)(stored.z + 4 * bytes - 8));
	info_hex("z31.high", *(uint64_t *)(stored.z + ZREGS * bytes - 8));
	info_hex("p2.low", stored.p[2 * pbytes]);
	info_hex("p15.high", stored.p[PREGS * pbytes - 1]);
	info_hex("ffr.low", stored.ffr[0]);
	info_hex("ffr.high", stored.ffr[pbytes - 1]);
	info_hex("fpsr", GET_SYS(s3_3_c4_c4_1));
}

void scene_sve(unsigned long n, unsigned long len)
{
	unsigned long bytes;

	SET_SYS(cpacr_el1, ZEN_FPEN);
	ISB();
	SET_SYS(s3_0_c1_c2_0, len); /* ZCR_EL1 */
	ISB();
	bytes = sve_bytes();
	fill(bytes);
	for (unsigned long i = 0; i < n; i++)
		shared(i, 1);
	sve_store(stored.z, stored.p, stored.ffr);
	report(bytes);
}
