// A C program that embeds omni: the program's own poll loop drives omni's loop, with one descriptor and one timeout.
//   cc examples/embed.c -o embed $(pkg-config --cflags --libs lua5.4) -lm && ./embed
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

// The part in Lua: starts a fiber and returns omni's loop. omni prints an error in the fiber, unless the program has set omni.on_error.
static const char script[] =
    "local omni = require 'omni'\n"
    "omni.spawn(function()\n"
    "  local sandbox <close> = assert(omni.sandbox { seconds = 1, clips = 'builtin' })\n"
    "  local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })\n"
    "  local task = assert(client:submit { prompt = 'Gulls over a harbour, handheld, early light.' })\n"
    "  assert(task:await())\n"
    "  print(task.status)\n"
    "end)\n"
    "return omni.loop\n";

// Calls a method of omni's loop, which is at index 1. Leaves its result on the stack, or an error message.
static bool call(lua_State *L, const char *method) {
  lua_getfield(L, 1, method);
  lua_pushvalue(L, 1);
  return lua_pcall(L, 1, 1, 0) == LUA_OK;
}

static bool is_over(lua_State *L, bool *over) {
  if (!call(L, "empty")) return false;
  *over = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return true;
}

// Returns milliseconds for poll: -1 if omni waits for its descriptor only. Rounds up, since waking up early would only cost a turn of the
// loop.
static bool time_left(lua_State *L, int *milliseconds) {
  if (!call(L, "timeout")) return false;
  double seconds = lua_tonumber(L, -1);
  *milliseconds = lua_isnil(L, -1) ? -1 : seconds > 1e6 ? 1000000000 : (int)ceil(seconds * 1000);
  lua_pop(L, 1);
  return true;
}

// The program's loop: omni's descriptor and a timer of the program's own.
static bool run(lua_State *L, int timer) {
  if (!call(L, "pollfd")) return false;
  struct pollfd fds[] = {{.fd = (int)lua_tointeger(L, -1), .events = POLLIN}, {.fd = timer, .events = POLLIN}};
  lua_pop(L, 1);
  unsigned long long ticks = 0, more;
  bool over;
  int milliseconds;
  while (is_over(L, &over)) {
    if (over) {
      printf("ticks meanwhile: %s\n", ticks > 0 ? "some" : "none");
      return true;
    }
    if (!time_left(L, &milliseconds)) return false;
    if (poll(fds, 2, milliseconds) < 0 && errno != EINTR) {
      lua_pushstring(L, strerror(errno));
      return false;
    }
    if (read(timer, &more, sizeof more) == sizeof more) ticks += more;
    if (!call(L, "step")) return false; // does the work that is due; doesn't raise errors from omni's fibers
    lua_pop(L, 1);
  }
  return false;
}

int main(void) {
  lua_State *L = luaL_newstate();
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  struct itimerspec every = {.it_interval.tv_nsec = 50000000, .it_value.tv_nsec = 50000000};
  if (!L || timer < 0 || timerfd_settime(timer, 0, &every, NULL) < 0) {
    perror("embed");
    return 1;
  }
  luaL_openlibs(L);
  bool fine = luaL_loadstring(L, script) == LUA_OK && lua_pcall(L, 0, 1, 0) == LUA_OK && run(L, timer);
  if (!fine) fprintf(stderr, "embed: %s\n", luaL_tolstring(L, -1, NULL));
  lua_close(L);
  close(timer);
  return fine ? 0 : 1;
}
