/*
 * Between a UART (the guest's side) and the console (the host's side).
 *
 * Output: the UART calls backend->write from a vCPU thread; it must never
 * block. Input: the console's thread calls the UART's feed function; the UART
 * takes what its FIFO has room for and calls backend->want_input when there is
 * room again.
 */
#ifndef DEVICES_CHARDEV_H
#define DEVICES_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct char_backend {
	/*
	 * Takes one byte. false: no room now, the byte was not taken; the UART then shows its transmitter busy
	 * and gets told through char_frontend.drained. Any vCPU thread.
	 */
	bool (*write)(void *ctx, uint8_t byte);
	/* There is room for input again. Any vCPU thread, may be called with the UART's lock held. */
	void (*want_input)(void *ctx);
	void *ctx;
};

struct char_frontend {
	/* Console thread: offer n bytes; returns how many were taken. If not all, want_input asks for the rest later.
	 */
	size_t (*feed)(void *ctx, const uint8_t *buf, size_t n);
	/* Console thread: the backend has room again after a refused byte. */
	void (*drained)(void *ctx);
	void *ctx;
};

#endif
