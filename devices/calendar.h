/*
 * The Gregorian calendar, proleptic, in UTC. libc's own conversion would bring time zones, files and a scanner into a
 * static program. Pure functions, any thread.
 */
#ifndef DEVICES_CALENDAR_H
#define DEVICES_CALENDAR_H

#include <stdint.h>

#define CALENDAR_DAY_S 86400

/* Days since 1970-01-01. year: -399 and up; month: 1-12, others carry into the year; day: any. */
int64_t calendar_to_days(int64_t year, int64_t month, int64_t day);
/* days: of year -399 and up. month: 1-12, day: 1-31. */
void calendar_from_days(int64_t days, int *year, int *month, int *day);
/* 0: Sunday */
int calendar_weekday(int64_t days);

#endif
