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

static bool serial_write(void *ctx, uint8_t byte)
{
	return vm_serial_write(ctx, byte);
}

static void serial_want_input(void *ctx)
{
	vm_serial_want_input(ctx);
}

struct char_backend board_serial_backend(struct vm *vm)
{
	return (struct char_backend){.write = serial_write, .want_input = serial_want_input, .ctx = vm};
}

void board_serial_connect(struct vm *vm, const struct char_frontend *frontend)
{
	if (vm->console)
		console_connect(vm->console, frontend);
}
