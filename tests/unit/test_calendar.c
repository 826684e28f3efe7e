/* Against libc's own, over every day of ten thousand years. */
#include <time.h>

#include "devices/calendar.h"
#include "tests/unit/tap.h"

int main(void)
{
	int64_t first = calendar_to_days(0, 1, 1), last = calendar_to_days(9999, 12, 31);
	unsigned bad = 0;

	tap_is_u64((uint64_t)calendar_to_days(1970, 1, 1), 0, "the epoch");
	tap_is_u64((uint64_t)calendar_to_days(2000, 14, 29), (uint64_t)calendar_to_days(2001, 3, 1),
		"months and days carry");
	for (int64_t d = first; d <= last && bad < 5; d++) {
		time_t t = (time_t)(d * CALENDAR_DAY_S);
		int year, month, day;
		struct tm tm;

		gmtime_r(&t, &tm);
		calendar_from_days(d, &year, &month, &day);
		bad += year != tm.tm_year + 1900 || month != tm.tm_mon + 1 || day != tm.tm_mday ||
		       calendar_weekday(d) != tm.tm_wday || calendar_to_days(year, month, day) != d;
	}
	tap_is_u64(bad, 0, "every day from year 0 to 9999, there and back");
	tap_is_u64((uint64_t)(last - first + 1), 3652425, "that many");
	return tap_done();
}
