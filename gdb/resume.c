#include "gdb/session_impl.h"

#include <errno.h>
#include <string.h>

/* ---- resuming ---- */

static bool resume(struct gdb_session *s)
{
	bool any = false;
	int err;

	for (int i = 0; i < s->ncpus; i++) {
		any |= s->actions[i].kind != GDB_STAY;
	}
	if (!any)
		return gdb_reply_error(s, -EINVAL, "no CPU is resumed by this");
	if (s->interrupted) {
		s->interrupted = false;
		s->last_stop =
			(struct gdb_stop){.kind = GDB_STOP_SIGNAL, .cpu = s->last_stop.cpu, .signo = GDB_SIGNAL_INT};
		gdb_put_stop_reply(s, &s->reply);
		return true;
	}
	err = s->target.base->resume(s->target.t, s->actions, (size_t)s->ncpus);
	/* A machine that ends cannot be resumed, but its end is on the way and is the stop that answers this. */
	if (err < 0 && err != -ESHUTDOWN)
		return gdb_reply_error(s, err, NULL);
	s->resumed = true;
	s->state = GDB_RUNNING;
	return false;
}

static void actions_clear(struct gdb_session *s)
{
	memset(s->actions, 0, (size_t)s->ncpus * sizeof(*s->actions));
}

/* ---- vCont ---- */

/* Two digits; signals mean nothing to a machine. */
static bool skip_signal(struct gdb_cursor *c)
{
	uint8_t signo;

	return gdb_cursor_bytes(c, &signo, 1);
}

/* "c", "C05", "s", "S05", "t" or "rLO,HI" */
static bool parse_action(struct gdb_cursor *c, struct gdb_action *a)
{
	*a = (struct gdb_action){.kind = GDB_STAY};
	if (gdb_cursor_eat(c, 'c')) {
		a->kind = GDB_CONT;
		return true;
	}
	if (gdb_cursor_eat(c, 'C')) {
		a->kind = GDB_CONT;
		return skip_signal(c);
	}
	if (gdb_cursor_eat(c, 's')) {
		a->kind = GDB_STEP;
		return true;
	}
	if (gdb_cursor_eat(c, 'S')) {
		a->kind = GDB_STEP;
		return skip_signal(c);
	}
	if (gdb_cursor_eat(c, 'r')) {
		a->kind = GDB_STEP_RANGE;
		return gdb_cursor_hex(c, &a->lo) && gdb_cursor_eat(c, ',') && gdb_cursor_hex(c, &a->hi);
	}
	return gdb_cursor_eat(c, 't');
}

/*
 * "ACTION[:THREAD][;ACTION[:THREAD]]...". The leftmost action that names a thread is its action, so the list is
 * walked for each CPU; a thread that none names stays stopped. 0, or -errno.
 */
static int cpu_action(struct gdb_session *s, struct gdb_cursor c, int cpu, struct gdb_action *out)
{
	bool found = false;

	*out = (struct gdb_action){.kind = GDB_STAY};
	do {
		struct gdb_action a;
		int id = GDB_THREAD_ALL, named;

		if (!parse_action(&c, &a))
			return -EINVAL;
		if (gdb_cursor_eat(&c, ':') && !gdb_cursor_thread(&c, &id))
			return -EINVAL;
		named = gdb_thread_cpu(s, id);
		if (named < 0)
			return named;
		if (!found && (id == GDB_THREAD_ALL || named == cpu)) {
			*out = a;
			found = true;
		}
	} while (gdb_cursor_eat(&c, ';'));
	return gdb_cursor_done(&c) ? 0 : -EINVAL;
}

/*
 * Walking the list anew for each CPU must not let a packet of 128 KiB cost more than it takes to read: longer lists
 * than there can be threads to name are refused.
 */
static bool list_too_long(const struct gdb_session *s, const struct gdb_cursor *args)
{
	size_t n = 1;

	for (const uint8_t *p = args->p; p < args->end; p++)
		n += *p == ';';
	return n > (size_t)s->ncpus + 16;
}

