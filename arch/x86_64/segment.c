/* Loading a segment register: Intel SDM volume 3A, 3.4 and 3.5; MOV and far JMP in volume 2. */
#include "arch/x86_64/arch_x86.h"

#include <errno.h>
#include <string.h>

#include "arch/x86_64/mmu.h"
#include "vmm/kvm.h"

#define RFLAGS_VM (1ull << 17)
#define SEL_TI	  4u /* the descriptor is in the LDT */
#define SEL_RPL	  3u

#define TYPE_ACCESSED 1u
#define TYPE_WRITE    2u /* code: readable */
#define TYPE_CODE     8u

static int load_real(struct kvm_segment *seg, uint16_t selector)
{
	seg->selector = selector;
	seg->base = (uint64_t)selector << 4;
	return 0;
}

/* The parts of a code or data descriptor, as KVM keeps them. */
static void unpack(uint64_t desc, uint16_t selector, struct kvm_segment *seg)
{
	uint32_t limit = (uint32_t)((desc & 0xffff) | (desc >> 32 & 0xf0000));

	memset(seg, 0, sizeof(*seg));
	seg->selector = selector;
	seg->base = (desc >> 16 & 0xffffff) | (desc >> 32 & 0xff000000);
	seg->type = desc >> 40 & 0xf;
	seg->s = desc >> 44 & 1;
	seg->dpl = desc >> 45 & 3;
	seg->present = desc >> 47 & 1;
	seg->avl = desc >> 52 & 1;
	seg->l = desc >> 53 & 1;
	seg->db = desc >> 54 & 1;
	seg->g = desc >> 55 & 1;
	seg->limit = seg->g ? limit << 12 | 0xfff : limit;
	seg->type |= TYPE_ACCESSED;
}

static int load_null(struct kvm_segment *seg, uint16_t selector, bool is_cs, bool is_ss, bool long_mode)
{
	if (is_cs || (is_ss && (!long_mode || (selector & SEL_RPL) == 3)))
		return -EINVAL;
	memset(seg, 0, sizeof(*seg));
	seg->selector = selector;
	seg->unusable = 1;
	if (is_ss) { /* what the processor keeps when it loads a null SS at CPL 0 to 2 */
		seg->dpl = selector & SEL_RPL;
		seg->type = TYPE_WRITE | TYPE_ACCESSED;
		seg->s = seg->present = 1;
	}
	return 0;
}

int x86_segment_load(struct vcpu *vcpu, struct kvm_sregs *s, struct kvm_segment *seg, uint16_t selector)
{
	bool is_cs = seg == &s->cs, is_ss = seg == &s->ss, long_mode = s->efer & X86_EFER_LMA;
	uint32_t index = selector & ~(SEL_TI | SEL_RPL);
	uint64_t table, limit, desc;
	struct kvm_segment new;
	bool ok;

	if (!(s->cr0 & X86_CR0_PE) || (vcpu->arch->regs->rflags & RFLAGS_VM))
		return load_real(seg, selector);
	if (!(selector & ~SEL_RPL))
		return load_null(seg, selector, is_cs, is_ss, long_mode);
	if ((selector & SEL_TI) && s->ldt.unusable)
		return -EINVAL;
	table = selector & SEL_TI ? s->ldt.base : s->gdt.base;
	limit = selector & SEL_TI ? s->ldt.limit : s->gdt.limit;
	if (index + 7 > limit || x86_linear_read(vcpu, table + index, &desc, sizeof(desc)) != sizeof(desc))
		return -EINVAL;
	unpack(desc, selector, &new);
	if (is_cs) /* long mode reserves L and D together */
		ok = (new.type &TYPE_CODE) && !(long_mode && new.l &&new.db);
	else if (is_ss)
		ok = (new.type &(TYPE_CODE | TYPE_WRITE)) == TYPE_WRITE;
	else
		ok = !(new.type &TYPE_CODE) || (new.type &TYPE_WRITE);
	if (!ok || !new.s || !new.present)
		return -EINVAL;
	*seg = new;
	return 0;
}
