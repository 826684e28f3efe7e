/* Says how it was started, and what it was given. */
#include "guests/tests/x86_64/bootinfo.h"

#define MULTIBOOT_MAGIC 0x2badb002
#define HVM_MAGIC	0x336ec578

void main32(uint32_t eax, uint32_t ebx, uint32_t esi, uint32_t edi);

static char zero[4096]; /* .bss has to be clean */
volatile uint32_t data = 0x12345678;

void main32(uint32_t eax, uint32_t ebx, uint32_t esi, uint32_t edi)
{
	uint32_t dirty = 0;

	for (unsigned i = 0; i < sizeof(zero); i++)
		dirty += ((volatile char *)zero)[i] != 0;
	info_processor();
	info_hex("eax", eax);
	info_hex("esi", esi);
	info_hex("edi", edi);
	info_hex("data", data);
	info_hex("bss.dirty", dirty);
	if (eax == MULTIBOOT_MAGIC)
		info_multiboot(ebx);
	else if (ebx && *(const uint32_t *)ebx == HVM_MAGIC)
		info_start_info(ebx);
	else
		info_text("started by nobody known\n");
	info_text("end\n");
	info_power_off();
}
