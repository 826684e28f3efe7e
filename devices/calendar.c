#include "devices/calendar.h"

/*
 * Years are counted from March here, so that a leap day is the last of its year, and from 400 years before year 0, so
 * that nothing is negative: 400 years always have the same number of days.
 */
#define CYCLE_YEARS 400
#define CYCLE_DAYS  146097
#define EPOCH_DAYS  (719468 + CYCLE_DAYS) /* from then to 1970-01-01 */

static int64_t days_before_year(int64_t y)
{
	return y * 365 + y / 4 - y / 100 + y / 400;
}

/* Months of 31, 30, 31, 30, 31 days, twice, and the rest. */
static int64_t days_before_month(int64_t m)
{
	return (m * 153 + 2) / 5;
}

int64_t calendar_to_days(int64_t year, int64_t month, int64_t day)
{
	int64_t months = (year + CYCLE_YEARS) * 12 + month - 3;

	return days_before_year(months / 12) + days_before_month(months % 12) + day - 1 - EPOCH_DAYS;
}

void calendar_from_days(int64_t days, int *year, int *month, int *day)
{
	int64_t n = days + EPOCH_DAYS, y = n * CYCLE_YEARS / CYCLE_DAYS, m = 11;

	/* The average year is at most one off. */
	while (days_before_year(y) > n)
		y--;
	while (days_before_year(y + 1) <= n)
		y++;
	n -= days_before_year(y);
	while (days_before_month(m) > n)
		m--;
	*day = (int)(n - days_before_month(m)) + 1;
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(y - CYCLE_YEARS + (m >= 10));
}

int calendar_weekday(int64_t days)
{
	return (int)(((days + 4) % 7 + 7) % 7);
}
