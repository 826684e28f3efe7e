#include "devices/cmos.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "devices/calendar.h"

#define NS_PER_S    1000000000LL
#define YEAR_0_S    (-62167219200LL) /* the first second of year 0, since 1970 */
#define YEAR_9999_S 253402300799LL   /* the last of year 9999 */
#define UIP_NS	    244000	     /* data sheet: UIP is up at least 244 us before the update */

#define REG_SECONDS	  0x00
#define REG_SECONDS_ALARM 0x01
#define REG_MINUTES	  0x02
#define REG_MINUTES_ALARM 0x03
#define REG_HOURS	  0x04
#define REG_HOURS_ALARM	  0x05
#define REG_WEEKDAY	  0x06
#define REG_DAY		  0x07
#define REG_MONTH	  0x08
#define REG_YEAR	  0x09
#define REG_A		  0x0a
#define REG_B		  0x0b
#define REG_C		  0x0c
#define REG_D		  0x0d
#define REG_CENTURY	  0x32
#define CMOS_SIZE	  128

#define A_UIP	      0x80
#define A_RATE	      0x0f
#define A_DEFAULT     0x26 /* 32.768 kHz crystal, 1024 Hz periodic rate */
#define B_SET	      0x80
#define B_BINARY      0x04
#define B_24H	      0x02
#define FLAG_PERIODIC 0x40 /* the same bits enable in B and flag in C */
#define FLAG_ALARM    0x20
#define FLAG_UPDATE   0x10
#define FLAGS	      (FLAG_PERIODIC | FLAG_ALARM | FLAG_UPDATE)
#define C_IRQF	      0x80
#define D_VALID	      0x80
#define HOURS_PM      0x80
#define ALARM_ANY     0xc0 /* an alarm byte from here up matches everything */

/* A point of the guest's time: whole seconds since 1970 (any year that four BCD digits spell) and 0 <= ns < 1 s. */
struct moment {
	int64_t s;
	int64_t ns;
};

struct cmos {
	bool has_irq, thread_started;
	struct irq_line irq;
	pthread_t thread;
	pthread_mutex_t lock; /* all that follows */
	pthread_cond_t changed;
	bool quit;
	int irq_level;
	uint8_t index;
	uint8_t ram[CMOS_SIZE]; /* the time's bytes are live only while B_SET stops the clock */
	int64_t offset;		/* seconds the guest's clock is ahead of the host's */
	struct moment seen;	/* register C's flags stand for everything up to then */
};

static bool cmos_is_time(unsigned reg)
{
	return reg == REG_SECONDS || reg == REG_MINUTES ||
	       (reg >= REG_HOURS && reg <= REG_YEAR && reg != REG_HOURS_ALARM) || reg == REG_CENTURY;
}

/* ---- formats ---- */

static uint8_t cmos_encode(const struct cmos *c, int value)
{
	return (uint8_t)(c->ram[REG_B] & B_BINARY ? value : (value / 10 % 10) << 4 | value % 10);
}

static int cmos_decode(const struct cmos *c, uint8_t byte)
{
	return c->ram[REG_B] & B_BINARY ? byte : (byte >> 4) * 10 + (byte & 0x0f);
}

static uint8_t cmos_encode_hours(const struct cmos *c, int hours)
{
	if (c->ram[REG_B] & B_24H)
		return cmos_encode(c, hours);
	return (uint8_t)(cmos_encode(c, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? HOURS_PM : 0));
}

static int cmos_decode_hours(const struct cmos *c, uint8_t byte)
{
	if (c->ram[REG_B] & B_24H)
		return cmos_decode(c, byte);
	return cmos_decode(c, byte & (uint8_t)~HOURS_PM) % 12 + (byte & HOURS_PM ? 12 : 0);
}

/* ---- the clock ---- */

static struct moment cmos_now(const struct cmos *c)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (struct moment){.s = ts.tv_sec + c->offset, .ns = ts.tv_nsec};
}

