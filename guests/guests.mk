# Bare-metal guests -> $(B)/guests/NAME.elf. They are built freestanding and without vector registers, so that any
# KVM can run them.
GUEST_CC := $(CC)
GUEST_CFLAGS := -std=gnu11 $(WARN) -Og -g -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-omit-frame-pointer -mgeneral-regs-only -I. -MMD -MP
GUEST_CFLAGS_x86_64 := -mno-red-zone -mcmodel=kernel
# Before the MMU is on there are no unaligned accesses, and never a libgcc.
GUEST_CFLAGS_arm64 := -mstrict-align -mno-outline-atomics
GUEST_LDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments
GUEST_CFLAGS_ARCH = $(GUEST_CFLAGS) $(GUEST_CFLAGS_$(ARCH))

$(B)/guests/obj/%.o: guests/%.c
	$(call say,GCC,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS_ARCH) -c -o $@ $<
$(B)/guests/obj/%.o: guests/%.S
	$(call say,GAS,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS_ARCH) -c -o $@ $<

PLATFORM_OBJS := $(patsubst guests/%,$(B)/guests/obj/%.o,$(basename $(wildcard guests/$(ARCH)/*.[cS])))

# The demo, and one program per guests/tests/NAME.c on the same platform.
PLATFORM_GUESTS := demo $(patsubst guests/tests/%.c,tests/%,$(wildcard guests/tests/*.c))
$(patsubst %,$(B)/guests/%.elf,$(PLATFORM_GUESTS)): $(B)/guests/%.elf: $(B)/guests/obj/%.o $(PLATFORM_OBJS) guests/$(ARCH)/guest.ld
	$(call say,GLD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -T guests/$(ARCH)/guest.ld -o $@ $(filter %.o,$^)

guests: $(patsubst %,$(B)/guests/%.elf,$(PLATFORM_GUESTS))

# The lab has a part for each ISA.
$(B)/guests/tests/lab.elf: $(patsubst guests/tests/$(ARCH)/%,$(B)/guests/obj/tests/$(ARCH)/%.o,$(basename $(wildcard guests/tests/$(ARCH)/lab_*)))
-include $(wildcard guests/tests/$(ARCH)/guests.mk)
