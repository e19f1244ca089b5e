-- SPDX-License-Identifier: MIT
-- The set of error codes is documented: docs/errors.md has each code of the source, and no other.
local env = require "helper.env"
local err = require "omni.error"

local function documented()
  local codes = {}
  for code in env.read("docs/errors.md"):gmatch("\n| `([%l_]+)` |") do codes[code] = true end
  for _, field in ipairs {
    "call", "code", "message", "status", "sent", "task_id", "field", "retry_after", "task_status", "balance", "row", "hint", "cause",
    "traceback", "changes", "where", "scene", "problems",
  } do
    codes[field] = nil
  end
  return codes
end

local function used()
  local codes = {}
  for path in env.output("find lua csrc -name '*.lua' -o -name '*.c' -o -name '*.h'"):gmatch("[^\n]+") do
    local text = env.read(path)
    local patterns = path:find("%.lua$") and { '[%s{]code = "([%l_]+)"', 'refuse%("([%l_]+)"' }
      or { 'failure_push%(L, "([%l_]+)"', 'failure_push%(L, gone %? "([%l_]+)"', 'gone %? "[%l_]+" : "([%l_]+)"',
        'X%(%d+, "([%l_]+)"',
        'moderation %? "([%l_]+)"', 'row%->name : "([%l_]+)"', 'lua_pushliteral%(L, "(submit_unknown)"%)',
        'row%->name : [^\n]- "([%l_]+)" : "', '" : "(unexpected_code)"' }
    for _, pattern in ipairs(patterns) do
      for code in text:gmatch(pattern) do codes[code] = path end
    end
  end
  return codes
end

describe("docs/errors.md", function()
  it("has each code that the source uses", function()
    local known = documented()
    for code, path in pairs(used()) do assert.is_true(known[code], ("%s, in %s"):format(code, path)) end
  end)

  it("has no code that nothing uses", function()
    local codes = used()
    for code in pairs(documented()) do assert.truthy(codes[code], code) end
  end)
end)

describe("an error value", function()
  it("reads well, with what it is about and what to do", function()
    local text = tostring(err.new { code = "timeout", message = "too slow", status = 500, task_id = "abc", hint = "wait" })
    assert.equal("too slow (status 500, task abc)\n  wait", text)
    local slow = err.new { message = "too slow" }
    assert.equal("first too slow, then too slow", "first " .. slow .. ", then " .. slow)
    assert.is_true(err.is(err.new {}))
    assert.is_false(err.is {})
  end)
end)
