/* Linux's arm64 `Image`: Documentation/arm64/booting.rst, "Call the kernel image". */
#include "arch/arm64/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "arch/arm64/layout.h"
#include "vmm/log.h"

#define MIB ((uint64_t)1 << 20)
#define KIB 1024

#define HDR_SIZE	  64
#define HDR_TEXT_OFFSET	  8
#define HDR_IMAGE_SIZE	  16
#define HDR_FLAGS	  24
#define HDR_MAGIC	  56
#define MAGIC		  "ARM\x64"
#define TEXT_OFFSET_OLD	  0x80000 /* of kernels before 3.17, which have no image_size */
#define TEXT_OFFSET_ALIGN 0x1000
#define FLAG_BIG_ENDIAN	  (1U << 0)
#define FLAG_PAGE_SHIFT	  1 /* two bits: unspecified, 4, 16 or 64 KiB */
#define FLAG_ANYWHERE	  (1U << 3)

static uint64_t word(const uint8_t *data, size_t at)
{
	uint64_t v;

	memcpy(&v, data + at, sizeof(v));
	return v;
}

bool arm64_image_header(const uint8_t *data, uint64_t size, struct arm64_image *out)
{
	static const unsigned page_kib[] = {0, 4, 16, 64};
	uint64_t flags;

	if (size < HDR_SIZE || memcmp(data + HDR_MAGIC, MAGIC, strlen(MAGIC)) != 0)
		return false;
	flags = word(data, HDR_FLAGS);
	*out = (struct arm64_image){
		.text_offset = word(data, HDR_TEXT_OFFSET),
		.image_size = word(data, HDR_IMAGE_SIZE),
		.big_endian = flags & FLAG_BIG_ENDIAN,
		.page_kib = page_kib[flags >> FLAG_PAGE_SHIFT & 3],
		.anywhere = flags & FLAG_ANYWHERE,
	};
	if (!out->image_size)
		out->text_offset = TEXT_OFFSET_OLD;
	return true;
}

int arm64_image_place(struct boot *b, const struct arm64_image *h, uint64_t size, uint64_t *gpa)
{
	const struct mem_range *ram = &b->mem->range[0];
	uint64_t base = ram->gpa;

	if (h->big_endian) {
		log_error("%s: a big-endian arm64 kernel, only little-endian ones run here", b->image->path);
		return -ENOEXEC;
	}
	if (h->text_offset % TEXT_OFFSET_ALIGN) {
		log_error("%s: arm64 kernel: a text_offset of 0x%" PRIx64 " is no whole page: the file is damaged",
			b->image->path, h->text_offset);
		return -ENOEXEC;
	}
	/* The device tree is at the start of RAM, unless the kernel cannot use what is below it. */
	if (!h->text_offset && h->anywhere)
		base += ARM64_IMAGE_ALIGN;
	if (h->text_offset >= ram->size || size > ram->size || base + h->text_offset + size > ram->gpa + ram->size) {
		log_error("%s: arm64 kernel: takes %" PRIu64 " KiB at 0x%" PRIx64
			  " from the start of RAM, of which the "
			  "guest has %" PRIu64 " MiB: give it more (--mem), or the file is damaged",
			b->image->path, size / KIB + !!(size % KIB), base - ram->gpa + h->text_offset, ram->size / MIB);
		return -ENOEXEC;
	}
	*gpa = base + h->text_offset;
	return arm64_boot_take_image(b, *gpa, size);
}

int arm64_boot_image(struct boot *b, const struct arm64_image *h)
{
	const struct image_file *f = b->image;
	/* What follows the image in its file, a signature for instance, is loaded with it. */
	uint64_t size = h->image_size > f->size ? h->image_size : f->size, gpa = 0, va;
	int err = arm64_image_place(b, h, size, &gpa);

	if (err)
		return err;
	log_info("%s: arm64 Image, pages of %u KiB, %" PRIu64 " KiB at 0x%" PRIx64, f->path, h->page_kib, size / KIB,
		gpa);
	memory_advise_huge(b->mem, gpa, f->size);
	memory_write(b->mem, gpa, f->data, f->size);
	b->entry.pc = gpa;
	va = arm64_image_kaddr(f->data, f->size, h->text_offset, size);
	if (!va) {
		log_info("%s: does not tell where it is linked: its virtual addresses resolve once it has page tables",
			f->path);
		return 0;
	}
	b->layout.seg[0].va = va;
	b->layout.seg[0].pa = gpa;
	b->layout.seg[0].len = size;
	b->layout.seg[0].writable = true;
	b->layout.seg[0].executable = true;
	b->layout.n = 1;
	return 0;
}