static void cmos_latch_time(struct cmos *c)
{
	int64_t now = cmos_now(c).s;
	/* Rounded down, also before 1970. */
	int64_t days = now / CALENDAR_DAY_S - (now % CALENDAR_DAY_S < 0);
	int rest = (int)(now - days * CALENDAR_DAY_S), year, month, day;

	calendar_from_days(days, &year, &month, &day);
	c->ram[REG_SECONDS] = cmos_encode(c, rest % 60);
	c->ram[REG_MINUTES] = cmos_encode(c, rest / 60 % 60);
	c->ram[REG_HOURS] = cmos_encode_hours(c, rest / 3600);
	c->ram[REG_WEEKDAY] = cmos_encode(c, calendar_weekday(days) + 1);
	c->ram[REG_DAY] = cmos_encode(c, day);
	c->ram[REG_MONTH] = cmos_encode(c, month);
	c->ram[REG_YEAR] = cmos_encode(c, year % 100);
	c->ram[REG_CENTURY] = cmos_encode(c, year / 100);
}

/*
 * The time's bytes become the clock. Nonsense is carried over (minute 99 is an hour and 39 minutes), within the years
 * that the bytes can spell.
 */
static void cmos_set_time(struct cmos *c)
{
	int year = cmos_decode(c, c->ram[REG_CENTURY]) * 100 + cmos_decode(c, c->ram[REG_YEAR]);
	int64_t days = calendar_to_days(year, cmos_decode(c, c->ram[REG_MONTH]), cmos_decode(c, c->ram[REG_DAY]));
	int64_t s = days * CALENDAR_DAY_S + cmos_decode_hours(c, c->ram[REG_HOURS]) * 3600 +
		    cmos_decode(c, c->ram[REG_MINUTES]) * 60 + cmos_decode(c, c->ram[REG_SECONDS]);

	s = s < YEAR_0_S ? YEAR_0_S : s > YEAR_9999_S ? YEAR_9999_S : s;
	c->offset = 0;
	c->offset = s - cmos_now(c).s;
	c->seen = cmos_now(c);
}

/* ---- flags and interrupts ---- */

/* Hz of the periodic flag, 0: off. Rates 1 and 2 are the odd ones (data sheet, table 5). */
static int64_t cmos_rate(const struct cmos *c)
{
	unsigned rate = c->ram[REG_A] & A_RATE;

	if (!rate)
		return 0;
	return 32768 >> (rate <= 2 ? rate + 6 : rate - 1);
}

static int64_t cmos_ticks(struct moment at, int64_t rate)
{
	return at.s * rate + at.ns * rate / NS_PER_S;
}

/* The first second after `after` that matches the alarm. false: none ever does. */
static bool cmos_next_alarm(const struct cmos *c, int64_t after, int64_t *next)
{
	uint8_t s = c->ram[REG_SECONDS_ALARM], m = c->ram[REG_MINUTES_ALARM], h = c->ram[REG_HOURS_ALARM];
	int sec = s >= ALARM_ANY ? -1 : cmos_decode(c, s);
	int min = m >= ALARM_ANY ? -1 : cmos_decode(c, m);
	int hour = h >= ALARM_ANY ? -1 : cmos_decode_hours(c, h);

	for (int64_t t = after + 1; t <= after + CALENDAR_DAY_S; t++) {
		int of_day = (int)((t % CALENDAR_DAY_S + CALENDAR_DAY_S) % CALENDAR_DAY_S);

		if ((sec < 0 || of_day % 60 == sec) && (min < 0 || of_day / 60 % 60 == min) &&
			(hour < 0 || of_day / 3600 == hour)) {
			*next = t;
			return true;
		}
	}
	return false;
}

