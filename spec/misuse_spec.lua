-- SPDX-License-Identifier: MIT
-- Misuse raises at the caller's line and names the call: every public function and method gets each of its arguments wrong.
package.path = "docs/build/?.lua;" .. package.path

local env = require "helper.env"
local omni = require "omni"
local source = require "source"

local HERE <const> = "^spec/misuse_spec%.lua:%d+: "

-- Values of every type that an argument may have by mistake.
local strays <const> = {
  { "a table", {} }, { "a string", "x" }, { "a number", 17 }, { "true", true }, { "a function", print }, { "nil", nil },
}

-- Returns whether an annotated type allows a stray value.
local function allows(param, value)
  if value == nil then return param.optional or param.type == "any" or param.type:find "nil" ~= nil end
  local kind = type(value)
  for part in (param.type .. "|"):gmatch "([^|]*)|" do
    local of = (part:find "^fun" or part == "omni.Handler") and "function" or part:find '^"' and "string" or part == "integer" and "number"
      or (part:find "^omni%." or part:find "%[%]$" or part:find "^table" or part:find "^{") and "table" or part
    if of == "any" or of == kind then return true end
  end
  return false
end

-- Calls and returns what was raised, or nil.
local function raised(fn, arguments)
  local function call()
    local result = fn(table.unpack(arguments, 1, arguments.n))
    return result
  end
  local fine, problem = pcall(call)
  return not fine and problem or nil
end

-- Checks that each argument of a function, one after the other, raises when it is wrong.
local function check(name, fn, block, valid, first)
  for i, param in ipairs(block.params) do
    for _, stray in ipairs(param.name == "..." and {} or strays) do
      if not allows(param, stray[2]) then
        local arguments = table.pack(table.unpack(valid, 1, valid.n))
        arguments[i + first], arguments.n = stray[2], math.max(arguments.n, i + first)
        local problem = raised(fn, arguments)
        local where = ("%s with %s as %s"):format(name, stray[1], param.name)
        assert.equal("string", type(problem), where .. ": " .. tostring(problem))
        assert.matches(HERE, problem, where)
        assert.truthy(problem:find(name, 1, true), where .. ": " .. problem)
      end
    end
  end
end

local sandbox, client, task, receiver, server, directory

setup(function()
  directory = env.directory()
  sandbox = assert(omni.sandbox { seconds = 0, clips = "builtin" })
  client = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = directory:file "l.db" })
  task = assert(assert(client:submit { prompt = "a" }):await())
  receiver = assert(omni.callbacks { client = client, listen = false, public_url = "https://a.test" })
  server = assert(omni.serve({}, function() return 404 end))
end)
teardown(function()
  server:close()
  client:close()
  sandbox:close()
  directory:close()
end)

-- Arguments with which a call would work; by default empty tables and strings will do, as a wrong argument raises before anything happens.
local valid <const> = {
  ["omni.call"] = { "GET", "/a" }, ["client:call"] = { "GET", "/a" }, ["client:submit"] = { { prompt = "a" }, {} },
  ["client:query"] = { "x", {} }, ["client:estimate"] = { { prompt = "a" }, {} }, ["client:upload"] = { "x", {} },
  ["client:templates"] = { { platform = "kling" } }, ["task:save"] = { "x", {} }, ["omni.serve"] = { {}, print },
  ["omni.timeout"] = { 1, print }, ["omni.process"] = { { "true" }, {} }, ["receiver:handle"] = { "POST", "/", {}, "" },
  ["omni.check_input"] = { "x", {} }, ["sandbox:set_credits"] = { "x", 1 },
}

-- Functions that take their arguments from boards, whose errors have a form of their own, or from anybody.
local other <const> = { storyboard = true, scene = true, windows = true, is_error = true }

describe("a wrong argument raises at the caller's line:", function()
  for name, value in pairs(omni) do
    if type(value) == "function" and not other[name] then
      it("omni." .. name, function()
        local words = { file = true, url = true, last_frame = true, clip = true }
        local block = source.block_of(value)
        if words[name] then
          for _, found in pairs(source.files["lua/omni/types/board.d.lua"].functions) do
            if found.name == name then block = found end
          end
        end
        local arguments = valid["omni." .. name] or {}
        check(words[name] and name or "omni." .. name, value, block, table.pack(table.unpack(arguments)), 0)
      end)
    end
  end

  for class, open in pairs {
    ["omni.Client"] = function() return "client", client end, ["omni.Task"] = function() return "task", task end,
    ["omni.Receiver"] = function() return "receiver", receiver end, ["omni.Server"] = function() return "server", server end,
    ["omni.Sandbox"] = function() return "sandbox", sandbox end,
    ["omni.Fiber"] = function() return "fiber", omni.spawn(print) end,
  } do
    for _, method in ipairs(source.methods[class]) do
      if not method.hidden then
        it(class .. ":" .. method.name, function()
          local word, object = open()
          local name, arguments = word .. ":" .. method.name, table.pack(object)
          local fn = object[method.name]
          for i, value in ipairs(valid[name] or {}) do arguments[i + 1], arguments.n = value, i + 1 end
          check(name, fn, method, arguments, 1)
          for _, stray in ipairs(strays) do -- a dot instead of a colon
            local problem = raised(fn, table.pack(stray[2]))
            assert.equal("string", type(problem), name .. " of " .. stray[1])
            assert.matches(HERE .. name, problem)
          end
        end)
      end
    end
  end
end)
