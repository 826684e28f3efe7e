#include "vmm/signals.h"

#include <stddef.h>

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	(void)sig;
	caught = 1;
}

void signals_catch(const sigset_t *set)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(set, sig) == 1)
			sigaction(sig, &sa, NULL);
	pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

bool signals_caught(void)
{
	return caught;
}

void signals_ending(sigset_t *set)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa;

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		if (sigaction(ending[i], NULL, &sa) || sa.sa_handler != SIG_IGN)
			sigaddset(set, ending[i]);
}
