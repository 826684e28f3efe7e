#include "arch/x86_64/hwbp.h"

#include <errno.h>
#include <string.h>

#define DR7_FIXED     0x400ull /* reads as one */
#define DR7_EXACT     0x300ull /* LE and GE: old processors need them for data breakpoints, others ignore them */
#define DR7_GLOBAL(i) (2ull << ((i)*2))
#define DR7_RW(i, v)  ((uint64_t)(v) << (16 + (i)*4))
#define DR7_LEN(i, v) ((uint64_t)(v) << (18 + (i)*4))

/* R/W field */
enum { DR_EXEC = 0, DR_WRITE = 1, DR_ACCESS = 3 };

static unsigned len_field(uint32_t len)
{
	return len == 8 ? 2 : len - 1; /* 1: 0, 2: 1, 4: 3, 8: 2 */
}

/* The longest piece that one register can watch from addr on, at most len bytes. */
static uint32_t piece(uint64_t addr, uint32_t len)
{
	uint32_t n = 8;

	while (n > 1 && (n > len || addr % n))
		n /= 2;
	return n;
}

static int add(struct x86_debug_regs *out, uint64_t addr, uint32_t len, unsigned rw, unsigned owner)
{
	unsigned i = out->n;

	if (i == X86_DR_COUNT)
		return -ENOSPC;
	out->dr[i] = addr;
	out->owner[i] = (uint8_t)owner;
	out->dr7 |= DR7_GLOBAL(i) | DR7_RW(i, rw) | DR7_LEN(i, len_field(len)) | DR7_EXACT;
	out->n++;
	return 0;
}

/* Registers that a slot needs, or -EINVAL. */
static int pieces(const struct hw_slot *s)
{
	uint64_t addr = s->addr;
	uint32_t left = s->len;
	int n = 0;

	if (s->kind == HW_EXEC)
		return 1;
	if (!left || s->addr + (left - 1) < s->addr)
		return -EINVAL;
	for (; left && n <= X86_DR_COUNT; n++) {
		uint32_t len = piece(addr, left);

		addr += len;
		left -= len;
	}
	return n > X86_DR_COUNT ? -EINVAL : n;
}

static int encode_slot(struct x86_debug_regs *out, const struct hw_slot *s, unsigned owner)
{
	unsigned rw = s->kind == HW_WRITE ? DR_WRITE : DR_ACCESS;
	uint64_t addr = s->addr;
	uint32_t left = s->len;
	int ret = 0;

	if (s->kind == HW_EXEC)
		return add(out, addr, 1, DR_EXEC, owner);
	while (left && ret == 0) {
		uint32_t len = piece(addr, left);

		ret = add(out, addr, len, rw, owner);
		addr += len;
		left -= len;
	}
	return ret;
}

int x86_hwbp_encode(const struct hw_slots *slots, struct x86_debug_regs *out)
{
	int ret = 0;

	memset(out, 0, sizeof(*out));
	out->dr7 = DR7_FIXED;
	for (unsigned i = 0; i < slots->n; i++) {
		if (pieces(&slots->slot[i]) < 0)
			return -EINVAL;
	}
	for (unsigned i = 0; i < slots->n && ret == 0; i++)
		ret = encode_slot(out, &slots->slot[i], i);
	return ret;
}

int x86_hwbp_add_private(struct x86_debug_regs *regs, uint64_t addr)
{
	int ret = add(regs, addr, 1, DR_EXEC, X86_DR_PRIVATE);

	return ret < 0 ? ret : (int)regs->n - 1;
}

int x86_hwbp_hit(const struct hw_slots *slots, const struct x86_debug_regs *regs, uint64_t dr6, uint64_t pc)
{
	int exec = -1;

	for (unsigned i = 0; i < regs->n; i++) {
		const struct hw_slot *s;

		if (!(dr6 & (1ull << i)) || regs->owner[i] >= slots->n)
			continue;
		s = &slots->slot[regs->owner[i]];
		if (s->kind != HW_EXEC)
			return regs->owner[i];
		if (s->addr == pc && exec < 0)
			exec = regs->owner[i];
	}
	return exec;
}

uint64_t x86_hwbp_hit_address(const struct x86_debug_regs *regs, uint64_t dr6, unsigned slot)
{
	for (unsigned i = 0; i < regs->n; i++) {
		if (dr6 & (1ull << i) && regs->owner[i] == slot)
			return regs->dr[i];
	}
	return 0;
}
