#include "arch/arm64/store.h"

#define FIELD(insn, lo, width) ((insn) >> (lo) & ((1u << (width)) - 1))
#define BIT(insn, n)	       ((insn) >> (n)&1)
#define RN(insn)	       FIELD(insn, 5, 5)
#define RM(insn)	       FIELD(insn, 16, 5)
#define SIZE(insn)	       FIELD(insn, 30, 2)
#define IS_LOAD(insn)	       BIT(insn, 22)
#define IS_VECTOR(insn)	       BIT(insn, 26)

#define DC_ZVA	    0xd50b7420u
#define DC_ZVA_MASK 0xffffffe0u

/* Bits 29:24 */
#define GROUP(insn)  FIELD(insn, 24, 6)
#define GROUP_EXCL   0x08
#define GROUP_MULTI  0x0c /* vector structures, whole registers */
#define GROUP_SINGLE 0x0d /* one element */
/* Bits 29:27 */
#define CLASS(insn)   FIELD(insn, 27, 3)
#define CLASS_PAIR    5
#define CLASS_REG     7
#define STORE_OPC     0
#define STORE_OPC_128 2	 /* of a vector register */
#define ATOMIC_LDAPR  12 /* which is a load */
#define EXTEND_UXTW   2
#define EXTEND_SXTW   6
#define VECTOR_BYTES  16

static int64_t sign_extend(uint32_t value, unsigned width)
{
	return (int64_t)((uint64_t)value << (64 - width)) >> (64 - width);
}

/* Exclusive, ordered, compare and swap: [Rn] */
static bool decode_exclusive(uint32_t insn, struct arm64_store *s)
{
	bool o2 = BIT(insn, 23), o1 = BIT(insn, 21);

	s->size = 1u << SIZE(insn);
	if (!o2 && o1 && SIZE(insn) < 2) { /* CASP */
		s->size = SIZE(insn) ? 16 : 8;
		return true;
	}
	if (o2 && o1) /* CAS, whatever its bit 22, which is acquire */
		return true;
	if (IS_LOAD(insn))
		return false;
	s->exclusive = !o2;
	if (!o2 && o1) /* STXP */
		s->size *= 2;
	return true;
}

static bool decode_pair(uint32_t insn, struct arm64_store *s)
{
	unsigned opc = SIZE(insn), mode = FIELD(insn, 23, 2), each;

	if (IS_LOAD(insn) || BIT(insn, 25))
		return false;
	if (IS_VECTOR(insn) ? opc == 3 : opc & 1) /* STGP writes tags as well */
		return false;
	each = IS_VECTOR(insn) ? 4u << opc : opc ? 8 : 4;
	s->size = 2 * each;
	if (mode != 1) /* post-index */
		s->offset = sign_extend(FIELD(insn, 15, 7), 7) * (int64_t)each;
	return true;
}

static bool decode_register_form(uint32_t insn, unsigned shift, struct arm64_store *s)
{
	if (BIT(insn, 24)) {
		s->offset = (int64_t)FIELD(insn, 10, 12) << shift;
		return true;
	}
	if (!BIT(insn, 21)) { /* unscaled, post-index, unprivileged, pre-index */
		if (FIELD(insn, 10, 2) != 1)
			s->offset = sign_extend(FIELD(insn, 12, 9), 9);
		return true;
	}
	if (FIELD(insn, 10, 2) != 2)
		return false;
	s->indexed = true;
	s->index = RM(insn);
	s->extend = FIELD(insn, 13, 3);
	s->shift = BIT(insn, 12) ? shift : 0;
	return true;
}

static bool decode_register(uint32_t insn, struct arm64_store *s)
{
	unsigned opc = FIELD(insn, 22, 2), shift = SIZE(insn);

	if (BIT(insn, 25))
		return false;
	if (!IS_VECTOR(insn) && !BIT(insn, 24) && BIT(insn, 21) && !FIELD(insn, 10, 2)) { /* atomic: [Rn] */
		if (FIELD(insn, 12, 4) == ATOMIC_LDAPR)
			return false;
		s->size = 1u << shift;
		return true;
	}
	if (IS_VECTOR(insn) && opc == STORE_OPC_128 && !shift)
		shift = 4;
	else if (opc != STORE_OPC)
		return false;
	s->size = 1u << shift;
	return decode_register_form(insn, shift, s);
}

/* ST1 to ST4 of whole registers: [Rn] */
static bool decode_multiple(uint32_t insn, struct arm64_store *s)
{
	static const uint8_t registers[16] = {[0] = 4, [2] = 4, [4] = 3, [6] = 3, [7] = 1, [8] = 2, [10] = 2};
	unsigned n = registers[FIELD(insn, 12, 4)];

	if (IS_LOAD(insn) || BIT(insn, 31) || !n)
		return false;
	s->size = n * (BIT(insn, 30) ? VECTOR_BYTES : VECTOR_BYTES / 2);
	return true;
}

static bool decode_single(uint32_t insn, struct arm64_store *s)
{
	unsigned elements = (BIT(insn, 13) << 1 | BIT(insn, 21)) + 1, scale = FIELD(insn, 14, 2);

	if (IS_LOAD(insn) || BIT(insn, 31) || scale == 3)
		return false;
	if (scale == 2 && BIT(insn, 10))
		scale = 3;
	s->size = elements << scale;
	return true;
}

bool arm64_store_decode(uint32_t insn, struct arm64_store *s)
{
	*s = (struct arm64_store){.base = RN(insn)};
	if ((insn & DC_ZVA_MASK) == DC_ZVA) {
		s->base = FIELD(insn, 0, 5);
		return true;
	}
	switch (GROUP(insn)) {
	case GROUP_EXCL:
		return decode_exclusive(insn, s);
	case GROUP_MULTI:
		return decode_multiple(insn, s);
	case GROUP_SINGLE:
		return decode_single(insn, s);
	default:
		break;
	}
	if (CLASS(insn) == CLASS_PAIR)
		return decode_pair(insn, s);
	return CLASS(insn) == CLASS_REG && decode_register(insn, s);
}

uint64_t arm64_store_address(const struct arm64_store *s, uint64_t base, uint64_t index)
{
	if (!s->indexed)
		return base + (uint64_t)s->offset;
	if (s->extend == EXTEND_UXTW)
		index = (uint32_t)index;
	else if (s->extend == EXTEND_SXTW)
		index = (uint64_t)(int64_t)(int32_t)index;
	return base + (index << s->shift);
}