bool gdb_cmd_vcont(struct gdb_session *s, struct gdb_cursor *args)
{
	if (list_too_long(s, args))
		return gdb_reply_error(s, -E2BIG, "more actions than CPUs");
	for (int i = 0; i < s->ncpus; i++) {
		int err = cpu_action(s, *args, i, &s->actions[i]);

		if (err == -ESRCH)
			return gdb_reply_error(s, err, "no such CPU");
		if (err)
			return gdb_reply_error(s, err, "malformed vCont");
	}
	return resume(s);
}

bool gdb_cmd_vcont_query(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	gdb_buf_puts(&s->reply, "vCont;c;C;s;S;t;r");
	return true;
}

/* ---- the packets that were there before vCont ---- */

/* "[ADDR]": where to go on, if anywhere else. The address is little-endian in the register on every ISA here. */
static int set_pc(struct gdb_session *s, struct gdb_cursor *args, int cpu)
{
	const struct arch_desc *arch = s->target.arch;
	uint8_t value[REG_SIZE_MAX] = {0};
	uint64_t addr;

	if (gdb_cursor_done(args))
		return 0;
	if (!gdb_cursor_hex(args, &addr) || !gdb_cursor_done(args))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(addr); i++)
		value[i] = (uint8_t)(addr >> (8 * i));
	return s->target.base->reg_write(s->target.t, cpu, arch->pc, value, arch->regs[arch->pc].size);
}

/* Hc's thread alone where it names one; else all of them continue, and a step is the selected CPU's. */
static bool legacy_resume(struct gdb_session *s, struct gdb_cursor *args, enum gdb_action_kind kind)
{
	const struct arch_desc *arch = s->target.arch;
	int cpu = gdb_thread_cpu(s, s->c_thread);
	bool elsewhere = !gdb_cursor_done(args);
	uint8_t old[REG_SIZE_MAX] = {0};
	int err = 0;

	if (elsewhere)
		err = s->target.base->reg_read(s->target.t, cpu, arch->pc, old, arch->regs[arch->pc].size);
	if (err >= 0)
		err = set_pc(s, args, cpu);
	if (err < 0)
		return gdb_reply_error(s, err, "malformed address");
	actions_clear(s);
	s->actions[cpu].kind = kind;
	if (kind == GDB_CONT && s->c_thread <= 0) {
		for (int i = 0; i < s->ncpus; i++)
			s->actions[i].kind = kind;
	}
	if (!resume(s))
		return false;
	/* An error: it is not resumed, so it is where it was. */
	if (elsewhere && s->reply.len && s->reply.data[0] == 'E')
		s->target.base->reg_write(s->target.t, cpu, arch->pc, old, arch->regs[arch->pc].size);
	return true;
}

/* "SS[;ADDR]" */
static bool legacy_signal(struct gdb_session *s, struct gdb_cursor *args, enum gdb_action_kind kind)
{
	if (!skip_signal(args) || (!gdb_cursor_done(args) && (!gdb_cursor_eat(args, ';') || gdb_cursor_done(args))))
		return gdb_reply_error(s, -EINVAL, "malformed signal");
	return legacy_resume(s, args, kind);
}

bool gdb_cmd_continue(struct gdb_session *s, struct gdb_cursor *args)
{
	return legacy_resume(s, args, GDB_CONT);
}

bool gdb_cmd_continue_signal(struct gdb_session *s, struct gdb_cursor *args)
{
	return legacy_signal(s, args, GDB_CONT);
}

bool gdb_cmd_step(struct gdb_session *s, struct gdb_cursor *args)
{
	return legacy_resume(s, args, GDB_STEP);
}

bool gdb_cmd_step_signal(struct gdb_session *s, struct gdb_cursor *args)
{
	return legacy_signal(s, args, GDB_STEP);
}
