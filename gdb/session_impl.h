/*
 * The inside of a session, shared by session.c (states and bytes), commands.c
 * (the table), and the files of handlers: memory.c resume.c query.c stop.c
 * monitor*.c. Nobody else includes this.
 */
#ifndef GDB_SESSION_IMPL_H
#define GDB_SESSION_IMPL_H

#include "gdb/hex.h"
#include "gdb/packet.h"
#include "gdb/session.h"

enum gdb_state {
	GDB_ATTACHING,
	GDB_STOPPED,
	GDB_RUNNING,
	GDB_IDLE, /* there is a client, but no machine that it debugs: ended, killed or detached from */
	GDB_GONE,
};

/* What the client's qSupported announced. */
struct gdb_client {
	bool swbreak;
	bool hwbreak;
	bool error_text; /* takes E.text in place of Enn everywhere */
	/* lldb's */
	bool error_hex;	    /* takes Enn;text, the text in hex */
	bool list_threads;  /* wants all threads in a stop reply */
	bool thread_suffix; /* may put ";thread:ID;" at the end of g, G, p and P */
};

struct gdb_session {
	struct gdb_target target;
	int ncpus;
	enum gdb_state state;
	struct gdb_decoder dec;
	struct gdb_link link;

	/* Complete packets that wait for the stop: for each a size_t length and its bytes, from queue_head on. */
	struct gdb_buf queue;
	size_t queue_head;
	/* Bytes not looked at yet, because out is full. */
	struct gdb_buf inbox;

	/* Reconnects on a persistent line. */
	bool persistent;
	bool greeted;	     /* a qSupported was seen */
	bool since_greeting; /* and another packet after it */
	bool replaced;

	struct gdb_client client;
	int g_cpu;	/* Hg: registers and memory */
	int c_thread;	/* Hc: a thread id, GDB_THREAD_ALL or GDB_THREAD_ANY */
	bool phys_mode; /* Qqemu.PhyMemMode: memory packets take physical addresses */
	struct gdb_stop last_stop;
	bool extended;		    /* `!` was said */
	bool created;		    /* the machine was made by this client's run: gdb kills such when it quits */
	bool starting;		    /* RUNNING, for a run's or attach's first stop */
	bool ended;		    /* IDLE: there is no machine at all */
	bool resumed;		    /* since this client came, or the machine was made */
	bool interrupted;	    /* a Ctrl-C has not been answered by a stop of its own yet */
	struct gdb_action *actions; /* ncpus of them: scratch of the resume commands */

	/* While a command runs. */
	struct gdb_buf *out;
	struct gdb_buf reply; /* its payload */
	bool text_errors;     /* this command's client-side parser takes E.text from any gdb */

	struct gdb_buf tdesc;	     /* target.xml, made when first asked for */
	uint8_t mem[GDB_PACKET_MAX]; /* guest memory in transit */
};

/* ---- session.c ---- */

/* Sends s->reply as it is, or an error in its place where memory ran out. */
void gdb_session_send(struct gdb_session *s);
/* An O packet: text on the user's console. Valid while the client waits: RUNNING, or inside of qRcmd. */
void gdb_session_console(struct gdb_session *s, const char *text, size_t n);

/* ---- commands.c ---- */

/* Runs one packet; true: s->reply is to be sent (also when empty, which means "unknown"). STOPPED only. */
bool gdb_command_run(struct gdb_session *s, const uint8_t *packet, size_t n);

/*
 * Handlers of the table: args is what follows the name and its separator. The result is gdb_command_run()'s. These
 * make the whole reply and return true, to end a handler with.
 */
bool gdb_reply_ok(struct gdb_session *s);
bool gdb_reply_error(struct gdb_session *s, int err, const char *why); /* err: -errno; why: one line, or NULL */
/* cpu of a thread id from a packet: 0 and -1 mean the selected one. -ESRCH. */
int gdb_thread_cpu(const struct gdb_session *s, int id);

/* ---- memory.c: registers and memory ---- */

