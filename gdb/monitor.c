#include "gdb/monitor.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define LINE_MAX_LEN   256
#define REG_LINE_WIDTH 100 /* columns of `info registers` */

/* `monitor ...`: a table of commands. */
struct monitor_command {
	const char *name; /* words, one space between them */
	const char *args;
	const char *help;
	void (*run)(struct gdb_session *s, const char *args, struct gdb_buf *out);
};

static void mon_help(struct gdb_session *s, const char *args, struct gdb_buf *out);

static void mon_version(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	(void)args;
	gdb_buf_printf(out, "minivmm, a KVM machine (%s)\n", s->target.arch->name);
}

static void mon_cpus(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	(void)args;
	for (int i = 0; i < s->ncpus; i++) {
		char name[64] = "", extra[256] = "";

		s->target.base->cpu_name(s->target.t, i, name, sizeof(name));
		s->target.base->cpu_extra(s->target.t, i, extra, sizeof(extra));
		gdb_buf_printf(out, "%c %s (thread %d): %s\n", i == s->g_cpu ? '*' : ' ', name, i + 1, extra);
	}
}

/* NAME=VALUE, as the tools that read a system monitor's registers expect it; the value's first digit is the highest. */
static void put_named_reg(struct gdb_session *s, int cpu, unsigned reg, struct gdb_buf *out)
{
	const struct reg_desc *desc = &s->target.arch->regs[reg];
	uint8_t value[REG_SIZE_MAX];

	for (const char *c = desc->name; *c; c++)
		gdb_buf_putc(out, (char)toupper((unsigned char)*c));
	gdb_buf_putc(out, '=');
	if (s->target.base->reg_read(s->target.t, cpu, reg, value, desc->size) < 0) {
		gdb_buf_puts(out, "unavailable");
		return;
	}
	for (size_t i = desc->size; i-- > 0;)
		gdb_hex_put(out, &value[i], 1);
}

/* As many in a line as fit; each group begins a new one. */
static void put_cpu_regs(struct gdb_session *s, int cpu, struct gdb_buf *out)
{
	const struct arch_desc *arch = s->target.arch;
	const char *group = NULL;
	size_t column = 0;

	for (unsigned i = 0; i < arch->nregs; i++) {
		const struct reg_desc *reg = &arch->regs[i];
		size_t width = strlen(reg->name) + 1 + 2u * reg->size; /* NAME=digits */

		if (!arch_desc_has(arch, i))
			continue;
		if (column) {
			bool same = reg->group && group && !strcmp(reg->group, group);
			bool fits = same && column + 1 + width <= REG_LINE_WIDTH;

			gdb_buf_putc(out, fits ? ' ' : '\n');
			column = fits ? column + 1 : 0;
		}
		put_named_reg(s, cpu, i, out);
		column += width;
		group = reg->group;
	}
	gdb_buf_putc(out, '\n');
}

static void mon_registers(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	bool all = !strcmp(args, "-a");

	for (int cpu = all ? 0 : s->g_cpu; cpu <= (all ? s->ncpus - 1 : s->g_cpu); cpu++) {
		gdb_buf_printf(out, "CPU#%d\n", cpu);
		put_cpu_regs(s, cpu, out);
	}
}

static void mon_breakpoints(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	const struct gdb_info_ops *info = s->target.info;
	char line[LINE_MAX_LEN];
	size_t i = 0;

	(void)args;
	for (; info && info->breakpoint && info->breakpoint(s->target.t, i, line, sizeof(line)); i++)
		gdb_buf_printf(out, "%s\n", line);
	if (!i)
		gdb_buf_puts(out, "no breakpoints are inserted\n");
}

static void mon_fault(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	const struct gdb_info_ops *info = s->target.info;
	char text[1024] = "";

	(void)args;
	if (info && info->fault)
		info->fault(s->target.t, text, sizeof(text));
	gdb_buf_printf(out, "%s\n", text[0] ? text : "none: the machine can go on");
}

/* ---- the table ---- */

