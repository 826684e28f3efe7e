#include "gdb/session_impl.h"

#include <errno.h>
#include <stdio.h>
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
	NO_MACHINE = 8, /* also while there is no machine; others are refused then */
	NEEDS_LIFE = 16,
	RESUMES = 32, /* to a machine that has ended: its end is the stop */
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
	if (!why)
		why = strerror(n);
	if (s->client.error_text || s->text_errors)
		gdb_buf_printf(&s->reply, "E.%s", why);
	else
		gdb_buf_printf(&s->reply, "E%02d", n);
	if (s->client.error_hex) {
		gdb_buf_putc(&s->reply, ';');
		gdb_hex_put(&s->reply, why, strlen(why));
	}
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

static bool cmd_ok(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	return gdb_reply_ok(s);
}

/* "::", or the value of a symbol that was asked for; none ever is. */
static bool cmd_symbol(struct gdb_session *s, struct gdb_cursor *args)
{
	if (!gdb_cursor_prefix(args, "::") || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "no symbol was asked for");
	return gdb_reply_ok(s);
}

/* ---- Z and z ---- */

/* "T,ADDR,KIND". False: malformed. *type may be larger than any we know. */
static bool parse_break(struct gdb_cursor *c, uint64_t *type, uint64_t *addr, uint64_t *kind)
{
	return gdb_cursor_hex(c, type) && gdb_cursor_eat(c, ',') && gdb_cursor_hex(c, addr) && gdb_cursor_eat(c, ',') &&
	       gdb_cursor_hex(c, kind) && *kind <= UINT32_MAX;
}

/* What is not offered gets an empty reply: a client then serves a read watchpoint by one for any access. */
static bool break_type_unknown(const struct gdb_session *s, uint64_t type)
{
	return type > GDB_WATCH_ACCESS || (type == GDB_WATCH_READ && s->target.arch->no_read_watch);
}

/* gdb before 16 shows what follows a second dot, and nothing without one; later ones show all. */
static bool not_inserted(struct gdb_session *s, int err, const char *why)
{
	char text[200];

	snprintf(text, sizeof(text), "not inserted. %s", why ? why : strerror(-err));
	return gdb_reply_error(s, err, text);
}

static bool cmd_insert_break(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t type, addr, kind;
	const char *why = NULL;
	int err;

	if (!parse_break(args, &type, &addr, &kind))
		return gdb_reply_error(s, -EINVAL, "malformed breakpoint");
	if (break_type_unknown(s, type))
		return true;
	if (!gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "conditions and commands at the target are not supported");
	err = s->target.breaks->insert(s->target.t, s->g_cpu, (enum gdb_break_type)type, addr, (uint32_t)kind, &why);
	return err < 0 ? not_inserted(s, err, why) : gdb_reply_ok(s);
}