bool gdb_cmd_read_regs(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_write_regs(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_read_reg(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_write_reg(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_read_mem(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_read_mem_binary(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_write_mem(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_write_mem_binary(struct gdb_session *s, struct gdb_cursor *args);
/* As the selected CPU sees memory, or physical memory in that mode. As in gdb_base_ops. */
ssize_t gdb_mem_read(struct gdb_session *s, uint64_t addr, void *buf, size_t len);
const char *gdb_mem_error(const struct gdb_session *s, int err); /* what to say of it, or NULL */
/* One register as hex, x digits if it cannot be had: then -errno. */
int gdb_put_reg(struct gdb_session *s, struct gdb_buf *b, int cpu, unsigned reg);

/* ---- memory_query.c ---- */

bool gdb_cmd_search_mem(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_crc(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_xfer_memory_map(struct gdb_session *s, struct gdb_cursor *args);

/* ---- lldb.c ---- */

bool gdb_cmd_host_info(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_process_info(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_register_info(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_error_strings(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_list_threads(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_thread_suffix(struct gdb_session *s, struct gdb_cursor *args);
void gdb_put_thread_list(struct gdb_session *s, struct gdb_buf *b);
/*
 * The CPU that a register packet is about. A thread suffix is cut off if the client may send one. 0, -EINVAL or
 * -ESRCH.
 */
int gdb_take_thread_suffix(struct gdb_session *s, struct gdb_cursor *packet, int *cpu);

/* ---- resume.c ---- */

bool gdb_cmd_vcont(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_vcont_query(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_continue(struct gdb_session *s, struct gdb_cursor *args);	      /* c */
bool gdb_cmd_continue_signal(struct gdb_session *s, struct gdb_cursor *args); /* C */
bool gdb_cmd_step(struct gdb_session *s, struct gdb_cursor *args);	      /* s */
bool gdb_cmd_step_signal(struct gdb_session *s, struct gdb_cursor *args);     /* S */

/* ---- life.c: the machine's ends and beginnings ---- */

bool gdb_cmd_extended(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_run(struct gdb_session *s, struct gdb_cursor *args);     /* vRun */
bool gdb_cmd_restart(struct gdb_session *s, struct gdb_cursor *args); /* R */
bool gdb_cmd_attach(struct gdb_session *s, struct gdb_cursor *args);  /* vAttach */
bool gdb_cmd_detach(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_kill(struct gdb_session *s, struct gdb_cursor *args);  /* k */
bool gdb_cmd_vkill(struct gdb_session *s, struct gdb_cursor *args); /* vKill */
bool gdb_cmd_attached(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_interrupt(struct gdb_session *s, struct gdb_cursor *args); /* vCtrlC, of a machine that is stopped */
/* To a packet that needs a machine while there is none. */
bool gdb_reply_no_machine(struct gdb_session *s);
/* CPUs that there are to list: none while there is no machine. */
int gdb_session_cpus(const struct gdb_session *s);
/*
 * The machine restarts without a stop reply: R, `monitor reset`. Packets that follow wait for the new machine's first
 * instruction, so that a reply to this one may go out at once. 0, or -errno with nothing changed.
 */
int gdb_session_restart(struct gdb_session *s);

/* ---- settings.c: what gdb would set for a process, and a machine has not ---- */

bool gdb_cmd_pass_signals(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_program_signals(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_non_stop(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_thread_events(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_catch_syscalls(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_startup_shell(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_environment_set(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_environment_unset(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_working_dir(struct gdb_session *s, struct gdb_cursor *args);

/* ---- stop.c ---- */

void gdb_put_stop_reply(struct gdb_session *s, struct gdb_buf *b); /* of last_stop */
bool gdb_stop_is_end(const struct gdb_stop *stop);

/* ---- query.c ---- */

bool gdb_cmd_supported(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_noack(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_current_thread(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_threads_first(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_threads_next(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_thread_extra(struct gdb_session *s, struct gdb_cursor *args);
/* args: "ANNEX:OFFSET,LENGTH". False: malformed. */
bool gdb_xfer_parse(struct gdb_cursor *args, struct gdb_cursor *annex, uint64_t *off, uint64_t *len);
/* The piece of a document asked for: 'm' and more to come, 'l' and the last. */
bool gdb_xfer_reply(struct gdb_session *s, const struct gdb_buf *doc, uint64_t off, uint64_t len);
bool gdb_cmd_xfer_features(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_xfer_threads(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_phys_mode(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_set_phys_mode(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_step_bits(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_step_flags(struct gdb_session *s, struct gdb_cursor *args);
bool gdb_cmd_set_step_flags(struct gdb_session *s, struct gdb_cursor *args);

/* ---- monitor.c ---- */

bool gdb_cmd_monitor(struct gdb_session *s, struct gdb_cursor *args); /* qRcmd */

/* ---- kaslr.c ---- */

bool gdb_cmd_offsets(struct gdb_session *s, struct gdb_cursor *args);		      /* qOffsets */
void gdb_monitor_kaslr(struct gdb_session *s, const char *args, struct gdb_buf *out); /* monitor kaslr */

#endif
