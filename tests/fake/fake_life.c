#include "tests/fake/fake_life.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

struct fake_life {
	pthread_t thread;
	sem_t news;
	atomic_bool restart, spoilt;
	atomic_int ended; /* status, or -1 */
	atomic_uint lives;
	int status; /* of the very end */
	bool joined;
};

void fake_life_ring(struct fake_machine *m, bool restart)
{
	if (!m->life)
		return;
	if (restart)
		atomic_store(&m->life->restart, true);
	sem_post(&m->life->news);
}

void fake_exit(struct fake_machine *m, int status)
{
	int none = -1;

	if (m->life && !atomic_compare_exchange_strong(&m->life->ended, &none, status))
		return;
	vm_debug_exit(m->debug, status);
	fake_life_ring(m, false);
}

int fake_life_end_status(struct fake_machine *m)
{
	int status = atomic_load(&m->life->ended);

	return status < 0 ? 16 : status;
}

void fake_life_spoil(struct fake_machine *m)
{
	atomic_store(&m->life->spoilt, true);
}

unsigned fake_lives(struct fake_machine *m)
{
	return atomic_load(&m->life->lives);
}

static void leave(struct fake_machine *m)
{
	if (!m->life->joined)
		fake_join(m);
	m->life->joined = true;
	/* Whoever looks at what is gone reads this. */
	for (int i = 0; i < m->ncpus; i++)
		m->cpu[i].pc = 0xdead;
}

static void renew(struct fake_machine *m)
{
	struct fake_life *l = m->life;

	atomic_store(&l->restart, false);
	atomic_store(&l->ended, -1);
	if (m->delays)
		usleep(atomic_load(&l->lives) * 37 % 300);
	if (atomic_exchange(&l->spoilt, false)) {
		atomic_store(&l->ended, 4);
		vm_debug_stillborn(m->debug, 4);
		return;
	}
	fake_reset(m);
	vm_debug_reborn(m->debug);
	atomic_fetch_add(&l->lives, 1);
	l->joined = false;
	fake_start(m);
}

static void *life_thread(void *arg)
{
	struct fake_machine *m = arg;
	struct fake_life *l = m->life;
	bool over;

	fake_start(m);
	do {
		while (sem_wait(&l->news) && errno == EINTR)
			;
		over = vm_debug_over(m->debug, &l->status);
		if (over || atomic_load(&l->restart) || atomic_load(&l->ended) >= 0)
			leave(m);
		if (!over && atomic_load(&l->restart))
			renew(m);
	} while (!over);
	return NULL;
}

void fake_live(struct fake_machine *m)
{
	m->life = calloc(1, sizeof(*m->life));
	if (!m->life)
		abort();
	sem_init(&m->life->news, 0, 0);
	atomic_init(&m->life->ended, -1);
	atomic_init(&m->life->lives, 1);
	if (pthread_create(&m->life->thread, NULL, life_thread, m))
		abort();
}

int fake_live_end(struct fake_machine *m)
{
	int status;

	pthread_join(m->life->thread, NULL);
	status = m->life->status;
	sem_destroy(&m->life->news);
	free(m->life);
	m->life = NULL;
	fake_free(m);
	return status;
}
