# Guests that only arm64 has: one for each way to boot. Included by guests/guests.mk.
GT := $(B)/guests/tests
GTO := $(B)/guests/obj/tests/arm64
GTS := guests/tests/arm64

$(GT)/lab.elf: $(GTO)/info.o

# Images: for any place in RAM, for its very start, as before Linux 3.17 (no size), and without any header
IMAGES := image image-low image-old raw
$(patsubst %,$(GTO)/start-%.o,$(IMAGES)): $(GTO)/start-%.o: $(GTS)/image_start.S
	$(call say,GAS,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS_ARCH) $(START_FLAGS) -c -o $@ $<
$(GTO)/start-image.o: START_FLAGS := -DIMAGE -DTEXT_OFFSET=0 -DIMAGE_SIZE=image_end-image_start -DFLAGS=0xa
$(GTO)/start-image-low.o: START_FLAGS := -DIMAGE -DTEXT_OFFSET=0 -DIMAGE_SIZE=image_end-image_start -DFLAGS=0x2
$(GTO)/start-image-old.o: START_FLAGS := -DIMAGE -DTEXT_OFFSET=0 -DIMAGE_SIZE=0 -DFLAGS=0
$(patsubst %,$(GT)/%.bin,$(IMAGES)): $(GT)/%.bin: $(GTO)/start-%.o $(GTO)/image.o $(GTO)/info.o $(B)/guests/obj/arm64/string.o $(GTS)/image.ld
	$(call say,GLD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -T $(GTS)/image.ld -o $(@:.bin=.sym) $(filter %.o,$^)
	$(Q)$(OBJCOPY) -O binary $(@:.bin=.sym) $@

# Linked high: with physical addresses of its own, and as a vmlinux, without
$(GTO)/start-vmlinux.o: START_FLAGS := -DBANNER
$(GTO)/start-higher.o $(GTO)/start-vmlinux.o: $(GTS)/high_start.S
	$(call say,GAS,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS_ARCH) $(START_FLAGS) -c -o $@ $<
$(GT)/higher.elf: HIGH_OFFSET := 0xffffff8040000000-0x600000
$(GT)/vmlinux.elf: HIGH_OFFSET := 0
$(GT)/higher.elf $(GT)/vmlinux.elf: $(GT)/%.elf: $(GTO)/start-%.o $(GTO)/high.o $(GTO)/info.o $(B)/guests/obj/arm64/string.o $(GTS)/high.ld
	$(call say,GLD,$@)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -Wl,--defsym=OFFSET=$(HIGH_OFFSET) -T $(GTS)/high.ld -o $@ $(filter %.o,$^)

guests: $(addprefix $(GT)/,$(addsuffix .bin,$(IMAGES)) higher.elf vmlinux.elf)
