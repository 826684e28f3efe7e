/* The interrupt controller, GICv3 or GICv2, as far as this CPU's virtual timer needs it. */
#ifndef GUESTS_ARM64_GIC_H
#define GUESTS_ARM64_GIC_H

#define INTID_VIRTUAL_TIMER 27
#define INTID_SPURIOUS	    1020 /* and above: none */

void gic_init(void);	 /* boot CPU, once */
void gic_init_cpu(void); /* each CPU, afterwards: its virtual timer's interrupt may come */
unsigned gic_acknowledge(void);
void gic_end(unsigned intid);

#endif