/* Bring register C's flags and the line up to the present. */
static void cmos_update(struct cmos *c)
{
	struct moment now = cmos_now(c), then = c->seen;
	int64_t rate = cmos_rate(c);
	int level;

	c->seen = now;
	if (rate && cmos_ticks(now, rate) > cmos_ticks(then, rate))
		c->ram[REG_C] |= FLAG_PERIODIC;
	if (!(c->ram[REG_B] & B_SET) && now.s > then.s) {
		c->ram[REG_C] |= FLAG_UPDATE;
		if (!(c->ram[REG_C] & FLAG_ALARM)) {
			int64_t alarm;

			if (cmos_next_alarm(c, then.s, &alarm) && alarm <= now.s)
				c->ram[REG_C] |= FLAG_ALARM;
		}
	}
	level = (c->ram[REG_B] & c->ram[REG_C] & FLAGS) != 0;
	if (c->has_irq && level != c->irq_level)
		irq_line_set(&c->irq, level);
	c->irq_level = level;
}

/* When the next enabled interrupt is due; false: none. */
static bool cmos_next_event(const struct cmos *c, struct moment *next)
{
	uint8_t enabled = c->ram[REG_B] & FLAGS;
	int64_t rate = cmos_rate(c), tick;
	bool any = false;

	/* While the line is up a further cause changes nothing that a guest sees before it reads C. */
	if (c->irq_level)
		return false;
	next->ns = 0;
	if (!(c->ram[REG_B] & B_SET)) {
		if (enabled & FLAG_UPDATE) {
			next->s = c->seen.s + 1;
			any = true;
		} else if (enabled & FLAG_ALARM) {
			any = cmos_next_alarm(c, c->seen.s, &next->s);
		}
	}
	if (!(enabled & FLAG_PERIODIC) || !rate)
		return any;
	/* The tick after the last one, counted within its second so that a negative year works too. */
	tick = c->seen.ns * rate / NS_PER_S + 1;
	if (tick < rate || !any || next->s > c->seen.s + 1) {
		next->s = c->seen.s + tick / rate;
		next->ns = (tick % rate * NS_PER_S + rate - 1) / rate;
	}
	return true;
}

