rockspec_format = "3.0"
package = "omni"
version = "0.1.0-1"
source = {
  url = "git+https://github.com/omni-film/omni.git",
  tag = "v0.1.0",
}
description = {
  summary = "Make films from scripts: an asynchronous video-generation client for Lua",
  detailed = [[
    A Lua program or a declarative storyboard describes scenes; omni submits each to an asynchronous
    video-generation service, waits for it without wasting requests or money, and fetches the results.
    With a host program, and a sandbox in which everything can be rehearsed offline.
  ]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = {
  "lua >= 5.4, < 5.5",
  "lua-cjson >= 2.1.0",
  "argparse >= 0.7.1",
}
external_dependencies = {
  CURL = { library = "curl" },
  MICROHTTPD = { library = "microhttpd" },
  GNUTLS = { library = "gnutls" },
  SQLITE = { library = "sqlite3" },
  CRYPTO = { library = "crypto" },
}
build = {
  type = "make",
  build_target = "build",
  install_target = "install-rock",
  build_variables = {
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    CURL_INCDIR = "$(CURL_INCDIR)",
    CURL_LIBDIR = "$(CURL_LIBDIR)",
    MHD_INCDIR = "$(MICROHTTPD_INCDIR)",
    MHD_LIBDIR = "$(MICROHTTPD_LIBDIR)",
    GNUTLS_INCDIR = "$(GNUTLS_INCDIR)",
    GNUTLS_LIBDIR = "$(GNUTLS_LIBDIR)",
    SQLITE_INCDIR = "$(SQLITE_INCDIR)",
    SQLITE_LIBDIR = "$(SQLITE_LIBDIR)",
    CRYPTO_INCDIR = "$(CRYPTO_INCDIR)",
    CRYPTO_LIBDIR = "$(CRYPTO_LIBDIR)",
  },
  install_variables = {
    INST_BINDIR = "$(BINDIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_LUADIR = "$(LUADIR)",
  },
  copy_directories = { "docs" },
}
