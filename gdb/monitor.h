/* The handlers of `monitor` commands, in the files monitor*.c. Nobody else includes this. */
#ifndef GDB_MONITOR_H
#define GDB_MONITOR_H

#include "gdb/session_impl.h"

/*
 * A handler writes text to out; errors are text too, since that is what every client shows. args: the rest of the line,
 * without spaces around it.
 */
#define MONITOR_HANDLER(name) void name(struct gdb_session *s, const char *args, struct gdb_buf *out)

/* monitor_mem.c */
MONITOR_HANDLER(gdb_mon_mem);	/* info mem */
MONITOR_HANDLER(gdb_mon_tlb);	/* info tlb */
MONITOR_HANDLER(gdb_mon_mtree); /* info mtree */
MONITOR_HANDLER(gdb_mon_xp);
MONITOR_HANDLER(gdb_mon_gva2gpa);
MONITOR_HANDLER(gdb_mon_gpa2hva);

/* monitor_machine.c */
MONITOR_HANDLER(gdb_mon_lapic);
MONITOR_HANDLER(gdb_mon_ioapic);
MONITOR_HANDLER(gdb_mon_pic);
MONITOR_HANDLER(gdb_mon_gic);
MONITOR_HANDLER(gdb_mon_nmi);
MONITOR_HANDLER(gdb_mon_reset);
MONITOR_HANDLER(gdb_mon_poweroff);
MONITOR_HANDLER(gdb_mon_quit);
/* Is this command about an interrupt controller that the machine does not have? */
bool gdb_mon_lacks(const struct gdb_session *s, const char *command);

/* monitor_catch.c */
MONITOR_HANDLER(gdb_mon_catch);
MONITOR_HANDLER(gdb_mon_catch_delete);
MONITOR_HANDLER(gdb_mon_catch_off);

/* ---- arguments ---- */

static inline struct gdb_cursor gdb_mon_cursor(const char *args)
{
	const char *end = args;

	while (*end)
		end++;
	return (struct gdb_cursor){(const uint8_t *)args, (const uint8_t *)end};
}

/* Decimal, or hex after 0x. */
static inline bool gdb_mon_number(struct gdb_cursor *c, uint64_t *out)
{
	return gdb_cursor_prefix(c, "0x") ? gdb_cursor_hex(c, out) : gdb_cursor_dec(c, out);
}

#endif
