#include "vmm/signals.h"

#include <stddef.h>

void signals_ending(sigset_t *set)
{
	static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa;

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		if (sigaction(ending[i], NULL, &sa) || sa.sa_handler != SIG_IGN)
			sigaddset(set, ending[i]);
}