/* A line of help has 80 columns: the words 31 with their arguments, the text 39. */
static const struct monitor_command monitor_commands[] = {
	{"help", "", "this list", mon_help},
	{"version", "", "what this is", mon_version},
	{"info version", "", "the same", mon_version},
	{"info cpus", "", "the CPUs; * is the selected one", mon_cpus},
	{"info registers", "[-a]", "of the selected CPU, or of all", mon_registers},
	{"info breakpoints", "", "what is inserted now, and how", mon_breakpoints},
	{"info fault", "", "why the machine cannot go on", mon_fault},
	{"info mem", "[FROM]", "what the selected CPU's tables map", gdb_mon_mem},
	{"info tlb", "[FROM]", "the same, and where it leads", gdb_mon_tlb},
	{"info mtree", "", "RAM, devices, and what KVM serves", gdb_mon_mtree},
	{"info lapic", "", "the selected CPU's local APIC", gdb_mon_lapic},
	{"info ioapic", "", "the I/O APIC", gdb_mon_ioapic},
	{"info pic", "", "the two PICs", gdb_mon_pic},
	{"info gic", "", "the GIC as the selected CPU has it", gdb_mon_gic},
	{"xp", "[/COUNTxSIZE] ADDRESS", "physical memory; SIZE is b, h, w or g", gdb_mon_xp},
	{"gva2gpa", "ADDRESS", "where the selected CPU's tables lead", gdb_mon_gva2gpa},
	{"gpa2hva", "ADDRESS", "where RAM is in this process", gdb_mon_gpa2hva},
	{"catch delete", "NUMBER|all", "do not stop at this any more", gdb_mon_catch_delete},
	{"catch off", "", "nor at anything else", gdb_mon_catch_off},
	{"catch", "[EVENT [ADDRESS[,LEN]]]", "stop at an event; alone: the list", gdb_mon_catch},
	{"kaslr", "[stop]", "how far the kernel has moved itself", gdb_monitor_kaslr},
	{"nmi", "[all]", "an NMI for the selected CPU, or all", gdb_mon_nmi},
	{"reset", "", "the machine starts again", gdb_mon_reset},
	{"poweroff", "", "end it as the guest would: status 0", gdb_mon_poweroff},
	{"quit", "", "end it: status 14", gdb_mon_quit},
};

#define NCOMMANDS (sizeof(monitor_commands) / sizeof(monitor_commands[0]))

static void mon_help(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	(void)args;
	for (size_t i = 0; i < NCOMMANDS; i++) {
		const struct monitor_command *cmd = &monitor_commands[i];
		int pad = 31 - (int)strlen(cmd->name);

		if (gdb_mon_lacks(s, cmd->name))
			continue;
		gdb_buf_printf(out, "monitor %s %-*s %s\n", cmd->name, pad, cmd->args, cmd->help);
	}
}

/* Spaces at both ends gone, one between words; false: too long, or no text. */
static bool clean_line(const struct gdb_cursor *hex, char *line, size_t size)
{
	struct gdb_cursor c = *hex;
	size_t n = 0;

	while (!gdb_cursor_done(&c)) {
		uint8_t ch;

		if (!gdb_cursor_bytes(&c, &ch, 1) || n + 1 >= size || !ch)
			return false;
		if (isspace(ch) && (!n || line[n - 1] == ' '))
			continue;
		line[n++] = isspace(ch) ? ' ' : (char)ch;
	}
	if (n && line[n - 1] == ' ')
		n--;
	line[n] = '\0';
	return true;
}

static void run_line(struct gdb_session *s, const char *line, struct gdb_buf *out)
{
	for (size_t i = 0; i < NCOMMANDS; i++) {
		const struct monitor_command *cmd = &monitor_commands[i];
		size_t n = strlen(cmd->name);
		const char *args = line + n;

		/* "xp/4xw" is as good as "xp /4xw" */
		if (strncmp(line, cmd->name, n) || (*args && *args != ' ' && *args != '/'))
			continue;
		args += *args == ' ';
		if (*args && !cmd->args[0])
			gdb_buf_printf(out, "%s takes no argument\n", cmd->name);
		else
			cmd->run(s, args, out);
		return;
	}
	if (line[0])
		gdb_buf_printf(out, "unknown command: %s; ", line);
	gdb_buf_puts(out, "\"monitor help\" lists what there is\n");
}

/* Text that fits is the reply itself; more goes ahead of an OK as console output. */
bool gdb_cmd_monitor(struct gdb_session *s, struct gdb_cursor *args)
{
	char line[LINE_MAX_LEN];
	struct gdb_buf text = {0};

	if (!clean_line(args, line, sizeof(line)))
		return gdb_reply_error(s, -EINVAL, "malformed or overlong monitor command");
	run_line(s, line, &text);
	if (text.failed) {
		gdb_reply_error(s, -ENOMEM, NULL);
	} else if (text.len && text.len <= GDB_PACKET_MAX / 2) { /* an empty reply would say "unknown" */
		gdb_hex_put(&s->reply, text.data, text.len);
	} else {
		gdb_session_console(s, (const char *)text.data, text.len);
		gdb_reply_ok(s);
	}
	gdb_buf_free(&text);
	return true;
}
