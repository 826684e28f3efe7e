#include "vmm/remains.h"

#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/sandbox.h"

#define CHUNK_SIZE ((uint64_t)4 << 20)

/* In one piece, gigabytes of pages would keep the next machine from mapping anything meanwhile. */
static void discard(const struct mem_range *r)
{
	for (uint64_t at = 0; r->host && at < r->size; at += CHUNK_SIZE)
		madvise(r->host + at, r->size - at < CHUNK_SIZE ? r->size - at : CHUNK_SIZE, MADV_DONTNEED);
}

static void give_back(struct remains *r)
{
	/* The VM first: then nobody has to be told of each page that goes. */
	close(r->vm_fd);
	for (int i = 0; i < r->mem.n; i++)
		discard(&r->mem.range[i]);
	memory_free(&r->mem);
}

static void *remains_thread(void *arg)
{
	pthread_setname_np(pthread_self(), "remains");
	sandbox_thread(SANDBOX_REMAINS);
	give_back(arg);
	return NULL;
}

void remains_wait(struct remains *r)
{
	if (r->busy)
		pthread_join(r->thread, NULL);
	else if (r->any)
		give_back(r);
	r->any = r->busy = false;
}

void remains_take(struct remains *r, int vm_fd, struct guest_memory *mem)
{
	remains_wait(r);
	r->any = true;
	r->vm_fd = vm_fd;
	r->mem = *mem;
	for (int i = 0; i < mem->n; i++)
		mem->range[i].host = NULL;
}

void remains_give_back(struct remains *r)
{
	sigset_t all, old;

	if (!r->any || r->busy)
		return;
	/* Signals are for other threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r->busy = pthread_create(&r->thread, NULL, remains_thread, r) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!r->busy)
		remains_wait(r);
}
