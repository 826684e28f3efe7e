#include "guests/arm64/io.h"
#include "guests/platform.h"
#include "guests/tests/arm64/info.h"

#define HIGH 0xffffff8000000000ul

void high_main(uint64_t loaded);
volatile unsigned long high_calls = 0x600d;

void platform_putc(char c)
{
	while (read32(HIGH + BOARD_UART + UART_FR) & FR_TXFF)
		;
	write32(HIGH + BOARD_UART + UART_DR, (uint8_t)c);
}

__attribute__((noinline)) static void high_work(unsigned long n)
{
	high_calls += n;
}

void high_main(uint64_t loaded)
{
	write32(HIGH + BOARD_UART + UART_LCR_H, LCR_H_FEN | LCR_H_8BIT);
	write32(HIGH + BOARD_UART + UART_CR, CR_ENABLE | CR_TXE | CR_RXE);
	info_hex("pc", (uint64_t)high_main);
	info_hex("loaded", loaded);
	for (unsigned long i = 1; i <= 3; i++)
		high_work(i);
	info_hex("high_calls", high_calls);
	info_text("end\n");
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
}
