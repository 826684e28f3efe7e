#include "tests/fuzz/session_rules.h"

#include <ctype.h>

ORACLE_BEGIN

enum { DIGITS_G = 2 * (4 * 8 + 4 + 16) }; /* of the fake machine's registers in `g` */

/* What follows the name. */
enum follow { NOTHING, SEPARATED, ANYTHING };

enum {
	MACHINE = 1, /* an error while there is none */
	RUNS = 2,    /* no reply if the machine was told to run; of an ended one, its end */
	DATA = 4,    /* plain data: E.text would be taken for it */
};

/*
 * Replies, each a letter:
 *	-	empty		D	data
 *	E	an error	S	the last stop
 *	O	OK		R	none: it runs
 */
struct rule {
	const char *name;
	enum follow follow;
	unsigned flags;
	const char *replies;
	enum machine_deed deed; /* what OK or silence claims */
	bool (*check)(const struct oracle *o, const char *args, struct packet reply);
};

/* Of several packets that waited, the machine shows what all of them have done. */
static bool alone(const struct oracle *o)
{
	return o->waiting.n == 1;
}

/* ---- what is in the data ---- */

static bool all_hex(struct packet p, const char *also)
{
	for (size_t i = 0; i < p.n; i++) {
		if (!(p.data[i] >= '0' && p.data[i] <= '9') && !(p.data[i] >= 'a' && p.data[i] <= 'f') &&
			!(p.data[i] && strchr(also, p.data[i])))
			return false;
	}
	return p.n % 2 == 0;
}

static bool check_all_regs(const struct oracle *o, const char *args, struct packet reply)
{
	(void)o;
	(void)args;
	return reply.n == DIGITS_G && all_hex(reply, "x");
}

static bool check_reg(const struct oracle *o, const char *args, struct packet reply)
{
	unsigned long reg = strtoul(args, NULL, 16);

	(void)o;
	return reg < FAKE_ABSENT && reply.n == 2u * fake_regs[reg].size && all_hex(reply, "x");
}

static bool check_hex(const struct oracle *o, const char *args, struct packet reply)
{
	(void)o;
	(void)args;
	return all_hex(reply, "");
}

/* As much as was asked for, or less, and of the memory that it says. Physical addresses are shifted ones here. */
static bool check_memory(const struct oracle *o, const char *args, const uint8_t *bytes, size_t n)
{
	char *end;
	uint64_t addr = strtoull(args, &end, 16), len = strtoull(end + 1, NULL, 16);

	addr -= o->phys ? FAKE_PHYS_OFF : FAKE_MEM_BASE;
	if (!n)
		return !len;
	if (n > len || addr > FAKE_MEM_SIZE || n > FAKE_MEM_SIZE - addr)
		return false;
	return !alone(o) || !memcmp(o->m->fake.mem + addr, bytes, n);
}

static uint8_t digit(uint8_t c)
{
	return c > '9' ? c - 'a' + 10 : c - '0';
}

static bool check_mem_hex(const struct oracle *o, const char *args, struct packet reply)
{
	uint8_t *bytes = malloc(reply.n / 2 + 1);
	bool same = all_hex(reply, "");

	for (size_t i = 0; same && i < reply.n / 2; i++)
		bytes[i] = (uint8_t)(digit(reply.data[2 * i]) << 4 | digit(reply.data[2 * i + 1]));
	same = same && check_memory(o, args, bytes, reply.n / 2);
	free(bytes);
	return same;
}

static bool check_mem_binary(const struct oracle *o, const char *args, struct packet reply)
{
	return reply.n && reply.data[0] == 'b' && check_memory(o, args, reply.data + 1, reply.n - 1);
}

static bool check_thread(const struct oracle *o, const char *args, struct packet reply)
{
	(void)o;
	(void)args;
	return reply.n == 3 && !memcmp(reply.data, "QC", 2) && reply.data[2] > '0' && reply.data[2] <= '0' + FAKE_CPUS;
}

static bool check_threads(const struct oracle *o, const char *args, struct packet reply)
{
	(void)args;
	return !strcmp((char *)reply.data, o->state == ORACLE_IDLE ? "l" : "m1,2,3");
}

