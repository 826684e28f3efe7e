/* Which devices there are, at which ports and interrupt lines. */
#include "arch/x86_64/arch_x86.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/board.h"
#include "arch/x86_64/layout.h"
#include "devices/acpi_pm.h"
#include "devices/cf9.h"
#include "devices/cmos.h"
#include "devices/debugexit.h"
#include "devices/exitmmio.h"
#include "devices/i8042.h"
#include "devices/pvpanic.h"
#include "devices/uart16550.h"
#include "vmm/kvm.h"
#include "vmm/log.h"

struct board {
	struct uart16550 *com1;
	struct cmos *cmos;
	struct i8042 *i8042;
	struct cf9 *cf9;
	struct acpi_pm *acpi_pm;
	struct debugexit *debugexit;
	struct exitmmio *exit;
	struct pvpanic *pvpanic;
};

static int add_com1(struct vm *vm, struct board *board)
{
	const struct irq_line irq = board_line(vm, IRQ_COM1);
	const struct char_backend backend = board_serial_backend(vm);
	struct char_frontend frontend;

	board->com1 = uart16550_new(&irq, &backend);
	if (!board->com1)
		return -ENOMEM;
	frontend = uart16550_frontend(board->com1);
	board_serial_connect(vm, &frontend);
	return uart16550_add(board->com1, &vm->pio, PORT_COM1);
}

static int add_cmos(struct vm *vm, struct board *board)
{
	const struct irq_line irq = board_line(vm, CMOS_IRQ);

	board->cmos = cmos_new(&irq);
	if (!board->cmos)
		return -ENOMEM;
	cmos_set_memory(board->cmos, vm->mem.range[0].size, vm->mem.n > 1 ? vm->mem.range[1].size : 0);
	return cmos_add(board->cmos, &vm->pio);
}

/* The devices through which a guest ends the machine. */
static int add_power(struct vm *vm, struct board *board)
{
	int err;

	board->i8042 = i8042_new(&vm->power);
	board->cf9 = cf9_new(&vm->power);
	board->acpi_pm = acpi_pm_new(&vm->power);
	board->debugexit = debugexit_new(&vm->power);
	board->exit = exitmmio_new(&vm->power);
	board->pvpanic = pvpanic_new(&vm->power);
	if (!board->i8042 || !board->cf9 || !board->acpi_pm || !board->debugexit || !board->exit || !board->pvpanic)
		return -ENOMEM;
	err = i8042_add(board->i8042, &vm->pio);
	if (!err)
		err = cf9_add(board->cf9, &vm->pio);
	if (!err)
		err = acpi_pm_add(board->acpi_pm, &vm->pio, ACPI_PM_PORT);
	if (!err)
		err = debugexit_add(board->debugexit, &vm->pio, DEBUGEXIT_PORT);
	if (!err)
		err = exitmmio_add(board->exit, &vm->mmio, LAYOUT_EXIT);
	if (!err)
		err = pvpanic_add(board->pvpanic, &vm->pio, PVPANIC_PORT);
	return err;
}

int arch_board_init(struct vm *vm)
{
	struct board *board = calloc(1, sizeof(*board));
	int err = -ENOMEM;

	vm->arch->board = board; /* arch_vm_free() undoes a half-made one, too */
	if (board)
		err = add_com1(vm, board);
	if (!err)
		err = add_cmos(vm, board);
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
	uart16550_free(board->com1);
	cmos_free(board->cmos);
	i8042_free(board->i8042);
	cf9_free(board->cf9);
	acpi_pm_free(board->acpi_pm);
	debugexit_free(board->debugexit);
	exitmmio_free(board->exit);
	pvpanic_free(board->pvpanic);
	free(board);
	vm->arch->board = NULL;
}
