/*
 * What gdb sets for a process and a machine does not have: OK where the wish is empty or comes true by itself, an error
 * where it would not be heeded. GDB manual, "General Query Packets".
 */
#include <errno.h>

#include "gdb/session_impl.h"

/* "SIGNAL[;SIGNAL]..." in hex. Calls each(signal); false: malformed. */
static bool parse_signals(struct gdb_cursor *c, bool (*each)(uint64_t signo), bool *any)
{
	uint64_t signo;

	*any = false;
	if (gdb_cursor_done(c))
		return true;
	do {
		if (!gdb_cursor_hex(c, &signo))
			return false;
		*any |= each && each(signo);
	} while (gdb_cursor_eat(c, ';'));
	return gdb_cursor_done(c);
}

static bool is_a_stop(uint64_t signo)
{
	return signo == GDB_SIGNAL_INT || signo == GDB_SIGNAL_TRAP || signo == GDB_SIGNAL_ILL ||
	       signo == GDB_SIGNAL_ABRT || signo == GDB_SIGNAL_SEGV || signo == GDB_SIGNAL_USR1 ||
	       signo == GDB_SIGNAL_PWR;
}

/* Signals not to stop for: a machine gets none. Only those are refused with which its own troubles are reported. */
bool gdb_cmd_pass_signals(struct gdb_session *s, struct gdb_cursor *args)
{
	bool any;

	if (!parse_signals(args, is_a_stop, &any))
		return gdb_reply_error(s, -EINVAL, "malformed list of signals");
	if (any)
		return gdb_reply_error(s, -EINVAL,
			"INT, TRAP, ILL, ABRT, SEGV, USR1 and PWR are this stub's own stops, and stop always");
	return gdb_reply_ok(s);
}

/* Signals that may be given to the program: none ever is. */
bool gdb_cmd_program_signals(struct gdb_session *s, struct gdb_cursor *args)
{
	bool any;

	if (!parse_signals(args, NULL, &any))
		return gdb_reply_error(s, -EINVAL, "malformed list of signals");
	return gdb_reply_ok(s);
}

/* "0" or "1". */
static bool parse_switch(struct gdb_cursor *c, bool *on)
{
	*on = gdb_cursor_eat(c, '1');
	return (*on || gdb_cursor_eat(c, '0')) && gdb_cursor_done(c);
}

/* A switch that can only be 0. */
static bool always_off(struct gdb_session *s, struct gdb_cursor *args, const char *why)
{
	bool on;

	if (!parse_switch(args, &on))
		return gdb_reply_error(s, -EINVAL, "0 or 1 wanted");
	return on ? gdb_reply_error(s, -EOPNOTSUPP, why) : gdb_reply_ok(s);
}

bool gdb_cmd_non_stop(struct gdb_session *s, struct gdb_cursor *args)
{
	return always_off(s, args, "a stop stops all CPUs: set non-stop off");
}

/* "0", or "1" and system calls. */
bool gdb_cmd_catch_syscalls(struct gdb_session *s, struct gdb_cursor *args)
{
	if (gdb_cursor_eat(args, '1') && (gdb_cursor_done(args) || *args->p == ';'))
		return gdb_reply_error(s, -EOPNOTSUPP, "system calls are the guest's own: break on its entry");
	return always_off(s, args, NULL);
}

bool gdb_cmd_startup_shell(struct gdb_session *s, struct gdb_cursor *args)
{
	return always_off(s, args, "no shell starts a machine: set startup-with-shell off");
}

/* Threads that come and go: CPUs do neither, so there is nothing to tell. */
bool gdb_cmd_thread_events(struct gdb_session *s, struct gdb_cursor *args)
{
	bool on;

	return parse_switch(args, &on) ? gdb_reply_ok(s) : gdb_reply_error(s, -EINVAL, "0 or 1 wanted");
}

/* A text in hex. */
static bool parse_text(struct gdb_cursor *c, size_t *len)
{
	uint8_t byte;

	for (*len = 0; !gdb_cursor_done(c); ++*len) {
		if (!gdb_cursor_bytes(c, &byte, 1))
			return false;
	}
	return true;
}

bool gdb_cmd_environment_set(struct gdb_session *s, struct gdb_cursor *args)
{
	size_t len;

	if (!parse_text(args, &len) || !len)
		return gdb_reply_error(s, -EINVAL, "malformed variable");
	return gdb_reply_error(
		s, -EOPNOTSUPP, "a machine has no environment: a kernel's settings are given by --cmdline");
}

bool gdb_cmd_environment_unset(struct gdb_session *s, struct gdb_cursor *args)
{
	size_t len;

	if (!parse_text(args, &len) || !len)
		return gdb_reply_error(s, -EINVAL, "malformed variable");
	return gdb_reply_ok(s);
}

bool gdb_cmd_working_dir(struct gdb_session *s, struct gdb_cursor *args)
{
	size_t len;

	if (!parse_text(args, &len))
		return gdb_reply_error(s, -EINVAL, "malformed directory");
	if (len)
		return gdb_reply_error(s, -EOPNOTSUPP, "a machine has no working directory");
	return gdb_reply_ok(s);
}