/* A piece: 'm' and more to come, 'l' and the last. */
static bool check_xfer(const struct oracle *o, const char *args, struct packet reply)
{
	const char *comma = strrchr(args, ',');

	(void)o;
	return reply.n && comma && (reply.data[0] == 'm' || reply.data[0] == 'l') &&
	       reply.n - 1 <= strtoull(comma + 1, NULL, 16);
}

static bool check_phys(const struct oracle *o, const char *args, struct packet reply)
{
	(void)args;
	return reply.n == 1 && reply.data[0] == (o->phys ? '1' : '0');
}

/* ---- the rules ---- */

/* GDB manual, "Packets" and "General Query Packets"; the first that fits counts. */
static const struct rule rules[] = {
	{"?", NOTHING, 0, "S", 0, NULL},
	{"!", NOTHING, 0, "O", 0, NULL},
	{"g", NOTHING, MACHINE | DATA, "D", 0, check_all_regs},
	{"G", ANYTHING, MACHINE, "OE", 0, NULL},
	{"p", ANYTHING, MACHINE, "DE", 0, check_reg},
	{"P", ANYTHING, MACHINE, "OE", 0, NULL},
	{"m", ANYTHING, MACHINE | DATA, "D-E", 0, check_mem_hex},
	{"x", ANYTHING, MACHINE | DATA, "DE", 0, check_mem_binary},
	{"M", ANYTHING, MACHINE, "OE", 0, NULL},
	{"X", ANYTHING, MACHINE, "OE", 0, NULL},
	{"H", ANYTHING, 0, "OE", 0, NULL},
	{"T", ANYTHING, MACHINE, "OE", 0, NULL},
	{"vCont?", NOTHING, 0, "D", 0, NULL},
	{"vCont", SEPARATED, MACHINE | RUNS, "RES", DEED_RESUME, NULL},
	{"c", ANYTHING, MACHINE | RUNS, "RES", DEED_RESUME, NULL},
	{"C", ANYTHING, MACHINE | RUNS, "RES", DEED_RESUME, NULL},
	{"s", ANYTHING, MACHINE | RUNS, "RES", DEED_RESUME, NULL},
	{"S", ANYTHING, MACHINE | RUNS, "RES", DEED_RESUME, NULL},
	{"Z", ANYTHING, MACHINE, "OE-", 0, NULL},
	{"z", ANYTHING, MACHINE, "OE-", 0, NULL},
	{"D", ANYTHING, MACHINE, "OE", DEED_DETACH, NULL},
	{"k", NOTHING, 0, "R", DEED_KILL, NULL},
	{"vKill", ANYTHING, MACHINE, "OE", DEED_KILL, NULL},
	{"vRun", SEPARATED, 0, "RE", DEED_RESTART, NULL},
	{"R", ANYTHING, 0, "-R", DEED_RESTART, NULL},
	{"vAttach", SEPARATED, 0, "RE", DEED_ATTACH, NULL},
	{"vCtrlC", NOTHING, MACHINE, "O", 0, NULL},
	{"qSupported", SEPARATED, 0, "D", 0, NULL},
	{"QStartNoAckMode", NOTHING, 0, "O", 0, NULL},
	{"qC", NOTHING, MACHINE, "D", 0, check_thread},
	{"qfThreadInfo", NOTHING, 0, "D", 0, check_threads},
	{"qsThreadInfo", NOTHING, 0, "D", 0, NULL},
	{"qThreadExtraInfo", SEPARATED, MACHINE, "DE", 0, check_hex},
	{"qAttached", SEPARATED, 0, "DE", 0, NULL},
	{"qSymbol", ANYTHING, 0, "OE", 0, NULL},
	{"qOffsets", NOTHING, 0, "D-", 0, NULL},
	{"qXfer:features:read", SEPARATED, 0, "DE", 0, check_xfer},
	{"qXfer:threads:read", SEPARATED, 0, "DE", 0, check_xfer},
	{"qXfer:memory-map:read", SEPARATED, 0, "DE", 0, check_xfer},
	{"QPassSignals", SEPARATED, 0, "OE", 0, NULL},
	{"QProgramSignals", SEPARATED, 0, "OE", 0, NULL},
	{"QNonStop", SEPARATED, 0, "OE", 0, NULL},
	{"QThreadEvents", SEPARATED, 0, "OE", 0, NULL},
	{"QCatchSyscalls", SEPARATED, 0, "OE", 0, NULL},
	{"QStartupWithShell", SEPARATED, 0, "OE", 0, NULL},
	{"QEnvironmentHexEncoded", SEPARATED, 0, "E", 0, NULL},
	{"QEnvironmentUnset", SEPARATED, 0, "OE", 0, NULL},
	{"QEnvironmentReset", NOTHING, 0, "O", 0, NULL},
	{"QSetWorkingDir", SEPARATED, 0, "OE", 0, NULL},
	{"qRcmd", SEPARATED, DATA, "DOE", 0, check_hex},
	{"qqemu.PhyMemMode", NOTHING, 0, "D", 0, check_phys},
	{"Qqemu.PhyMemMode", SEPARATED, 0, "OE", 0, NULL},
	{"qqemu.sstepbits", NOTHING, 0, "D", 0, NULL},
	{"Qqemu.sstepbits", NOTHING, 0, "D", 0, NULL},
	{"qqemu.sstep", NOTHING, 0, "D", 0, NULL},
	{"Qqemu.sstep=", ANYTHING, 0, "OE", 0, NULL},
	{"qSearch:memory", SEPARATED, MACHINE, "DE", 0, NULL},
	{"qCRC", SEPARATED, MACHINE, "DE", 0, NULL},
	{"qHostInfo", NOTHING, 0, "D", 0, NULL},
	{"qProcessInfo", NOTHING, 0, "D", 0, NULL},
	{"qRegisterInfo", ANYTHING, 0, "DE", 0, NULL},
	{"QEnableErrorStrings", NOTHING, 0, "O", 0, NULL},
	{"QListThreadsInStopReply", NOTHING, 0, "O", 0, NULL},
	{"QThreadSuffixSupported", NOTHING, 0, "O", 0, NULL},
};
static const struct rule unknown = {"", ANYTHING, 0, "-", 0, NULL};

