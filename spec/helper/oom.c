// SPDX-License-Identifier: MIT
// Runs a Lua file repeatedly, each time in a new state. In run N the allocator refuses the Nth allocation between the file's calls of
// `arm(true)` and `arm(false)`. Stops when a run has no refusal. For each run after the first it prints a line: the bytes that the C
// library has allocated and the number of open descriptors, both after closing the state.
#define _GNU_SOURCE
#include <dirent.h>
#include <lauxlib.h>
#include <lualib.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool armed, refused;
static long count, refuse;

static void *allocate(void *ignored, void *block, size_t before, size_t size) {
  (void)ignored;
  if (size == 0) {
    free(block);
    return NULL;
  }
  // After a refusal Lua collects garbage and tries once more.
  if (armed && (!block || size > before) && ++count >= refuse && count <= refuse + 1) {
    refused = true;
    return NULL;
  }
  return realloc(block, size);
}

static int arm(lua_State *L) {
  armed = lua_toboolean(L, 1);
  return 0;
}

static int descriptors(void) {
  int open = 0;
  DIR *folder = opendir("/proc/self/fd");
  while (folder && readdir(folder)) open++;
  if (folder) closedir(folder);
  return open;
}

int main(int arguments, char **argument) {
  for (refuse = 0; arguments == 2 && (refuse == 0 || refused); refuse++) {
    lua_State *L = lua_newstate(allocate, NULL);
    armed = refused = false;
    count = 0;
    luaL_openlibs(L);
    lua_register(L, "arm", arm);
    if (luaL_dofile(L, argument[1]) != LUA_OK) {
      fprintf(stderr, "%s\n", lua_tostring(L, -1));
      return EXIT_FAILURE;
    }
    lua_close(L);
    if (refuse > 0) printf("%zu %d\n", mallinfo2().uordblks, descriptors());
    if (refuse == 0) refused = true;
  }
  return EXIT_SUCCESS;
}
