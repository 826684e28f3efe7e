#include "guests/tests/x86_64/bootinfo.h"

void high_main(uint64_t info);
volatile unsigned long high_calls = 0x600d;

__attribute__((noinline)) static void high_work(unsigned long n)
{
	high_calls += n;
}

void high_main(uint64_t info)
{
	info_processor();
	info_hex("pc", (uint64_t)high_main);
	info_start_info(info);
	for (unsigned long i = 1; i <= 3; i++)
		high_work(i);
	info_hex("high_calls", high_calls);
	info_text("end\n");
	info_power_off();
}