static bool fits(const struct rule *r, const char *packet, size_t n)
{
	size_t len = strlen(r->name);

	if (n < len || memcmp(packet, r->name, len))
		return false;
	return r->follow == ANYTHING || n == len ||
	       (r->follow == SEPARATED && strchr(":,;", packet[len]) && packet[len]);
}

static const struct rule *find(const char *packet, size_t n)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (fits(&rules[i], packet, n))
			return &rules[i];
	}
	return &unknown;
}

/* ---- replies ---- */

bool rules_is_error(const struct oracle *o, struct packet p, bool data)
{
	size_t at = 3;

	if (p.n < 3 || p.data[0] != 'E')
		return false;
	if (p.data[1] == '.') {
		for (size_t i = 2; i < p.n; i++) {
			if (!isprint(p.data[i]))
				return false;
		}
		return o->error_text || (o->swbreak && !data);
	}
	if (!isdigit(p.data[1]) || !isdigit(p.data[2]) || o->error_text)
		return false;
	return o->error_hex ? p.n > at && p.data[at] == ';' : p.n == at;
}

bool rules_is_stop(const struct oracle *o, struct packet p)
{
	const struct gdb_stop *stop = &o->last;
	char want[24];

	switch (stop->kind) {
	case GDB_STOP_EXITED:
		snprintf(want, sizeof(want), "W%02x", (unsigned)stop->status & 0xff);
		return !strcmp((char *)p.data, want);
	case GDB_STOP_KILLED:
		snprintf(want, sizeof(want), "X%02x", (unsigned)stop->signo & 0xff);
		return !strcmp((char *)p.data, want);
	default:
		snprintf(want, sizeof(want), "T%02x",
			stop->kind == GDB_STOP_SIGNAL ? (unsigned)stop->signo : GDB_SIGNAL_TRAP);
		if (strncmp((char *)p.data, want, 3))
			return false;
		snprintf(want, sizeof(want), "thread:%x;", (unsigned)stop->cpu + 1);
		return strstr((char *)p.data, want) && p.data[p.n - 1] == ';';
	}
}

