/* Which devices there are, at which addresses and interrupt lines. */
#include "arch/arm64/arch_arm64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "arch/board.h"
#include "devices/exitmmio.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/pvpanic.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

struct board {
	struct pl011 *uart;
	struct pl031 *rtc;
	struct exitmmio *exit;
	struct pvpanic *pvpanic;
};

static int add_uart(struct vm *vm, struct board *board)
{
	const struct irq_line irq = board_line(vm, gic_spi(SPI_UART));
	const struct char_backend backend = board_serial_backend(vm);
	struct char_frontend frontend;

	board->uart = pl011_new(&irq, &backend);
	if (!board->uart)
		return -ENOMEM;
	frontend = pl011_frontend(board->uart);
	board_serial_connect(vm, &frontend);
	return pl011_add(board->uart, &vm->mmio, LAYOUT_UART);
}

static int add_rtc(struct vm *vm, struct board *board)
{
	const struct irq_line irq = board_line(vm, gic_spi(SPI_RTC));

	board->rtc = pl031_new(&irq);
	return board->rtc ? pl031_add(board->rtc, &vm->mmio, LAYOUT_RTC) : -ENOMEM;
}

/* The devices through which a guest ends the machine, besides PSCI. */
static int add_power(struct vm *vm, struct board *board)
{
	int err;

	board->exit = exitmmio_new(&vm->power);
	board->pvpanic = pvpanic_new(&vm->power);
	if (!board->exit || !board->pvpanic)
		return -ENOMEM;
	err = exitmmio_add(board->exit, &vm->mmio, LAYOUT_EXIT);
	if (!err)
		err = pvpanic_add(board->pvpanic, &vm->mmio, LAYOUT_PVPANIC);
	return err;
}

int arch_board_init(struct vm *vm)
{
	struct board *board = calloc(1, sizeof(*board));
	int err = -ENOMEM;

	vm->arch->board = board; /* arch_vm_free() undoes a half-made one, too */
	if (board)
		err = add_uart(vm, board);
	if (!err)
		err = add_rtc(vm, board);
	if (!err)
		err = add_power(vm, board);
	if (err)
		log_error("cannot set up the board: %s", strerror(-err));
	return err;
}

const char *board_spi_name(unsigned n)
{
	return n == SPI_UART ? "pl011" : n == SPI_RTC ? "pl031" : NULL;
}

void board_free(struct vm *vm)
{
	struct board *board = vm->arch ? vm->arch->board : NULL;

	if (!board)
		return;
	pl011_free(board->uart);
	pl031_free(board->rtc);
	exitmmio_free(board->exit);
	pvpanic_free(board->pvpanic);
	free(board);
	vm->arch->board = NULL;
}
