/* How a device tells the machine that the guest wants to end. Any vCPU thread; the callback never blocks. */
#ifndef DEVICES_POWER_H
#define DEVICES_POWER_H

enum power_event {
	POWER_OFF,
	POWER_RESET,
	POWER_PANIC,
	POWER_DEBUG_EXIT, /* value: the number that the guest wrote */
};

struct power {
	void (*event)(void *ctx, enum power_event event, unsigned value);
	void *ctx;
};

#endif
