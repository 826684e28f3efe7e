/*
 * Where has a Linux kernel moved itself? Pure: numbers and a read callback.
 *
 * A kernel that chooses its own address (KASLR) keeps its layout: everything of it lies the same distance, the slide,
 * above where its vmlinux links it, in steps of KASLR_ALIGN. Each place that a hint allows is tried, and it is the
 * right one if linux_banner, the line with version and time of the build, is there as it is in the file.
 */
#ifndef VMM_KASLR_H
#define VMM_KASLR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

#define KASLR_ALIGN	 (2ULL << 20) /* Linux: CONFIG_PHYSICAL_ALIGN at least (x86), MIN_KIMG_ALIGN (arm64) */
#define KASLR_BANNER_MAX 512

struct kaslr {
	uint64_t low, high;	     /* where the file links the kernel */
	uint64_t first;		     /* address of its first segment, what debuggers relocate by */
	bool percpu_at_zero;	     /* .data..percpu is linked at address 0 (x86), and does not move with the rest */
	uint64_t banner;	     /* of linux_banner, as linked */
	char text[KASLR_BANNER_MAX]; /* its bytes, a zero at the end */
	size_t len;
};

/* len > 0: the whole kernel lies somewhere in [addr, addr + len). len == 0: addr is somewhere inside of it. */
struct kaslr_hint {
	uint64_t addr, len;
};

/* Guest virtual memory: true if all len bytes could be read. */
typedef bool kaslr_read_fn(void *ctx, uint64_t va, void *buf, size_t len);

/* What the file tells. 0; -ENOEXEC, logged: it is no Linux kernel's. */
int kaslr_prepare(struct kaslr *k, const struct symbols *s);

/* The slide, modulo 2^64. false: the kernel is not (yet) mapped at any of these places, or is another. */
bool kaslr_search(const struct kaslr *k, const struct kaslr_hint *hint, size_t n, kaslr_read_fn *read, void *ctx,
	uint64_t *slide);

/*
 * The banner of whatever Linux is mapped there, without its newline; false: none. Looks at every page (some tens of
 * milliseconds): to tell somebody why nothing is found.
 */
bool kaslr_other_banner(const struct kaslr *k, const struct kaslr_hint *hint, size_t n, kaslr_read_fn *read, void *ctx,
	char *text, size_t len);

#endif
