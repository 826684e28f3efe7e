# Guests that only arm64 has: one for each way to boot. Included by guests/guests.mk.
GT := $(B)/guests/tests
GTO := $(B)/guests/obj/tests/arm64
GTS := guests/tests/arm64

$(GT)/lab.elf: $(GTO)/info.o
