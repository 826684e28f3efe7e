/* `monitor` commands about interrupt controllers, and those that do something to the machine. */
#include "gdb/monitor.h"

#include <errno.h>
#include <string.h>

/* ---- interrupt controllers ---- */

static const char *chips(const struct gdb_session *s)
{
	const struct gdb_info_ops *info = s->target.info;

	return info && info->chip && info->chips ? info->chips(s->target.t) : "";
}

/* A whole word of "lapic, ioapic, pic". */
static bool has_chip(const struct gdb_session *s, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = chips(s); *p; p += strcspn(p, " "), p += strspn(p, " ")) {
		if (!strncmp(p, name, n) && (!p[n] || p[n] == ','))
			return true;
	}
	return false;
}

bool gdb_mon_lacks(const struct gdb_session *s, const char *command)
{
	static const char *const names[] = {"lapic", "ioapic", "pic", "gic"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strncmp(command, "info ", 5) && !strcmp(command + 5, names[i]))
			return !has_chip(s, names[i]);
	}
	return false;
}

static void put_chip(struct gdb_session *s, const char *name, struct gdb_buf *out)
{
	const struct gdb_info_ops *info = s->target.info;
	char *text = (char *)s->mem;
	int err = -ENOENT;

	text[0] = '\0';
	if (info && info->chip)
		err = info->chip(s->target.t, s->g_cpu, name, text, sizeof(s->mem));
	if (err == -ENOENT)
		gdb_buf_printf(out, "this machine has no %s; it has: %s\n", name, chips(s)[0] ? chips(s) : "none");
	else if (err < 0)
		gdb_buf_printf(out, "the %s cannot be read: %s\n", name, strerror(-err));
	else
		gdb_buf_puts(out, text);
}

MONITOR_HANDLER(gdb_mon_lapic)
{
	(void)args;
	put_chip(s, "lapic", out);
}

MONITOR_HANDLER(gdb_mon_ioapic)
{
	(void)args;
	put_chip(s, "ioapic", out);
}

MONITOR_HANDLER(gdb_mon_pic)
{
	(void)args;
	put_chip(s, "pic", out);
}

MONITOR_HANDLER(gdb_mon_gic)
{
	(void)args;
	put_chip(s, "gic", out);
}

/* ---- what they do ---- */

static void nmi_one(struct gdb_session *s, int cpu, struct gdb_buf *out)
{
	int err = s->target.life->nmi(s->target.t, cpu);

	if (err == -ENOTSUP)
		gdb_buf_printf(out, "%s has no NMI\n", s->target.arch->name);
	else if (err == -EAGAIN)
		gdb_buf_printf(out, "CPU %d: not started yet, it gets none\n", cpu);
	else if (err < 0)
		gdb_buf_printf(out, "CPU %d: %s\n", cpu, strerror(-err));
	else
		gdb_buf_printf(out, "CPU %d takes an NMI when it runs next\n", cpu);
}

MONITOR_HANDLER(gdb_mon_nmi)
{
	bool all = !strcmp(args, "all");

	if (args[0] && !all)
		gdb_buf_puts(out, "usage: nmi [all]; without all it is for the selected CPU\n");
	else if (!s->target.life || !s->target.life->nmi)
		gdb_buf_puts(out, "this machine has no NMI\n");
	else if (!all)
		nmi_one(s, s->g_cpu, out);
	else
		for (int cpu = 0; cpu < s->ncpus; cpu++)
			nmi_one(s, cpu, out);
}

MONITOR_HANDLER(gdb_mon_reset)
{
	int err = gdb_session_restart(s);

	(void)args;
	if (err == -ENOTSUP)
		gdb_buf_puts(out, "this machine cannot restart\n");
	else if (err < 0)
		gdb_buf_printf(out, "the machine did not restart: %s\n", strerror(-err));
	else
		gdb_buf_puts(out, "the machine stands at its first instruction again (gdb: maintenance flush "
				  "register-cache)\n");
}

/* There is no button that a guest could be asked with: this is the end, at once. */
MONITOR_HANDLER(gdb_mon_poweroff)
{
	int err = -ENOTSUP;

	(void)args;
	if (s->target.life && s->target.life->poweroff)
		err = s->target.life->poweroff(s->target.t);
	if (err < 0) {
		gdb_buf_puts(out, "this machine cannot be powered off; quit ends it\n");
		return;
	}
	gdb_buf_puts(out, "the machine is off\n");
	s->state = GDB_GONE;
}

MONITOR_HANDLER(gdb_mon_quit)
{
	(void)args;
	gdb_buf_puts(out, "the machine ends\n");
	s->target.base->kill(s->target.t);
	s->state = GDB_GONE;
}
