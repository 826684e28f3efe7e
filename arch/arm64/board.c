/* Which devices there are, at which addresses and interrupt lines. */
#include "arch/arm64/arch_arm64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "devices/exitmmio.h"
#include "devices/pl011.h"
#include "devices/pl031.h"
#include "devices/pvpanic.h"
#include "vmm/console.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

struct board {
	struct pl011 *uart;
	struct pl031 *rtc;
	struct exitmmio *exit;
	struct pvpanic *pvpanic;
};

static void line_set(void *ctx, unsigned irq, int level)
{
	vm_irq(ctx, irq, level);
}

static struct irq_line line(struct vm *vm, unsigned spi)
{
	return (struct irq_line){.set = line_set, .ctx = vm, .irq = gic_spi(spi)};
}

/* For a machine without a console (unit tests): output goes nowhere. */
static bool nowhere_write(void *ctx, uint8_t byte)
{
	(void)ctx;
	(void)byte;
	return true;
}

static void nowhere_want_input(void *ctx)
{
	(void)ctx;
}

static int add_uart(struct vm *vm, struct board *board)
{
	const struct irq_line irq = line(vm, SPI_UART);
	struct char_backend backend = {.write = nowhere_write, .want_input = nowhere_want_input};

	if (vm->console)
		backend = console_backend(vm->console);
	board->uart = pl011_new(&irq, &backend);
	if (!board->uart)
		return -ENOMEM;
	if (vm->console) {
		struct char_frontend frontend = pl011_frontend(board->uart);

		console_connect(vm->console, &frontend);
	}
	return pl011_add(board->uart, &vm->mmio, LAYOUT_UART);
}

static int add_rtc(struct vm *vm, struct board *board)
{
	const struct irq_line irq = line(vm, SPI_RTC);

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
