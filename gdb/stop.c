#include "gdb/session_impl.h"

bool gdb_stop_is_end(const struct gdb_stop *stop)
{
	return stop->kind == GDB_STOP_EXITED || stop->kind == GDB_STOP_KILLED;
}

static const char *watch_reason(enum hw_kind access)
{
	switch (access) {
	case HW_READ:
		return "rwatch";
	case HW_ACCESS:
		return "awatch";
	default:
		return "watch";
	}
}

/* Reasons that the client did not announce would be taken for registers. */
static void put_reason(struct gdb_session *s, struct gdb_buf *b)
{
	const struct gdb_stop *stop = &s->last_stop;

	switch (stop->kind) {
	case GDB_STOP_SWBREAK:
		if (s->client.swbreak)
			gdb_buf_puts(b, "swbreak:;");
		break;
	case GDB_STOP_HWBREAK:
		if (s->client.hwbreak)
			gdb_buf_puts(b, "hwbreak:;");
		break;
	case GDB_STOP_WATCH:
		gdb_buf_printf(b, "%s:%llx;", watch_reason(stop->access), (unsigned long long)stop->addr);
		break;
	default:
		break;
	}
}

/*
 * GDB manual, "Stop Reply Packets". Registers are read when the reply is made, so that a repeated `?` shows what was
 * written since.
 */
void gdb_put_stop_reply(struct gdb_session *s, struct gdb_buf *b)
{
	const struct arch_desc *arch = s->target.arch;
	const struct gdb_stop *stop = &s->last_stop;

	switch (stop->kind) {
	case GDB_STOP_EXITED:
		gdb_buf_printf(b, "W%02x", (unsigned)stop->status & 0xff);
		return;
	case GDB_STOP_KILLED:
		gdb_buf_printf(b, "X%02x", (unsigned)stop->signo & 0xff);
		return;
	case GDB_STOP_SIGNAL:
		gdb_buf_printf(b, "T%02x", (unsigned)stop->signo & 0xff);
		break;
	default:
		gdb_buf_puts(b, "T05");
	}
	put_reason(s, b);
	gdb_buf_printf(b, "thread:%x;", (unsigned)stop->cpu + 1);
	if (s->client.list_threads)
		gdb_put_thread_list(s, b);
	for (size_t i = 0; i < arch->nexpedite; i++) {
		unsigned reg = arch->expedite[i];
		uint8_t value[REG_SIZE_MAX];

		/* An unavailable one is left out: here, unlike in `g`, gdb does not take x digits. */
		if (s->target.base->reg_read(s->target.t, stop->cpu, reg, value, arch->regs[reg].size) < 0)
			continue;
		gdb_buf_printf(b, "%02x:", reg);
		gdb_hex_put(b, value, arch->regs[reg].size);
		gdb_buf_putc(b, ';');
	}
}
