/* The kernel inside of bz.bin. */
#include "guests/tests/x86_64/bootinfo.h"

void bz_main(const uint8_t *params);
volatile unsigned long bz_calls = 0x600d;

__attribute__((noinline)) static void bz_work(unsigned long n)
{
	bz_calls += n;
}

static uint64_t get(const uint8_t *p, unsigned at, unsigned size)
{
	uint64_t v = 0;

	while (size--)
		v = v << 8 | p[at + size];
	return v;
}

void bz_main(const uint8_t *params)
{
	info_processor();
	info_hex("boot_flag", get(params, 0x1fe, 2));
	info_hex("header", get(params, 0x202, 4));
	info_hex("loader", get(params, 0x210, 1));
	info_hex("ramdisk.size", get(params, 0x21c, 4));
	info_string("cmdline", get(params, 0x228, 4));
	info_map((uint64_t)params + 0x2d0, (unsigned)get(params, 0x1e8, 1));
	info_rsdp(get(params, 0x70, 8));
	for (unsigned long i = 1; i <= 3; i++)
		bz_work(i);
	info_hex("bz_calls", bz_calls);
	info_text("end\n");
	info_power_off();
}
