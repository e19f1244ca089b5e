-- SPDX-License-Identifier: MIT
-- docs/reference.md: it is what docs/build/reference.lua prints, has every option that a function takes, and its examples run.
local env = require "helper.env"
local omni = require "omni"

local root = env.output("pwd"):gsub("\n", "")
local page = env.read "docs/reference.md"

local function paths(more)
  return ('LUA_PATH="%s%s/lua/?.lua;%s/lua/?/init.lua;;" LUA_CPATH="%s"'):format(more or "", root, root,
    (os.getenv("LUA_CPATH") or "build/lib/?.so;;"):gsub("^build", root .. "/build"))
end

-- The code blocks of the page; the first is what all others assume.
local assumed = page:match "```lua\n(.-)```"
local blocks, heading = {}, nil
for part in (page .. "\n"):gmatch "(.-)\n```" do -- text and code in turn
  if part:find "^lua\n" then
    blocks[#blocks + 1] = { heading = heading, code = part:sub(5) .. "\n" }
  else
    for found in part:gmatch "\n#+ ([^\n]+)" do heading = found end
  end
end

describe("docs/reference.md", function()
  it("is what docs/build/reference.lua prints (make reference)", function()
    local printed = env.output(("cd %s && %s %s docs/build/reference.lua"):format(env.quote(root), paths(root .. "/docs/build/?.lua;"),
      env.lua))
    assert.is_true(printed == page, "docs/reference.md is stale: run make reference")
  end)

  -- A function lists the options that it knows in the message about one that it doesn't.
  local takes = {
    ["omni.client"] = function(given) omni.client(given) end,
    ["omni.callbacks"] = function(given) omni.callbacks(given) end,
    ["omni.sandbox"] = function(given) omni.sandbox(given) end,
    ["omni.serve"] = function(given) omni.serve(given, print) end,
    ["omni.load_storyboard"] = function(given) omni.load_storyboard("film.lua", given) end,
    ["omni.run_storyboard"] = function(given) omni.run_storyboard(omni.storyboard { omni.scene "a" { prompt = "A." } }, given) end,
    ["omni.adopt_task"] = function(given) omni.adopt_task({}, given) end,
  }
  for name, call in pairs(takes) do
    it("has all options of " .. name .. ", and no other", function()
      local _, message = pcall(call, { ["no such option at all"] = 1 })
      local known = message:match "known are: (.*)$"
      assert.truthy(known, message)
      local section = page:match("\n### " .. name:gsub("%p", "%%%0") .. "%(.-\n### ")
      local listed = {}
      for option in section:gmatch "\n| `([%w_]+)` | " do listed[#listed + 1] = option end
      table.sort(listed)
      assert.equal(known, table.concat(listed, ", "))
    end)
  end

  it("shows nothing that is for omni's own modules", function()
    assert.is_nil(page:find("own modules", 1, true))
  end)
end)

describe("the example of the reference for", function()
  local directory

  setup(function()
    directory = env.directory()
    env.write(directory:file "film.lua", [[
      return storyboard {
        title = "Two shots", defaults = { duration = 4 },
        scene "dusk" { prompt = "A keeper climbs the stairs." },
        scene "storm" { prompt = "Waves break against the tower." },
      }
    ]])
    env.output(("ffmpeg -v error -f lavfi -i color=size=32x32:rate=5:duration=20 -c:v libx264 -preset ultrafast %s -frames:v 1 %s"):format(
      env.quote(directory:file "long.mp4"), env.quote(directory:file "keeper.png")))
  end)
  teardown(function() directory:close() end)

  for _, block in ipairs(blocks) do
    if block.code ~= assumed then
      it(block.heading .. " runs", function()
        local own <close> = env.directory()
        env.output(("cp %s/* %s"):format(env.quote(directory.path), env.quote(own.path)))
        env.write(own:file "example.lua", assumed .. block.code)
        env.output(("cd %s && env -u CRUN_API_KEY HOME=/nonexistent %s timeout %d %s example.lua 2>&1"):format(env.quote(own.path), paths(),
          env.seconds(60), env.lua))
      end)
    end
  end

  it("every function stands there", function()
    for name in page:gmatch "\n### ([%w_.:]+%(.-%))\n" do
      local shown = name:find "^request:" -- omni.serve shows them
      for _, block in ipairs(blocks) do shown = shown or block.heading == name end
      assert.truthy(shown, name)
    end
  end)
end)
