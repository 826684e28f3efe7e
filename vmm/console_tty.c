#include "vmm/console_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/log.h"

#define KEY_ESCAPE 0x01 /* Ctrl-a */

const char console_help[] = "\r\n"
			    "Ctrl-a x       end the virtual machine\r\n"
			    "Ctrl-a b       break into the debugger\r\n"
			    "Ctrl-a Ctrl-a  send Ctrl-a to the guest\r\n"
			    "Ctrl-a h       this help\r\n";

/* Set up before the handlers that read it are installed; raw and retired are what they and the threads share. */
static struct {
	int fd; /* -1: no terminal */
	int doorbell;
	struct termios saved;
	atomic_bool raw;     /* we made it raw and have not restored it */
	atomic_bool stale;   /* somebody else may have set its modes since */
	atomic_bool retired; /* the process is on its way out: never raw again */
	struct sigaction old_tstp, old_cont;
} tty = {.fd = -1};

enum console_key console_escape_key(struct console_escape *e, uint8_t *byte)
{
	if (!e->armed) {
		e->armed = *byte == KEY_ESCAPE;
		return e->armed ? KEY_NONE : KEY_DATA;
	}
	e->armed = false;
	switch (*byte) {
	case KEY_ESCAPE:
		return KEY_DATA;
	case 'x':
	case 'X':
		return KEY_QUIT;
	case 'b':
	case 'B':
		return KEY_BREAK;
	case 'h':
	case 'H':
	case '?':
		return KEY_HELP;
	default:
		return KEY_NONE;
	}
}

/*
 * A terminal that is not our session's, or whose foreground group is outside our PID namespace, has no job control
 * for us: nobody else's turn to use it either.
 */
static bool tty_foreground(void)
{
	pid_t pgrp = tcgetpgrp(tty.fd);

	return pgrp <= 0 || pgrp == getpgrp();
}

/* Async-signal-safe. In the background the terminal is the shell's, which has its own modes on it by now. */
static void tty_restore(void)
{
	if (tty.fd >= 0 && atomic_exchange(&tty.raw, false) && tty_foreground())
		tcsetattr(tty.fd, TCSANOW, &tty.saved);
}

void console_restore_tty(void)
{
	atomic_store(&tty.retired, true);
	tty_restore();
}

static void tty_on_stop(int sig)
{
	int saved_errno = errno;

	(void)sig;
	tty_restore();
	kill(getpid(), SIGSTOP);
	errno = saved_errno;
}

/* Whatever stopped us, the shell has had the terminal since: the thread makes it raw again if it is ours now. */
static void tty_on_cont(int sig)
{
	int saved_errno = errno;
	uint64_t one = 1;

	(void)sig;
	atomic_store(&tty.stale, true);
	if (write(tty.doorbell, &one, sizeof(one)) < 0)
		errno = 0; /* its counter is full: it rings anyway */
	errno = saved_errno;
}

bool console_tty_refresh(void)
{
	struct termios t;

	if (tty.fd < 0)
		return true;
	if (!tty_foreground())
		return false;
	if (atomic_load(&tty.retired) || (!atomic_exchange(&tty.stale, false) && atomic_load(&tty.raw)))
		return true;
	t = tty.saved;
	cfmakeraw(&t);
	/* Output stays as it was: guests without a terminal driver of their own end lines with a mere \n. */
	t.c_oflag = tty.saved.c_oflag;
	/* The flag first: a signal between the two restores once too often rather than not at all. */
	atomic_store(&tty.raw, true);
	tcsetattr(tty.fd, TCSANOW, &t);
	if (atomic_load(&tty.retired))
		tty_restore();
	log_set_raw_tty(true);
	return true;
}

void console_tty_open(int fd, int doorbell)
{
	struct sigaction stop = {.sa_handler = tty_on_stop, .sa_flags = SA_RESTART};
	struct sigaction cont = {.sa_handler = tty_on_cont, .sa_flags = SA_RESTART};

	if (tcgetattr(fd, &tty.saved))
		return;
	tty.fd = fd;
	tty.doorbell = doorbell;
	atomic_store(&tty.raw, false);
	atomic_store(&tty.stale, false);
	atomic_store(&tty.retired, false);
	sigemptyset(&stop.sa_mask);
	sigemptyset(&cont.sa_mask);
	sigaction(SIGCONT, &cont, &tty.old_cont);
	sigaction(SIGTSTP, NULL, &tty.old_tstp);
	if (tty.old_tstp.sa_handler != SIG_IGN)
		sigaction(SIGTSTP, &stop, NULL);
}

void console_tty_close(void)
{
	if (tty.fd < 0)
		return;
	sigaction(SIGTSTP, &tty.old_tstp, NULL);
	sigaction(SIGCONT, &tty.old_cont, NULL);
	tty_restore();
	log_set_raw_tty(false);
	tty.fd = -1;
}
