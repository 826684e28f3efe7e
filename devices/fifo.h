/* The 16-byte queue of the UARTs' receivers and transmitters. The user locks, and asks `count` before both. */
#ifndef DEVICES_FIFO_H
#define DEVICES_FIFO_H

#include <stdint.h>

#define FIFO_SIZE 16

struct fifo {
	uint8_t byte[FIFO_SIZE];
	unsigned head, count;
};

/* count < FIFO_SIZE */
static inline void fifo_put(struct fifo *f, uint8_t byte)
{
	f->byte[(f->head + f->count++) % FIFO_SIZE] = byte;
}

/* count > 0 */
static inline uint8_t fifo_get(struct fifo *f)
{
	uint8_t byte = f->byte[f->head];

	f->head = (f->head + 1) % FIFO_SIZE;
	f->count--;
	return byte;
}

#endif
