#include "arch/board.h"

#include "vmm/console.h"
#include "vmm/kvm.h"

static void line_set(void *ctx, unsigned irq, int level)
{
	vm_irq(ctx, irq, level);
}

struct irq_line board_line(struct vm *vm, unsigned irq)
{
	return (struct irq_line){.set = line_set, .ctx = vm, .irq = irq};
}

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

struct char_backend board_serial_backend(struct vm *vm)
{
	if (vm->console)
		return console_backend(vm->console);
	return (struct char_backend){.write = nowhere_write, .want_input = nowhere_want_input};
}

void board_serial_connect(struct vm *vm, const struct char_frontend *frontend)
{
	if (vm->console)
		console_connect(vm->console, frontend);
}