/* Sleeps until the next interrupt that is enabled; for good when none is. */
static void *cmos_thread(void *arg)
{
	struct cmos *c = arg;
	struct moment next;

	pthread_mutex_lock(&c->lock);
	while (!c->quit) {
		cmos_update(c);
		if (cmos_next_event(c, &next)) {
			struct timespec ts = {.tv_sec = next.s - c->offset, .tv_nsec = next.ns};

			pthread_cond_timedwait(&c->changed, &c->lock, &ts);
		} else {
			pthread_cond_wait(&c->changed, &c->lock);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Some interrupt was enabled, or what is enabled changed. */
static void cmos_retime(struct cmos *c)
{
	sigset_t all, old;

	if (!c->has_irq)
		return;
	if (c->thread_started) {
		pthread_cond_signal(&c->changed);
		return;
	}
	if (!(c->ram[REG_B] & FLAGS))
		return;
	/* The process's signals belong to its other threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	c->thread_started = !pthread_create(&c->thread, NULL, cmos_thread, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- ports ---- */

static uint8_t cmos_read_reg(struct cmos *c, unsigned reg)
{
	uint8_t value;

	if (cmos_is_time(reg) && !(c->ram[REG_B] & B_SET))
		cmos_latch_time(c);
	switch (reg) {
	case REG_A:
		if (c->ram[REG_B] & B_SET)
			return c->ram[REG_A];
		return c->ram[REG_A] | (cmos_now(c).ns >= NS_PER_S - UIP_NS ? A_UIP : 0);
	case REG_C:
		cmos_update(c);
		value = c->ram[REG_C] | (c->irq_level ? C_IRQF : 0);
		c->ram[REG_C] = 0;
		cmos_update(c);
		cmos_retime(c);
		return value;
	default:
		return c->ram[reg];
	}
}

static void cmos_write_b(struct cmos *c, uint8_t value)
{
	uint8_t changed = c->ram[REG_B] ^ value;

	/* Bytes are in the old format when the clock stops, and were written in the new one when it starts. */
	if ((changed & B_SET) && (value & B_SET)) {
		cmos_latch_time(c);
		value &= (uint8_t)~FLAG_UPDATE; /* data sheet: SET clears UIE */
	}
	cmos_update(c);
	c->ram[REG_B] = value;
	if ((changed & B_SET) && !(value & B_SET))
		cmos_set_time(c);
	cmos_update(c);
	cmos_retime(c);
}

static void cmos_write_reg(struct cmos *c, unsigned reg, uint8_t value)
{
	switch (reg) {
	case REG_A:
		cmos_update(c);
		c->ram[REG_A] = value & (uint8_t)~A_UIP;
		cmos_retime(c);
		return;
	case REG_B:
		cmos_write_b(c, value);
		return;
	case REG_C:
	case REG_D:
		return; /* read-only */
	case REG_SECONDS_ALARM:
	case REG_MINUTES_ALARM:
	case REG_HOURS_ALARM:
		cmos_update(c); /* up to now the old alarm counts */
		c->ram[reg] = value;
		cmos_retime(c);
		return;
	}
	if (!cmos_is_time(reg) || (c->ram[REG_B] & B_SET)) {
		c->ram[reg] = value;
	} else {
		cmos_latch_time(c);
		c->ram[reg] = value;
		if (reg != REG_WEEKDAY) /* follows from the date */
			cmos_set_time(c);
		cmos_retime(c);
	}
}

static uint64_t cmos_read(void *ctx, uint64_t off, unsigned size)
{
	struct cmos *c = ctx;
	uint8_t value;

	(void)size;
	if (off == 0)
		return 0xff; /* the index is write-only */
	pthread_mutex_lock(&c->lock);
	value = cmos_read_reg(c, c->index);
	pthread_mutex_unlock(&c->lock);
	return value;
}

static void cmos_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct cmos *c = ctx;

	(void)size;
	pthread_mutex_lock(&c->lock);
	if (off == 0)
		c->index = value & (CMOS_SIZE - 1);
	else
		cmos_write_reg(c, c->index, (uint8_t)value);
	pthread_mutex_unlock(&c->lock);
}

static const struct bus_ops cmos_ops = {
	.read = cmos_read,
	.write = cmos_write,
	.byte_wide = true,
};

/* ---- life ---- */

struct cmos *cmos_new(const struct irq_line *irq)
{
	struct cmos *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (irq) {
		c->irq = *irq;
		c->has_irq = true;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL); /* realtime: a step of the host's clock is one of the guest's */
	c->ram[REG_A] = A_DEFAULT;
	c->ram[REG_B] = B_24H;
	c->ram[REG_D] = D_VALID;
	c->ram[0x14] = 0x02; /* equipment: a floating-point unit, no display or drives */
	c->seen = cmos_now(c);
	return c;
}

static void cmos_put16(struct cmos *c, unsigned reg, uint64_t value)
{
	value = value > 0xffff ? 0xffff : value;
	c->ram[reg] = (uint8_t)value;
	c->ram[reg + 1] = (uint8_t)(value >> 8);
}

void cmos_set_memory(struct cmos *c, uint64_t below4g, uint64_t above4g)
{
	uint64_t base = below4g < 640 << 10 ? below4g : 640 << 10;
	uint64_t over1m = below4g > 1 << 20 ? below4g - (1 << 20) : 0;
	uint64_t over16m = below4g > 16 << 20 ? below4g - (16 << 20) : 0;
	uint64_t high = above4g >> 16;

	cmos_put16(c, 0x15, base >> 10);
	cmos_put16(c, 0x17, over1m >> 10);
	cmos_put16(c, 0x30, over1m >> 10);
	cmos_put16(c, 0x34, over16m >> 16);
	high = high > 0xffffff ? 0xffffff : high;
	c->ram[0x5b] = (uint8_t)high;
	c->ram[0x5c] = (uint8_t)(high >> 8);
	c->ram[0x5d] = (uint8_t)(high >> 16);
}

int cmos_add(struct cmos *c, struct bus *bus)
{
	return bus_add(bus, "cmos", CMOS_PORT, 2, &cmos_ops, c);
}

void cmos_free(struct cmos *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->quit = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (c->thread_started)
		pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
