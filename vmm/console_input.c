/* From the host to the guest. */
#include "vmm/console_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void push_input_locked(struct console *c)
{
	while (c->in_at < c->in_len) {
		size_t taken;
		bool wanted;

		/* Before the offer: a want_input that comes during it counts. */
		pthread_mutex_lock(&c->lock);
		wanted = c->input_wanted;
		c->input_wanted = false;
		pthread_mutex_unlock(&c->lock);
		if (!wanted)
			return;
		taken = c->frontend.feed(c->frontend.ctx, c->in + c->in_at, c->in_len - c->in_at);
		c->in_at += taken;
		if (c->in_at < c->in_len)
			return;
	}
	/* Nobody has been turned away: what comes next may be offered at once. */
	c->in_at = c->in_len = 0;
	pthread_mutex_lock(&c->lock);
	c->input_wanted = true;
	pthread_mutex_unlock(&c->lock);
}

void console_push_input(struct console *c)
{
	pthread_mutex_lock(&c->frontend_lock);
	if (c->frontend.feed)
		push_input_locked(c);
	pthread_mutex_unlock(&c->frontend_lock);
}

/* On the terminal, not in the guest's output, which may go to a file. */
static void console_print_help(void)
{
	int fd = isatty(STDERR_FILENO) ? STDERR_FILENO : STDOUT_FILENO;

	if (isatty(fd) && write(fd, console_help, strlen(console_help)) < 0)
		return;
}

static void console_key(struct console *c, uint8_t byte)
{
	switch (console_escape_key(&c->escape, &byte)) {
	case KEY_DATA:
		if (c->in_len < INPUT_SIZE)
			c->in[c->in_len++] = byte;
		break;
	case KEY_QUIT:
		if (c->hooks.quit)
			c->hooks.quit(c->hooks.ctx);
		break;
	case KEY_BREAK:
		if (c->hooks.debug_break)
			c->hooks.debug_break(c->hooks.ctx);
		break;
	case KEY_HELP:
		console_print_help();
		break;
	case KEY_NONE:
		break;
	}
}

/* A terminal is read even when there is no room: the escape key has to work while the guest hangs. */
bool console_reads(const struct console *c)
{
	return c->in_fd >= 0 && (c->in_tty || c->in_len - c->in_at < INPUT_SIZE);
}

void console_read(struct console *c)
{
	uint8_t keys[CHUNK_SIZE] = {0};
	ssize_t n;

	if (c->in_at) {
		memmove(c->in, c->in + c->in_at, c->in_len - c->in_at);
		c->in_len -= c->in_at;
		c->in_at = 0;
	}
	if (c->in_tty)
		n = console_host_read(c, keys, sizeof(keys));
	else
		n = console_host_read(c, c->in + c->in_len, INPUT_SIZE - c->in_len);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		console_host_eof(c);
		return;
	}
	if (!c->in_tty)
		c->in_len += (size_t)n;
	else
		for (ssize_t i = 0; i < n; i++)
			console_key(c, keys[i]);
}
