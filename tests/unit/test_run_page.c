/* What KVM says of an access: sizes and offsets that are in its page, at its end, and not. */
#include "vmm/run_page.h"

#include "tests/unit/tap.h"

#define SIZE 12288 /* of KVM's page and what is behind it */
#define AT   4096  /* where x86 has the data */

static union {
	struct kvm_run run;
	uint8_t bytes[SIZE];
} page;

static void io(uint8_t size, uint32_t count, uint64_t offset, bool good, const char *what)
{
	page.run.io.size = size;
	page.run.io.count = count;
	page.run.io.data_offset = offset;
	tap_ok(run_io_data(&page.run, SIZE) == (good ? page.bytes + offset : NULL), "%s", what);
}

static void mmio(uint32_t len, bool good)
{
	page.run.mmio.len = len;
	tap_ok(run_mmio_valid(&page.run) == good, "MMIO of %u bytes", len);
}

int main(void)
{
	io(1, 1, AT, true, "a byte");
	io(4, 1024, AT, true, "a page of words");
	io(4, (SIZE - AT) / 4, AT, true, "up to the end");
	io(4, (SIZE - AT) / 4 + 1, AT, false, "over the end");
	io(4, 1, SIZE - 4, true, "the last word");
	io(4, 1, SIZE - 3, false, "one that hangs over");
	io(1, 1, SIZE, false, "a byte behind it");
	io(1, 1, UINT64_MAX, false, "an offset before the page");
	io(2, 1, UINT64_MAX - 1, false, "one that wraps");
	io(8, UINT32_MAX, AT, false, "a count without end");
	io(0, 1, AT, false, "no size");
	io(1, 0, AT, false, "no access");
	io(9, 1, AT, false, "a size that there is none of");
	io(255, 1, AT, false, "the largest one");
	mmio(0, false);
	mmio(1, true);
	mmio(3, true);
	mmio(8, true);
	mmio(9, false);
	mmio(UINT32_MAX, false);
	return tap_done();
}
