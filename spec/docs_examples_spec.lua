-- SPDX-License-Identifier: MIT
-- Every Lua example of the docs runs, as a program of its own, against a sandbox that the environment names. (spec/reference_spec.lua
-- and the spec of docs/storyboards.md run the examples of those two pages.)
local env = require "helper.env"
local omni = require "omni"

local root = env.output("pwd"):gsub("\n", "")
local elsewhere <const> = { ["docs/reference.md"] = true, ["docs/storyboards.md"] = true }

-- Replacements for servers that examples name.
local address <const>, here <const> = 'listen = "127.0.0.1:8787", public_url = "https://film.example.com/hook",', 'listen = "127.0.0.1:0",'

-- Runs an example as a program, or as a spec of busted.
local function run(code, busted)
  local directory <close> = env.directory()
  env.write(directory:file "example.lua", (code:gsub(address:gsub("%p", "%%%0"), here)))
  local command = busted and ("%s %s/spec/helper/busted.lua example.lua"):format(env.lua, env.quote(root)) or env.lua .. " example.lua"
  return omni.run(function()
    local sandbox <close> = assert(omni.sandbox { seconds = 0.2, clips = "builtin" })
    return assert(omni.process({ "timeout", tostring(env.seconds(60)), "sh", "-c", command }, {
      directory = directory.path, stdout = "pipe", environment = {
        HOME = "/nonexistent", CRUN_BASE_URL = sandbox.url, CRUN_API_KEYS = sandbox.key,
        LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(root, root),
        LUA_CPATH = (os.getenv "LUA_CPATH" or "build/lib/?.so;;"):gsub("^build", root .. "/build"),
      },
    }))
  end)
end

describe("the example", function()
  for path in env.output("ls docs/*.md docs/internals/*.md"):gmatch "[^\n]+" do
    local number = 0
    for kind, code in env.read(path):gmatch "\n```lua( ?%a*)\n(.-)```" do
      number = number + 1
      if not elsewhere[path] then
        it(("%d of %s runs"):format(number, path), function()
          local result = run(code, kind == " busted")
          assert.equal(0, result.exit, result.stdout .. result.stderr)
        end)
      end
    end
  end
end)
