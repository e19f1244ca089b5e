-- SPDX-License-Identifier: MIT
-- Texts from outside reach the terminal without control characters (C0, C1) and bidi controls, as text and as JSON.

local answers = require "helper.answers"
local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local err = require "omni.error"
local json = require "omni.json"
local program = require "helper.program"
local scripted = require "helper.scripted"

local EVIL <const> = "x\27]0;pwned\7\27[31m\u{9b}31m\u{202e}evil\u{2066}\u{200f}\u{61c}\u{2028}\r\n<script>\127"

-- Returns the control characters and bidi controls of a text, except line breaks. Texts may contain marks that only hint a direction.
local function misleading(text, is_json)
  local found = {}
  for _, code in utf8.codes(text) do
    if code < 32 and code ~= 10 or code >= 127 and code < 160 or code >= 0x202A and code <= 0x202E or code >= 0x2066 and code <= 0x2069
      or is_json and (code == 0x200E or code == 0x200F or code == 0x61C) or code == 0x2028 or code == 0x2029 then
      found[#found + 1] = ("U+%04X"):format(code)
    end
  end
  return found
end

describe("text from outside", function()
  local function describe_task(id)
    local status = id:match "^%l+"
    local task = core.json.decode(answers.task("success", '{"media_urls":["http://127.0.0.1:9/\u{9b}31m\u{202e}/x.mp4"]}'))
    task.task_id, task.status = id, status == "odd" and EVIL or status
    task.provider, task.model_version, task.param.model, task.param.input.prompt = EVIL, EVIL, EVIL, EVIL
    if status == "failed" then task.result = { code = 501, message = EVIL } end
    return task
  end
  local model = {
    model = "evil/model", modality = EVIL, operations = { EVIL }, description = EVIL, input_schema = {
      type = "object", properties = { [EVIL] = { type = "string", description = EVIL, enum = { EVIL, "b" }, default = EVIL } },
    },
  }
  local answer = {
    TaskInfo = function(target) return describe_task(target:match "[^=]+$") end,
    ["Models$"] = function() return { models = { model } } end,
    ["Models/"] = function() return model end,
    templates = function() return { templates = { { template_id = EVIL, name = EVIL } } } end,
    balance = function() return { balance = 1000 } end,
    EstimateTask = function() return cjson.encode { code = 422, message = EVIL, errors = { EVIL } }, 422 end,
  }
  local commands <const> = {
    "query success-task", "query failed-task", "query odd-task", "wait failed-task", "fetch failed-task", "models",
    "models evil/model", "models evil/model --schema", "templates --platform kling", "estimate --prompt x", "doctor", "plan BOARD",
    "run BOARD", "status", "status BOARD", "no\27[31m\u{202e}command", "query --no\27[31m\u{9b}option", "help \27[31m\u{9b}x",
    "estimate --prompt x --duration \27[31m\u{202e}", "status /no/\27[31m\u{9b}where.lua", "plan /no/\27[31m\u{202e}where.lua",
  }

  it("is printed without control characters and bidi controls, as text and as JSON, by every command", function()
    local files <close> = env.directory()
    local board = env.write(files:file "board.lua", [[
      return storyboard { cut = false, title = "t\27[31m\u{202e}",
        scene "a<b>" { prompt = "ok \27[31m\u{9b}" }, scene "f" { prompt = "f" } }
    ]])
    scripted.open(function(target)
      for name, tell in pairs(answer) do
        if target:find(name) then return tell(target) end
      end
    end, function(_, _, server)
      for _, command in ipairs(commands) do
        for _, manner in ipairs { "", "--json" } do
          local words = {}
          for word in (command .. " " .. manner):gmatch "%S+" do words[#words + 1] = word == "BOARD" and board or word end
          local result = program.run_in_loop(words, { directory = files.path, environment = {
            CRUN_BASE_URL = server.url, CRUN_API_KEY = answers.KEY, OMNI_LEDGER = files:file "ledger.db",
          } })
          assert.same({}, misleading(result.out, manner == "--json"), command .. manner)
          assert.same({}, misleading(result.err), command .. manner)
          assert.is_true(#result.out + #result.err > 0)
          for _, line in ipairs(manner == "--json" and result.lines or {}) do assert.is_table(cjson.decode(line)) end
        end
      end
    end)
  end)

  it("is escaped in JSON, and is unchanged after decoding", function()
    local text = assert(json.write({ [EVIL] = EVIL .. "\u{2064}é€😀" }, { empty = "object", printed = true }))
    assert.same({}, misleading(text, true))
    assert.same({ [EVIL] = EVIL .. "\u{2064}é€😀" }, cjson.decode(text))
    assert.is_truthy(text:find("\u{2064}é€😀", 1, true))
  end)

  it("is cleaned when an error value becomes a text, as Lua's interpreter does it", function()
    local text = tostring(err.new { code = "refused", message = EVIL, hint = EVIL, traceback = "stack:\n\t[C]: in ?" })
    assert.same({}, misleading((text:gsub("\n\t", "\n"))))
    assert.matches("\nstack:\n\t%[C%]: in %?$", text)
  end)
end)
