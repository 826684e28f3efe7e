#include "devices/acpi_pm.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SLEEP_CONTROL_SLP_TYP(v) (((v) >> 2) & 7)
#define SLEEP_CONTROL_SLP_EN	 0x20
#define SLEEP_CONTROL_KEPT	 0x1c /* SLP_TYP; SLP_EN is write-only and the rest reserved */

struct acpi_pm {
	struct power power;
	_Atomic uint8_t sleep_control;
};

struct acpi_pm *acpi_pm_new(const struct power *power)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));

	if (pm)
		pm->power = *power;
	return pm;
}

static uint64_t acpi_pm_read(void *ctx, uint64_t off, unsigned size)
{
	struct acpi_pm *pm = ctx;

	(void)size;
	/* WAK_STS would be set on waking from S1-S4, which do not exist here. */
	return off == ACPI_PM_SLEEP_CONTROL ? atomic_load(&pm->sleep_control) : 0;
}

static void acpi_pm_write(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct acpi_pm *pm = ctx;

	(void)size;
	switch (off) {
	case ACPI_PM_SLEEP_CONTROL:
		atomic_store(&pm->sleep_control, (uint8_t)(value & SLEEP_CONTROL_KEPT));
		if ((value & SLEEP_CONTROL_SLP_EN) && SLEEP_CONTROL_SLP_TYP(value) == ACPI_PM_SLP_TYP_S5)
			pm->power.event(pm->power.ctx, POWER_OFF, 0);
		break;
	case ACPI_PM_RESET:
		if (value == ACPI_PM_RESET_VALUE)
			pm->power.event(pm->power.ctx, POWER_RESET, 0);
		break;
	}
}

static const struct bus_ops acpi_pm_ops = {
	.read = acpi_pm_read,
	.write = acpi_pm_write,
	.byte_wide = true,
};

int acpi_pm_add(struct acpi_pm *pm, struct bus *bus, uint64_t base)
{
	return bus_add(bus, "acpi-pm", base, ACPI_PM_LEN, &acpi_pm_ops, pm);
}

void acpi_pm_free(struct acpi_pm *pm)
{
	free(pm);
}
