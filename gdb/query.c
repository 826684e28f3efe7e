#include "gdb/session_impl.h"

#include <errno.h>
#include <string.h>

#include "gdb/tdesc.h"

#define NAME_MAX_LEN  64
#define EXTRA_MAX_LEN 256

/* ---- features ---- */

static void client_feature(struct gdb_client *client, struct gdb_cursor f)
{
	static const struct {
		const char *name;
		size_t offset;
	} known[] = {
		{"swbreak+", offsetof(struct gdb_client, swbreak)},
		{"hwbreak+", offsetof(struct gdb_client, hwbreak)},
		{"error-message+", offsetof(struct gdb_client, error_text)},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct gdb_cursor c = f;

		if (gdb_cursor_prefix(&c, known[i].name) && gdb_cursor_done(&c))
			*(bool *)((char *)client + known[i].offset) = true;
	}
}

bool gdb_cmd_supported(struct gdb_session *s, struct gdb_cursor *args)
{
	const uint8_t *p = args->p;

	s->client = (struct gdb_client){0};
	while (p < args->end) {
		const uint8_t *semi = memchr(p, ';', (size_t)(args->end - p));
		const uint8_t *end = semi ? semi : args->end;

		client_feature(&s->client, (struct gdb_cursor){p, end});
		p = semi ? semi + 1 : end;
	}
	gdb_buf_printf(&s->reply,
		"PacketSize=%x;QStartNoAckMode+;vContSupported+;binary-upload+;qXfer:features:read+;qXfer:threads:"
		"read+",
		(unsigned)GDB_PACKET_MAX);
	if (s->target.breaks)
		gdb_buf_puts(&s->reply, ";swbreak+;hwbreak+");
	/*
	 * A map that covers all is no news, but lldb looks in it for addresses that nobody uses and gives up on
	 * expressions when there are none. swbreak+ tells a gdb from it.
	 */
	if (s->target.phys && s->client.swbreak)
		gdb_buf_puts(&s->reply, ";qXfer:memory-map:read+");
	return true;
}

bool gdb_cmd_noack(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	/*
	 * The reply goes out the new way; the client's ack for it is skipped when it comes. Replies to packets that had
	 * waited with this one may still be held back for acks: they come first.
	 */
	gdb_link_settle(&s->link, s->out);
	s->link.noack = true;
	return gdb_reply_ok(s);
}

/* ---- threads ---- */

bool gdb_cmd_current_thread(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	gdb_buf_printf(&s->reply, "QC%x", (unsigned)s->g_cpu + 1);
	return true;
}

bool gdb_cmd_threads_first(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	for (int i = 0; i < gdb_session_cpus(s); i++)
		gdb_buf_printf(&s->reply, "%c%x", i ? ',' : 'm', (unsigned)i + 1);
	if (!gdb_session_cpus(s))
		gdb_buf_putc(&s->reply, 'l');
	return true;
}

bool gdb_cmd_threads_next(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	gdb_buf_putc(&s->reply, 'l');
	return true;
}

bool gdb_cmd_thread_extra(struct gdb_session *s, struct gdb_cursor *args)
{
	char name[NAME_MAX_LEN] = "", extra[EXTRA_MAX_LEN] = "";
	int id;

	if (!gdb_cursor_thread(args, &id) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "malformed thread id");
	if (id <= 0 || id > s->ncpus)
		return gdb_reply_error(s, -ESRCH, "no such CPU");
	s->target.base->cpu_name(s->target.t, id - 1, name, sizeof(name));
	s->target.base->cpu_extra(s->target.t, id - 1, extra, sizeof(extra));
	gdb_hex_put(&s->reply, name, strlen(name));
	if (name[0] && extra[0])
		gdb_hex_put(&s->reply, " ", 1);
	gdb_hex_put(&s->reply, extra, strlen(extra));
	return true;
}

/* ---- qXfer ---- */

bool gdb_xfer_parse(struct gdb_cursor *args, struct gdb_cursor *annex, uint64_t *off, uint64_t *len)
{
	const uint8_t *colon = memchr(args->p, ':', gdb_cursor_left(args));

	if (!colon)
		return false;
	*annex = (struct gdb_cursor){args->p, colon};
	args->p = colon + 1;
	return gdb_cursor_hex(args, off) && gdb_cursor_eat(args, ',') && gdb_cursor_hex(args, len) &&
	       gdb_cursor_done(args);
}

