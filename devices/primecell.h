/*
 * What all of Arm's PrimeCell peripherals have in common: 32-bit registers in a page, and at its end who they are
 * (DDI 0183, 3.3.14 and DDI 0224, 3.3.9: UARTPeriphID0-3, UARTPCellID0-3).
 */
#ifndef DEVICES_PRIMECELL_H
#define DEVICES_PRIMECELL_H

#include <stdbool.h>
#include <stdint.h>

#define PRIMECELL_LEN 0x1000
#define PRIMECELL_IDS 0xfe0 /* eight registers, up to the end of the page */

/* The identification register at off (4-byte aligned, from PRIMECELL_IDS up). part: as in 0x011; revision: 0-15. */
static inline uint32_t primecell_id(uint64_t off, unsigned part, unsigned revision)
{
	const uint8_t id[8] = {
		(uint8_t)part,
		(uint8_t)(part >> 8 | 0x10),	 /* designer 0x41, Arm: its low nibble */
		(uint8_t)(revision << 4 | 0x04), /* and its high one */
		0x00,				 /* configuration */
		0x0d,
		0xf0,
		0x05,
		0xb1,
	};

	return id[(off - PRIMECELL_IDS) / 4 % 8];
}

/*
 * Any access as accesses to whole registers, given functions that read and write the one at a 4-byte aligned offset:
 * a narrow load gets its part, a store inside of a register (which the bus of the chip cannot express) does nothing,
 * 8 bytes are two registers.
 */
static inline uint64_t primecell_read(uint32_t (*read)(void *ctx, uint64_t reg), void *ctx, uint64_t off, unsigned size)
{
	uint64_t value = read(ctx, off & ~3ULL) >> (off & 3) * 8;

	if (size == 8 && off % 8 == 0)
		value |= (uint64_t)read(ctx, off + 4) << 32;
	return value;
}

static inline void primecell_write(
	void (*write)(void *ctx, uint64_t reg, uint32_t value), void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	if (off % 4)
		return;
	write(ctx, off, (uint32_t)value);
	if (size == 8 && off % 8 == 0)
		write(ctx, off + 4, (uint32_t)(value >> 32));
}

#endif
