#include "gdb/session_impl.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define LINE_MAX_LEN   256
#define DUMP_BYTES_MAX 4096

/*
 * `monitor ...`: a table of commands. A handler writes text to out; errors are text too, since that is what every
 * client shows. args: the rest of the line, without spaces around it.
 */
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

static void mon_registers(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	bool all = !strcmp(args, "-a");

	for (int cpu = all ? 0 : s->g_cpu; cpu <= (all ? s->ncpus - 1 : s->g_cpu); cpu++) {
		gdb_buf_printf(out, "CPU#%d\n", cpu);
		for (unsigned i = 0; i < s->target.arch->nregs; i++) {
			put_named_reg(s, cpu, i, out);
			gdb_buf_putc(out, i % 4 == 3 || i + 1 == s->target.arch->nregs ? '\n' : ' ');
		}
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

/* ---- memory ---- */

/* Decimal, or hex after 0x. */
static bool parse_number(struct gdb_cursor *c, uint64_t *out)
{
	return gdb_cursor_prefix(c, "0x") ? gdb_cursor_hex(c, out) : gdb_cursor_dec(c, out);
}

static void skip_spaces(struct gdb_cursor *c)
{
	while (gdb_cursor_eat(c, ' '))
		;
}

/* "/[COUNT][x][SIZE]", SIZE one of b h w g; false: something else. */
static bool parse_format(struct gdb_cursor *c, uint64_t *count, unsigned *size)
{
	static const char letters[] = "bhwg";

	if (!gdb_cursor_eat(c, '/'))
		return true;
	gdb_cursor_dec(c, count);
	while (!gdb_cursor_done(c) && *c->p != ' ') {
		const char *letter = memchr(letters, *c->p, sizeof(letters) - 1);

		if (letter)
			*size = 1u << (letter - letters);
		else if (*c->p != 'x')
			return false;
		c->p++;
	}
	return true;
}

static void dump(uint64_t addr, const uint8_t *data, size_t n, unsigned size, struct gdb_buf *out)
{
	for (size_t at = 0; at + size <= n; at += size) {
		uint64_t v = 0;

		if (at % 16 == 0)
			gdb_buf_printf(out, "%s%016llx:", at ? "\n" : "", (unsigned long long)(addr + at));
		for (unsigned i = size; i-- > 0;)
			v = v << 8 | data[at + i];
		gdb_buf_printf(out, " 0x%0*llx", (int)size * 2, (unsigned long long)v);
	}
	gdb_buf_putc(out, '\n');
}

static void mon_xp(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	struct gdb_cursor c = {(const uint8_t *)args, (const uint8_t *)args + strlen(args)};
	uint64_t count = 1, addr;
	unsigned size = 4;
	ssize_t n;

	if (!s->target.phys) {
		gdb_buf_puts(out, "this machine does not show its physical memory\n");
		return;
	}
	if (!parse_format(&c, &count, &size) || (skip_spaces(&c), !parse_number(&c, &addr)) || !gdb_cursor_done(&c)) {
		gdb_buf_puts(out, "usage: xp [/COUNTxSIZE] ADDRESS, SIZE one of b h w g, as in: xp /4xg 0x1000\n");
		return;
	}
	if (!count || count > DUMP_BYTES_MAX / size) {
		gdb_buf_printf(out, "xp: 1 to %u units, please\n", DUMP_BYTES_MAX / size);
		return;
	}
	n = s->target.phys->read(s->target.t, addr, s->mem, (size_t)count * size);
	if (n < (ssize_t)size)
		gdb_buf_printf(out, "0x%llx is not RAM\n", (unsigned long long)addr);
	else
		dump(addr, s->mem, (size_t)n, size, out);
}

static void mon_gva2gpa(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	struct gdb_cursor c = {(const uint8_t *)args, (const uint8_t *)args + strlen(args)};
	struct mapping m = {0};
	uint64_t va;

	if (!s->target.phys) {
		gdb_buf_puts(out, "this machine does not show its page tables\n");
		return;
	}
	if (!parse_number(&c, &va) || !gdb_cursor_done(&c)) {
		gdb_buf_puts(out, "usage: gva2gpa ADDRESS, as in: gva2gpa 0xffffffff81000000\n");
		return;
	}
	if (s->target.phys->translate(s->target.t, s->g_cpu, va, &m) < 0)
		gdb_buf_puts(out, "Unmapped\n");
	else
		gdb_buf_printf(out, "gpa: 0x%llx (%s%s%s, 0x%llx bytes to the end of the page)\n",
			(unsigned long long)m.gpa, m.user ? "user, " : "", m.writable ? "writable" : "read-only",
			m.executable ? ", executable" : "", (unsigned long long)m.len);
}

static void mon_quit(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	(void)args;
	gdb_buf_puts(out, "the machine ends\n");
	s->target.base->kill(s->target.t);
	s->state = GDB_GONE;
}

/* ---- the table ---- */

static const struct monitor_command monitor_commands[] = {
	{"help", "", "this list", mon_help},
	{"version", "", "what this is", mon_version},
	{"info version", "", "the same", mon_version},
	{"info cpus", "", "the CPUs and what they do; * is the selected one", mon_cpus},
	{"info registers", "[-a]", "all registers of the selected CPU, or of all", mon_registers},
	{"info breakpoints", "", "what is inserted now, and how", mon_breakpoints},
	{"info fault", "", "why the machine cannot go on", mon_fault},
	{"xp", "[/COUNTxSIZE] ADDRESS", "physical memory; SIZE is b, h, w or g", mon_xp},
	{"gva2gpa", "ADDRESS", "where the selected CPU's page tables lead", mon_gva2gpa},
	{"kaslr", "[stop]", "where the kernel has moved itself; stop: as soon as it has", gdb_monitor_kaslr},
	{"quit", "", "end the machine", mon_quit},
};

#define NCOMMANDS (sizeof(monitor_commands) / sizeof(monitor_commands[0]))

static void mon_help(struct gdb_session *s, const char *args, struct gdb_buf *out)
{
	(void)s;
	(void)args;
	for (size_t i = 0; i < NCOMMANDS; i++) {
		const struct monitor_command *cmd = &monitor_commands[i];
		int pad = 32 - (int)strlen(cmd->name);

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
	} else if (text.len <= GDB_PACKET_MAX / 2) {
		gdb_hex_put(&s->reply, text.data, text.len);
	} else {
		gdb_session_console(s, (const char *)text.data, text.len);
		gdb_reply_ok(s);
	}
	gdb_buf_free(&text);
	return true;
}
