/*
 * Where the parts of an XSAVE image are, and what they hold while they are not in use. Pure, any thread.
 * Source: Intel SDM volume 1, 13.4 (the standard format, which is KVM's) and 13.6 (initial state); volume 2A, CPUID
 * leaf 0DH. Offsets differ between processors: they are the CPUID's to say.
 */
#ifndef X86_XSAVE_H
#define X86_XSAVE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* State components, by their bits in XCR0 and XSTATE_BV. */
enum x86_xcomp {
	XCOMP_X87 = 0,
	XCOMP_SSE = 1,
	XCOMP_AVX = 2,	     /* bits 255:128 of YMM0-15, 16 bytes each */
	XCOMP_OPMASK = 5,    /* K0-7, 8 bytes each */
	XCOMP_ZMM_HI256 = 6, /* bits 511:256 of ZMM0-15, 32 bytes each */
	XCOMP_HI16_ZMM = 7,  /* ZMM16-31, 64 bytes each */
	XCOMP_PKRU = 9,	     /* 4 bytes */
	XCOMPS = XCOMP_PKRU + 1,
};

#define X86_XSAVE_BV  512u /* the header: XSTATE_BV */
#define X86_XSAVE_MIN 576u /* bytes of the legacy area and the header */

struct x86_xsave_layout {
	struct {
		uint32_t offset, size; /* bytes; size 0: the guest does not have it */
	} comp[XCOMPS];
};

/* From the guest's CPUID, for images of image_size bytes; what would not fit is not there. */
void x86_xsave_layout(struct kvm_cpuid2 *c, size_t image_size, struct x86_xsave_layout *out);

/* Does the guest have this component, with room for so many bytes? */
bool x86_xsave_has(const struct x86_xsave_layout *l, enum x86_xcomp comp, uint32_t bytes);

/*
 * A component that is in its initial state need not have been stored: give its bytes the values that the registers
 * have. XSTATE_BV stays. PKRU's bytes are left alone: KVM keeps that register apart and always stores it.
 */
void x86_xsave_complete(uint8_t *image, const struct x86_xsave_layout *l);

/* The component's bytes were changed: XRSTOR has to load them. */
void x86_xsave_mark(uint8_t *image, enum x86_xcomp comp);

#endif
