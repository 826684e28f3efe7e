#include "arch/x86_64/xsave.h"

#include <string.h>

#include "arch/x86_64/cpuid.h"

#define LEAF_XSTATE	0xd
#define SUPERVISOR	1u /* of a component's ECX: not in an XSAVE image */
#define FCW_INIT	0x37fu
#define X87_ENVIRONMENT 24u  /* FCW to the data pointer; MXCSR and its mask follow */
#define X87_STACK	32u  /* eight registers of 16 bytes */
#define SSE_REGISTERS	160u /* sixteen */
#define LEGACY_REGS_END 416u

void x86_xsave_layout(struct kvm_cpuid2 *c, size_t image_size, struct x86_xsave_layout *out)
{
	const struct kvm_cpuid_entry2 *main_leaf = x86_cpuid_find(c, LEAF_XSTATE, 0);

	memset(out, 0, sizeof(*out));
	if (!main_leaf || !x86_cpuid_has(c, "xsave"))
		return;
	for (uint32_t i = XCOMP_AVX; i < XCOMPS; i++) {
		const struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, LEAF_XSTATE, i);

		if (!(main_leaf->eax & (1u << i)) || !e || (e->ecx & SUPERVISOR))
			continue;
		if (e->ebx < X86_XSAVE_MIN || e->ebx > image_size || e->eax > image_size - e->ebx)
			continue;
		out->comp[i].offset = e->ebx;
		out->comp[i].size = e->eax;
	}
}

bool x86_xsave_has(const struct x86_xsave_layout *l, enum x86_xcomp comp, uint32_t bytes)
{
	return l->comp[comp].size >= bytes;
}

static uint64_t get_bv(const uint8_t *image)
{
	uint64_t bv;

	memcpy(&bv, image + X86_XSAVE_BV, sizeof(bv));
	return bv;
}

void x86_xsave_complete(uint8_t *image, const struct x86_xsave_layout *l)
{
	const uint16_t fcw = FCW_INIT;
	uint64_t bv = get_bv(image);

	if (!(bv & (1u << XCOMP_X87))) {
		memset(image, 0, X87_ENVIRONMENT);
		memcpy(image, &fcw, sizeof(fcw));
		memset(image + X87_STACK, 0, SSE_REGISTERS - X87_STACK);
	}
	if (!(bv & (1u << XCOMP_SSE)))
		memset(image + SSE_REGISTERS, 0, LEGACY_REGS_END - SSE_REGISTERS);
	for (uint32_t i = XCOMP_AVX; i < XCOMPS; i++) {
		if (i != XCOMP_PKRU && !(bv & (1ull << i)) && l->comp[i].size)
			memset(image + l->comp[i].offset, 0, l->comp[i].size);
	}
}

void x86_xsave_mark(uint8_t *image, enum x86_xcomp comp)
{
	uint64_t bv = get_bv(image) | 1ull << comp;

	memcpy(image + X86_XSAVE_BV, &bv, sizeof(bv));
}
