/* One case's process, from its side of the parent: what it says, and what its end means. */
#include "vmm/job_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/exit_status.h"
#include "vmm/log.h"

static void keep(struct job_child *child, const char *text, size_t len)
{
	size_t at = child->said % MESSAGES_MAX, first = MESSAGES_MAX - at;

	if (first > len)
		first = len;
	memcpy(child->messages + at, text, first);
	memcpy(child->messages, text + first, len - first);
	child->said += len;
}

/* At most what a pipe holds at once: one that floods its line does not keep the parent from the others. */
void job_child_read(struct job_child *child)
{
	char buf[65536];
	ssize_t n;

	do
		n = read(child->fd, buf, sizeof(buf));
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		keep(child, buf, (size_t)n);
		if (child->live)
			log_bytes(buf, (size_t)n);
	} else if (!n || errno != EAGAIN) {
		close(child->fd);
		child->fd = -1;
	}
}

char *job_child_messages(const struct job_child *child, size_t *len)
{
	size_t n = child->said < MESSAGES_MAX ? (size_t)child->said : MESSAGES_MAX;
	size_t at = (size_t)((child->said - n) % MESSAGES_MAX), first = MESSAGES_MAX - at;
	char *text = malloc(n + 1);

	*len = 0;
	if (!text)
		return NULL;
	if (first > n)
		first = n;
	memcpy(text, child->messages + at, first);
	memcpy(text + first, child->messages, n - first);
	text[n] = '\0';
	*len = n;
	return text;
}

/* A child that went wrong may have written anything: what others take for text ends, counts are within bounds. */
static void make_sane(struct result *r, const struct job_case *c)
{
	snprintf(r->name, sizeof(r->name), "%s", c->name);
	r->reason[sizeof(r->reason) - 1] = '\0';
	if ((unsigned)r->kind >= RESULT_KINDS)
		r->kind = RESULT_NONE;
	if (r->ngoals > RESULT_GOALS_MAX)
		r->ngoals = 0;
	for (size_t i = 0; i < r->ngoals; i++) {
		struct result_goal *g = &r->goal[i];

		g->text[sizeof(g->text) - 1] = '\0';
		g->option[sizeof(g->option) - 1] = '\0';
		g->action[sizeof(g->action) - 1] = '\0';
	}
	if (r->text_len > RESULT_TEXT_MAX)
		r->text_len = 0;
	if (r->serial_len > RESULT_SERIAL_MAX)
		r->serial_len = 0;
}

/* What the parent, or the terminal, ends a case with. */
static bool ends_by_user(int sig)
{
	return sig == SIGTERM || sig == SIGKILL || sig == SIGINT || sig == SIGHUP;
}

void job_judge(struct result *r, const struct job_case *c, int wait_status, bool cancelled)
{
	char reason[RESULT_REASON_MAX];
	int sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
	int status = sig ? STATUS_HOST : WEXITSTATUS(wait_status);

	make_sane(r, c);
	if (!sig && r->kind != RESULT_NONE)
		return;
	if (cancelled && (!sig || ends_by_user(sig))) {
		r->kind = RESULT_ENDED;
		r->status = STATUS_ENDED;
		snprintf(r->reason, sizeof(r->reason), "the job was ended by its user");
		return;
	}
	/* Died: whatever it had found out, it did not live to stand by it. */
	if (sig)
		snprintf(reason, sizeof(reason), "minivmm itself died of signal %d (%s)", sig, strsignal(sig));
	else
		snprintf(reason, sizeof(reason), "it ended with status %d, without a verdict", status);
	r->kind = RESULT_ERROR;
	r->status = status ? status : STATUS_HOST;
	memcpy(r->reason, reason, sizeof(reason));
}
