#include "devices/pl031.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "devices/primecell.h"

#define PART	 0x031
#define REVISION 1

/* Register offsets: DDI 0224, table 3-1 */
#define REG_DR	 0x00
#define REG_MR	 0x04
#define REG_LR	 0x08
#define REG_CR	 0x0c
#define REG_IMSC 0x10
#define REG_RIS	 0x14
#define REG_MIS	 0x18
#define REG_ICR	 0x1c

#define CR_START  0x1
#define INT_ALARM 0x1

#define WRAP_S (1LL << 32) /* the counter is back at the same value */

struct pl031 {
	struct irq_line irq;
	pthread_t thread;
	bool thread_started;
	pthread_mutex_t lock; /* all that follows */
	pthread_cond_t changed;
	bool quit;
	int irq_level;
	int64_t offset; /* seconds the guest's clock is ahead of the host's */
	int64_t seen;	/* RIS stands for everything up to this second of the guest's clock */
	uint32_t match, load, imsc, ris;
};

/* The guest's clock; the counter is its low 32 bits. */
static int64_t pl031_now(const struct pl031 *rtc)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec + rtc->offset;
}

/* The first second after `seen` at which the counter matches. */
static int64_t pl031_next_match(const struct pl031 *rtc)
{
	uint32_t ahead = rtc->match - (uint32_t)rtc->seen;

	return rtc->seen + (ahead ? ahead : WRAP_S);
}

static void pl031_update_irq(struct pl031 *rtc)
{
	int level = (rtc->ris & rtc->imsc) != 0;

	if (level == rtc->irq_level)
		return;
	rtc->irq_level = level;
	irq_line_set(&rtc->irq, level);
}

/* Bring RIS and the line up to the present. */
static void pl031_update(struct pl031 *rtc)
{
	int64_t now = pl031_now(rtc);

	if (pl031_next_match(rtc) <= now)
		rtc->ris |= INT_ALARM;
	rtc->seen = now; /* backwards too, if that is what the host's clock did */
	pl031_update_irq(rtc);
}

/* The match or the clock was set: the comparator looks at once. */
static void pl031_compare(struct pl031 *rtc)
{
	rtc->seen = pl031_now(rtc);
	if ((uint32_t)rtc->seen == rtc->match)
		rtc->ris |= INT_ALARM;
	pl031_update_irq(rtc);
}

/* Sleeps until the alarm; for good while it is masked, or has come and is not cleared. */
static void *pl031_thread(void *arg)
{
	struct pl031 *rtc = arg;

	pthread_mutex_lock(&rtc->lock);
	while (!rtc->quit) {
		pl031_update(rtc);
		if ((rtc->imsc & INT_ALARM) && !rtc->irq_level) {
			struct timespec ts = {.tv_sec = pl031_next_match(rtc) - rtc->offset};

			pthread_cond_timedwait(&rtc->changed, &rtc->lock, &ts);
		} else {
			pthread_cond_wait(&rtc->changed, &rtc->lock);
		}
	}
	pthread_mutex_unlock(&rtc->lock);
	return NULL;
}

/* When the alarm is due may have changed. */
static void pl031_retime(struct pl031 *rtc)
{
	sigset_t all, old;

	if (rtc->thread_started) {
		pthread_cond_signal(&rtc->changed);
		return;
	}
	if (!(rtc->imsc & INT_ALARM))
		return;
	/* The process's signals belong to its other threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rtc->thread_started = !pthread_create(&rtc->thread, NULL, pl031_thread, rtc);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static uint32_t pl031_read_reg(void *ctx, uint64_t reg)
{
	struct pl031 *rtc = ctx;

	pl031_update(rtc);
	switch (reg) {
	case REG_DR:
		return (uint32_t)rtc->seen;
	case REG_MR:
		return rtc->match;
	case REG_LR:
		return rtc->load;
	case REG_CR:
		return CR_START;
	case REG_IMSC:
		return rtc->imsc;
	case REG_RIS:
		return rtc->ris;
	case REG_MIS:
		return rtc->ris & rtc->imsc;
	default:
		return reg >= PRIMECELL_IDS ? primecell_id(reg, PART, REVISION) : 0;
	}
}

static void pl031_write_reg(void *ctx, uint64_t reg, uint32_t value)
{
	struct pl031 *rtc = ctx;

	pl031_update(rtc); /* up to now the old settings count */
	switch (reg) {
	case REG_MR:
		rtc->match = value;
		pl031_compare(rtc);
		break;
	case REG_LR:
		rtc->load = value;
		/* Within the 32 bits the clock goes wherever the guest puts it. */
		rtc->offset += (int64_t)value - (int64_t)(uint32_t)rtc->seen;
		pl031_compare(rtc);
		break;
	case REG_IMSC:
		rtc->imsc = value & INT_ALARM;
		pl031_update_irq(rtc);
		break;
	case REG_ICR:
		rtc->ris &= ~value;
		pl031_update_irq(rtc);
		break;
	default:
		return; /* read-only, or CR: once started the clock cannot be stopped */
	}
	pl031_retime(rtc);
}

static uint64_t pl031_read(void *ctx, uint64_t off, unsigned size)
{
	struct pl031 *rtc = ctx;
	uint64_t value;

	pthread_mutex_lock(&rtc->lock);
	value = primecell_read(pl031_read_reg, rtc, off, size);
	pthread_mutex_unlock(&rtc->lock);
	return value;
}

static void pl031_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct pl031 *rtc = ctx;

	pthread_mutex_lock(&rtc->lock);
	primecell_write(pl031_write_reg, rtc, off, size, value);
	pthread_mutex_unlock(&rtc->lock);
}

static const struct bus_ops pl031_ops = {
	.read = pl031_read,
	.write = pl031_write,
};

struct pl031 *pl031_new(const struct irq_line *irq)
{
	struct pl031 *rtc = calloc(1, sizeof(*rtc));

	if (!rtc)
		return NULL;
	rtc->irq = *irq;
	pthread_mutex_init(&rtc->lock, NULL);
	pthread_cond_init(&rtc->changed, NULL); /* realtime: a step of the host's clock is one of the guest's */
	rtc->seen = pl031_now(rtc);
	return rtc;
}

int pl031_add(struct pl031 *rtc, struct bus *bus, uint64_t base)
{
	return bus_add(bus, "pl031", base, PL031_LEN, &pl031_ops, rtc);
}

void pl031_free(struct pl031 *rtc)
{
	if (!rtc)
		return;
	pthread_mutex_lock(&rtc->lock);
	rtc->quit = true;
	pthread_cond_signal(&rtc->changed);
	pthread_mutex_unlock(&rtc->lock);
	if (rtc->thread_started)
		pthread_join(rtc->thread, NULL);
	pthread_cond_destroy(&rtc->changed);
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}