static bool cmd_remove_break(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t type, addr, kind;
	int err;

	if (!parse_break(args, &type, &addr, &kind) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed breakpoint");
	if (break_type_unknown(s, type))
		return true;
	err = s->target.breaks->remove(s->target.t, (enum gdb_break_type)type, addr, (uint32_t)kind);
	return err < 0 ? gdb_reply_error(s, err, err == -ENOENT ? "no such breakpoint" : NULL) : gdb_reply_ok(s);
}

/* ---- the table ---- */

/* The first match counts. Packets come in RUNNING only to wait, so every command here finds the machine stopped. */
static const struct gdb_command commands[] = {
	{"?", ARGS_NONE, NO_MACHINE, cmd_last_stop},
	{"!", ARGS_NONE, NO_MACHINE | NEEDS_LIFE, gdb_cmd_extended},
	{"g", ARGS_NONE, 0, gdb_cmd_read_regs},
	{"G", ARGS_ANY, TEXT_ERRORS, gdb_cmd_write_regs},
	{"p", ARGS_ANY, TEXT_ERRORS, gdb_cmd_read_reg},
	{"P", ARGS_ANY, TEXT_ERRORS, gdb_cmd_write_reg},
	{"m", ARGS_ANY, 0, gdb_cmd_read_mem},
	{"x", ARGS_ANY, 0, gdb_cmd_read_mem_binary},
	{"M", ARGS_ANY, TEXT_ERRORS, gdb_cmd_write_mem},
	{"X", ARGS_ANY, TEXT_ERRORS, gdb_cmd_write_mem_binary},
	{"H", ARGS_ANY, NO_MACHINE, cmd_select_thread},
	{"T", ARGS_ANY, 0, cmd_thread_alive},
	{"vCont?", ARGS_NONE, NO_MACHINE, gdb_cmd_vcont_query},
	{"vCont", ARGS_AFTER_SEP, RESUMES | TEXT_ERRORS, gdb_cmd_vcont},
	{"c", ARGS_ANY, RESUMES | TEXT_ERRORS, gdb_cmd_continue},
	{"C", ARGS_ANY, RESUMES | TEXT_ERRORS, gdb_cmd_continue_signal},
	{"s", ARGS_ANY, RESUMES | TEXT_ERRORS, gdb_cmd_step},
	{"S", ARGS_ANY, RESUMES | TEXT_ERRORS, gdb_cmd_step_signal},
	{"Z", ARGS_ANY, NEEDS_BREAKS | TEXT_ERRORS, cmd_insert_break},
	{"z", ARGS_ANY, NEEDS_BREAKS | TEXT_ERRORS, cmd_remove_break},
	{"D", ARGS_ANY, TEXT_ERRORS, gdb_cmd_detach},
	{"k", ARGS_NONE, NO_MACHINE, gdb_cmd_kill},
	{"vKill", ARGS_ANY, TEXT_ERRORS, gdb_cmd_vkill},
	{"vRun", ARGS_AFTER_SEP, NO_MACHINE | NEEDS_LIFE | TEXT_ERRORS, gdb_cmd_run},
	{"R", ARGS_ANY, NO_MACHINE | NEEDS_LIFE, gdb_cmd_restart},
	{"vAttach", ARGS_AFTER_SEP, NO_MACHINE | NEEDS_LIFE | TEXT_ERRORS, gdb_cmd_attach},
	{"vCtrlC", ARGS_NONE, 0, gdb_cmd_interrupt},
	{"qSupported", ARGS_AFTER_SEP, NO_MACHINE, gdb_cmd_supported},
	{"QStartNoAckMode", ARGS_NONE, NO_MACHINE, gdb_cmd_noack},
	{"qC", ARGS_NONE, 0, gdb_cmd_current_thread},
	{"qfThreadInfo", ARGS_NONE, NO_MACHINE, gdb_cmd_threads_first},
	{"qsThreadInfo", ARGS_NONE, NO_MACHINE, gdb_cmd_threads_next},
	{"qThreadExtraInfo", ARGS_AFTER_SEP, 0, gdb_cmd_thread_extra},
	{"qAttached", ARGS_AFTER_SEP, NO_MACHINE, gdb_cmd_attached},
	{"qSymbol", ARGS_ANY, NO_MACHINE, cmd_symbol},
	{"qOffsets", ARGS_NONE, NO_MACHINE, gdb_cmd_offsets},
	{"qXfer:features:read", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_xfer_features},
	{"qXfer:threads:read", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_xfer_threads},
	{"QPassSignals", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_pass_signals},
	{"QProgramSignals", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_program_signals},
	{"QNonStop", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_non_stop},
	{"QThreadEvents", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_thread_events},
	{"QCatchSyscalls", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_catch_syscalls},
	{"QStartupWithShell", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_startup_shell},
	{"QEnvironmentHexEncoded", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_environment_set},
	{"QEnvironmentUnset", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_environment_unset},
	{"QEnvironmentReset", ARGS_NONE, NO_MACHINE, cmd_ok}, /* there is none, so it is as it was */
	{"QSetWorkingDir", ARGS_AFTER_SEP, NO_MACHINE | TEXT_ERRORS, gdb_cmd_working_dir},
	{"qRcmd", ARGS_AFTER_SEP, NO_MACHINE, gdb_cmd_monitor},
	{"qqemu.PhyMemMode", ARGS_NONE, NO_MACHINE | NEEDS_PHYS, gdb_cmd_phys_mode},
	{"Qqemu.PhyMemMode", ARGS_AFTER_SEP, NO_MACHINE | NEEDS_PHYS, gdb_cmd_set_phys_mode},
	{"qqemu.sstepbits", ARGS_NONE, NO_MACHINE, gdb_cmd_step_bits},
	{"qqemu.sstep", ARGS_NONE, NO_MACHINE, gdb_cmd_step_flags},
	{"Qqemu.sstep=", ARGS_ANY, NO_MACHINE, gdb_cmd_set_step_flags},
	{"qXfer:memory-map:read", ARGS_AFTER_SEP, NO_MACHINE | NEEDS_PHYS | TEXT_ERRORS, gdb_cmd_xfer_memory_map},
	{"qSearch:memory", ARGS_AFTER_SEP, 0, gdb_cmd_search_mem},
	{"qCRC", ARGS_AFTER_SEP, 0, gdb_cmd_crc},
	{"Qqemu.sstepbits", ARGS_NONE, NO_MACHINE, gdb_cmd_step_bits},
	{"qHostInfo", ARGS_NONE, NO_MACHINE, gdb_cmd_host_info},
	{"qProcessInfo", ARGS_NONE, NO_MACHINE, gdb_cmd_process_info},
	{"qRegisterInfo", ARGS_ANY, NO_MACHINE, gdb_cmd_register_info},
	{"QEnableErrorStrings", ARGS_NONE, NO_MACHINE, gdb_cmd_error_strings},
	{"QListThreadsInStopReply", ARGS_NONE, NO_MACHINE, gdb_cmd_list_threads},
	{"QThreadSuffixSupported", ARGS_NONE, NO_MACHINE, gdb_cmd_thread_suffix},
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

/* A suffix selects another CPU for this one command. */
static bool run_for(struct gdb_session *s, const struct gdb_command *cmd, struct gdb_cursor *args, int cpu)
{
	int selected = s->g_cpu;
	bool reply;

	if (cpu == selected)
		return cmd->run(s, args);
	s->g_cpu = cpu;
	reply = cmd->run(s, args);
	s->g_cpu = selected;
	return reply;
}

bool gdb_command_run(struct gdb_session *s, const uint8_t *packet, size_t n)
{
	struct gdb_cursor body = {packet, packet + n};
	int cpu, err;

	s->text_errors = false;
	err = gdb_take_thread_suffix(s, &body, &cpu);
	if (err < 0)
		return gdb_reply_error(s, err, err == -EINVAL ? "malformed thread suffix" : "no such CPU");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct gdb_command *cmd = &commands[i];
		struct gdb_cursor args = body;

		if (!command_matches(cmd, &args))
			continue;
		if ((cmd->flags & NEEDS_BREAKS && !s->target.breaks) || (cmd->flags & NEEDS_PHYS && !s->target.phys) ||
			(cmd->flags & NEEDS_LIFE && !s->target.life))
			return true;
		/* swbreak+ tells a gdb from other clients, which may know no more than Enn. */
		s->text_errors = cmd->flags & TEXT_ERRORS && s->client.swbreak;
		if (s->state == GDB_IDLE && !(cmd->flags & NO_MACHINE))
			return cmd->flags & RESUMES && s->ended ? cmd_last_stop(s, &args) : gdb_reply_no_machine(s);
		return run_for(s, cmd, &args, cpu);
	}
	return true;
}
