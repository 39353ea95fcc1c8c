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
# test_child_*: the parsers of the child (not its main, sandbox and pipe), with pages in an array
CHILD_LIB_OBJ := $(filter-out $(addprefix $(B)/ingest/child/,main.o emit.o sandbox.o),$(CHILD_OBJ))
$(B)/libchild.a: $(CHILD_LIB_OBJ)
	@rm -f $@
	@ar rcs $@ $^
$(B)/tests/unit/ingest/test_child_%: $(B)/tests/unit/ingest/test_child_%.o $(SUPPORT) $(B)/tests/support/emit_array.o $(B)/libchild.a $(B)/libingest.a $(B)/libbase.a
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(EXTRACT_LIBS) -lcmocka
.SECONDARY:

# ---- what people call ----
JOBS := $(shell nproc 2>/dev/null || echo 2)
SERVICE := $(wildcard tests/service/*.sh)

unit: $(UNIT_BIN)

# Set-up first, in a make of its own: the flags above come from packages that may only now be installed.
demo:
	@tools/deps.sh
	@tools/models.sh
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tools/demo.sh $(B)

test:
	@tools/deps.sh
	@$(MAKE) --no-print-directory -j$(JOBS) all unit
	@$(MAKE) --no-print-directory lint
	@DOCENT=$(B)/docent DOCENT_EXTRACT=$(abspath $(B))/docent-extract tests/run.sh $(UNIT_BIN) $(SERVICE)

models:
	@tools/models.sh
deps:
	@tools/deps.sh

# The same tests in sanitizer builds, each in a folder of its own.
asan:
	@$(MAKE) --no-print-directory -j$(JOBS) B=build-asan OPT="-O1 -g" SAN="-fsanitize=address,undefined -fno-omit-frame-pointer" all unit
	@ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 DOCENT=build-asan/docent DOCENT_EXTRACT=$(abspath build-asan)/docent-extract \
		tests/run.sh $(patsubst $(B)/%,build-asan/%,$(UNIT_BIN))
tsan:
	@$(MAKE) --no-print-directory -j$(JOBS) B=build-tsan OPT="-O1 -g" SAN="-fsanitize=thread" unit
	@DOCENT_EXTRACT=$(abspath build-tsan)/docent-extract tests/run.sh $(patsubst $(B)/%,build-tsan/%,$(UNIT_BIN))

BENCH := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/bench_*.c))
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(SUPPORT) $(foreach p,$(libs_upto_coordinator),$(call lib,$(p)))
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(DOCENT_LIBS) -lcmocka
bench:
	@tools/deps.sh
	@tools/models.sh
	@$(MAKE) --no-print-directory -j$(JOBS) all bench-programs
	@python3 tools/bench.py $(B)
bench-programs: $(BENCH)

# The borders, as greps that find nothing.
lint:
	@! grep -rln '<lmdb.h>' --include=*.[ch] $(PARTS) | grep -v '^index/store_lmdb\.c$$'
	@! grep -rln '<mpi.h>' --include=*.[ch] $(PARTS) | grep -v '_mpi\.c$$'
	@! grep -rlnE '<(poppler|cairo)' --include=*.[ch] $(PARTS) | grep -v '^ingest/child/'
	@! grep -rnE '#include "(nn|ingest|embedder|index|generator|coordinator)/' --include=*.[ch] base
	@! grep -rnE '#include "(ingest|embedder|index|generator|coordinator)/' --include=*.[ch] nn
	@! grep -rnE '#include "(embedder|index|generator|coordinator)/' --include=*.[ch] ingest
	@! grep -rnE '#include "(ingest|index|generator|coordinator)/' --include=*.[ch] embedder
	@! grep -rnE '#include "(ingest|embedder|generator|coordinator)/' --include=*.[ch] index
	@! grep -rnE '#include "(ingest|embedder|index|coordinator)/' --include=*.[ch] generator
	@! grep -rnE '(^|[^a-z_])(exit|abort|printf|puts) *\(' --include=*.c base nn ingest/*.c embedder index generator
	@! grep -rnE '\b(strcpy|sprintf|atoi|strtok|gets) *\(' --include=*.[ch] $(PARTS)

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

help:
	@echo "make          build/docent and build/docent-extract"
	@echo "make demo     packages, models, build, index docs/samples, three questions, proofs"
	@echo "make test     packages, build, lint, all tests (without models and data some are skipped, and named)"
	@echo "make models   fetch and check the two default models into models/"
	@echo "make asan     the unit tests under AddressSanitizer and UBSan     make tsan  under ThreadSanitizer"
	@echo "make bench    figures of every stage with machine and settings"
	@echo "make lint     the borders between the parts                       make clean"

clean:
	rm -rf build build-*
-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
.PHONY: all unit demo test models deps asan tsan bench bench-programs lint format help clean
