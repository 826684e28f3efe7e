#include "devices/i8042.h"

#include <pthread.h>
#include <stdlib.h>

#define PORT_DATA      0x60
#define PORT_COMMAND   0x64
#define PORT_CONTROL_A 0x92

#define STATUS_OBF	0x01 /* the output buffer has a byte for the guest */
#define STATUS_SYS	0x04 /* self-test passed; mirrors CTR_SYS */
#define STATUS_CMD	0x08 /* the last write was to the command port */
#define STATUS_UNLOCKED 0x10 /* the keyboard lock's key is not turned */
#define STATUS_AUX	0x20 /* the byte is from the mouse port */
#define STATUS_TIMEOUT	0x40 /* a device did not answer */

/* The command byte, RAM byte 0. */
#define CTR_SYS	    0x04
#define CTR_KBD_OFF 0x10
#define CTR_AUX_OFF 0x20

#define OUTPORT_RUN	0x01 /* 0 pulls the CPU's reset line */
#define OUTPORT_A20	0x02
#define OUTPORT_IDLE	0xc0 /* keyboard clock and data lines */
#define INPORT_UNLOCKED 0x80
#define REPLY_RESEND	0xfe /* what the controller says for a device that is not there */

#define CONTROL_A_RESET 0x01
#define CONTROL_A_A20	0x02

struct i8042 {
	struct power power;
	pthread_mutex_t lock;
	uint8_t ram[32]; /* ram[0] is the command byte */
	uint8_t outport;
	uint8_t out;	 /* output buffer; valid while STATUS_OBF */
	uint8_t status;	 /* STATUS_OBF, _CMD, _AUX and _TIMEOUT; the rest is computed */
	uint8_t pending; /* command that waits for its data byte; 0: none */
};

struct i8042 *i8042_new(const struct power *power)
{
	struct i8042 *kbc = calloc(1, sizeof(*kbc));

	if (!kbc)
		return NULL;
	kbc->power = *power;
	kbc->ram[0] = CTR_SYS | CTR_KBD_OFF | CTR_AUX_OFF;
	kbc->outport = OUTPORT_IDLE | OUTPORT_A20 | OUTPORT_RUN;
	pthread_mutex_init(&kbc->lock, NULL);
	return kbc;
}

static void i8042_reply(struct i8042 *kbc, uint8_t byte, uint8_t flags)
{
	kbc->out = byte;
	kbc->status = (uint8_t)((kbc->status & STATUS_CMD) | STATUS_OBF | flags);
}

/* Returns whether the reset line was pulled. */
static bool i8042_set_outport(struct i8042 *kbc, uint8_t value)
{
	kbc->outport = value | OUTPORT_RUN;
	return !(value & OUTPORT_RUN);
}

/* Returns whether the reset line was pulled. */
static bool i8042_command(struct i8042 *kbc, uint8_t cmd)
{
	kbc->pending = 0;
	switch (cmd) {
	case 0x20 ... 0x3f:
		i8042_reply(kbc, kbc->ram[cmd & 0x1f], 0);
		break;
	case 0x60 ... 0x7f: /* write RAM */
	case 0xd1:	    /* write the output port */
	case 0xd2:	    /* loop a byte back as the keyboard's */
	case 0xd3:	    /* the same for the mouse, which a controller without one does not know */
	case 0xd4:	    /* to the mouse */
		kbc->pending = cmd;
		break;
	case 0xa7:
		kbc->ram[0] |= CTR_AUX_OFF;
		break;
	case 0xa8:
		kbc->ram[0] &= (uint8_t)~CTR_AUX_OFF;
		break;
	case 0xa9: /* test the mouse port: clock line stuck, so nobody looks further */
		i8042_reply(kbc, 0x01, 0);
		break;
	case 0xaa: /* self-test */
		kbc->ram[0] |= CTR_SYS;
		i8042_reply(kbc, 0x55, 0);
		break;
	case 0xab: /* test the keyboard port: good */
		i8042_reply(kbc, 0x00, 0);
		break;
	case 0xad:
		kbc->ram[0] |= CTR_KBD_OFF;
		break;
	case 0xae:
		kbc->ram[0] &= (uint8_t)~CTR_KBD_OFF;
		break;
	case 0xc0:
		i8042_reply(kbc, INPORT_UNLOCKED, 0);
		break;
	case 0xd0:
		i8042_reply(kbc, kbc->outport, 0);
		break;
	case 0xdd:
		kbc->outport &= (uint8_t)~OUTPORT_A20;
		break;
	case 0xdf:
		kbc->outport |= OUTPORT_A20;
		break;
	case 0xe0: /* test inputs: both lines idle */
		i8042_reply(kbc, 0x00, 0);
		break;
	case 0xf0 ... 0xff: /* pulse the output lines whose bits are clear; line 0 is reset */
		return !(cmd & OUTPORT_RUN);
	}
	return false;
}

