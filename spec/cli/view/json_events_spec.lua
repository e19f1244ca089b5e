-- SPDX-License-Identifier: MIT
-- The events of --json: docs/cli.md lists every event with its fields, and no other.

local cjson = require "cjson"
local env = require "helper.env"
local json_events = require "omni.cli.view.json_events"
local sink = require("helper.screen").sink

local sections <const> = { run = "Events of `omni plan` and `omni run`", task = "Events of commands for one task" }

local function names_of(list)
  local names = {}
  for i, field in ipairs(list) do names[i] = field:match "^[%w_]+" end
  table.sort(names)
  return names
end

-- Returns the words between backticks, except in parentheses.
local function words_of(cell)
  local words = {}
  for word in cell:gsub("%b()", ""):gmatch "`([%w_]+)`" do words[#words + 1] = word end
  table.sort(words)
  return words
end

-- Returns the fields in docs/cli.md, by section and name.
local function documented()
  local found, section = {}, nil
  for line in env.read("docs/cli.md"):match("\n## JSON events\n(.*)$"):gmatch "[^\n]+" do
    section = line:match "^### (.*)" or section
    found[section or ""] = found[section or ""] or {}
    local names, cell = line:match "^| ([`*].-) |.*| (.-) |$"
    if not names then names, cell = line:match "^| ([*].-) | (.-) |$" end
    for name in (names or ""):gmatch "[`*]([%w_ ]+)[`*]" do found[section][name] = words_of(cell) end
  end
  return found
end

describe("the events of --json", function()
  it("have the fields that docs/cli.md lists, and the document lists no others", function()
    local found, count = documented(), 0
    for command, events in pairs(json_events.fields) do
      local section = found[sections[command] or "Events of other commands"]
      for name, list in pairs(events) do
        assert.same(names_of(list), section[name], command .. ": " .. name)
        section[name], count = nil, count + 1
      end
    end
    for name, list in pairs(json_events.types) do
      assert.same(names_of(list), found["Objects in events"][name:gsub("_", " ")], name)
      found["Objects in events"][name:gsub("_", " ")] = nil
    end
    for _, rest in pairs(found) do assert.same({}, rest) end
    assert.is_true(count > 40)
  end)

  it("have only these fields, in this order, and no control characters", function()
    local out = sink()
    local problem = { code = "network", message = "no\27[2J way\n", secret = "s", hint = "h" }
    json_events.write("task", "error", { task_id = "t", secret = "s", error = problem }, out)
    local line = out.take()
    assert.matches('^{"event":"error","time":%d+,"task_id":"t","error":{"code":"network","message":"[^"]*","hint":"h"}}\n$', line)
    assert.is_nil(line:find("\27", 1, true))
    local submit = { submit = 1, account = "a", model = "m", state = "x", since = 2, error = problem, extra = 1 }
    json_events.write("status", "status", { ledger = "l", exists = false, in_flight = { submit }, unknown = {}, to_fetch = {},
      accounts = {} }, out)
    local event = cjson.decode(out.take())
    assert.same({ "h", nil, nil }, { event.in_flight[1].error.hint, event.in_flight[1].extra, event.in_flight[1].error.secret })
  end)
end)
