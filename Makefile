# SPDX-License-Identifier: MIT
# `make` builds, `make test` tests, `make demo` shows; `make help` lists the rest.

VERSION := $(shell sed -n 's/^return "\(.*\)"$$/\1/p' lua/omni/version.lua)

# LuaRocks' names, all to be overridden.
CC          ?= cc
CFLAGS      ?= -O2 -g
LIBFLAG     ?= -shared
LUA         ?= lua5.4
LUA_INCDIR  ?= $(or $(patsubst -I%,%,$(firstword $(shell pkg-config --cflags-only-I lua5.4 2>/dev/null))),/usr/include/lua5.4)
LUA_LIBDIR  ?= $(shell pkg-config --variable=libdir lua5.4 2>/dev/null || echo /usr/lib)
LUA_STATIC  ?= $(firstword $(wildcard $(LUA_LIBDIR)/liblua5.4.a $(LUA_LIBDIR)/liblua.a))
CURL_INCDIR ?=
CURL_LIBDIR ?=
MHD_INCDIR  ?=
MHD_LIBDIR  ?=
GNUTLS_INCDIR ?=
GNUTLS_LIBDIR ?=
SQLITE_INCDIR ?=
SQLITE_LIBDIR ?=
PQ_INCDIR   ?= $(patsubst -I%,%,$(firstword $(shell pkg-config --cflags-only-I libpq 2>/dev/null)))
PQ_LIBDIR   ?=
PQ_FOUND    := $(wildcard $(or $(PQ_INCDIR),/usr/include)/libpq-fe.h)# optional: without it there is no ledger in PostgreSQL
CRYPTO_INCDIR ?=
CRYPTO_LIBDIR ?=
PREFIX      ?= /usr/local
INST_BINDIR ?= $(PREFIX)/bin
INST_LUADIR ?= $(PREFIX)/share/lua/5.4
INST_LIBDIR ?= $(PREFIX)/lib/lua/5.4
INST_MANDIR ?= $(PREFIX)/share/man/man1
INST_BASHDIR ?= $(PREFIX)/share/bash-completion/completions
INST_ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
INST_FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d

B ?= build
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings
STRICT   ?= $(if $(CI),-Werror)
INCLUDES := -Icsrc -I$(LUA_INCDIR) $(addprefix -I,$(CURL_INCDIR) $(MHD_INCDIR) $(GNUTLS_INCDIR) $(SQLITE_INCDIR) $(PQ_INCDIR) $(CRYPTO_INCDIR))
override CFLAGS += -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden $(WARN) $(STRICT) $(SANITIZE)
override CPPFLAGS += $(INCLUDES) -DOMNI_VERSION='"$(VERSION)"'

