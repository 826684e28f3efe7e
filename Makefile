# minivmm: make, make run, make check; README.md has the rest.
#
#   make [ARCH=x86_64|arm64] [CROSS_COMPILE=...] [STATIC=1] [V=1] [O=builddir]

HOST_ARCH := $(patsubst aarch64,arm64,$(shell uname -m))
ARCH ?= $(HOST_ARCH)
O ?= build
B := $(O)/$(ARCH)

override CC := $(CROSS_COMPILE)$(if $(filter default undefined,$(origin CC)),gcc,$(CC))
OBJCOPY := $(CROSS_COMPILE)objcopy
STRIP := $(CROSS_COMPILE)strip
CLANG ?= clang

WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wwrite-strings -Wundef $(if $(CI),-Werror)
CFLAGS ?= -O2 -g
ALL_CPPFLAGS = -D_GNU_SOURCE -I. -Iarch/$(ARCH) -I$(B)/gen -MMD -MP $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 $(WARN) -pthread -fno-strict-aliasing $(CFLAGS)
ALL_LDFLAGS = -pthread $(if $(STATIC),-static) $(LDFLAGS)
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)")

SRCS := $(wildcard vmm/*.c gdb/*.c devices/*.c arch/*.c arch/$(ARCH)/*.c)
LIBSRCS := $(filter-out vmm/main.c,$(SRCS))
DEMO := $(B)/guests/demo.elf
BIN := $(B)/minivmm$(if $(STATIC),-static)

all: $(BIN)

# --- objects: plain, static, and under sanitizers, each in its own folder ---
# $(call variant,folder,compiler,extra flags)
define variant
$(B)/$(1)/%.o: %.c
	$$(call say,CC,$$@)
	@mkdir -p $$(dir $$@)
	$$(Q)$(2) $$(ALL_CPPFLAGS) $$(ALL_CFLAGS) $(3) -c -o $$@ $$<
$(B)/$(1)/guests/demo_blob.o: guests/demo_blob.S $(DEMO)
	$$(call say,AS,$$@)
	@mkdir -p $$(dir $$@)
	$$(Q)$(2) -DDEMO_ELF='"$(DEMO)"' -c -o $$@ $$<
endef
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g
TSAN := -fsanitize=thread -O1 -g
FUZZ := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -O1 -g
$(eval $(call variant,obj,$(CC),))
$(eval $(call variant,san,$(CC),$(SAN)))
$(eval $(call variant,tsan,$(CC),$(TSAN)))
$(eval $(call variant,fuzz,$(CLANG),$(FUZZ)))
objs = $(patsubst %.c,$(B)/$(1)/%.o,$(2)) $(B)/$(1)/guests/demo_blob.o

$(BIN): $(call objs,obj,$(SRCS))
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LDFLAGS)

$(B)/%.a:
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^
$(foreach v,obj san tsan fuzz,$(eval $(B)/$(v)/lib.a: $(call objs,$(v),$(LIBSRCS))))

# --- the names of system calls: what the compiler's headers know of this ISA ---
SYSCALL_NAMES := $(B)/gen/syscall_names.h
$(SYSCALL_NAMES):
	@mkdir -p $(dir $@)
	$(Q)echo '#include <asm/unistd.h>' | $(CC) -E -dM - | \
		sed -n '/__NR_\(syscalls\|arch_specific_syscall\) /!s/^#define __NR_\([a-z0-9_]*\) .*/{__NR_\1, "\1"},/p' | sort >$@.new
	$(Q)mv $@.new $@
$(foreach v,obj san tsan fuzz,$(B)/$(v)/vmm/seccomp.o): $(SYSCALL_NAMES)

# --- guests ---
include guests/guests.mk

# --- tests: every tests/unit/*.c and tests/fake/*.c is one program that speaks TAP ---
# Those of another ISA (*_x86, *_arm64) are left out, except that arm64's pure code is tested on any host.
FOREIGN_TESTS := $(if $(filter-out x86_64,$(ARCH)),%_x86)
UNIT_TESTS := $(filter-out $(FOREIGN_TESTS),$(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c)))
UNIT_TESTS += $(B)/tests/unit/report_driver # for tests/unit/test_report_formats.py
FAKE_TESTS := $(patsubst tests/fake/%.c,$(B)/tests/fake/%,$(wildcard tests/fake/test_*.c))
FAKE_LIB := $(patsubst %.c,$(B)/tsan/%.o,$(filter-out $(wildcard tests/fake/test_*.c),$(wildcard tests/fake/*.c)))
# What tests/fake/sync.c puts itself in front of.
FAKE_WRAP := pthread_mutex_lock pthread_mutex_unlock pthread_cond_wait pthread_cond_timedwait pthread_cond_signal \
	pthread_cond_broadcast pthread_kill pthread_create read write debug_post_locked vm_debug_next
FUZZERS := $(filter-out $(FOREIGN_TESTS),$(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c)))
ARM64_PURE := $(wildcard arch/arm64/boot*.c arch/arm64/fdt.c arch/arm64/dtb.c arch/arm64/mmu.c arch/arm64/hwbp.c arch/arm64/insn.c arch/arm64/store.c arch/arm64/core.c arch/arm64/unwind.c)
$(foreach v,san fuzz,$(eval $(B)/$(v)/arm64.a: $(patsubst %.c,$(B)/$(v)/%.o,$(ARM64_PURE))))

$(filter %_arm64,$(UNIT_TESTS)): $(B)/tests/unit/%: $(B)/san/arm64.a
$(filter %_arm64,$(FUZZERS)): $(B)/tests/fuzz/%: $(B)/fuzz/arm64.a
$(UNIT_TESTS): $(B)/tests/unit/%: $(B)/san/tests/unit/%.o $(B)/san/lib.a
	$(call say,LD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(SAN) -o $@ $(sort $(filter %.o,$^)) $(filter %arm64.a,$^) $(filter %lib.a,$^) -pthread
# minivmm itself under the sanitizers, for leaks
$(B)/minivmm-asan: $(call objs,san,$(SRCS))
	$(call say,LD,$@)
	$(Q)$(CC) $(SAN) -o $@ $^ -pthread
FAULTS := $(B)/tests/lib/faults.so $(B)/minivmm-asan # for tests/kvm/test_faults*.py
$(B)/tests/lib/faults.so: tests/lib/faults.c
	$(call say,LD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(CC) -D_GNU_SOURCE $(ALL_CFLAGS) -shared -fPIC -o $@ $<
$(FAKE_TESTS): $(B)/tests/fake/%: $(B)/tsan/tests/fake/%.o $(FAKE_LIB) $(B)/tsan/lib.a
	$(call say,LD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(TSAN) $(FAKE_WRAP:%=-Wl,--wrap=%) -o $@ $^ -pthread
# Replies are encoded byte by byte: to note what each is compared with takes more time than all the rest.
$(B)/fuzz/gdb/packet.o: CFLAGS += -fno-sanitize-coverage=trace-cmp
$(B)/tests/fuzz/fuzz_session $(B)/tests/fuzz/fuzz_packet: $(B)/fuzz/tests/fuzz/session_oracle.o $(B)/fuzz/tests/fuzz/session_rules.o
$(FUZZERS): $(B)/tests/fuzz/%: $(B)/fuzz/tests/fuzz/%.o $(B)/fuzz/lib.a
	$(call say,LD,$@)
	@mkdir -p $(dir $@)
	$(Q)$(CLANG) $(FUZZ) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %arm64.a,$^) $(filter %lib.a,$^) -pthread

# What the nested layer runs inside its outer machines, for both ISAs where the host is x86_64.
ARM64_B := $(O)/arm64
ARM64_CROSS ?= $(if $(filter arm64,$(HOST_ARCH)),,aarch64-linux-gnu-)
nested-programs: guests
	$(Q)$(MAKE) --no-print-directory STATIC=1 $(B)/minivmm-static
	$(Q)$(if $(filter x86_64,$(ARCH)),$(MAKE) --no-print-directory ARCH=arm64 CROSS_COMPILE=$(ARM64_CROSS) CC=gcc STATIC=1 $(ARM64_B)/minivmm-static guests)
# What the test layers run on; the runner itself decides what to do with it.
check-programs: $(BIN) $(FAULTS) $(UNIT_TESTS) $(FAKE_TESTS) $(FUZZERS) guests nested-programs

SETUP = BUILD=$(abspath $(B)) sh tests/setup.sh
RUN_TESTS = ARCH=$(ARCH) CROSS_COMPILE=$(CROSS_COMPILE) SRC=$(CURDIR) BUILD=$(abspath $(B)) BUILD_ARM64=$(abspath $(ARM64_B)) MINIVMM=$(abspath $(B))/$(TESTED) tests/run
TESTED := minivmm
check:
	$(Q)$(SETUP) all
	$(Q)$(MAKE) --no-print-directory check-programs
	$(Q)$(RUN_TESTS) house unit fake fuzz kvm nested
check-unit: $(UNIT_TESTS) $(FAKE_TESTS) $(BIN)
	$(Q)$(RUN_TESTS) house unit fake
# The fake suite with pauses at every lock, kick and queue operation, once for each seed.
SEEDS ?= 1 2 3
check-fake-delays: $(FAKE_TESTS)
	$(Q)for seed in $(SEEDS); do FAKE_DELAYS=$$seed $(RUN_TESTS) fake || exit 1; done
check-kvm: $(BIN) $(FAULTS) guests
	$(Q)$(RUN_TESTS) kvm
check-nested: $(BIN) guests
	$(Q)$(SETUP) nested arm64
	$(Q)$(MAKE) --no-print-directory nested-programs
	$(Q)$(RUN_TESTS) nested
# Everything again in a folder of its own, with counters in place of sanitizers; what fails there for that is no matter.
# The counters are written to files at the end, which the sandbox refuses.
COV := -O1 -g --coverage -fprofile-update=atomic
coverage: TESTED := minivmm-open
coverage:
	$(Q)rm -rf $(O)/coverage && mkdir -p $(O)/coverage/$(ARCH)/tests && ln -s $(abspath $(B))/tests/cache $(O)/coverage/$(ARCH)/tests/
	$(Q)$(MAKE) --no-print-directory O=$(O)/coverage CFLAGS="$(COV)" SAN="$(COV)" TSAN="$(COV)" coverage-programs
	$(Q)printf '#!/bin/sh\nexec %s --no-sandbox "$$@"\n' $(abspath $(O)/coverage/$(ARCH)/minivmm) >$(O)/coverage/$(ARCH)/$(TESTED)
	$(Q)chmod +x $(O)/coverage/$(ARCH)/$(TESTED)
	-$(Q)$(subst $(B),$(O)/coverage/$(ARCH),$(RUN_TESTS)) unit fake kvm
	$(Q)python3 tests/coverage.py $(O)/coverage/$(ARCH)
coverage-programs: $(BIN) $(FAULTS) $(UNIT_TESTS) $(FAKE_TESTS) guests
# TIME: seconds for all targets together. TARGETS: some of them, as TARGETS="session cli".
TIME ?= 600
RUN_FUZZ = SRC=$(CURDIR) BUILD=$(abspath $(B)) tests/fuzz/run
fuzz:
	$(Q)$(SETUP) fuzz
	$(Q)$(MAKE) --no-print-directory fuzz-programs
	$(Q)$(RUN_FUZZ) -t $(TIME) $(TARGETS)
fuzz-programs: $(FUZZERS)
# What fuzzing has found, as far as it executes code that the corpora in tests/fuzz/corpus do not: into those.
fuzz-merge: fuzz-programs
	$(Q)$(RUN_FUZZ) --merge $(TARGETS)
$(B)/tests/bench/%: tests/bench/%.c
	$(call say,CC,$@)
	@mkdir -p $(dir $@)
	$(Q)$(CC) -D_GNU_SOURCE $(ALL_CFLAGS) -o $@ $<
bench: $(BIN) guests $(B)/tests/bench/rsp_bench
	$(Q)$(SETUP) nested
	$(Q)V=1 $(RUN_TESTS) bench

run: 
	$(Q)$(SETUP) gdb
	$(Q)$(MAKE) --no-print-directory $(BIN) guests
	$(Q)MINIVMM=$(BIN) DEMO=$(DEMO) sh guests/session.sh

# Format, house rules, and two checkers over both ISAs: a warning of any is an error.
LINT_CPPFLAGS = -D_GNU_SOURCE -I. -Iarch/$(ARCH) -I$(B)/gen
lint:
	$(Q)$(SETUP) lint
	$(Q)clang-format --dry-run -Werror $$(git ls-files '*.[ch]')
	$(Q)$(RUN_TESTS) house
	$(Q)$(MAKE) --no-print-directory lint-arch
	$(Q)$(if $(filter x86_64,$(ARCH)),$(MAKE) --no-print-directory ARCH=arm64 CROSS_COMPILE=$(ARM64_CROSS) CC=gcc LINT_TARGET=--target=aarch64-linux-gnu lint-arch)
lint-arch: $(SYSCALL_NAMES)
	$(call say,LINT,$(ARCH))
	$(Q)printf '%s\n' $(SRCS) | xargs -P $$(nproc) -n 8 sh -c 'clang-tidy --quiet --warnings-as-errors="*" "$$@" -- $(LINT_TARGET) $(LINT_CPPFLAGS) -std=gnu11 2>&1 | { ! grep -v "warnings\? generated\|^Suppressed\|^Use -header-filter"; }' lint
	$(Q)cppcheck --quiet -j $$(nproc) --error-exitcode=1 --enable=warning,performance,portability --inline-suppr --suppress=missingInclude $(LINT_CPPFLAGS) $(SRCS)

PREFIX ?= /usr/local
install: $(BIN)
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/minivmm
	install -D -m 644 vmm/minivmm.1 $(DESTDIR)$(PREFIX)/share/man/man1/minivmm.1
	install -D -m 644 vmm/minivmm.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/minivmm
uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/minivmm share/man/man1/minivmm.1 share/bash-completion/completions/minivmm)

clean:
	rm -rf $(O)

.PHONY: all check check-programs coverage coverage-programs nested-programs check-unit check-fake-delays check-kvm check-nested fuzz fuzz-programs fuzz-merge bench run lint lint-arch install uninstall clean guests
.SECONDARY:
-include $(shell find $(addprefix $(B)/,obj san tsan fuzz guests) -type f -name '*.d' 2>/dev/null)
