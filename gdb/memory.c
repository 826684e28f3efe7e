#include "gdb/session_impl.h"

#include <errno.h>
#include <string.h>

/* ---- registers ---- */

int gdb_put_reg(struct gdb_session *s, struct gdb_buf *b, int cpu, unsigned reg)
{
	uint8_t value[REG_SIZE_MAX];
	size_t size = s->target.arch->regs[reg].size;
	int err = s->target.base->reg_read(s->target.t, cpu, reg, value, size);

	if (err >= 0)
		gdb_hex_put(b, value, size);
	for (size_t i = 0; err < 0 && i < size; i++)
		gdb_buf_puts(b, "xx");
	return err;
}

bool gdb_cmd_read_regs(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	for (unsigned i = 0; i < s->target.arch->nregs_g; i++)
		gdb_put_reg(s, &s->reply, s->g_cpu, i);
	return true;
}

/*
 * All or none: values has nregs_g registers as `G` has them. A register that has its value already is left alone, so
 * that one which cannot be written does no harm as long as nobody wants to change it.
 */
static int write_all(struct gdb_session *s, int cpu, const uint8_t *values)
{
	const struct gdb_base_ops *base = s->target.base;
	const struct arch_desc *arch = s->target.arch;
	size_t at = 0, undo = 0;
	uint8_t *old = s->mem + sizeof(s->mem) / 2;
	unsigned i;
	int err = 0;

	for (i = 0; i < arch->nregs_g && !err; at += arch->regs[i++].size) {
		size_t size = arch->regs[i].size;

		err = base->reg_read(s->target.t, cpu, i, old + at, size);
		if (err >= 0)
			err = memcmp(old + at, values + at, size)
				      ? base->reg_write(s->target.t, cpu, i, values + at, size)
				      : 0;
	}
	if (!err)
		return 0;
	for (unsigned k = 0; k + 1 < i; undo += arch->regs[k++].size) {
		if (memcmp(old + undo, values + undo, arch->regs[k].size))
			base->reg_write(s->target.t, cpu, k, old + undo, arch->regs[k].size);
	}
	return err;
}

bool gdb_cmd_write_regs(struct gdb_session *s, struct gdb_cursor *args)
{
	const struct arch_desc *arch = s->target.arch;
	size_t digits = 0;
	int err;

	for (unsigned i = 0; i < arch->nregs_g; i++)
		digits += 2u * arch->regs[i].size;
	if (gdb_cursor_left(args) != digits)
		return gdb_reply_error(s, -EINVAL, "wrong length of the register packet");
	if (!gdb_cursor_bytes(args, s->mem, digits / 2))
		return gdb_reply_error(s, -EINVAL, "not all of it is hex digits");
	err = write_all(s, s->g_cpu, s->mem);
	return err < 0 ? gdb_reply_error(s, err, "a register cannot take its value: nothing was changed")
		       : gdb_reply_ok(s);
}

