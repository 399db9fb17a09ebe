# Tandem: everything that is built, tested and measured. `make help` lists the targets.
# Variants live in build directories of their own: make CC=clang, make SAN=address,undefined, make SAN=thread.
CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
SAN     ?=
OPT     ?= -O2
comma   := ,
VARIANT := $(notdir $(CC))$(if $(SAN),-$(subst $(comma),-,$(SAN)))
B       := build/$(VARIANT)

# A module may use the ones named after it (transitively closed, nearest first); scripts/layers reads the same lines.
MODULES       := base assure ledger engine models quality cost privacy trust choose learn eval serve cli
USES_base     :=
USES_assure   := base
USES_ledger   := base
USES_engine   := base
USES_models   := engine ledger assure base
USES_quality  := models engine ledger assure base
USES_cost     := models engine ledger assure base
USES_privacy  := models engine ledger assure base
USES_trust    := models engine ledger assure base
USES_choose   := models engine ledger assure base
USES_learn    := privacy models engine ledger assure base
USES_eval     := models engine ledger assure base
USES_serve    := models engine ledger assure base
USES_cli      := serve eval learn choose trust privacy cost quality models engine ledger assure base

PKGS     := sqlite3 yaml-0.1 libpcre2-8 libutf8proc libcrypto
# Libraries that only some settings need are loaded when these are used (src/base/library.h): only their headers are here.
LATE     := hiredis libcurl libpq libhs
LATE_SO  := hiredis curl pq hs openblas
CPPFLAGS += -Isrc -Iinclude -D_GNU_SOURCE -DPCRE2_CODE_UNIT_WIDTH=8 $(filter-out -D_FILE_OFFSET_BITS=64,$(shell pkg-config --cflags $(PKGS) $(LATE)))
CFLAGS   += -std=c17 $(OPT) -g -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter -Wno-psabi \
            -fPIC -fvisibility=hidden -fno-omit-frame-pointer -ffp-contract=off -pthread $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
LDLIBS   += $(shell pkg-config --libs $(PKGS)) -lm
LDFLAGS  += -pthread -Wl,-z,noexecstack $(if $(SAN),-fsanitize=$(SAN))

# Libraries are not part of the build that looks for memory nobody has set: the list says what crosses their border.
ifneq ($(findstring memory,$(SAN)),)
MEMORY  := $(B)/tests/tools/memory.o
CFLAGS  += -fsanitize-memory-track-origins
CPPFLAGS += -DTDM_LINKED
LDLIBS  += $(addprefix -l,$(LATE_SO))
LDFLAGS += $(MEMORY) $(shell sed -n 's/^[A-Z]*(\(.*\))$$/-Wl,--wrap=\1/p' tests/tools/memory_border.h)
endif

