#include "arch/x86_64/orc.h"

#include "arch/unwind.h"

#define IP_SIZE	   4
#define ENTRY_SIZE 6
#define SAMPLES	   128
#define N_MAX	   (16u << 20) /* kernels have some hundred thousand */

/* Bits 8 to 15 of an entry's last two bytes. */
#define OLD_TYPE(flags)	 ((flags)&3) /* 0: CALL, 1: REGS, 2: REGS_PARTIAL */
#define NEW_TYPE(flags)	 ((flags)&7)
#define BIT_2		 0x04 /* 4.14: end; 6.3: signal */
#define BIT_3		 0x08 /* 6.3: end; 6.4: signal */
#define OLD_TYPE_PARTIAL 2

struct raw_entry {
	int16_t sp_offset, bp_offset;
	uint8_t regs, flags;
};

static bool read_ip(const struct orc_table *t, const struct unwind_guest *g, uint64_t i, uint64_t *ip)
{
	uint64_t at = t->ips + i * IP_SIZE, offset;

	if (!unwind_word(g, at, IP_SIZE, &offset))
		return false;
	*ip = at + (uint64_t)(int64_t)(int32_t)offset;
	return true;
}

static bool read_entry(const struct orc_table *t, const struct unwind_guest *g, uint64_t i, struct raw_entry *out)
{
	uint8_t b[ENTRY_SIZE];

	if (g->read(g->ctx, t->entries + i * ENTRY_SIZE, b, sizeof(b)) != sizeof(b))
		return false;
	out->sp_offset = (int16_t)(b[0] | b[1] << 8);
	out->bp_offset = (int16_t)(b[2] | b[3] << 8);
	out->regs = b[4];
	out->flags = b[5];
	return true;
}

/*
 * Which version? The tables do not say, and what stable kernels have taken over from later ones cannot be told from
 * their banner. But most code is in the middle of functions: CALL entries, relative to the stack pointer. Those are
 * type 0 in old tables and type 2 in new ones, where 0 means that nothing is known. Of the old ones, only 6.3's have
 * bit 3: at the ends of stacks.
 */
static bool choose_version(struct orc_table *t, const struct unwind_guest *g)
{
	uint64_t step = t->n / SAMPLES ? t->n / SAMPLES : 1, ip, before = 0;
	unsigned all = 0, old = 0, new = 0, bit_2 = 0;
	struct raw_entry e;

	for (uint64_t i = 0; i < t->n; i += step) {
		if (!read_entry(t, g, i, &e) || !read_ip(t, g, i, &ip) || ip < before)
			return false; /* not sorted: before Linux 5.6 it does that while it boots */
		before = ip;
		if ((e.regs & 15) != ORC_REG_SP)
			continue;
		all++;
		old += OLD_TYPE(e.flags) == 0;
		new += NEW_TYPE(e.flags) == ORC_CALL;
		bit_2 += OLD_TYPE(e.flags) != 0 && (e.flags & BIT_2);
	}
	if (new > all / 2)
		t->version = ORC_6_4;
	else if (old > all / 2)
		t->version = bit_2 ? ORC_6_3 : ORC_4_14;
	else
		return false;
	return true;
}

bool x86_orc_open(struct orc_table *t, const struct unwind_guest *g)
{
	uint64_t ips_end, entries_end;

	if (!g->symbol(g->ctx, "__start_orc_unwind_ip", &t->ips) ||
		!g->symbol(g->ctx, "__stop_orc_unwind_ip", &ips_end) ||
		!g->symbol(g->ctx, "__start_orc_unwind", &t->entries) ||
		!g->symbol(g->ctx, "__stop_orc_unwind", &entries_end))
		return false;
	t->n = (ips_end - t->ips) / IP_SIZE;
	if (ips_end <= t->ips || t->n > N_MAX || entries_end - t->entries != t->n * ENTRY_SIZE)
		return false;
	return choose_version(t, g);
}

static enum orc_type old_type(const struct raw_entry *e, bool end)
{
	if ((e->regs & 15) == ORC_REG_UNDEFINED)
		return end ? ORC_END_OF_STACK : ORC_UNDEFINED;
	return OLD_TYPE(e->flags) > OLD_TYPE_PARTIAL ? ORC_UNDEFINED : ORC_CALL + OLD_TYPE(e->flags);
}

static void decode(enum orc_version version, const struct raw_entry *e, struct orc_entry *out)
{
	out->sp_offset = e->sp_offset;
	out->bp_offset = e->bp_offset;
	out->sp_reg = e->regs & 15;
	out->bp_reg = e->regs >> 4;
	switch (version) {
	case ORC_4_14:
		out->type = old_type(e, e->flags & BIT_2);
		out->signal = out->type == ORC_REGS || out->type == ORC_REGS_PARTIAL;
		break;
	case ORC_6_3:
		out->type = old_type(e, e->flags & BIT_3);
		out->signal = e->flags & BIT_2;
		break;
	case ORC_6_4:
		out->type = NEW_TYPE(e->flags) > ORC_REGS_PARTIAL ? ORC_UNDEFINED : NEW_TYPE(e->flags);
		out->signal = e->flags & BIT_3;
		break;
	}
}

bool x86_orc_find(const struct orc_table *t, const struct unwind_guest *g, uint64_t pc, struct orc_entry *out)
{
	uint64_t lo = 0, hi = t->n, mid, ip;
	struct raw_entry e;

	/* The last entry whose code begins at pc or before. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (!read_ip(t, g, mid, &ip))
			return false;
		if (ip <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || !read_entry(t, g, lo - 1, &e))
		return false;
	decode(t->version, &e, out);
	return true;
}
