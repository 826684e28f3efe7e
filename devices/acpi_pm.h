/*
 * The registers of hardware-reduced ACPI (ACPI 6.4, 4.8.3.7 and 4.8.3.6): sleep
 * control, sleep status and reset, one byte each, at offsets the FADT names.
 *
 * Sleep control: SLP_TYPx in bits 2-4, SLP_EN bit 5; SLP_EN together with
 * ACPI_PM_SLP_TYP_S5 is POWER_OFF, other types are ignored. It reads back
 * without SLP_EN. Sleep status: WAK_STS (bit 7), write 1 to clear; never set
 * here since only S5 exists. Reset: writing ACPI_PM_RESET_VALUE is POWER_RESET.
 */
#ifndef DEVICES_ACPI_PM_H
#define DEVICES_ACPI_PM_H

#include "devices/bus.h"
#include "devices/power.h"

#define ACPI_PM_PORT	      0x600 /* a free place for them in the PC's port space */
#define ACPI_PM_SLEEP_CONTROL 0
#define ACPI_PM_SLEEP_STATUS  1
#define ACPI_PM_RESET	      2
#define ACPI_PM_LEN	      4

#define ACPI_PM_SLP_TYP_S5  5	 /* \_S5's first element */
#define ACPI_PM_RESET_VALUE 0x42 /* FADT RESET_VALUE */

struct acpi_pm;

/* Main thread; power is copied. NULL: no memory. */
struct acpi_pm *acpi_pm_new(const struct power *power);
int acpi_pm_add(struct acpi_pm *pm, struct bus *bus, uint64_t base); /* main thread; as bus_add() */
void acpi_pm_free(struct acpi_pm *pm);				     /* main thread, no vCPU runs. NULL ok */

#endif
