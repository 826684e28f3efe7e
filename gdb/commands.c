#include "gdb/session_impl.h"

#include <errno.h>
#include <string.h>

/* What follows a command's name. */
enum command_args {
	ARGS_NONE,	/* nothing */
	ARGS_AFTER_SEP, /* nothing, or ':' ',' or ';' (not handed on) and arguments */
	ARGS_ANY,	/* anything: the name is a prefix */
};

enum command_flags {
	NEEDS_BREAKS = 1, /* groups of target ops: without them the command is unknown */
	NEEDS_PHYS = 2,
	/*
	 * gdb has taken E.text as an error in reply to these since 2009. For others (m, x, g, qRcmd) only a client
	 * that said error-message+ gets text: the rest of them take it for data.
	 */
	TEXT_ERRORS = 4,
};

struct gdb_command {
	const char *name;
	enum command_args args;
	unsigned flags;
	bool (*run)(struct gdb_session *s, struct gdb_cursor *args);
};

/* ---- replies ---- */

bool gdb_reply_ok(struct gdb_session *s)
{
	gdb_buf_reset(&s->reply);
	gdb_buf_puts(&s->reply, "OK");
	return true;
}

bool gdb_reply_error(struct gdb_session *s, int err, const char *why)
{
	/* Enn has two digits. Most clients show the number, so it is errno's in decimal, as stubs have it. */
	int n = err < 0 && err > -100 ? -err : EIO;

	gdb_buf_reset(&s->reply);
	if (s->client.error_text || s->text_errors)
		gdb_buf_printf(&s->reply, "E.%s", why ? why : strerror(n));
	else
		gdb_buf_printf(&s->reply, "E%02d", n);
	return true;
}

/* ---- small handlers ---- */

int gdb_thread_cpu(const struct gdb_session *s, int id)
{
	if (id == GDB_THREAD_ALL || id == GDB_THREAD_ANY)
		return s->g_cpu;
	return id <= s->ncpus ? id - 1 : -ESRCH;
}

static bool cmd_last_stop(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	gdb_put_stop_reply(s, &s->reply);
	return true;
}

