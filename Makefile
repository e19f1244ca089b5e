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
MHD_INCDIR  ?=
PREFIX      ?= /usr/local
INST_BINDIR ?= $(PREFIX)/bin
INST_LUADIR ?= $(PREFIX)/share/lua/5.4
INST_LIBDIR ?= $(PREFIX)/lib/lua/5.4

B ?= build
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings
STRICT   ?= $(if $(CI),-Werror)
INCLUDES := -I$(LUA_INCDIR) $(addprefix -I,$(CURL_INCDIR) $(MHD_INCDIR))
override CFLAGS += -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden $(WARN) $(STRICT) $(SANITIZE)
override CPPFLAGS += $(INCLUDES) -DOMNI_VERSION='"$(VERSION)"'

CORE     := core system readiness download exchange pool client task process spawn output
LISTENER := listener listener_intake listener_request
LUA_FILES := $(sort $(filter-out %.d.lua,$(wildcard lua/omni/*.lua lua/omni/*/*.lua)))

.PHONY: all deps test asan memcheck fuzz lint check demo bench install clean help
all: deps
	@$(MAKE) --no-print-directory build

.PHONY: build
build: $(B)/omni $(B)/lib/omni/core.so $(B)/lib/omni/listener.so

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# Everything but `deps` itself may be asked for on a machine that has nothing yet, hence the recursion in `all`.
# --- what a machine must have; on Debian it is installed when missing
deps:
	@.ci/deps build

# --- building
$(B)/obj/%.o: csrc/%.c $(wildcard csrc/*.h) Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(CPPFLAGS) -c $< -o $@

$(B)/lib/omni/core.so: $(CORE:%=$(B)/obj/%.o)
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) $(LDFLAGS) $(SANITIZE) -Wl,-z,nodelete $^ -o $@ -lcurl -lpthread

$(B)/lib/omni/listener.so: $(LISTENER:%=$(B)/obj/%.o)
	@mkdir -p $(@D)
	$(CC) $(LIBFLAG) $(LDFLAGS) $(SANITIZE) $^ -o $@ -lmicrohttpd

$(B)/obj/embedded.c: csrc/host/embed.lua $(LUA_FILES) $(B)/lib/omni/core.so $(B)/lib/omni/listener.so
	$(LUA) csrc/host/embed.lua $(B)/lib $(LUA_FILES) > $@.new && mv $@.new $@

$(B)/obj/embedded.o: $(B)/obj/embedded.c
	$(CC) $(CFLAGS) $(CPPFLAGS) -c $< -o $@

$(B)/omni: $(B)/obj/host/main.o $(B)/obj/embedded.o csrc/host/exports
	$(CC) $(LDFLAGS) $(SANITIZE) $(filter %.o,$^) -o $@ -Wl,--dynamic-list=csrc/host/exports $(LUA_STATIC) -lm -ldl

clean:
	rm -rf build