bool gdb_xfer_reply(struct gdb_session *s, const struct gdb_buf *doc, uint64_t off, uint64_t len)
{
	size_t left;

	if (doc->failed)
		return gdb_reply_error(s, -ENOMEM, NULL);
	if (off > doc->len)
		return gdb_reply_error(s, -EINVAL, "offset past the end");
	left = doc->len - (size_t)off;
	if (len > GDB_PACKET_MAX - 1)
		len = GDB_PACKET_MAX - 1;
	gdb_buf_putc(&s->reply, len < left ? 'm' : 'l');
	gdb_buf_put(&s->reply, doc->data + off, len < left ? (size_t)len : left);
	return true;
}

bool gdb_cmd_xfer_features(struct gdb_session *s, struct gdb_cursor *args)
{
	struct gdb_cursor annex;
	uint64_t off, len;

	if (!gdb_xfer_parse(args, &annex, &off, &len))
		return gdb_reply_error(s, -EINVAL, "malformed qXfer");
	if (!gdb_cursor_prefix(&annex, "target.xml") || !gdb_cursor_done(&annex))
		return gdb_reply_error(s, -ENOENT, "there is only target.xml");
	if (s->tdesc.failed)
		gdb_buf_reset(&s->tdesc);
	if (!s->tdesc.len)
		gdb_tdesc_build(s->target.arch, &s->tdesc);
	return gdb_xfer_reply(s, &s->tdesc, off, len);
}

static void build_threads(struct gdb_session *s, struct gdb_buf *doc)
{
	gdb_buf_puts(doc, "<?xml version=\"1.0\"?>\n<threads>\n");
	for (int i = 0; i < gdb_session_cpus(s); i++) {
		char name[NAME_MAX_LEN] = "", extra[EXTRA_MAX_LEN] = "";

		s->target.base->cpu_name(s->target.t, i, name, sizeof(name));
		s->target.base->cpu_extra(s->target.t, i, extra, sizeof(extra));
		gdb_buf_printf(doc, "<thread id=\"%x\" name=\"", (unsigned)i + 1);
		gdb_xml_text(doc, name);
		gdb_buf_puts(doc, "\">");
		gdb_xml_text(doc, extra);
		gdb_buf_puts(doc, "</thread>\n");
	}
	gdb_buf_puts(doc, "</threads>\n");
}

bool gdb_cmd_xfer_threads(struct gdb_session *s, struct gdb_cursor *args)
{
	struct gdb_buf doc = {0};
	struct gdb_cursor annex;
	uint64_t off, len;

	if (!gdb_xfer_parse(args, &annex, &off, &len) || !gdb_cursor_done(&annex))
		return gdb_reply_error(s, -EINVAL, "malformed qXfer");
	build_threads(s, &doc);
	gdb_xfer_reply(s, &doc, off, len);
	gdb_buf_free(&doc);
	return true;
}

/* ---- by what some gdb front ends know a stub of a whole system ---- */

bool gdb_cmd_phys_mode(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	gdb_buf_putc(&s->reply, s->phys_mode ? '1' : '0');
	return true;
}

bool gdb_cmd_set_phys_mode(struct gdb_session *s, struct gdb_cursor *args)
{
	bool on = gdb_cursor_eat(args, '1');

	if ((!on && !gdb_cursor_eat(args, '0')) || !gdb_cursor_done(args))
		return gdb_reply_error(s, -EINVAL, "0 or 1 wanted");
	s->phys_mode = on;
	return gdb_reply_ok(s);
}

/* Steps hold interrupts and timers off, always: that is all bits. */
#define STEP_FLAGS 7

bool gdb_cmd_step_bits(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	gdb_buf_puts(&s->reply, "ENABLE=1,NOIRQ=2,NOTIMER=4");
	return true;
}

bool gdb_cmd_step_flags(struct gdb_session *s, struct gdb_cursor *args)
{
	(void)args;
	gdb_buf_printf(&s->reply, "0x%x", STEP_FLAGS);
	return true;
}

bool gdb_cmd_set_step_flags(struct gdb_session *s, struct gdb_cursor *args)
{
	uint64_t flags;

	gdb_cursor_prefix(args, "0x");
	if (!gdb_cursor_hex(args, &flags) || !gdb_cursor_done(args) || flags != STEP_FLAGS)
		return gdb_reply_error(s, -EINVAL, "steps always hold interrupts off: only 7 is possible");
	return gdb_reply_ok(s);
}