static bool cmd_select_thread(struct gdb_session *s, struct gdb_cursor *args)
{
	bool g = gdb_cursor_eat(args, 'g');
	int id, cpu;

	if ((!g && !gdb_cursor_eat(args, 'c')) || !gdb_cursor_thread(args, &id) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed thread selection");
	cpu = gdb_thread_cpu(s, id);
	if (cpu < 0)
		return gdb_reply_error(s, cpu, "no such CPU");
	if (g)
		s->g_cpu = cpu;
	else
		s->c_thread = id;
	return gdb_reply_ok(s);
}

static bool cmd_thread_alive(struct gdb_session *s, struct gdb_cursor *args)
{
	int id;

	if (!gdb_cursor_thread(args, &id) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed thread id");
	if (id <= 0 || id > s->ncpus)
		return gdb_reply_error(s, -ESRCH, "no such CPU");
	return gdb_reply_ok(s);
}

static bool cmd_detach(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	s->target.base->detach(s->target.t);
	s->state = GDB_GONE;
	return gdb_reply_ok(s);
}

static bool cmd_kill(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	s->target.base->kill(s->target.t);
	s->state = GDB_GONE;
	return false;
}

static bool cmd_vkill(struct gdb_session *s, struct gdb_cursor *args)
{
	cmd_kill(s, args);
	return gdb_reply_ok(s);
}

static bool cmd_ok(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	return gdb_reply_ok(s);
}

/* ---- Z and z ---- */

/* "T,ADDR,KIND". False: malformed. *type may be larger than any we know. */
static bool parse_break(struct gdb_cursor *c, uint64_t *type, uint64_t *addr, uint64_t *kind)
{
	return gdb_cursor_hex(c, type) && gdb_cursor_eat(c, ',') && gdb_cursor_hex(c, addr) && gdb_cursor_eat(c, ',') &&
	       gdb_cursor_hex(c, kind) && *kind <= UINT32_MAX;
}

static bool cmd_insert_break(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t type, addr, kind;
	const char *why = NULL;
	int err;

	if (!parse_break(args, &type, &addr, &kind))
		return gdb_reply_error(s, -EINVAL, "malformed breakpoint");
	if (type > GDB_WATCH_ACCESS)
		return true;
	if (!gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "conditions and commands at the target are not supported");
	err = s->target.breaks->insert(s->target.t, s->g_cpu, (enum gdb_break_type)type, addr, (uint32_t)kind, &why);
	return err < 0 ? gdb_reply_error(s, err, why) : gdb_reply_ok(s);
}

static bool cmd_remove_break(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t type, addr, kind;
	int err;

	if (!parse_break(args, &type, &addr, &kind) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed breakpoint");
	if (type > GDB_WATCH_ACCESS)
		return true;
	err = s->target.breaks->remove(s->target.t, (enum gdb_break_type)type, addr, (uint32_t)kind);
	return err < 0 ? gdb_reply_error(s, err, err == -ENOENT ? "no such breakpoint" : NULL) : gdb_reply_ok(s);
}

/* ---- the table ---- */

/* The first match counts. Packets come in RUNNING only to wait, so every command here finds the machine stopped. */
static const struct gdb_command commands[] = {
	{"?", ARGS_NONE, 0, cmd_last_stop},
	{"g", ARGS_NONE, 0, gdb_cmd_read_regs},
	{"G", ARGS_ANY, TEXT_ERRORS, gdb_cmd_write_regs},
	{"p", ARGS_ANY, TEXT_ERRORS, gdb_cmd_read_reg},
	{"P", ARGS_ANY, TEXT_ERRORS, gdb_cmd_write_reg},
	{"m", ARGS_ANY, 0, gdb_cmd_read_mem},
	{"x", ARGS_ANY, 0, gdb_cmd_read_mem_binary},
	{"M", ARGS_ANY, TEXT_ERRORS, gdb_cmd_write_mem},
	{"X", ARGS_ANY, TEXT_ERRORS, gdb_cmd_write_mem_binary},
	{"H", ARGS_ANY, 0, cmd_select_thread},
	{"T", ARGS_ANY, 0, cmd_thread_alive},
	{"vCont?", ARGS_NONE, 0, gdb_cmd_vcont_query},
	{"vCont", ARGS_AFTER_SEP, TEXT_ERRORS, gdb_cmd_vcont},
	{"c", ARGS_ANY, TEXT_ERRORS, gdb_cmd_continue},
	{"C", ARGS_ANY, TEXT_ERRORS, gdb_cmd_continue_signal},
	{"s", ARGS_ANY, TEXT_ERRORS, gdb_cmd_step},
	{"S", ARGS_ANY, TEXT_ERRORS, gdb_cmd_step_signal},
	{"Z", ARGS_ANY, NEEDS_BREAKS | TEXT_ERRORS, cmd_insert_break},
	{"z", ARGS_ANY, NEEDS_BREAKS | TEXT_ERRORS, cmd_remove_break},
	{"D", ARGS_AFTER_SEP, 0, cmd_detach},
	{"k", ARGS_NONE, 0, cmd_kill},
	{"vKill", ARGS_AFTER_SEP, 0, cmd_vkill},
	{"qSupported", ARGS_AFTER_SEP, 0, gdb_cmd_supported},
	{"QStartNoAckMode", ARGS_NONE, 0, gdb_cmd_noack},
	{"qC", ARGS_NONE, 0, gdb_cmd_current_thread},
	{"qfThreadInfo", ARGS_NONE, 0, gdb_cmd_threads_first},
	{"qsThreadInfo", ARGS_NONE, 0, gdb_cmd_threads_next},
	{"qThreadExtraInfo", ARGS_AFTER_SEP, 0, gdb_cmd_thread_extra},
	{"qAttached", ARGS_AFTER_SEP, 0, gdb_cmd_attached},
	{"qSymbol", ARGS_AFTER_SEP, 0, cmd_ok},
	{"qOffsets", ARGS_NONE, 0, gdb_cmd_offsets},
	{"qXfer:features:read", ARGS_AFTER_SEP, TEXT_ERRORS, gdb_cmd_xfer_features},
	{"qXfer:threads:read", ARGS_AFTER_SEP, TEXT_ERRORS, gdb_cmd_xfer_threads},
	{"qRcmd", ARGS_AFTER_SEP, 0, gdb_cmd_monitor},
	{"qqemu.PhyMemMode", ARGS_NONE, NEEDS_PHYS, gdb_cmd_phys_mode},
	{"Qqemu.PhyMemMode", ARGS_AFTER_SEP, NEEDS_PHYS, gdb_cmd_set_phys_mode},
	{"qqemu.sstepbits", ARGS_NONE, 0, gdb_cmd_step_bits},
	{"qqemu.sstep", ARGS_NONE, 0, gdb_cmd_step_flags},
	{"Qqemu.sstep=", ARGS_ANY, 0, gdb_cmd_set_step_flags},
};

static bool command_matches(const struct gdb_command *cmd, struct gdb_cursor *c)
{
	if (!gdb_cursor_prefix(c, cmd->name))
		return false;
	switch (cmd->args) {
	case ARGS_NONE:
		return gdb_cursor_done(c);
	case ARGS_AFTER_SEP:
		return gdb_cursor_done(c) || gdb_cursor_eat(c, ':') || gdb_cursor_eat(c, ',') || gdb_cursor_eat(c, ';');
	default:
		return true;
	}
}

bool gdb_command_run(struct gdb_session *s, const uint8_t *packet, size_t n)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct gdb_command *cmd = &commands[i];
		struct gdb_cursor args = {packet, packet + n};

		if (!command_matches(cmd, &args))
			continue;
		if ((cmd->flags & NEEDS_BREAKS && !s->target.breaks) || (cmd->flags & NEEDS_PHYS && !s->target.phys))
			return true;
		/* swbreak+ tells a gdb from other clients, which may know no more than Enn. */
		s->text_errors = cmd->flags & TEXT_ERRORS && s->client.swbreak;
		return cmd->run(s, &args);
	}
	return true;
}