/* Returns whether the reset line was pulled. */
static bool i8042_data(struct i8042 *kbc, uint8_t byte)
{
	uint8_t cmd = kbc->pending;

	kbc->pending = 0;
	switch (cmd) {
	case 0x60 ... 0x7f:
		kbc->ram[cmd & 0x1f] = byte;
		break;
	case 0xd1:
		return i8042_set_outport(kbc, byte);
	case 0xd2:
	case 0xd3:
		i8042_reply(kbc, byte, 0);
		break;
	case 0xd4:
		i8042_reply(kbc, REPLY_RESEND, STATUS_TIMEOUT | STATUS_AUX);
		break;
	default: /* to the keyboard */
		i8042_reply(kbc, REPLY_RESEND, STATUS_TIMEOUT);
		break;
	}
	return false;
}

static uint64_t i8042_read_data(void *ctx, uint64_t off, unsigned size)
{
	struct i8042 *kbc = ctx;
	uint8_t byte;

	(void)off;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	byte = kbc->out;
	kbc->status &= STATUS_CMD;
	pthread_mutex_unlock(&kbc->lock);
	return byte;
}

static uint64_t i8042_read_status(void *ctx, uint64_t off, unsigned size)
{
	struct i8042 *kbc = ctx;
	uint8_t byte;

	(void)off;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	byte = (uint8_t)(kbc->status | STATUS_UNLOCKED | (kbc->ram[0] & CTR_SYS ? STATUS_SYS : 0));
	pthread_mutex_unlock(&kbc->lock);
	return byte;
}

static uint64_t i8042_read_control_a(void *ctx, uint64_t off, unsigned size)
{
	struct i8042 *kbc = ctx;
	uint8_t byte;

	(void)off;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	byte = kbc->outport & OUTPORT_A20 ? CONTROL_A_A20 : 0;
	pthread_mutex_unlock(&kbc->lock);
	return byte;
}

static void i8042_write_data(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct i8042 *kbc = ctx;
	bool reset;

	(void)off;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	kbc->status &= (uint8_t)~STATUS_CMD;
	reset = i8042_data(kbc, (uint8_t)value);
	pthread_mutex_unlock(&kbc->lock);
	if (reset)
		kbc->power.event(kbc->power.ctx, POWER_RESET, 0);
}

static void i8042_write_command(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct i8042 *kbc = ctx;
	bool reset;

	(void)off;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	kbc->status |= STATUS_CMD;
	reset = i8042_command(kbc, (uint8_t)value);
	pthread_mutex_unlock(&kbc->lock);
	if (reset)
		kbc->power.event(kbc->power.ctx, POWER_RESET, 0);
}

static void i8042_write_control_a(void *ctx, uint64_t off, unsigned size, uint64_t value)
{
	struct i8042 *kbc = ctx;

	(void)off;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	kbc->outport &= (uint8_t)~OUTPORT_A20;
	kbc->outport |= value & CONTROL_A_A20 ? OUTPORT_A20 : 0;
	pthread_mutex_unlock(&kbc->lock);
	if (value & CONTROL_A_RESET)
		kbc->power.event(kbc->power.ctx, POWER_RESET, 0);
}

static const struct bus_ops data_ops = {
	.read = i8042_read_data,
	.write = i8042_write_data,
	.byte_wide = true,
};

static const struct bus_ops command_ops = {
	.read = i8042_read_status,
	.write = i8042_write_command,
	.byte_wide = true,
};

static const struct bus_ops control_a_ops = {
	.read = i8042_read_control_a,
	.write = i8042_write_control_a,
	.byte_wide = true,
};

int i8042_add(struct i8042 *kbc, struct bus *bus)
{
	int ret = bus_add(bus, "i8042 data", PORT_DATA, 1, &data_ops, kbc);

	if (!ret)
		ret = bus_add(bus, "i8042 command", PORT_COMMAND, 1, &command_ops, kbc);
	if (!ret)
		ret = bus_add(bus, "control port A", PORT_CONTROL_A, 1, &control_a_ops, kbc);
	return ret;
}

void i8042_free(struct i8042 *kbc)
{
	if (!kbc)
		return;
	pthread_mutex_destroy(&kbc->lock);
	free(kbc);
}
