-- SPDX-License-Identifier: MIT
-- The reader of the service's JSON against lua-cjson: the same verdict on a text, and the same values in a task, for mutated responses.
--
-- DIFFERENCES (20,000; `make prove`: 100 million) texts, from SEED (1) on.

local core = require "omni.core"
local env = require "helper.env"

local count = math.tointeger(tonumber(os.getenv "DIFFERENCES" or env.is_slow and 1000 or 20000))
local random = math.random

-- --- what lua-cjson and a few lines of Lua make of a text

local known <const> = { pending = true, running = true, success = true, failed = true }
local empty <const> = { [""] = true, success = true, failed = true, failure = true, ok = true, error = true }
local moderation <const> = { "moderation", "moderated", "content policy", "content_policy", "safety filter", "safety system",
  "sensitive content", "prohibited content" }

local function lower(text)
  return (text:gsub("%u", string.lower))
end

local function member(object, name, kind)
  local value = type(object) == "table" and object[name]
  return type(value) == kind and value or nil
end

local function number(data, name, whole)
  local value = member(data, name, "number")
  if not value or value < 0 or value == math.huge then return nil end
  return math.tointeger(value) or not whole and value or nil
end

local function add(media, url, once)
  local normal = type(url) == "string" and #media < 1000 and core.normalize_url(url)
  if not normal then return end
  for _, other in ipairs(once and media or {}) do
    if other == normal then return end
  end
  media[#media + 1] = normal
end

local function listed(media, object)
  for _, item in ipairs(member(object, "media_urls", "table") or {}) do add(media, member(item, "url", "string") or item) end
end

local function searched(media, value)
  if type(value) ~= "table" then return add(media, value, true) end
  local names = {}
  for name in pairs(value) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, item in ipairs(value) do searched(media, item) end
  for _, name in ipairs(names) do searched(media, value[name]) end
end

local function media_of(data, result, success)
  local media = {}
  listed(media, result)
  if #media == 0 then listed(media, data) end
  for _, place in ipairs(success and { result or false, data.media_info or false, data.suno_data or false } or {}) do
    if #media == 0 and type(place) == "table" then searched(media, place) end
  end
  return #media > 0 and media or nil
end

-- Returns the code of a task's error and the service's reason.
local function error_of(data, result, failed)
  local reason, moderated
  for _, text in ipairs { member(result, "message", "string") or "", member(data, "message", "string") or "",
    member(data, "reason", "string") or "", member(result, "reason", "string") or "" } do
    text = core.clean(text, 1000)
    for _, word in ipairs(moderation) do moderated = moderated or lower(text):find(word, 1, true) ~= nil end
    if not empty[lower(text)] then reason = reason or text end
  end
  return not failed and "broken_result" or moderated and "moderation_refused" or "generation_failed", reason or ""
end

-- Returns what `parse_callback` must return, with `reason` instead of `error.message`; or nil and a part of the failure's message.
local function expected(body)
  local data = core.decode(body)
  if data == nil then return nil, "it isn't JSON" end
  if not member(data, "task_id", "string") then data = member(data, "data", "table") or data end
  local id, status = member(data, "task_id", "string"), member(data, "status", "string")
  if not core.is_task_id(id) then return nil, "there is no valid task id in it" end
  if not status or status == "" then return nil, "there is no status in it" end
  status = known[lower(status)] and lower(status) or lower(core.clean(status, 64))
  local result, model = member(data, "result", "table"), member(member(data, "param", "table"), "model", "string")
  local success, failed = status == "success", status == "failed"
  local task = {
    id = id, status = status, model = model and core.clean(model, 256), media = media_of(data, result, success),
    created_at = number(data, "create_at", true), completed_at = number(data, "complete_at", true), duration = number(data, "duration_s"),
    [(success or failed) and "credits" or "reserved_credits"] = number(data, "credits"),
  }
  if failed or success and not task.media then task.error, task.reason = error_of(data, result, failed) end
  return task
end

local fields <const> = { "id", "status", "model", "created_at", "completed_at", "duration", "credits", "reserved_credits" }

-- Returns the first difference between the two parsers, or nil.
local function difference(body)
  local task, failure = core.parse_callback(body)
  local wanted, why = expected(body)
  local id, status = core.callback_head(body)
  if id ~= (task and task.id) or task and status ~= task.status then return "callback_head" end
  if not task or not wanted then
    if task or wanted then return "verdict: " .. (failure and failure.message or why) end
    return not failure.message:find(why, 1, true) and failure.message or nil
  end
  for _, name in ipairs(fields) do
    if task[name] ~= wanted[name] or math.type(task[name]) ~= math.type(wanted[name]) then return name end
  end
  if table.concat(task.media or {}, "\n") ~= table.concat(wanted.media or {}, "\n") then return "media" end
  if (task.error and task.error.code) ~= wanted.error then return "error" end
  if wanted.error and wanted.reason ~= "" and not task.error.message:find(wanted.reason, 1, true) then return "reason" end
  return nil, wanted
end

-- --- mutated responses

local seeds = {}
for _, path in ipairs(env.lines "ls spec/contract/*.json spec/fuzz/seeds/*.json") do
  local text = env.read(path)
  local whole = core.decode(text)
  seeds[#seeds + 1] = type(whole) == "table" and type(whole.body) == "string" and whole.body or text
end

local values <const> = {
  "null", "true", "false", "0", "-0", "1.", "-.5", ".5", "-.1.5e3", "1.5.7", "-.1e.5", "01", "+1", "0x10", "1e5", "1E-2", "1e999",
  "-1e999", "12.50", "1.e3", "2e", "NaN",
  "Infinity", "-inf", "9007199254740993", "9223372036854775807", "9223372036854775808", "123456789012345678901234567890", "0.1", "5e-324",
  "1768900378", "1768900378.0", "-5", '""', '"x"', '"SUCCESS"', '"failed"', '"running"', '"\\u0053uccess"', '"\\ud83d\\ude00"', '"\\ud83d"',
  '"\\udc00\\ud800"', '"\\u0000"', '"\\x"', '"a\\/b\\n\\t\\"\\\\"', '"caf\\u00e9 \\u20ac"', '"Moderation"', "[]", "{}", "[[]]",
  '{"url":"https://a.example/"}',
  '["https://a.example/b.mp4"]', '[{"url":"https://a.example/c.mp4"},5,null,"http://b.example"]',
  '{"media_urls":["https:\\/\\/a.example\\/d"]}',
  '{"x":{"y":"https://a.example/e","a":["https://a.example/f"]}}', "[1,]", "[,1]", '{"a":1,}', "[1 2]", ("["):rep(99) .. ("]"):rep(99),
}
local names <const> = {
  "task_id", "status", "code", "data", "message", "reason", "result", "media_urls", "url", "param", "model", "credits", "create_at",
  "complete_at", "duration_s", "media_info", "suno_data", "\\u0073tatus", "t\\u0061sk_id", "",
}
local bytes <const> = '"\\{}[]:,0123456789.eE+-/bfnrtu \t\n\r\0\127\200\255aAx'

local function pick(list) return list[random(#list)] end

local mutations <const> = {
  function(text) -- a member's value
    local places = {}
    for from, to in text:gmatch '":()[^,}]*()' do places[#places + 1] = { from, to } end
    if #places == 0 then return text end
    local place = pick(places)
    return text:sub(1, place[1] - 1) .. pick(values) .. text:sub(place[2])
  end,
  function(text) -- one more member, perhaps a second one of its name
    local places = {}
    for at in text:gmatch "{()" do places[#places + 1] = at end
    if #places == 0 then return text end
    local at = pick(places)
    return ('%s"%s":%s,%s'):format(text:sub(1, at - 1), pick(names), pick(values), text:sub(at))
  end,
  function(text) -- a member's name
    return (text:gsub('"' .. pick(names) .. '"', '"' .. pick(names):gsub("\\", "\\%0") .. '"', 1))
  end,
  function(text) -- one byte
    local at, byte = random(#text), random(#bytes)
    return text:sub(1, at - 1) .. bytes:sub(byte, byte) .. text:sub(at + random(0, 1))
  end,
  function(text) -- a part of it twice, or not at all
    local at = random(#text)
    return text:sub(1, at - 1) .. text:sub(math.max(1, at + random(-20, 20)))
  end,
  function(text) -- white space, or a byte order mark
    if random(20) == 1 then return "\xEF\xBB\xBF" .. text end
    return (text:gsub(pick { ",", ":", "{", "}", "%[", "%]" }, "%0" .. pick { " ", "\t\r\n", "\f" }, random(3)))
  end,
  function(text) -- the beginning of it with the end of another
    local other = pick(seeds)
    return text:sub(1, random(#text)) .. other:sub(random(#other))
  end,
}

local function mutated()
  local text = pick(seeds)
  for _ = 1, random(4) do
    if #text > 0 then text = mutations[random(#mutations)](text) end
  end
  return text
end

describe("the reader of the service's JSON", function()
  it("returns for every response what lua-cjson returns", function()
    math.randomseed(math.tointeger(tonumber(os.getenv "SEED" or 1)))
    local tasks, json = 0, 0
    for i = 1, count do
      local text = mutated()
      local problem, task = difference(text)
      if problem then error(("text %d, %s: %q"):format(i, problem, text)) end
      if task then tasks = tasks + 1 end
      if i % 10 == 0 and core.decode(text) ~= nil then json = json + 10 end
    end
    if os.getenv "DIFFERENCES" then print(("%d texts: %d were JSON, %d a task"):format(count, json, tasks)) end
    assert.is_true(json > count / 10 and tasks > count / 20)
  end)

  it("reads every seed as lua-cjson does", function()
    for _, text in ipairs(seeds) do assert.is_nil((difference(text)), text) end
  end)

  it("returns each number that strtod would return, in every notation that lua-cjson accepts", function()
    for _, text in ipairs(values) do
      local body = ('{"task_id":"x","status":"running","duration_s":%s}'):format(text)
      assert.is_nil((difference(body)), body)
    end
  end)

  it("limits the nesting as lua-cjson does, at a hundred", function()
    for depth = 97, 102 do
      local body = ('{"task_id":"x","status":"running","a":%s%s}'):format(("["):rep(depth), ("]"):rep(depth))
      assert.is_nil((difference(body)), depth)
      assert.equal(depth <= 99, core.parse_callback(body) ~= nil)
    end
  end)

  it("reads a response with more values than fit on its stack", function()
    local many = {}
    for i = 1, 10000 do many[i] = ('{"n%d":[%d,"\\u0041"]}'):format(i, i) end
    local body = ('{"a":[%s],"task_id":"x","status":"running","credits":7}'):format(table.concat(many, ","))
    assert.is_nil((difference(body)))
    assert.equal(7, core.parse_callback(body).reserved_credits)
  end)
end)
