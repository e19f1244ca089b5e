-- SPDX-License-Identifier: MIT
-- The public face: everything that a user may call, and nothing else. Each function is described where it is written.

local core = require "omni.core"
local loop = require "omni.loop"
local words = require "omni.storyboard"

-- Loaded when it is first called: the server side needs libmicrohttpd, which a client doesn't.
local function later(module, name)
  return function(...) return require(module)[name](...) end
end

return {
  version = require "omni.version",

  run = loop.run, spawn = loop.spawn, sleep = loop.sleep, join = loop.join, loop = loop,

  client = require("omni.client").open,
  check_input = require("omni.input").check,
  parse_callback = core.parse_callback,
  null = core.json.null,

  storyboard = words.storyboard, scene = words.scene,
  load_storyboard = require("omni.storyboard.load").load,
  run_storyboard = require("omni.storyboard.run").run,

  process = later("omni.process", "run"),
  serve = later("omni.server", "serve"),
  sandbox = later("omni.sandbox", "open"),
}
