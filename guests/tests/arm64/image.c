/* Says where it was loaded, how it was started, and what it was given. */
#include "guests/arm64/io.h"
#include "guests/arm64/trap.h"
#include "guests/platform.h"
#include "guests/tests/arm64/info.h"

void image_main(uint64_t base);

struct boot_state boot_state;
static char zero[4096];
volatile uint32_t data = 0x12345678;

void platform_putc(char c)
{
	while (read32(BOARD_UART + UART_FR) & FR_TXFF)
		;
	write32(BOARD_UART + UART_DR, (uint8_t)c);
}

void image_main(uint64_t base)
{
	uint32_t dirty = 0;

	write32(BOARD_UART + UART_LCR_H, LCR_H_FEN | LCR_H_8BIT);
	write32(BOARD_UART + UART_CR, CR_ENABLE | CR_TXE | CR_RXE);
	for (unsigned i = 0; i < sizeof(zero); i++)
		dirty += ((volatile char *)zero)[i] != 0;
	info_hex("base", base);
	info_state(&boot_state);
	info_hex("data", data);
	info_hex("bss.dirty", dirty);
	info_tree(boot_state.x[0]);
	info_text("end\n");
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
}
