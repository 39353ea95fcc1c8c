# docent: make help
.DEFAULT_GOAL := all
B ?= build
PARTS := base nn ingest embedder index generator coordinator # ground first
CC ?= gcc
PKG := lmdb jansson icu-uc icu-i18n libxxhash libsodium libzstd libedit
EXTRACT_PKG := poppler-glib libxml-2.0 libarchive libseccomp icu-uc icu-i18n
CPPFLAGS += -I. -D_GNU_SOURCE
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wformat=2 -Werror=format-security \
	-Werror=implicit-function-declaration -Werror=incompatible-pointer-types -Werror=int-conversion
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero
OPT ?= -O2 -g -D_FORTIFY_SOURCE=2
CFLAGS += -std=c11 $(WARN) $(HARDEN) $(OPT) $(SAN) -fPIE -MMD -MP
LDFLAGS += $(SAN) -pie -Wl,-z,relro,-z,now,-z,noexecstack
CFLAGS += $(shell pkg-config --cflags $(PKG) libxml-2.0 poppler-glib 2>/dev/null)
LIBS := $(shell pkg-config --libs jansson icu-i18n icu-uc libxxhash libsodium libzstd 2>/dev/null) \
	-llmdb -lroaring -lstemmer -lpthread -lm
DOCENT_LIBS := $(LIBS) $(shell pkg-config --libs libedit 2>/dev/null)
EXTRACT_LIBS := $(shell pkg-config --libs $(EXTRACT_PKG) jansson libsodium libxxhash 2>/dev/null) \
	-lcmark-gfm-extensions -lcmark-gfm -lpthread -lm

# Speed flags only here, a file an instruction set; -march=native and -ffast-math nowhere.
$(B)/nn/%_ref.o: XFLAGS := -O3
$(B)/nn/%_avx2.o: XFLAGS := -O3 -ffp-contract=fast -mavx2 -mfma -mf16c -mbmi2
$(B)/nn/%_avx512.o: XFLAGS := -O3 -ffp-contract=fast -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512bf16 -mavx2 -mfma -mf16c -mbmi2

MAINS := coordinator/main.c
src = $(filter-out $(MAINS),$(wildcard $(1)/*.c))
obj = $(patsubst %.c,$(B)/%.o,$(call src,$(1)))
lib = $(B)/lib$(1).a

all: $(B)/docent $(B)/docent-extract

define part_rule
$(B)/lib$(1).a: $$(call obj,$(1))
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach p,$(PARTS),$(eval $(call part_rule,$(p))))

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) $(XFLAGS) -c $< -o $@

# link order: what stands right may call what stands left
libs_upto_base := base
libs_upto_nn := nn base
libs_upto_ingest := ingest nn base
libs_upto_embedder := embedder nn base
libs_upto_index := index nn base
libs_upto_generator := generator nn base
libs_upto_coordinator := coordinator generator index embedder ingest nn base

$(B)/docent: $(B)/coordinator/main.o $(foreach p,$(libs_upto_coordinator),$(call lib,$(p)))
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(DOCENT_LIBS)

CHILD_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard ingest/child/*.c))
$(B)/docent-extract: $(CHILD_OBJ) $(B)/libingest.a $(B)/libbase.a
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(EXTRACT_LIBS)

# ---- tests: tests/unit/<part>/test_<file>.c links that part and what stands left of it ----
UNIT := $(wildcard $(foreach p,$(PARTS),tests/unit/$(p)/test_*.c))
UNIT_BIN := $(patsubst %.c,$(B)/%,$(UNIT))
SUPPORT := $(B)/tests/support/support.o
define unit_rule
$(B)/tests/unit/$(1)/%: $(B)/tests/unit/$(1)/%.o $(SUPPORT) $$(foreach p,$$(libs_upto_$(1)),$$(call lib,$$(p)))
	@echo "  LD $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$^ $$(DOCENT_LIBS) -lcmocka
endef
$(foreach p,$(PARTS),$(eval $(call unit_rule,$(p))))
.SECONDARY:

unit: $(UNIT_BIN)
-include $(shell find $(B) -name '*.d' 2>/dev/null)

clean:
	rm -rf build build-*
.PHONY: all unit clean
