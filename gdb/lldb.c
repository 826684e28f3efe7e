/*
 * What lldb asks beyond gdb's protocol ("LLDB Platform and GDB remote packets" in LLVM's documentation), as far as a
 * machine has an answer. What is not here has the empty reply, and lldb does without.
 */
#include "gdb/session_impl.h"

#include <errno.h>
#include <string.h>

/*
 * The ISA alone, in LLVM's words, which are ours too: any vendor and system that was named here would have to be the
 * one of the user's file. Both ISAs are little-endian and of 64 bits.
 */
static void put_triple(struct gdb_session *s)
{
	gdb_buf_puts(&s->reply, "triple:");
	gdb_hex_put(&s->reply, s->target.arch->name, strlen(s->target.arch->name));
	gdb_buf_puts(&s->reply, ";endian:little;ptrsize:8;");
}

bool gdb_cmd_host_info(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	put_triple(s);
	return true;
}

/* The machine is process 1, as for `D;1` and `vKill;1`: the pid of minivmm is the host's business. */
bool gdb_cmd_process_info(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	gdb_buf_puts(&s->reply, "pid:1;");
	put_triple(s);
	return true;
}

/*
 * One register, for an lldb that was built without the library that reads target.xml. Only names and places: what a
 * register is for lldb knows by its name. The error after the last one ends the list.
 */
bool gdb_cmd_register_info(struct gdb_session *s, struct gdb_cursor *args)
{
	const struct arch_desc *arch = s->target.arch;
	const struct reg_desc *reg;
	uint64_t number;
	size_t offset = 0;
	bool vector;

	if (!gdb_cursor_hex(args, &number) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed register number");
	/* A client asks until there is no more: what an absent one hides from it, target.xml has. */
	if (!arch_desc_has(arch, number))
		return gdb_reply_error(s, -ENOENT, "no such register");
	for (size_t i = 0; i < number; i++)
		offset += arch->regs[i].size;
	reg = &arch->regs[number];
	vector = reg->size > sizeof(uint64_t);
	gdb_buf_printf(&s->reply, "name:%s;bitsize:%u;offset:%zu;encoding:%s;format:%s;set:%s;", reg->name,
		reg->size * 8u, offset, vector ? "vector" : "uint", vector ? "vector-uint8" : "hex",
		reg->group ? reg->group : "general");
	return true;
}

/* ---- what it switches on ---- */

bool gdb_cmd_error_strings(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	s->client.error_hex = true;
	return gdb_reply_ok(s);
}

bool gdb_cmd_list_threads(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	s->client.list_threads = true;
	return gdb_reply_ok(s);
}

bool gdb_cmd_thread_suffix(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	s->client.thread_suffix = true;
	return gdb_reply_ok(s);
}

/* A stop reply's list of all threads, and where they are. */
void gdb_put_thread_list(struct gdb_session *s, struct gdb_buf *b)
{
	const struct arch_desc *arch = s->target.arch;

	gdb_buf_puts(b, "threads");
	for (int i = 0; i < s->ncpus; i++)
		gdb_buf_printf(b, "%c%x", i ? ',' : ':', (unsigned)i + 1);
	gdb_buf_puts(b, ";thread-pcs");
	for (int i = 0; i < s->ncpus; i++) {
		uint8_t value[REG_SIZE_MAX] = {0};
		uint64_t pc = 0;

		/* A CPU that is gone has none; lldb wants as many numbers as threads. */
		if (s->target.base->reg_read(s->target.t, i, arch->pc, value, arch->regs[arch->pc].size) >= 0) {
			for (size_t k = sizeof(pc); k-- > 0;)
				pc = pc << 8 | value[k];
		}
		gdb_buf_printf(b, "%c%llx", i ? ',' : ':', (unsigned long long)pc);
	}
	gdb_buf_putc(b, ';');
}

int gdb_take_thread_suffix(struct gdb_session *s, struct gdb_cursor *packet, int *cpu)
{
	static const char mark[] = ";thread:", commands[] = "gGpP";
	const uint8_t *at;
	struct gdb_cursor c;
	int id;

	*cpu = s->g_cpu;
	if (!s->client.thread_suffix || gdb_cursor_done(packet) || !memchr(commands, *packet->p, sizeof(commands) - 1))
		return 0;
	at = memmem(packet->p, gdb_cursor_left(packet), mark, sizeof(mark) - 1);
	if (!at)
		return 0;
	c = (struct gdb_cursor){at + sizeof(mark) - 1, packet->end};
	if (!gdb_cursor_thread(&c, &id))
		return -EINVAL;
	gdb_cursor_eat(&c, ';');
	if (!gdb_cursor_done(&c))
		return -EINVAL;
	*cpu = id > 0 ? gdb_thread_cpu(s, id) : -ESRCH;
	if (*cpu < 0)
		return *cpu;
	packet->end = at;
	return 0;
}
