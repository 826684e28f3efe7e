/* The machine's ends and beginnings: GDB manual, "Packets" and "General Query Packets". */
#include <errno.h>
#include <string.h>

#include "gdb/session_impl.h"

#define SIGNAL_KILL 9 /* gdb's number */

int gdb_session_cpus(const struct gdb_session *s)
{
	return s->state == GDB_IDLE ? 0 : s->ncpus;
}

bool gdb_reply_no_machine(struct gdb_session *s)
{
	return gdb_reply_error(s, -ESRCH,
		s->ended ? "there is no machine: run starts one"
			 : "detached from the machine: attach 1 stops it, run restarts it");
}

bool gdb_cmd_extended(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	s->extended = true;
	s->target.life->keep(s->target.t);
	return gdb_reply_ok(s);
}

bool gdb_cmd_attached(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t pid;

	if (!gdb_cursor_done(args) && (!gdb_cursor_hex(args, &pid) || !gdb_cursor_done(args)))
		return gdb_reply_error(s, -EINVAL, "malformed process id");
	if (s->state == GDB_IDLE)
		return gdb_reply_no_machine(s);
	/* 1: a gdb that quits detaches, and the machine runs on; 0: gdb has run it, and kills it. */
	gdb_buf_putc(&s->reply, s->created ? '0' : '1');
	return true;
}

/* ---- ends ---- */

static void become_idle(struct gdb_session *s, struct gdb_stop last, bool ended)
{
	s->last_stop = last;
	s->ended = ended;
	s->created = false;
	s->resumed = s->interrupted = false;
	s->state = GDB_IDLE;
}

/* ";PID": there is one process, and clients that were told no pid make one up. */
static bool parse_process(struct gdb_cursor *args)
{
	uint64_t pid;

	return gdb_cursor_eat(args, ';') && gdb_cursor_hex(args, &pid) && pid && gdb_cursor_done(args);
}

bool gdb_cmd_detach(struct gdb_session *s, struct gdb_cursor *args)
{
	if (!gdb_cursor_done(args) && !parse_process(args))
		return gdb_reply_error(s, -EINVAL, "malformed process id");
	s->target.base->detach(s->target.t);
	if (s->extended)
		become_idle(s, (struct gdb_stop){.kind = GDB_STOP_EXITED}, false);
	else
		s->state = GDB_GONE;
	return gdb_reply_ok(s);
}

bool gdb_cmd_kill(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	if (s->state == GDB_IDLE)
		return false;
	s->target.base->kill(s->target.t);
	if (s->extended)
		become_idle(s, (struct gdb_stop){.kind = GDB_STOP_KILLED, .signo = SIGNAL_KILL}, true);
	else
		s->state = GDB_GONE;
	return false;
}

bool gdb_cmd_vkill(struct gdb_session *s, struct gdb_cursor *args)
{
	if (!parse_process(args))
		return gdb_reply_error(s, -EINVAL, "malformed process id");
	gdb_cmd_kill(s, args);
	return gdb_reply_ok(s);
}

/* ---- beginnings ---- */

static bool needs_extended(struct gdb_session *s)
{
	return gdb_reply_error(s, -EPERM, "only in extended mode: target extended-remote");
}

static int restart(struct gdb_session *s)
{
	int err = s->target.life->restart(s->target.t);

	/* A process that ends cannot restart a machine, but its end is on the way and answers this. */
	if (err < 0 && err != -ESHUTDOWN)
		return err;
	s->ended = s->resumed = s->interrupted = false;
	return 0;
}

int gdb_session_restart(struct gdb_session *s)
{
	int err = s->target.life ? restart(s) : -ENOTSUP;

	if (!err)
		s->state = GDB_ATTACHING;
	return err;
}

/* One field of hex digits up to ';' or the end, against `text`. -1: malformed; 0: differs; 1: is that. */
static int field_is(struct gdb_cursor *c, const char *text)
{
	size_t n = 0, len = text ? strlen(text) : 0;
	bool same = true;
	uint8_t byte;

	while (!gdb_cursor_done(c) && *c->p != ';') {
		if (!gdb_cursor_bytes(c, &byte, 1))
			return -1;
		same = same && n < len && (uint8_t)text[n] == byte;
		n++;
	}
	return n == 0 || (same && n == len);
}

/*
 * "FILE[;ARGUMENT]...", in hex. There is one image, and what it is told is in --cmdline: a name that is another's, or
 * an argument, would not be heeded.
 */
bool gdb_cmd_run(struct gdb_session *s, struct gdb_cursor *args)
{
	int known, err;

	if (!s->extended)
		return needs_extended(s);
	known = field_is(args, s->target.life->program(s->target.t));
	if (known < 0)
		return gdb_reply_error(s, -EINVAL, "malformed file name");
	if (!known)
		return gdb_reply_error(
			s, -ENOENT, "only what --kernel names can be run: set remote exec-file to that or to nothing");
	if (!gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "a machine takes no arguments: a kernel's are given by --cmdline");
	err = restart(s);
	if (err < 0)
		return gdb_reply_error(s, err, NULL);
	s->created = s->starting = true;
	s->state = GDB_RUNNING;
	return false;
}

/* "R" and two digits that mean nothing. It has no reply; where it means nothing at all it is an unknown packet. */
bool gdb_cmd_restart(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	if (!s->extended)
		return true;
	if (gdb_session_restart(s) == 0)
		s->created = true;
	return false;
}

bool gdb_cmd_attach(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t pid;

	if (!s->extended)
		return needs_extended(s);
	if (!gdb_cursor_hex(args, &pid) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed process id");
	if (s->state != GDB_IDLE)
		return gdb_reply_error(s, -EBUSY, "attached already");
	if (s->ended)
		return gdb_reply_no_machine(s);
	if (pid != 1)
		return gdb_reply_error(s, -ESRCH, "there is one machine, and its number is 1");
	s->target.life->attach(s->target.t);
	s->starting = true;
	s->state = GDB_RUNNING;
	return false;
}

/* Of a machine that runs, session.c takes care: this one is stopped, as is wished. */
bool gdb_cmd_interrupt(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	return gdb_reply_ok(s);
}
