# Guests that only x86 has: one for each way to boot. Included by guests/guests.mk.
GT := $(B)/guests/tests
GTO := $(B)/guests/obj/tests/x86_64
GTS := guests/tests/x86_64

$(GT)/lab.elf: $(GTO)/bootinfo.o

START_OBJS := $(patsubst %,$(GTO)/start-%.o,pvh multiboot kludge)

$(START_OBJS) $(GTO)/boot32.o $(GTO)/bootinfo32.o: GUEST_CFLAGS_x86_64 := -m32
$(GTO)/bootinfo32.o: $(GTS)/bootinfo.c
	$(call say,GCC,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS_ARCH) -c -o $@ $<
$(START_OBJS): $(GTS)/boot32.S
	$(call say,GAS,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS_ARCH) $(START_FLAGS) -c -o $@ $<
$(GTO)/start-pvh.o: START_FLAGS := -DPVH
$(GTO)/start-kludge.o: START_FLAGS := -DKLUDGE

# 32-bit ELF: with the PVH note and a Multiboot header, with the header alone, with its own addresses
$(GT)/%32.elf: $(GTO)/start-%.o $(GTO)/boot32.o $(GTO)/bootinfo32.o $(GTS)/boot32.ld
	$(call say,GLD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) -m32 $(GUEST_LDFLAGS) -T $(GTS)/boot32.ld -o $@ $(filter %.o,$^)
# The same in an ELF64 file, and as a flat file whose header comes late
$(GT)/%64.elf: $(GT)/%32.elf
	$(Q)$(OBJCOPY) -O elf64-x86-64 $< $@
$(GT)/kludge.bin: $(GT)/kludge32.elf
	$(Q)$(OBJCOPY) -O binary $< $@.text
	$(Q)(head -c 512 /dev/zero; cat $@.text) >$@ && rm -f $@.text
$(GT)/higher.elf: $(GTO)/higher.o $(GTO)/higher_start.o $(GTO)/bootinfo.o $(GTS)/higher.ld
	$(call say,GLD,$@)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -T $(GTS)/higher.ld -o $@ $(filter %.o,$^)
$(GT)/bz.elf: $(GTO)/bz_start.o $(GTO)/bz.o $(GTO)/bootinfo.o $(GTS)/bz.ld
	$(call say,GLD,$@)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -T $(GTS)/bz.ld -o $@ $(filter %.o,$^)
$(GT)/bz.bin: $(GT)/bz.elf
	$(Q)$(OBJCOPY) -O binary $< $@
# The same program for every machine of the benchmark: an ELF64 file of 32-bit code
$(GTO)/bench.o: GUEST_CFLAGS_x86_64 := -m32
$(GT)/bench32.elf: $(GTO)/bench.o $(GTS)/boot32.ld
	$(call say,GLD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(GUEST_CC) -m32 $(GUEST_LDFLAGS) -T $(GTS)/boot32.ld -o $@ $<
$(GT)/bench.elf: $(GT)/bench32.elf
	$(Q)$(OBJCOPY) -O elf64-x86-64 $< $@

guests: $(addprefix $(GT)/,pvh32.elf pvh64.elf multiboot32.elf multiboot64.elf kludge.bin higher.elf bz.elf bz.bin bench.elf)
