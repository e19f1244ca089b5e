-- SPDX-License-Identifier: MIT
-- The layers of lua/omni: which module may require which (docs/architecture.md).
local env = require "helper.env"

-- Yields the tokens of a source file: words, strings (with a leading quote) and single characters. Skips comments.
local function tokens(source)
  local at = 1
  return function()
    while true do
      at = source:find("%S", at)
      if not at then return nil end
      local equals = source:match("^%-%-%[(=*)%[", at)
      if equals then
        at = select(2, source:find("]" .. equals .. "]", at, true)) + 1
      elseif source:find("^%-%-", at) then
        at = source:find("\n", at, true)
      else
        break
      end
    end
    local first, last = at, at
    local equals, quote = source:match("^%[(=*)%[", at), source:match("^[\"']", at)
    if equals then
      last = select(2, source:find("]" .. equals .. "]", at, true))
    elseif quote then
      repeat
        last = last + (source:sub(last, last) == "\\" and 2 or 1)
        last = source:find("[\\" .. quote .. "]", last)
      until source:sub(last, last) == quote
    else
      last = select(2, source:find("^[%a_][%w_]*", at)) or at
    end
    at = last + 1
    return quote and "'" .. source:sub(first + 1, last - 1) or source:sub(first, last)
  end
end

local opens <const> = { ["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true }
local closes <const> = { ["end"] = true, ["until"] = true }

-- Returns the modules that a source file requires; `lazy` marks those within a function, which are loaded by a call.
local function requires_of(source)
  local found, blocks, functions, before = {}, {}, 0, {}
  for token in tokens(source) do
    if opens[token] then
      blocks[#blocks + 1] = token
      if token == "function" then functions = functions + 1 end
    elseif closes[token] then
      if table.remove(blocks) == "function" then functions = functions - 1 end
    elseif token:sub(1, 1) == "'" then
      local word = before[1] == "(" and before[2] or before[1]
      if word == "require" then
        found[#found + 1] = { name = token:sub(2), lazy = functions > 0 }
      elseif word == "later" then
        found[#found + 1] = { name = token:sub(2), lazy = true }
      end
    elseif before[1] == "require" and (token ~= "(" and token ~= "=" and token ~= ":") or before[2] == "require" and before[1] == "(" then
      found[#found + 1] = { name = "?", lazy = functions > 0 }
    end
    before[2], before[1] = before[1], token
  end
  return found
end

local modules = {} -- name → { path, requires }
for path in env.output("find lua/omni -name '*.lua' ! -name '*.d.lua'"):gmatch "[^\n]+" do
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  modules[name] = { path = path, requires = requires_of(env.read(path)) }
end

local layers <const> = {
  { "omni.cli", "program" }, { "omni.host", "program" }, { "omni.sandbox", "sandbox" }, { "omni.storyboard", "studio" },
  { "omni.film", "studio" }, { "omni.report", "studio" },
}

local function layer_of(name)
  for _, row in ipairs(layers) do
    if name == row[1] or name:sub(1, #row[1] + 1) == row[1] .. "." then return row[2] end
  end
  return "binding"
end

-- Returns "FILE requires MODULE" for each require that the rule forbids.
local function offences(is_forbidden)
  local list = {}
  for name, module in pairs(modules) do
    for _, required in ipairs(module.requires) do
      if is_forbidden(layer_of(name), layer_of(required.name), required, name) then
        list[#list + 1] = ("%s requires %s"):format(module.path, required.name)
      end
    end
  end
  table.sort(list)
  return list
end

describe("the modules of lua/omni", function()
  it("are parsed correctly: the spec finds each require, and whether it is within a function", function()
    local source = [==[
      local a, b = require "a", require("b").x -- require "no"
      --[[ require "no" ]] local text = 'say \'require "no"\''
      local function f() for _ = 1, 2 do if x then return require "c" end end end
      return { require "d", e = later("e", "f"), require(name), required = { "g" } }
    ]==]
    assert.same({ { name = "a", lazy = false }, { name = "b", lazy = false }, { name = "c", lazy = true }, { name = "d", lazy = false },
      { name = "e", lazy = true }, { name = "?", lazy = false } }, requires_of(source))
    assert.is_true(#modules["omni.client"].requires > 10)
  end)

  it("don't require each other in a circle when they are loaded", function()
    local state, trail = {}, {}
    local function visit(name)
      if not modules[name] or state[name] == "done" then return end
      trail[#trail + 1] = name
      assert.is_nil(state[name], table.concat(trail, " → "))
      state[name] = "open"
      for _, required in ipairs(modules[name].requires) do
        if not required.lazy then visit(required.name) end
      end
      state[name] = "done"
      trail[#trail] = nil
    end
    for name in pairs(modules) do visit(name) end
  end)

  it("of the binding require only modules with a constant name, except for omni itself", function()
    assert.same({}, offences(function(from, _, required, name) return required.name == "?" and from == "binding" and name ~= "omni" end))
  end)

  it("of the binding need nothing of the studio or the program; only the public face names the studio, and loads it when it is called",
    function()
      assert.same({}, offences(function(from, to, required, name)
        return from == "binding" and to ~= "binding" and not (name == "omni" and to ~= "program" and required.lazy)
      end))
    end)

  it("of the studio and the sandbox require nothing of the program", function()
    assert.same({}, offences(function(from, to) return (from == "studio" or from == "sandbox") and to == "program" end))
  end)

  it("don't require the sandbox, except for the program and omni itself", function()
    assert.same({}, offences(function(from, to, _, name)
      return to == "sandbox" and from ~= "sandbox" and from ~= "program" and name ~= "omni"
    end))
  end)

  it("of the binding are the only ones loaded with omni, until a function of the studio is called", function()
    local script <const> = [[
      local omni = require "omni"
      local function loaded()
        local names = {}
        for name in pairs(package.loaded) do
          if name:find "^omni%.storyboard" or name:find "^omni%.film" or name:find "^omni%.report" or name:find "^omni%.sandbox"
            or name:find "^omni%.cli%f[%.\0]" or name == "omni.listener" then names[#names + 1] = name end
        end
        return names
      end
      assert(#loaded() == 0, loaded()[1])
      assert(omni.storyboard and omni.scene and omni.windows and omni.run_storyboard and #loaded() == 0)
      local scene = omni.scene "dawn" { prompt = "a" }
      assert(#loaded() > 0)
      assert(#omni.storyboard { scene }.scenes == 1)
      print "fine"
    ]]
    assert.equal("fine\n", env.output(("%s -e %s"):format(env.lua, env.quote(script))))
  end)
end)