bool gdb_cmd_read_reg(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t reg;
	int err;

	if (!gdb_cursor_hex(args, &reg) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed register number");
	if (!arch_desc_has(s->target.arch, reg))
		return gdb_reply_error(s, -ENOENT, "no such register");
	err = gdb_put_reg(s, &s->reply, s->g_cpu, (unsigned)reg);
	/* What the machine lacks is unavailable; what could not be had is an error. */
	if (err >= 0 || err == -ENOENT || err == -EINVAL)
		return true;
	gdb_buf_reset(&s->reply);
	return gdb_reply_error(s, err, NULL);
}

bool gdb_cmd_write_reg(struct gdb_session *s, struct gdb_cursor *args)
{
	const struct arch_desc *arch = s->target.arch;
	uint8_t value[REG_SIZE_MAX];
	uint64_t reg;
	int err;

	if (!gdb_cursor_hex(args, &reg) || !gdb_cursor_eat(args, '='))
		return gdb_reply_error(s, -EINVAL, "malformed register number");
	if (!arch_desc_has(arch, reg))
		return gdb_reply_error(s, -ENOENT, "no such register");
	if (gdb_cursor_left(args) != 2u * arch->regs[reg].size)
		return gdb_reply_error(s, -EINVAL, "wrong length of the register's value");
	if (!gdb_cursor_bytes(args, value, arch->regs[reg].size))
		return gdb_reply_error(s, -EINVAL, "not all of it is hex digits");
	err = s->target.base->reg_write(s->target.t, s->g_cpu, (unsigned)reg, value, arch->regs[reg].size);
	if (err == -EINVAL)
		return gdb_reply_error(s, err, "the hardware cannot take this value");
	if (err == -ENOENT)
		return gdb_reply_error(s, err, "this host lacks the register");
	return err < 0 ? gdb_reply_error(s, err, NULL) : gdb_reply_ok(s);
}

/* ---- memory ---- */

ssize_t gdb_mem_read(struct gdb_session *s, uint64_t addr, void *buf, size_t len)
{
	if (s->phys_mode)
		return s->target.phys->read(s->target.t, addr, buf, len);
	return s->target.base->mem_read(s->target.t, s->g_cpu, addr, buf, len);
}

static ssize_t mem_write(struct gdb_session *s, uint64_t addr, const void *buf, size_t len)
{
	if (s->phys_mode)
		return s->target.phys->write(s->target.t, addr, buf, len);
	return s->target.base->mem_write(s->target.t, s->g_cpu, addr, buf, len);
}

/* "ADDR,LEN" */
static bool parse_range(struct gdb_cursor *args, uint64_t *addr, uint64_t *len)
{
	return gdb_cursor_hex(args, addr) && gdb_cursor_eat(args, ',') && gdb_cursor_hex(args, len);
}

const char *gdb_mem_error(const struct gdb_session *s, int err)
{
	if (err != -EFAULT)
		return NULL;
	return s->phys_mode ? "address is not RAM" : "address is not mapped";
}

/*
 * Reads what a packet asks for into s->mem, at most `most` bytes: a shorter reply is valid in both packets. Returns
 * how many, or < 0 with the error reply made.
 */
static ssize_t read_range(struct gdb_session *s, struct gdb_cursor *args, size_t most)
{
	uint64_t addr, len;
	ssize_t n;

	if (!parse_range(args, &addr, &len) || !gdb_cursor_done(args)) {
		gdb_reply_error(s, -EINVAL, "malformed address or length");
		return -EINVAL;
	}
	if (!len)
		return 0;
	n = gdb_mem_read(s, addr, s->mem, len < most ? (size_t)len : most);
	if (n <= 0) {
		int err = n ? (int)n : -EFAULT;

		gdb_reply_error(s, err, gdb_mem_error(s, err));
		return err;
	}
	return n;
}

bool gdb_cmd_read_mem(struct gdb_session *s, struct gdb_cursor *args)
{
	ssize_t n = read_range(s, args, GDB_PACKET_MAX / 2);

	if (n > 0)
		gdb_hex_put(&s->reply, s->mem, (size_t)n);
	return true;
}

bool gdb_cmd_read_mem_binary(struct gdb_session *s, struct gdb_cursor *args)
{
	ssize_t n = read_range(s, args, GDB_PACKET_MAX - 1);

	if (n < 0)
		return true;
	gdb_buf_putc(&s->reply, 'b');
	gdb_buf_put(&s->reply, s->mem, (size_t)n);
	return true;
}

/* No page of any ISA here is smaller. */
#define PAGE_MIN 4096

/* 0 if every byte is there: a write that fails in the middle would have changed what came before. */
static int check_range(struct gdb_session *s, uint64_t addr, size_t len)
{
	uint64_t last = addr + (len - 1);
	uint8_t byte;

	if (last < addr)
		return -EFAULT;
	for (uint64_t a = addr;;) {
		ssize_t n = gdb_mem_read(s, a, &byte, 1);

		if (n != 1)
			return n < 0 ? (int)n : -EFAULT;
		a |= PAGE_MIN - 1;
		if (a >= last)
			return 0;
		a++;
	}
}

static bool write_range(struct gdb_session *s, uint64_t addr, const void *data, size_t len)
{
	ssize_t n = len ? check_range(s, addr, len) : 0;
	int err;

	if (n == 0 && len)
		n = mem_write(s, addr, data, len);
	err = n < 0 ? (int)n : (size_t)n < len ? -EFAULT : 0;
	return err ? gdb_reply_error(s, err, gdb_mem_error(s, err)) : gdb_reply_ok(s);
}

bool gdb_cmd_write_mem(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t addr, len;

	if (!parse_range(args, &addr, &len) || !gdb_cursor_eat(args, ':'))
		return gdb_reply_error(s, -EINVAL, "malformed address or length");
	/* The digits came in one packet, so what passes here fits s->mem. */
	if (len != gdb_cursor_left(args) / 2 || gdb_cursor_left(args) % 2 || !gdb_cursor_bytes(args, s->mem, len))
		return gdb_reply_error(s, -EINVAL, "length and data differ");
	return write_range(s, addr, s->mem, len);
}

bool gdb_cmd_write_mem_binary(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t addr, len;

	if (!parse_range(args, &addr, &len) || !gdb_cursor_eat(args, ':'))
		return gdb_reply_error(s, -EINVAL, "malformed address or length");
	if (len != gdb_cursor_left(args))
		return gdb_reply_error(s, -EINVAL, "length and data differ");
	return write_range(s, addr, args->p, len);
}