/* A resume that is not made, since a Ctrl-C came before it that no stop has answered. */
static bool is_late_break(struct oracle *o, struct packet p)
{
	struct gdb_stop before = o->last;

	o->last = (struct gdb_stop){.kind = GDB_STOP_SIGNAL, .cpu = before.cpu, .signo = GDB_SIGNAL_INT};
	if (o->interrupted && rules_is_stop(o, p)) {
		o->interrupted = false;
		return true;
	}
	o->last = before;
	return false;
}

/* One of the letters, or 0. */
static char letter(struct oracle *o, const struct rule *r, const char *args, struct packet p, const char *allowed)
{
	for (; *allowed; allowed++) {
		if ((*allowed == '-' && !p.n) || (*allowed == 'O' && !strcmp((char *)p.data, "OK")) ||
			(*allowed == 'E' && rules_is_error(o, p, r->flags & DATA)) ||
			(*allowed == 'S' && (r->flags & RUNS && o->state != ORACLE_IDLE ? is_late_break(o, p)
											: rules_is_stop(o, p))) ||
			(*allowed == 'D' && p.n && (!r->check || r->check(o, args, p))))
			return *allowed;
	}
	return 0;
}

/* ---- what a packet has done ---- */

static bool did(struct oracle *o, enum machine_deed deed)
{
	struct machine *m = o->m;

	if (!m->ndeeds || m->deed[0] != deed)
		return false;
	memmove(m->deed, m->deed + 1, --m->ndeeds * sizeof(m->deed[0]));
	return true;
}

static void becomes_idle(struct oracle *o, bool ended)
{
	o->last = ended ? (struct gdb_stop){.kind = GDB_STOP_KILLED, .signo = 9}
			: (struct gdb_stop){.kind = GDB_STOP_EXITED};
	o->ended = ended;
	o->resumed = o->interrupted = false;
	o->state = o->extended ? ORACLE_IDLE : ORACLE_GONE;
}

static void follow(struct oracle *o, const struct rule *r, enum machine_deed deed)
{
	switch (deed) {
	case DEED_RESUME:
		if (o->interrupted)
			oracle_complain(o, "a Ctrl-C is forgotten");
		o->state = ORACLE_RUNNING;
		o->resumed = true;
		break;
	case DEED_ATTACH:
		o->state = ORACLE_RUNNING;
		o->starting = true;
		break;
	case DEED_RESTART:
		o->starting = !strcmp(r->name, "vRun");
		o->state = o->starting ? ORACLE_RUNNING : ORACLE_ATTACHING;
		o->ended = o->resumed = o->interrupted = false;
		break;
	case DEED_DETACH:
		becomes_idle(o, false);
		break;
	case DEED_KILL:
		becomes_idle(o, true);
		break;
	default:
		break;
	}
}

/* `monitor` commands with an end. */
static void follow_monitor(struct oracle *o, const char *hex, size_t n)
{
	char line[24] = "", *text = line, *end;

	for (size_t i = 0; i + 1 < n && i / 2 < sizeof(line) - 1; i += 2)
		line[i / 2] = (char)strtoul((char[]){hex[i], hex[i + 1], 0}, NULL, 16);
	text += strspn(text, " \t\n\v\f\r");
	end = text + strlen(text);
	while (end > text && isspace((uint8_t)end[-1]))
		*--end = '\0';
	if (!strcmp(text, "reset") && did(o, DEED_RESTART)) {
		o->state = ORACLE_ATTACHING;
		o->ended = o->resumed = o->interrupted = false;
	} else if ((!strcmp(text, "quit") && did(o, DEED_KILL)) ||
		   (!strcmp(text, "poweroff") && did(o, DEED_POWEROFF))) {
		o->state = ORACLE_GONE;
	}
}

static bool feature(const char *packet, size_t n, const char *name)
{
	const char *at = packet + strlen("qSupported"), *end = packet + n, *semi;

	while (at < end) {
		at++;
		semi = memchr(at, ';', (size_t)(end - at));
		semi = semi ? semi : end;
		if ((size_t)(semi - at) == strlen(name) && !memcmp(at, name, strlen(name)))
			return true;
		at = semi;
	}
	return false;
}