objects   = $(patsubst %.c,$(B)/%.o,$(wildcard src/$(1)/*.c src/$(1)/*/*.c)) $(patsubst %.S,$(B)/%.o,$(wildcard src/$(1)/*.S))
archive   = $(B)/lib$(1).a
whole     = -Wl,--whole-archive $(foreach m,$(1),$(call archive,$(m))) -Wl,--no-whole-archive

all: $(B)/tandem $(B)/libtandem.a $(B)/random_model $(B)/bench_model $(B)/llama2c $(B)/read_json $(B)/fault.so
	@[ $(VARIANT) != gcc ] || { ln -sfn gcc/tandem build/tandem; ln -sfn gcc/libtandem.a build/libtandem.a; }

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' Makefile

# --- compile; instruction sets are files, not #if: kernels_NAME.c gets the flags of NAME
FLAGS_avx2   := -mavx2 -mfma -mf16c
FLAGS_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c
FLAGS_avx512bf16 := $(FLAGS_avx512) -mavx512bf16
# Checks for undefined behaviour make minutes of work of an optimised kernel, so there kernels are not optimised.
isa = $(FLAGS_$(lastword $(subst _, ,$(basename $(notdir $(1)))))) $(if $(and $(findstring undefined,$(SAN)),$(findstring /kernels_,$(1))),-O0)

# The commit that this was built from, for whoever asks the program: written only when it changed.
COMMIT := $(or $(shell git rev-parse --short=12 HEAD 2>/dev/null),unknown)
$(shell mkdir -p $(B) && echo '#define TDM_COMMIT "$(COMMIT)"' | cmp -s - $(B)/commit.h || echo '#define TDM_COMMIT "$(COMMIT)"' >$(B)/commit.h)
$(B)/src/models/identity.o: CPPFLAGS += -include $(B)/commit.h
$(B)/src/serve/watch/metrics.o: CPPFLAGS += -include $(B)/commit.h -DTDM_VERSION='"0"'

# The names by which the linker would have written down the libraries of LATE.
$(B)/libraries.h: Makefile
	@mkdir -p $(@D)
	@for l in $(LATE_SO); do so=$$(objdump -p "$$($(CC) -print-file-name=lib$$l.so)" | sed -n 's/^ *SONAME *//p'); \
		[ -n "$$so" ] || { echo "lib$$l.so: not found" >&2; exit 1; }; echo "#define TDM_SO_$$l \"$$so\""; done >$@
LATE_USERS := $(patsubst %,$(B)/src/%.o,models/remote/http ledger/postgres ledger/shared_redis privacy/detect/scan learn/gemm)
$(LATE_USERS): $(B)/libraries.h
$(LATE_USERS): CPPFLAGS += -include $(B)/libraries.h

$(B)/tests/tools/memory.o: CFLAGS += -fno-sanitize=memory -fno-builtin
# TDM_RACES: only threads are looked at, so that what runs in one thread is played once and not in every variety.
$(B)/tests/%.o: CPPFLAGS += -DTDM_SANITIZED=$(if $(SAN),1,0) -DTDM_RACES=$(if $(findstring thread,$(SAN)),1,0)
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(call isa,$<) -MMD -MP -c $< -o $@
$(B)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -MMD -MP -c $< -o $@
$(B)/src/cli/embedded_data.o: tandem.yaml $(wildcard weights/*.gguf weights/*.json weights/tagger/*.bin)
$(B)/src/serve/pages_data.o: $(wildcard web/*)

define MODULE
$(call archive,$(1)): $(call objects,$(1))
	@mkdir -p $$(@D); rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call MODULE,$(m))))

$(B)/tandem: $(foreach m,$(MODULES),$(call archive,$(m)))
	$(CC) $(LDFLAGS) $(call whole,cli) $(foreach m,$(USES_cli),$(call archive,$(m))) -o $@ $(LDLIBS)

# --- the library of include/tandem.h: everything but the command line's main
$(B)/libtandem.a: $(foreach m,$(MODULES),$(call archive,$(m)))
	@rm -f $@; ar qcs $@ $(filter-out %/main.o %/commands.o,$(foreach m,$(MODULES),$(call objects,$(m))))
libs: ## what a program that uses libtandem.a is linked with
	@echo $(LDFLAGS) $(LDLIBS)
$(B)/libtandem.so: $(B)/libtandem.a # what include/tandem.h declares, and nothing else of ours
	$(CC) $(LDFLAGS) -shared -Wl,-soname,libtandem.so.0 -Wl,--whole-archive $< -Wl,--no-whole-archive -o $@ $(LDLIBS)

PREFIX ?= /usr/local
install: all $(B)/libtandem.so ## program, library, headers and pkg-config file below PREFIX (and DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install $(B)/tandem $(DESTDIR)$(PREFIX)/bin
	install -m 644 include/tandem.h include/tandem_message.h include/tandem_status.h $(DESTDIR)$(PREFIX)/include
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' packaging/tandem.service.in >$(DESTDIR)$(PREFIX)/lib/systemd/system/tandem.service
	install -m 644 $(B)/libtandem.a $(DESTDIR)$(PREFIX)/lib
	install $(B)/libtandem.so $(DESTDIR)$(PREFIX)/lib/libtandem.so.0
	ln -sf libtandem.so.0 $(DESTDIR)$(PREFIX)/lib/libtandem.so
	printf 'prefix=%s\nName: tandem\nDescription: a small and a large language model answer as one\nVersion: 0\n%s\n%s\n%s\n%s\n' \
		$(PREFIX) 'Cflags: -I$${prefix}/include' 'Libs: -L$${prefix}/lib -ltandem' 'Requires.private: $(PKGS)' \
		'Libs.private: -lm -pthread' >$(DESTDIR)$(PREFIX)/lib/pkgconfig/tandem.pc

# --- unit tests: tests/unit/MODULE/*.c make one binary per module, linked with that module and the ones below it only;
# what it printed last stays beside it, for tests/cases
UNIT_TOOLS_engine := $(B)/tests/tools/family_model.o
UNIT_TOOLS_models := $(UNIT_TOOLS_engine)
# A binary's groups in that many runs, so that -j keeps every core busy to the end.
SHARES_engine := 6
SHARES_cost := 4
SHARES_privacy := 2
shares = $(foreach i,$(wordlist 1,$(or $(SHARES_$(1)),1),1 2 3 4 5 6 7 8 9),unit-$(1)-$(i))
define UNIT
ifneq ($(wildcard tests/unit/$(1)/*.c),)
UNITS += $(B)/unit-$(1)
UNIT_RUNS += unit-$(1) $(call shares,$(1))
$(B)/unit-$(1): $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/$(1)/*.c)) $(UNIT_TOOLS_$(1)) $(call archive,$(1)) $(foreach m,$(USES_$(1)),$(call archive,$(m)))
	$(CC) $(LDFLAGS) $$(filter %.o,$$^) $(call whole,$(1) $(USES_$(1))) -o $$@ -lcmocka $(LDLIBS)
$(call shares,$(1)): unit-$(1)-%: $(B)/unit-$(1)
	@$$< $$*/$(or $(SHARES_$(1)),1) >$$<-$$*.out 2>&1; status=$$$$?; cat $$<-$$*.out; exit $$$$status
unit-$(1): $(call shares,$(1))
endif
endef
$(foreach m,$(MODULES),$(eval $(call UNIT,$(m))))

$(UNITS) $(B)/tandem: | $(MEMORY)

unit: $(UNIT_RUNS) ## every module's unit tests; with -j several beside each other

# --- weights for the tests of the engine's families: the unit tests make them, the integration tests run the tool
$(B)/random_model: $(B)/tests/tools/random_model.o $(B)/tests/tools/family_model.o $(call archive,engine) $(call archive,base)
	$(CC) $(LDFLAGS) $^ -o $@ $(LDLIBS)

$(B)/llama2c: $(B)/tests/tools/llama2c.o $(call archive,engine) $(call archive,base) # a model of llama2.c as a weight file
	$(CC) $(LDFLAGS) $^ -o $@ $(LDLIBS)

$(B)/read_json: $(B)/tests/tools/read_json.o $(call archive,base) # for tests/integration/json.test.mjs
	$(CC) $(LDFLAGS) $^ -o $@ $(LDLIBS)

# --- for bench/gateway: upstream and load of streams
$(B)/stream_%: tests/tools/stream_%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $< -o $@

$(B)/identifiers: $(B)/tests/tools/identifiers.o $(foreach m,privacy $(USES_privacy),$(call archive,$(m))) # for the two below
	$(CC) $(LDFLAGS) $^ -o $@ $(LDLIBS)
bench-identifiers: $(B)/identifiers ## published test numbers that the mask finds, in DATA=folder
	bench/identifiers $(B)/identifiers "$(DATA)"
$(B)/privacy_sets: $(B)/tests/tools/privacy_sets.o $(foreach m,eval $(USES_eval) privacy $(USES_privacy),$(call archive,$(m)))
	$(CC) $(LDFLAGS) $(filter %.o,$^) $(call whole,eval privacy) $(foreach m,$(USES_privacy),$(call archive,$(m))) -o $@ $(LDLIBS)
bench-privacy: $(B)/privacy_sets ## what the mask hides and leaves of labelled texts, in DATA=folder; BIAS= of the tagger
	bench/privacy $(B)/privacy_sets "$(DATA)" $(BIAS)
bench-mask: $(B)/identifiers ## what the mask's patterns cost
	$(B)/identifiers time
$(B)/disguise: $(B)/tests/tools/disguise.o $(foreach m,privacy $(USES_privacy),$(call archive,$(m)))
	$(CC) $(LDFLAGS) $^ -o $@ $(LDLIBS)
bench-disguise: $(B)/disguise ## how many values the mask finds in each class of disguise
	$(B)/disguise
$(B)/bench_model: $(B)/tests/tools/bench_model.o $(call archive,engine) $(call archive,base) # for bench/engine
	$(CC) $(LDFLAGS) $^ -o $@ $(LDLIBS)

$(B)/bench_speculate $(B)/bench_prompts: $(B)/%: $(B)/tests/tools/%.o $(foreach m,cost $(USES_cost),$(call archive,$(m))) # for bench/speculate
	$(CC) $(LDFLAGS) $(filter %.o,$^) $(call whole,cost $(USES_cost)) -o $@ $(LDLIBS)

# --- beside llama.cpp: tests/compare/run fetches its libraries and headers (LLAMACPP, build/llamacpp), then builds this
LLAMACPP := tests/integration/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64
COMPARE  := $(patsubst %.c,$(B)/%.o,$(wildcard tests/compare/*.c)) $(B)/tests/tools/family_model.o
$(B)/tests/compare/theirs.o: CPPFLAGS += -isystem build/llamacpp/include -isystem build/llamacpp/ggml/include
$(B)/tests/compare/exact.o: CFLAGS += -O3
$(B)/compare: $(COMPARE) $(call archive,engine) $(call archive,base)
	$(CC) $(LDFLAGS) $^ -o $@ -Wl,-rpath,'$(abspath $(LLAMACPP))' \
		$(wildcard $(LLAMACPP)/libllama.v*.so $(LLAMACPP)/libggml.v*.so) $(LLAMACPP)/libggml-base.so $(LDLIBS)
$(B)/guarantee: $(B)/tests/tools/guarantee.o $(call archive,assure) $(call archive,base) # for bench/guarantee
	$(CC) $(LDFLAGS) $^ -o $@ $(LDLIBS)
$(B)/front: $(B)/tests/tools/front.o $(foreach m,choose $(USES_choose),$(call archive,$(m))) # for bench-front
	$(CC) $(LDFLAGS) $(filter %.o,$^) $(call whole,choose $(USES_choose)) -o $@ $(LDLIBS)
$(B)/fault.so: tests/tools/fault.c # disks that fail, for tests/integration/ledger.test.mjs
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=c17 -O1 -Wall -Wextra -Werror -fPIC -shared $< -o $@ -ldl
crash: all ## kill -9 at random moments under load, CRASH_ROUNDS times: nothing acknowledged is lost
	node tests/crash/run.mjs
compare: all ## every family in every format beside llama.cpp: a table
	tests/compare/run

$(B)/soak: $(B)/tests/soak/soak.o $(B)/tests/tools/family_model.o $(B)/libtandem.a
	$(CC) $(LDFLAGS) $^ -o $@ $(LDLIBS)
soak: ## two models and 32 sessions for SOAK_SECONDS under each sanitizer
	tests/soak/run

exactness: all ## speculation by every source and rule against the target alone: greedy bytes, sampled distributions
	tests/exactness/run

soak-serve: all ## the server's memory under mixed load and reloads for SOAK_SERVE_SECONDS (a day: 86400)
	node --test --test-timeout=$$((($${SOAK_SERVE_SECONDS:-60} + 60) * 1000)) --test-name-pattern=demand_50 tests/integration/operations.test.mjs

memory: ## memory that nobody has set, looked for in unit tests and in answers of the server (clang, minutes)
	$(MAKE) CC=clang SAN=memory OPT=-O1 unit-base unit-engine unit-models unit-cost
	tests/integration/sanitized memory

integration: all ## the real program with real clients
	tests/integration/run

# --- rules about the source
layers: ## no upward include and no upward call
	scripts/layers
egress: ## one way out of the machine, and it asks the egress chain
	scripts/egress
budget: ## size and complexity of functions and files
	scripts/budget
exports: $(B)/libtandem.so ## libtandem.so exports what include/ declares
	BUILD=$(B) scripts/exports
format: ## clang-format, checked
	clang-format --dry-run -Werror $$(git ls-files 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]')
banned: ## functions without a bound or an error
	scripts/banned
rules: ## these scripts find what is planted for them
	set -e; for t in layers egress budget banned; do tests/scripts/$$t.sh; done

pair: all ## rebuild the embedded default pair (hours of CPU)
	weights/make-pair
bench: all ## the figures of docs/measured.md
	bench/run
bench-engine: all ## the engine beside llama.cpp and its forks, whose programs are in PEERS=folder
	bench/engine $(PEERS)
bench-serving: all ## many sessions, a busy machine, memory: beside llama.cpp and its forks, in PEERS=folder
	bench/serving $(PEERS)
bench-speculate: all $(B)/bench_speculate $(B)/bench_prompts $(B)/bench_model ## speculation beside plain decoding and llama.cpp in PEERS=folder: the gym, Spec-Bench in DATA=folder, forced acceptance
	bench/speculate $(PEERS)
bench-gateway: all $(B)/stream_upstream $(B)/stream_load ## the gateway beside nginx, HAProxy and Portkey
	bench/gateway
bench-guarantee: $(B)/guarantee ## power and broken promises: the tables of docs/certificates.md (OUTCOMES=folder: also recorded ones)
	bench/guarantee $(OUTCOMES)
bench-front: $(B)/front ## broken promises of choose's fronts over 10,000 redraws: the table of docs/choose.md
	$(B)/front $(RUNS)
bench-certified: all $(B)/guarantee ## certified cascades on ZeroEval's outputs, in DATA=folder: broken promises over redraws
	bench/certified $(DATA)
bench-curves: all ## accuracy against cost of every kind on one plot: docs/figures/curves.svg
	bench/curves $(SEED) $(N)
bench-replay: all ## published figures of RouteLLM and ZeroEval from their outcomes, in DATA=folder
	bench/replay $(DATA)
bench-pupa: all ## what leaves of PUPA's queries by a mask and by every form of delegate, with the shipped pair, in DATA=folder
	node bench/pupa.mjs $(DATA)
bench-leaks: all ## what the estimate of a missed value is worth on labelled texts, in DATA=folder
	node bench/leaks.mjs $(DATA)
bench-routing: all ## what routers are worth on RouteLLM's outcomes, in DATA=folder
	node bench/routing.mjs $(DATA)
restore-proof: $(B)/unit-privacy ## a million random cuts of streams with tokens, beside the unit tests
	RESTORE_CUTS=$${RESTORE_CUTS:-1000000} $(B)/unit-privacy $$(tests/group privacy restore)
bench-restore: all ## tokens through the large model on the gym's passages: how many come back, and what masking costs in right answers
	$(B)/tandem eval --config bench/restore.yaml --models large,values,names,plain --families read,message,unanswerable --n $${N:-900} --seed $${SEED:-71} gym
mutation: all ## protections of private values, switched off one by one in a copy: each time a test must fail
	tests/mutation/run
EGRESS_N ?= 1000000
egress-proof: all ## EGRESS_N conversations with canaries through a mask to a recording upstream: nothing leaves, all comes back
	node tests/egress/run.mjs $(EGRESS_N)
fuzz: ## libFuzzer on the parsers, FUZZ_SECONDS each
	tests/fuzz/run

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.PHONY: $(UNIT_RUNS) all help libs install unit memory integration exactness soak soak-serve crash compare layers egress budget exports format banned rules pair bench bench-engine bench-serving bench-speculate bench-gateway bench-guarantee bench-front bench-certified bench-curves bench-replay bench-routing bench-pupa bench-identifiers bench-mask bench-disguise egress-proof bench-restore restore-proof mutation fuzz clean