# The C files of a module: its folder, and what all modules share.
sources   = $(patsubst csrc/%.c,%,$(sort $(wildcard csrc/$(1)/*.c)))
SHARED   := $(call sources,shared)
CORE     := $(call sources,core) $(SHARED)
LISTENER := $(call sources,listener) core/json_reader $(SHARED)
LEDGER   := $(call sources,ledger) $(SHARED)
LEDGER_SQLITE := $(call sources,ledger_sqlite) $(LEDGER)
LEDGER_POSTGRESQL := $(call sources,ledger_postgresql) $(LEDGER)
HOST     := $(filter-out host/embedder,$(call sources,host)) shared/file shared/descriptor
MODULES  := $(B)/lib/omni/core.so $(B)/lib/omni/listener.so $(B)/lib/omni/ledger_sqlite.so $(if $(PQ_FOUND),$(B)/lib/omni/ledger_postgresql.so)
SHELLS   := bash zsh fish
LUA_FILES := $(sort $(filter-out %.d.lua,$(shell find lua/omni -name "*.lua")))
EMBEDDED_TYPES := lua/omni/types/board.d.lua # `omni init --editor` writes it

.PHONY: all deps test prove torture torture-asan power-loss chaos soak asan memcheck coverage fuzz lint check demo bench reference docs install install-rock clean help
all:
	@$(MAKE) --no-print-directory deps FOR="build"
	@$(MAKE) --no-print-directory build

.PHONY: build
build: $(B)/omni $(MODULES)
	@:

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# What a machine must have is installed by .ci/deps, on Debian, when it is missing. It may be all that this Makefile asks
# the machine about (pkg-config, Lua's library), hence the recursions. `build` and `install` install no packages.
## make deps: installs missing packages; the targets below call it. FOR="build test lint" selects the purposes
FOR ?= build test
deps:
	@.ci/deps $(FOR)

# --- building (V=1 shows the commands)
Q   := $(if $(V),,@)
say  = $(if $(V),:,echo '  $(1)  $(2)')

$(B)/obj/%.o: csrc/%.c $(wildcard csrc/*/*.h spec/helper/*.h) lua/omni/version.lua Makefile
	@mkdir -p $(@D)
	@$(call say,cc,$<)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -c $< -o $@

$(B)/lib/omni/core.so: $(CORE:%=$(B)/obj/%.o)
	@mkdir -p $(@D)
	@$(call say,link,$@)
	$(Q)$(CC) $(LIBFLAG) $(LDFLAGS) $(SANITIZE) -Wl,-z,nodelete $^ -o $@ $(addprefix -L,$(CURL_LIBDIR) $(CRYPTO_LIBDIR)) -lcurl -lcrypto -lpthread

$(B)/lib/omni/listener.so: $(LISTENER:%=$(B)/obj/%.o)
	@mkdir -p $(@D)
	@$(call say,link,$@)
	$(Q)$(CC) $(LIBFLAG) $(LDFLAGS) $(SANITIZE) $^ -o $@ $(addprefix -L,$(MHD_LIBDIR) $(GNUTLS_LIBDIR)) -lmicrohttpd -lgnutls -lm -lpthread

$(B)/lib/omni/ledger_sqlite.so: $(LEDGER_SQLITE:%=$(B)/obj/%.o)
	@mkdir -p $(@D)
	@$(call say,link,$@)
	$(Q)$(CC) $(LIBFLAG) $(LDFLAGS) $(SANITIZE) $^ -o $@ $(addprefix -L,$(SQLITE_LIBDIR)) -lsqlite3 -lpthread

$(B)/lib/omni/ledger_postgresql.so: $(LEDGER_POSTGRESQL:%=$(B)/obj/%.o)
	@mkdir -p $(@D)
	@$(call say,link,$@)
	$(Q)$(CC) $(LIBFLAG) $(LDFLAGS) $(SANITIZE) $^ -o $@ $(addprefix -L,$(PQ_LIBDIR)) -lpq -lm -lpthread

# The list of Lua files, changed only when one comes or goes.
.PHONY: look
$(B)/obj/lua_files: look
	@mkdir -p $(@D)
	@echo $(LUA_FILES) | cmp -s - $@ || echo $(LUA_FILES) > $@

$(B)/obj/embedder: csrc/host/embedder.c
	@mkdir -p $(@D)
	@$(call say,cc,$@)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $< -o $@ $(LUA_STATIC) -lm -ldl

$(B)/obj/embedded.c: csrc/host/embed.lua $(B)/obj/embedder $(B)/obj/lua_files $(LUA_FILES) $(EMBEDDED_TYPES) $(MODULES)
	@$(call say,embed,$@)
	$(Q)$(B)/obj/embedder csrc/host/embed.lua $(B)/lib $(LUA_FILES) $(EMBEDDED_TYPES) > $@.new && mv $@.new $@

$(B)/obj/embedded.o: $(B)/obj/embedded.c
	@$(call say,cc,$<)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -c $< -o $@

$(B)/omni: $(HOST:%=$(B)/obj/%.o) $(B)/obj/embedded.o csrc/host/exports
	@$(call say,link,$@)
	$(Q)$(CC) $(LDFLAGS) $(SANITIZE) $(filter %.o,$^) -o $@ -Wl,--dynamic-list=csrc/host/exports $(LUA_STATIC) -lm -ldl

# --- what is checked
GIVEN_LUA_PATH := $(or $(LUA_PATH),;;)
export LUA_PATH  := lua/?.lua;lua/?/init.lua;spec/?.lua;;
export LUA_CPATH := $(abspath $(B))/lib/?.so;;
export OMNI      := $(abspath $(B))/omni
export XDG_STATE_HOME := $(abspath $(B))/state# no test writes into the user's ledger
export XDG_CACHE_HOME := $(abspath $(B))/cache
export OMNI_LEDGER :=
export OMNI_STORE :=
SPECS ?= spec
RUN_SPECS = CC="$(CC)" LUA="$(LUA)" spec/helper/run

## make test: builds and runs the tests, JOBS spec files at a time; SPECS=spec/loop/loop_spec.lua runs only that file
test:
	@$(MAKE) --no-print-directory deps FOR="build test"
	@$(MAKE) --no-print-directory build
	@$(RUN_SPECS) test $(B) $(SPECS)

## make asan: runs all tests with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer, and with an eager garbage collector
asan:
	@$(MAKE) --no-print-directory deps FOR="build test asan"
	@$(MAKE) --no-print-directory build B=build/asan CPPFLAGS="-include spec/helper/eager.h" \
	  SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
	@$(RUN_SPECS) asan build/asan $(SPECS)

## make memcheck: runs all tests under valgrind, and also checks for leaks
memcheck:
	@$(MAKE) --no-print-directory deps FOR="build test memcheck"
	@$(MAKE) --no-print-directory build
	@$(RUN_SPECS) memcheck $(B) $(SPECS)

## make coverage: runs all tests and a part of `make torture`, and writes to spec/coverage.txt which part of each file they have run
$(B)/lib/coverage.so: spec/helper/coverage.c spec/helper/coverage.h
	@mkdir -p $(@D)
	@$(call say,cc,$@)
	$(Q)$(CC) -O2 -fPIC -shared -fvisibility=hidden $(WARN) -I$(LUA_INCDIR) $< -o $@

# Modes that let system calls fail would also damage gcov's files. With -std=c11, gcov would lose its counters at fork and exec.
COVERAGE_MODES ?= omni-once
COVERED_LUA = $(LUA) -e \"package.loadlib('$(CURDIR)/build/coverage/lib/coverage.so','luaopen_coverage')()\"
coverage:
	@$(MAKE) --no-print-directory deps FOR="build test"
	@$(MAKE) --no-print-directory build build/coverage/lib/coverage.so B=build/coverage CPPFLAGS="-include spec/helper/coverage.h" \
	  SANITIZE="--coverage -fprofile-update=atomic -std=gnu11"
	@rm -rf build/coverage/record && mkdir -p build/coverage/record && find build/coverage -name "*.gcda" -delete
	@$(RUN_SPECS) coverage build/coverage $(SPECS); status=$$?; \
	  [ "$(SPECS)" != spec ] || $(MAKE) --no-print-directory torture B=build/coverage TORTURE_MODES="$(COVERAGE_MODES)" LUA="$(COVERED_LUA)" \
	    OMNI_COVERAGE=$(CURDIR)/build/coverage/record || status=1; \
	  $(LUA) spec/helper/coverage_report.lua build/coverage/obj build/coverage/record build/coverage/missed $(LUA_FILES) | \
	    tee build/coverage/table; [ "$(SPECS)" != spec ] || cp build/coverage/table spec/coverage.txt; exit $$status

## make fuzz: fuzzes the parsers in C, the listener and each parser in Lua (spec/fuzz/parsers.lua) for FUZZ_SECONDS (60, and 10 each)
FUZZ_SECONDS ?= 60
FUZZ_LUA_SECONDS ?= 10
FUZZ_RUNS ?= -1
FUZZ_SANITIZE := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
FUZZ_CC   = clang -g -O1 -std=c11 -D_GNU_SOURCE $(FUZZ_SANITIZE) $(CPPFLAGS)
FUZZ_LIBS = $(LUA_LIBDIR)/liblua5.4-cjson.a $(LUA_STATIC) -lcurl -lm -ldl
FUZZ_RUN  = -runs=$(FUZZ_RUNS) -timeout=5 -print_final_stats=1 -artifact_prefix=build/fuzz/
PARSER   := csrc/core/url.c csrc/core/task_parser.c csrc/core/envelope.c csrc/core/json_reader.c csrc/core/number.c csrc/core/text.c
fuzz:
	@$(MAKE) --no-print-directory deps FOR="build fuzz"
	@mkdir -p build/fuzz/corpus build/fuzz/listener_corpus
	$(FUZZ_CC) spec/fuzz/task_fuzz.c $(PARSER) $(SHARED:%=csrc/%.c) -o build/fuzz/task $(FUZZ_LIBS)
	$(FUZZ_CC) spec/fuzz/listener_fuzz.c $(sort $(LISTENER:%=csrc/%.c) $(PARSER)) -o build/fuzz/listener $(FUZZ_LIBS) -lmicrohttpd -lgnutls
	$(FUZZ_CC) spec/fuzz/lua_fuzz.c $(CORE:%=csrc/%.c) -o build/fuzz/lua $(FUZZ_LIBS) -lcrypto -lpthread
	build/fuzz/task $(FUZZ_RUN) -max_total_time=$$(( ($(FUZZ_SECONDS) + 1) / 2 )) -max_len=4096 build/fuzz/corpus spec/fuzz/seeds
	build/fuzz/listener $(FUZZ_RUN) -max_total_time=$$(( ($(FUZZ_SECONDS) + 1) / 2 )) -max_len=16384 -dict=spec/fuzz/listener.dict \
	  build/fuzz/listener_corpus spec/fuzz/listener_seeds
	@for parser in $$($(LUA) spec/fuzz/lua_seeds.lua build/fuzz/lua_seeds); do \
	  mkdir -p build/fuzz/lua_corpus/$$parser && echo "$$parser" && \
	  FUZZ_PARSER=$$parser build/fuzz/lua $(FUZZ_RUN) -max_total_time=$(FUZZ_LUA_SECONDS) -max_len=2048 \
	    build/fuzz/lua_corpus/$$parser build/fuzz/lua_seeds/$$parser || exit 1; done

## make prove: a program with 15,000 tasks (TASKS); the program killed at 500 random moments (KILL_ROUNDS, KILL_SEED); four machines with
## one database that fails, 500 rounds (MACHINES_ROUNDS, MACHINES_SEED); workers that are killed, 100 rounds (WORK_ROUNDS, WORK_SEED); 2,000 runs that lose power (POWER_RUNS, POWER_SEED); 100 million
## mutated responses (DIFFERENCES, SEED), read by omni and by lua-cjson; an hour of chaos; each parser fuzzed ten million times (FUZZ_RUNS);
## a million random histories (SEQUENCES, SEED). All of it takes days
TASKS       ?= 15000
KILL_ROUNDS ?= 500
KILL_SEED   ?= 1
MACHINES_ROUNDS ?= 500
MACHINES_SEED ?= 1
WORK_ROUNDS ?= 100
WORK_SEED   ?= 1
DIFFERENCES ?= 100000000
POWER_RUNS  ?= 2000
POWER_SEED  ?= 1
SEQUENCES   ?= 1000000
SEED        ?= 1
prove:
	@$(MAKE) --no-print-directory deps FOR="build test"
	@$(MAKE) --no-print-directory build
	@TASKS=$(TASKS) $(LUA) spec/helper/busted.lua spec/applications/many_tasks_spec.lua -o spec/helper/summary.lua
	@OMNI_KILL_ROUNDS=$(KILL_ROUNDS) OMNI_KILL_SEED=$(KILL_SEED) $(LUA) spec/helper/busted.lua spec/e2e/kill_spec.lua -o spec/helper/summary.lua
	@OMNI_WORK_ROUNDS=$(WORK_ROUNDS) OMNI_WORK_SEED=$(WORK_SEED) $(LUA) spec/helper/busted.lua spec/e2e/work_spec.lua -o spec/helper/summary.lua
	@DIFFERENCES=$(DIFFERENCES) SEED=$(SEED) $(LUA) spec/helper/busted.lua spec/core/json_reader_spec.lua -o spec/helper/summary.lua
	@OMNI_MACHINES_ROUNDS=$(MACHINES_ROUNDS) OMNI_MACHINES_SEED=$(MACHINES_SEED) OMNI_MACHINES_SCENES=60 $(LUA) spec/helper/busted.lua \
	  spec/e2e/machines_spec.lua -o spec/helper/summary.lua
	@$(MAKE) --no-print-directory power-loss
	@$(MAKE) --no-print-directory chaos SECONDS=3600
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=0 FUZZ_LUA_SECONDS=0 FUZZ_RUNS=$(or $(filter-out -1,$(FUZZ_RUNS)),10000000)
	@SEQUENCES=$(SEQUENCES) SEED=$(SEED) $(LUA) spec/helper/busted.lua spec/storyboard/run/paid_once_property_spec.lua -o spec/helper/summary.lua

## make torture: short uses of omni, each with memory failing at every allocation in turn, which takes hours; TORTURE_STRIDE=50: minutes
$(B)/torture/faults.so: $(wildcard spec/torture/*.[ch])
	@mkdir -p $(@D)
	@$(call say,cc,$@)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O1 -g -fPIC -shared -fvisibility=hidden -fno-builtin $(WARN) -I$(LUA_INCDIR) $(filter %.c,$^) -o $@ -ldl

PRELOADED = LUA_CPATH="$(abspath $(B))/torture/?.so;$(LUA_CPATH)" LD_PRELOAD=$(abspath $(B))/torture/faults.so
torture:
	@$(MAKE) --no-print-directory deps FOR="build test"
	@$(MAKE) --no-print-directory build $(B)/torture/faults.so
	@$(PRELOADED) $(LUA) spec/torture/run.lua

## make torture-asan: the same with AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer, ten times slower
ASAN_TORTURE = B=build/asan_torture SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
SANITIZERS   = $(shell $(CC) -print-file-name=libasan.so) $(shell $(CC) -print-file-name=libubsan.so)
torture-asan:
	@$(MAKE) --no-print-directory deps FOR="build test asan"
	@$(MAKE) --no-print-directory build build/asan_torture/torture/faults.so $(ASAN_TORTURE)
	@ASAN_OPTIONS=verify_asan_link_order=0:detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1:fast_unwind_on_malloc=0:handle_segv=0:handle_abort=0:handle_sigfpe=0:handle_sigbus=0:handle_sigill=0 \
	  LSAN_OPTIONS="suppressions=spec/helper/lsan.supp:print_suppressions=0" UBSAN_OPTIONS=print_stacktrace=1 OMNI_TEST_SLOWNESS=4 \
	  LUA_CPATH="$(abspath build/asan_torture)/torture/?.so;$(abspath build/asan_torture)/lib/?.so;;" \
	  LD_PRELOAD="$(abspath build/asan_torture)/torture/faults.so $(SANITIZERS)" $(LUA) spec/torture/run.lua

## make power-loss: runs that lose power (POWER_RUNS, POWER_SEED)
power-loss:
	@$(MAKE) --no-print-directory deps FOR="build test"
	@$(MAKE) --no-print-directory build $(B)/torture/faults.so
	@POWER_RUNS=$(POWER_RUNS) POWER_SEED=$(POWER_SEED) $(PRELOADED) $(LUA) spec/torture/power_loss.lua

## make chaos: programs that share a ledger, while everything around them is disturbed, for SECONDS (60) from SEED (1) on
SECONDS ?= 60
# A namespace in which a small disk can be mounted, where the system allows one.
NAMESPACE = $(shell unshare -rm true 2>/dev/null && echo unshare -rm)
chaos:
	@$(MAKE) --no-print-directory deps FOR="build test"
	@$(MAKE) --no-print-directory build
	@SECONDS=$(SECONDS) SEED=$(SEED) ROUNDS=$(ROUNDS) $(NAMESPACE) $(LUA) spec/chaos/run.lua

## make soak: COUNT (1,000,000) tasks through one process; a board that is changed and run again RUNS (1,000) times: nothing may grow
soak:
	@$(MAKE) --no-print-directory deps FOR="build test"
	@$(MAKE) --no-print-directory build
	@COUNT=$(COUNT) RUNS=$(RUNS) $(LUA) spec/soak/run.lua

## make lint: runs luacheck and cppcheck, and builds with compiler warnings as errors
lint:
	@$(MAKE) --no-print-directory deps FOR="build lint"
	luacheck -q lua spec examples bench docs/build csrc/host
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	  --suppress=missingIncludeSystem --suppress=toomanyconfigs -Icsrc -I$(LUA_INCDIR) csrc
	@$(MAKE) --no-print-directory build B=build/lint STRICT=-Werror
	sh -n .ci/run .ci/deps docs/build/site
	luarocks --lua-version=5.4 lint rockspec/*.rockspec

## make check: runs everything that CI runs, 25 rounds of four machines with a board of 60 scenes, and chaos for five minutes (CHAOS_SECONDS)
check: lint test fuzz
	@OMNI_MACHINES_ROUNDS=25 OMNI_MACHINES_SCENES=60 $(LUA) spec/helper/busted.lua spec/e2e/machines_spec.lua -o spec/helper/summary.lua
	@OMNI=build/omni LUA_CPATH="build/lib/?.so;;" LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;;" $(LUA) spec/helper/busted.lua spec/chaos/rounds.lua
	@$(MAKE) --no-print-directory chaos SECONDS=$(CHAOS_SECONDS)
CHAOS_SECONDS ?= 300

## make demo: makes a film with six scenes, in the sandbox
demo:
	@$(MAKE) --no-print-directory deps FOR="build demo"
	@$(MAKE) --no-print-directory build
	build/omni run examples/lighthouse.lua --sandbox

## make bench: measures the figures in docs/performance.md
bench:
	@$(MAKE) --no-print-directory deps FOR="build bench"
	@$(MAKE) --no-print-directory build
	@LUA=$(LUA) bench/run

## make reference: generates docs/reference.md from the annotations
reference: build
	@LUA_PATH="docs/build/?.lua;$(LUA_PATH)" $(LUA) docs/build/reference.lua > $(B)/reference.md && mv $(B)/reference.md docs/reference.md

## make docs: generates an HTML site from all docs, in build/site
docs:
	@$(MAKE) --no-print-directory deps FOR="docs"
	@docs/build/site $(B)/site

# The types of `require "omni"` for the Lua language server.
$(B)/share/library/omni.lua: docs/build/addon.lua docs/build/source.lua docs/build/sections.lua docs/build/annotations.lua $(LUA_FILES) \
    $(wildcard lua/omni/types/*.d.lua) $(B)/lib/omni/core.so
	@mkdir -p $(@D)
	@$(call say,write,$@)
	$(Q)LUA_PATH="docs/build/?.lua;lua/?.lua;lua/?/init.lua;$(GIVEN_LUA_PATH)" $(LUA) $< > $@.new && mv $@.new $@

# The man page and the completions; with the caller's Lua path, which may be where argparse is.
$(B)/share/omni.1: docs/build/man_page.lua $(B)/omni
	@mkdir -p $(@D)
	@$(call say,write,$@)
	$(Q)LUA_PATH="lua/?.lua;lua/?/init.lua;$(GIVEN_LUA_PATH)" $(LUA) $< > $@.new && mv $@.new $@

$(SHELLS:%=$(B)/share/omni.%): $(B)/share/omni.%: $(B)/omni
	@mkdir -p $(@D)
	@$(call say,write,$@)
	$(Q)LUA_PATH="$(GIVEN_LUA_PATH)" $(B)/omni completion $* > $@.new && mv $@.new $@

## make install: installs the program, the modules, the man page and completions under PREFIX (INST_* and DESTDIR work, too)
install: install-rock $(B)/share/omni.1 $(SHELLS:%=$(B)/share/omni.%)
	install -D -m 644 $(B)/share/omni.1 "$(DESTDIR)$(INST_MANDIR)/omni.1"
	install -D -m 644 $(B)/share/omni.bash "$(DESTDIR)$(INST_BASHDIR)/omni"
	install -D -m 644 $(B)/share/omni.zsh "$(DESTDIR)$(INST_ZSHDIR)/_omni"
	install -D -m 644 $(B)/share/omni.fish "$(DESTDIR)$(INST_FISHDIR)/omni.fish"

# What LuaRocks installs, and removes again: no more than has a place in a rock.
install-rock: build $(B)/share/library/omni.lua
	install -d "$(DESTDIR)$(INST_BINDIR)" "$(DESTDIR)$(INST_LIBDIR)/omni" "$(DESTDIR)$(INST_LUADIR)"
	install -m 755 $(B)/omni "$(DESTDIR)$(INST_BINDIR)/omni"
	install -m 644 $(MODULES) "$(DESTDIR)$(INST_LIBDIR)/omni"
	for folder in $(sort $(dir $(LUA_FILES))); do \
	  install -D -m 644 -t "$(DESTDIR)$(INST_LUADIR)/$${folder#lua/}" $$folder*.lua || exit 1; done
	install -D -m 644 -t "$(DESTDIR)$(INST_LUADIR)/omni/types" lua/omni/types/*.d.lua lua/omni/types/config.json
	install -D -m 644 $(B)/share/library/omni.lua "$(DESTDIR)$(INST_LUADIR)/omni/types/library/omni.lua"

clean:
	rm -rf build
