/* `monitor catch`: events that stop the machine. */
#include "gdb/monitor.h"

#include <errno.h>
#include <string.h>

#define REASON_MAX 200

static const struct event {
	const char *name;
	const char *args; /* of the usage; "": none */
	const char *note; /* in the list */
} events[] = {
	[GDB_CATCH_PANIC] = {"panic", "", ", as it does without this while a debugger is attached"},
	[GDB_CATCH_TRIPLE_FAULT] = {"triple-fault", "", ", as it does without this while a debugger is attached"},
	[GDB_CATCH_RESET] = {"reset", "", ""},
	[GDB_CATCH_MMIO] = {"mmio", " ADDRESS[,LEN]", ""},
	[GDB_CATCH_IO] = {"io", " PORT[,COUNT]", ""},
	[GDB_CATCH_MSR] = {"msr", " NUMBER", ""},
};

#define NEVENTS (sizeof(events) / sizeof(events[0]))

static void usage(struct gdb_buf *out)
{
	gdb_buf_puts(out, "usage: catch EVENT, one of");
	for (size_t i = 0; i < NEVENTS; i++)
		gdb_buf_printf(out, "%s %s%s", i ? "," : "", events[i].name, events[i].args);
	gdb_buf_puts(out, "; catch delete NUMBER|all\n");
}

static void put_catch(const struct gdb_catch *c, struct gdb_buf *out)
{
	const struct event *e = &events[c->kind];
	unsigned long long last = c->addr + (c->len - 1);

	gdb_buf_printf(out, "%u: %s", c->id, e->name);
	if (e->args[0])
		gdb_buf_printf(out, " 0x%llx", (unsigned long long)c->addr);
	if (c->len > 1)
		gdb_buf_printf(out, " to 0x%llx", last);
	gdb_buf_printf(out, " stops the machine%s\n", e->note);
}

static void list(struct gdb_session *s, struct gdb_buf *out)
{
	struct gdb_catch c;
	size_t i = 0;

	for (; s->target.catches->get(s->target.t, i, &c); i++)
		put_catch(&c, out);
	if (i)
		return;
	gdb_buf_puts(out, "nothing is caught; ");
	usage(out);
}

/* "NAME[ ADDRESS[,LEN]]" as the event has it. */
static bool parse_event(const char *args, struct gdb_catch *c)
{
	for (size_t i = 0; i < NEVENTS; i++) {
		struct gdb_cursor cur = gdb_mon_cursor(args);

		*c = (struct gdb_catch){.kind = (enum gdb_catch_kind)i, .len = 1};
		if (!gdb_cursor_prefix(&cur, events[i].name))
			continue;
		if (!events[i].args[0])
			return gdb_cursor_done(&cur);
		if (!gdb_cursor_eat(&cur, ' ') || !gdb_mon_number(&cur, &c->addr))
			return false;
		if (c->kind != GDB_CATCH_MSR && gdb_cursor_eat(&cur, ','))
			return gdb_mon_number(&cur, &c->len) && gdb_cursor_done(&cur) && c->len;
		return gdb_cursor_done(&cur);
	}
	return false;
}

MONITOR_HANDLER(gdb_mon_catch)
{
	char why[REASON_MAX] = "";
	struct gdb_catch c;
	int ret;

	if (!s->target.catches) {
		gdb_buf_puts(out, "this machine catches no events\n");
	} else if (!args[0]) {
		list(s, out);
	} else if (!parse_event(args, &c)) {
		usage(out);
	} else {
		ret = s->target.catches->add(s->target.t, &c, why, sizeof(why));
		if (ret < 0) {
			gdb_buf_printf(out, "not caught: %s\n", why[0] ? why : strerror(-ret));
			return;
		}
		c.id = (unsigned)ret;
		put_catch(&c, out);
	}
}

static void remove_catch(struct gdb_session *s, unsigned id, struct gdb_buf *out)
{
	int ret = s->target.catches->remove(s->target.t, id);

	if (ret == -ENOENT)
		gdb_buf_printf(out, "there is no catch %u; \"monitor catch\" lists them\n", id);
	else if (ret < 0)
		gdb_buf_printf(out, "not removed: %s\n", strerror(-ret));
	else if (id)
		gdb_buf_printf(out, "catch %u is gone\n", id);
	else
		gdb_buf_puts(out, "nothing is caught any more\n");
}

MONITOR_HANDLER(gdb_mon_catch_delete)
{
	struct gdb_cursor c = gdb_mon_cursor(args);
	uint64_t id = 0;

	if (!s->target.catches)
		gdb_buf_puts(out, "this machine catches no events\n");
	else if (!strcmp(args, "all"))
		remove_catch(s, 0, out);
	else if (!gdb_mon_number(&c, &id) || !gdb_cursor_done(&c) || !id || id > UINT32_MAX)
		gdb_buf_puts(out, "usage: catch delete NUMBER|all\n");
	else
		remove_catch(s, (unsigned)id, out);
}

MONITOR_HANDLER(gdb_mon_catch_off)
{
	(void)args;
	gdb_mon_catch_delete(s, "all", out);
}
