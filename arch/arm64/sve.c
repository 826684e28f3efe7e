#include "arch/arm64/sve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/arch_arm64.h"
#include "arch/arm64/reg_table.h"
#include "arch/kvm_call.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

#define SLICE_SIZE   256u /* bytes of the largest: KVM_REG_ARM64_SVE_ZREG is a U2048 */
#define QUADS_MAX    (SLICE_SIZE / SVE_QUAD)
#define P_PER_Z	     8u /* a predicate has a bit for each byte of a vector */
#define ZCR_LEN(zcr) ((unsigned)((zcr)&0xf))

/* ---- making vCPUs ---- */

void arm64_sve_choose(struct vm *vm)
{
	struct arch_vm *av = vm->arch;

	av->sve.present = kvm_check(vm->kvm_fd, KVM_CAP_ARM_SVE) > 0;
	if (av->sve.present)
		av->vcpu_init.features[0] |= 1u << KVM_ARM_VCPU_SVE;
}

static int read_lengths(struct vcpu *vcpu)
{
	struct arm64_sve *sve = &vcpu->vm->arch->sve;
	uint64_t words[KVM_ARM64_SVE_VLS_WORDS] = {0};
	int ret = arm64_one_reg(vcpu, KVM_GET_ONE_REG, KVM_REG_ARM64_SVE_VLS, words);

	if (ret < 0)
		return ret;
	/* Longer ones are no architecture's: one slice holds what there is. */
	sve->lengths = (uint32_t)words[0] & ((1u << QUADS_MAX) - 1);
	sve->quads = 0;
	for (unsigned i = 0; i < QUADS_MAX; i++) {
		if (sve->lengths >> i & 1)
			sve->quads = i + 1;
	}
	return sve->quads ? 0 : -ENOTSUP;
}

int arm64_sve_finalize(struct vcpu *vcpu)
{
	int feature = KVM_ARM_VCPU_SVE, ret;

	if (!vcpu->vm->arch->sve.present)
		return 0;
	if (kvm_ioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &feature) < 0)
		return kvm_failed("KVM_ARM_VCPU_FINALIZE (SVE)");
	ret = read_lengths(vcpu);
	if (ret < 0)
		log_error("CPU %d: cannot read its vector lengths: %s", vcpu->id, strerror(-ret));
	return ret;
}

/* ---- describing the registers ---- */

/* How a vector can be looked at: its elements, as a number of each kind. As gdb's own names for V registers. */
static const struct view {
	char name;
	unsigned size; /* bytes of an element */
	const char *floating, *without_sign, *with_sign;
} views[] = {
	{'q', 16, NULL, "uint128", "int128"},
	{'d', 8, "ieee_double", "uint64", "int64"},
	{'s', 4, "ieee_single", "uint32", "int32"},
	{'h', 2, "ieee_half", "uint16", "int16"},
	{'b', 1, NULL, "uint8", "int8"},
};

#define NVIEWS (sizeof(views) / sizeof(views[0]))

static void put_vector(FILE *f, char view, char kind, const char *type, unsigned count)
{
	if (type)
		fprintf(f, "<vector id=\"svev%c%c\" type=\"%s\" count=\"%u\"/>", view, kind, type, count);
}

static void put_member(FILE *f, char view, char kind, const char *type)
{
	if (type)
		fprintf(f, "<field name=\"%c\" type=\"svev%c%c\"/>", kind, view, kind);
}

static void put_view(FILE *f, const struct view *v, unsigned bytes)
{
	put_vector(f, v->name, 'f', v->floating, bytes / v->size);
	put_vector(f, v->name, 'u', v->without_sign, bytes / v->size);
	put_vector(f, v->name, 's', v->with_sign, bytes / v->size);
	fprintf(f, "<union id=\"svevn%c\">", v->name);
	put_member(f, v->name, 'f', v->floating);
	put_member(f, v->name, 'u', v->without_sign);
	put_member(f, v->name, 's', v->with_sign);
	fprintf(f, "</union>");
}

/* XML to free, or NULL. */
static char *make_types(unsigned bytes)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < NVIEWS; i++)
		put_view(f, &views[i], bytes);
	fprintf(f, "<union id=\"svev\">");
	for (size_t i = 0; i < NVIEWS; i++)
		fprintf(f, "<field name=\"%c\" type=\"svevn%c\"/>", views[i].name, views[i].name);
	fprintf(f, "</union><vector id=\"svep\" type=\"uint8\" count=\"%u\"/>%s", bytes / P_PER_Z,
		arm64_fp_status_types);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

static void describe_reg(struct reg_desc *r, unsigned bytes)
{
	/* The two are the same with SVE as without, but gdb looks for them where the vectors are. */
	if (!strcmp(r->name, "fpsr") || !strcmp(r->name, "fpcr"))
		r->feature = FEATURE_SVE;
	else if (r->type && !strcmp(r->type, "svev"))
		r->size = (uint16_t)bytes;
	else if (r->type && !strcmp(r->type, "svep"))
		r->size = (uint16_t)(bytes / P_PER_Z);
}

int arm64_sve_describe(struct vm *vm)
{
	struct own_desc *own = &vm->arch->own;
	struct arm64_sve *sve = &vm->arch->sve;

	own->features[FEATURE_SVE].absent = own->features[FEATURE_SVE_SYSTEM].absent = !sve->present;
	/* KVM refuses to read V0-V31 apart from the vectors whose low ends they are, and gdb makes them of those. */
	own->features[FEATURE_FPU].absent = sve->present;
	if (!sve->present)
		return 0;
	sve->types = make_types(sve->quads * SVE_QUAD);
	if (!sve->types) {
		log_error("out of memory");
		return -ENOMEM;
	}
	own->features[FEATURE_SVE].types = sve->types;
	for (size_t i = 0; i < own->desc.nregs; i++)
		describe_reg(&own->regs[i], sve->quads * SVE_QUAD);
	return 0;
}

void arm64_sve_free(struct vm *vm)
{
	free(vm->arch->sve.types);
	vm->arch->sve.types = NULL;
}

/* ---- the registers ---- */

int arm64_sve_get(struct vcpu *vcpu, uint64_t id, void *buf, size_t len)
{
	uint8_t slice[SLICE_SIZE] = {0};
	int ret = arm64_one_reg(vcpu, KVM_GET_ONE_REG, id, slice);

	if (ret == 0)
		memcpy(buf, slice, len);
	return ret;
}

int arm64_sve_set(struct vcpu *vcpu, uint64_t id, const void *buf, size_t len)
{
	uint8_t slice[SLICE_SIZE] = {0};

	memcpy(slice, buf, len);
	return arm64_one_reg(vcpu, KVM_SET_ONE_REG, id, slice);
}

/* ZCR_EL1.LEN asks for a length; the processor takes the longest that it has and that is no longer. */
int arm64_sve_vg(struct vcpu *vcpu, uint64_t *vg)
{
	const struct arm64_sve *sve = &vcpu->vm->arch->sve;
	unsigned quads = 1;
	uint64_t zcr;
	int ret = arm64_get(vcpu, ID_ZCR_EL1, &zcr);

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i <= ZCR_LEN(zcr); i++) {
		if (sve->lengths >> i & 1)
			quads = i + 1;
	}
	*vg = quads * (SVE_QUAD / sizeof(uint64_t));
	return 0;
}
