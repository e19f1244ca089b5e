-- SPDX-License-Identifier: MIT
-- Effect templates: pages of every shape, and the end of the iteration.
local err = require "omni.error"
local json = require "omni.json"
local scripted = require "helper.scripted"
local templates = require "omni.models.effect_templates"

local path <const> = "/api/v1/client/job/%s-templates"

-- The templates from..to.
local function some(from, to)
  local list = {}
  for i = from, to do list[#list + 1] = { template_id = "t" .. i } end
  return list
end

-- A service with `count` templates, its pages made by `page_of(list, count)`.
local function with(count, page_of)
  return function(target)
    local page, size = tonumber(target:match "[?&]page=(%d+)"), tonumber(target:match "page_size=(%d+)")
    return page_of(some((page - 1) * size + 1, math.min(page * size, count)), count)
  end
end

local function bare(list) return list end

local function collect(client, options)
  local ids = {}
  for template in templates.each(client, options) do ids[#ids + 1] = template.template_id end
  return ids
end

local function ids(count)
  local list = {}
  for i = 1, count do list[i] = "t" .. i end
  return list
end

describe("templates", function()
  it("come from every page, in order; each page is requested when the loop reaches it", function()
    scripted.open(with(45, bare), function(client, asked)
      local seen = {}
      for template in templates.each(client, { platform = "kling" }) do
        seen[#seen + 1] = template.template_id
        assert.equal((#seen + 19) // 20, #asked)
      end
      assert.same(ids(45), seen)
      local target = "GET " .. path:format "kling" .. "?page=%d&page_size=20"
      assert.same({ target:format(1), target:format(2), target:format(3) }, asked)
    end)
  end)

  it("aren't requested before the loop begins", function()
    scripted.open(with(5, bare), function(client, asked)
      local next_one = templates.each(client, { platform = "kling" })
      assert.same({}, asked)
      assert.equal("t1", next_one().template_id)
      assert.equal(1, #asked)
    end)
  end)

  it("can be selected by name, with each platform's parameter, and requested in pages of another size", function()
    for platform, word in pairs { kling = "template_id", bytedance = "template_id", vidu = "template" } do
      for _, given in ipairs { "template", "template_id" } do
        scripted.open(with(1, bare), function(client, asked)
          collect(client, { platform = platform, [given] = "a b&c", page_size = 50 })
          assert.same({ ("GET %s?page=1&page_size=50&%s=a%%20b%%26c"):format(path:format(platform), word) }, asked)
        end)
      end
    end
  end)

  local shapes = {
    ["a bare list"] = bare,
    ["templates"] = function(list) return { templates = list, total = 45, regions = { "eu" } } end,
    ["list"] = function(list) return { list = list } end,
    ["items"] = function(list) return { items = list, next = json.null } end,
    ["records"] = function(list, count) return { records = list, total = count, current = 1 } end,
    ["data"] = function(list) return { data = list, page = 1 } end,
    ["its only list"] = function(list) return { effects = list, page = 1, page_size = 20 } end,
  }
  for what, page_of in pairs(shapes) do
    it("are found in a page that is, or has, " .. what, function()
      scripted.open(with(45, page_of), function(client) assert.same(ids(45), collect(client, { platform = "vidu" })) end)
    end)
  end
end)

describe("the pages of templates end", function()
  -- the page → the number of requested templates, of 40 on two full pages
  local ends = {
    ["at one that is empty"] = { bare, 3 },
    ["at the total that the service tells"] = { function(list, count) return { list = list, total = count } end, 2 },
    ["not after one that isn't full, while the total isn't reached"] = {
      function(list) return { list = { table.unpack(list, 1, 15) }, total = 30 } end, 2, 30 },
  }
  for where, case in pairs(ends) do
    it(where, function()
      scripted.open(with(40, case[1]), function(client, asked)
        assert.equal(case[3] or 40, #collect(client, { platform = "kling" }))
        assert.equal(case[2], #asked)
      end)
    end)
  end

  it("after one that isn't full", function()
    scripted.open(with(25, bare), function(client, asked)
      assert.equal(25, #collect(client, { platform = "kling" }))
      assert.equal(2, #asked)
    end)
  end)

  it("after one that equals the one before, from a service without pages", function()
    scripted.open(function() return some(1, 30) end, function(client, asked)
      assert.same(ids(30), collect(client, { platform = "kling" }))
      assert.equal(2, #asked)
    end)
  end)

  it("after a thousand, from a service that never ends", function()
    scripted.open(with(math.huge, bare), function(client, asked)
      assert.equal(1000, #collect(client, { platform = "kling", page_size = 1 }))
      assert.equal(1000, #asked)
    end)
  end)
end)

describe("a failed page of templates", function()
  it("raises the error value, and can be requested again", function()
    local broken = true
    scripted.open(function(target)
      if target:find "page=2" and broken then return { nothing = true }, 505 end
      return with(25, bare)(target)
    end, function(client)
      local seen, next_one = 0, templates.each(client, { platform = "kling" })
      local fine, problem = pcall(function()
        for _ in next_one do seen = seen + 1 end
      end)
      assert.is_false(fine)
      assert.is_true(err.is(problem))
      assert.same({ "feature_disabled", 20 }, { problem.code, seen })
      broken = false
      for _ in next_one do seen = seen + 1 end
      assert.equal(25, seen)
    end)
  end)

  it("is retried like any other query", function()
    scripted.open(function(target, number)
      if number == 1 then return {}, 429 end
      return with(3, bare)(target)
    end, function(client) assert.same(ids(3), collect(client, { platform = "kling" })) end, { retry_for = 5 })
  end)

  it("without a list, or with two, raises the error value", function()
    for _, data in ipairs { 5, { name = "x" }, { a = { 1 }, b = { 2 } }, { templates = "x" } } do
      scripted.open(function()
        return json.write({ code = 200, message = "success", data = data }, { empty = "array" })
      end, function(client)
        local fine, problem = pcall(collect, client, { platform = "kling" })
        assert.is_false(fine)
        assert.equal("bad_answer", problem.code)
      end)
    end
  end)

  it("skips items that aren't templates", function()
    scripted.open(function() return { json.null, 5, { template_id = "t1" }, false } end, function(client)
      assert.same({ "t1" }, collect(client, { platform = "kling" }))
    end)
  end)
end)

describe("templates are refused at the caller's line", function()
  local cases = {
    ["without a platform"] = { {}, "'platform' must be bytedance, kling or vidu, not nil" },
    ["for a platform that there isn't"] = { { platform = "klng" }, "not 'klng'; did you mean 'kling'%?" },
    ["with an option that there isn't"] = { { platform = "kling", templat = "x" }, "did you mean 'template'" },
    ["with a page that is too large"] = { { platform = "kling", page_size = 51 }, "'page_size' must be from 1 to 50, not 51" },
    ["with a page of nothing"] = { { platform = "kling", page_size = 0 }, "'page_size' must be a whole number, 1 or more" },
    ["with two names"] = { { platform = "kling", template = "x", template_id = "y" }, "mean the same" },
  }
  for what, case in pairs(cases) do
    it(what, function()
      local fine, problem = pcall(function()
        local _ = templates.each({}, case[1])
      end)
      assert.is_false(fine)
      assert.matches("templates_spec%.lua:%d+: client:templates: .*" .. case[2], problem)
    end)
  end
end)