/* What a packet that was taken switches. */
static void switches(struct oracle *o, const struct rule *r, const char *packet, size_t n)
{
	if (!strcmp(r->name, "qSupported")) {
		o->swbreak = feature(packet, n, "swbreak+");
		o->error_text = feature(packet, n, "error-message+");
		o->error_hex = o->suffix = false;
	} else if (!strcmp(r->name, "!")) {
		o->extended = true;
	} else if (!strcmp(r->name, "QEnableErrorStrings")) {
		o->error_hex = true;
	} else if (!strcmp(r->name, "QThreadSuffixSupported")) {
		o->suffix = true;
	} else if (!strcmp(r->name, "Qqemu.PhyMemMode")) {
		o->phys = packet[n - 1] == '1';
	}
}

/* Console output ahead of the reply: as much text as does not fit into it. */
static void take_console(struct oracle *o)
{
	struct packet p;

	while (oracle_peek(o, &p) && p.n > 1 && p.data[0] == 'O' && strcmp((char *)p.data, "OK")) {
		if (!all_hex((struct packet){p.data + 1, p.n - 1}, ""))
			oracle_complain(o, "console output that is no hex");
		oracle_take(o, "console output");
	}
}

/* True: it has no reply. */
static bool silent(struct oracle *o, const struct rule *r, bool idle)
{
	struct packet p;

	if (!strchr(r->replies, 'R') || (r->flags & MACHINE && idle))
		return false;
	if (r->deed == DEED_KILL)
		return idle || (did(o, DEED_KILL) && (follow(o, r, DEED_KILL), true));
	if (!strcmp(r->name, "R") && !o->extended)
		return false;
	if ((oracle_peek(o, &p) && strcmp(r->name, "R")) || !did(o, r->deed))
		return !strcmp(r->name, "R");
	follow(o, r, r->deed);
	return true;
}

/* lldb's ";thread:ID;" at the end of a register packet. */
static bool cut_suffix(const struct oracle *o, const char *packet, size_t *n)
{
	static const char mark[] = ";thread:";
	const char *at = *n && strchr("gGpP", packet[0]) ? memmem(packet, *n, mark, strlen(mark)) : NULL;

	if (!o->suffix || !at)
		return false;
	*n = (size_t)(at - packet);
	return true;
}

void rules_answer(struct oracle *o, const uint8_t *bytes, size_t n)
{
	const char *packet = (const char *)bytes;
	bool suffix = cut_suffix(o, packet, &n), idle = o->state == ORACLE_IDLE;
	const struct rule *r = find(packet, n);
	const char *args = packet + strlen(r->name), *allowed = r->replies;
	struct packet p;
	char got;

	if (!strcmp(r->name, "QStartNoAckMode")) {
		o->noack = true;
		packets_clear(&o->unacked);
	}
	if (!silent(o, r, idle)) {
		if (idle && r->flags & MACHINE)
			allowed = r->flags & RUNS && o->ended ? "S" : "E";
		if (!strcmp(r->name, "qRcmd"))
			take_console(o);
		if (!oracle_peek(o, &p))
			oracle_complain(o, "to \"%.100s\" there was no reply", packet);
		p = oracle_take(o, "a reply");
		got = letter(o, r, args + (r->follow == SEPARATED && *args), p, allowed);
		if (!got && suffix && rules_is_error(o, p, r->flags & DATA))
			got = 'E';
		if (!got)
			oracle_complain(o, "to \"%.100s\" the reply was \"%s\"", packet, o->reply);
		if ((got == '-' || got == 'E') && alone(o) && machine_changed(o->m))
			oracle_complain(o, "\"%.100s\" was refused, and yet did something", packet);
		if (got == 'O' && r->deed && !did(o, r->deed))
			oracle_complain(o, "\"%.100s\" was not done", packet);
		if (got == 'O')
			follow(o, r, r->deed);
		if (got == 'O' || got == 'D')
			switches(o, r, packet, n);
		if (!strcmp(r->name, "qRcmd") && got != 'E' && n > strlen("qRcmd,"))
			follow_monitor(o, packet + strlen("qRcmd,"), n - strlen("qRcmd,"));
	}
	o->m->written = false;
}

ORACLE_END
