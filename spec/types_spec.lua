-- SPDX-License-Identifier: MIT
-- The types that editors know: every option, event and result has a class with exactly its fields, every public function is annotated, and
-- the addon for the Lua language server contains all of them.
package.path = "docs/build/?.lua;" .. package.path

local env = require "helper.env"
local omni = require "omni"
local sections = require "sections"
local source = require "source"
local studio = require "helper.studio"

-- Returns the names of a class's fields, also of those for omni's own modules and of its parents.
local function fields_of(name)
  local found = {}
  while name do
    local class = assert(source.classes[name], name)
    for _, list in ipairs { class.fields, class.internal } do
      for _, field in ipairs(list) do found[field.name] = true end
    end
    name = class.parent
  end
  return found
end

local function sorted(set)
  local names = {}
  for name in pairs(set) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Each call that takes a table of options, and the class of that table.
local calls <const> = {
  ["omni.client"] = { "omni.ClientOptions", function(_, given) return omni.client(given) end },
  ["omni.sandbox"] = { "omni.SandboxOptions", function(_, given) return omni.sandbox(given) end },
  ["omni.callbacks"] = { "omni.CallbacksOptions", function(_, given) return omni.callbacks(given) end },
  ["omni.serve"] = { "omni.ServerOptions", function(_, given) return omni.serve(given, print) end },
  ["omni.process"] = { "omni.process.RunOptions", function(_, given) return omni.process({ "true" }, given) end },
  ["omni.load_storyboard"] = { "omni.LoadOptions", function(_, given) return omni.load_storyboard("x", given) end },
  ["omni.plan_storyboard"] = { "omni.PlanOptions", function(_, given) return omni.plan_storyboard("x", given) end },
  ["omni.run_storyboard"] = { "omni.RunOptions", function(_, given) return omni.run_storyboard("x", given) end },
  ["omni.adopt_task"] = { "omni.AdoptOptions", function(_, given) return omni.adopt_task("x", given) end },
  ["omni.submit_storyboard"] = { "omni.SubmitStoryboardOptions", function(_, given) return omni.submit_storyboard("x", given) end },
  ["omni.work"] = { "omni.WorkOptions", function(_, given) return omni.work(given) end },
  ["omni.jobs"] = { "omni.JobOptions", function(_, given) return omni.jobs(given) end },
  ["omni.cancel_job"] = { "omni.JobOptions", function(_, given) return omni.cancel_job("job:1", given) end },
  ["omni.fetch_job"] = { "omni.FetchJobOptions", function(_, given) return omni.fetch_job("job:1", given) end },
  ["omni.join"] = { "omni.JoinAllOptions", function(_, given) return omni.join({}, given) end },
  ["omni.map"] = { "omni.MapOptions", function(_, given) return omni.map({}, given, print) end },
  ["fiber:join"] = { "omni.JoinOptions", function(_, given)
    local fiber <close> = omni.spawn(print)
    return fiber:join(given)
  end },
  ["client:submit"] = { "omni.SubmitOptions", function(client, given) return client:submit({}, given) end },
  ["client:query"] = { "omni.CallOptions", function(client, given) return client:query("x", given) end },
  ["client:balance"] = { "omni.CallOptions", function(client, given) return client:balance(given) end },
  ["client:estimate"] = { "omni.EstimateOptions", function(client, given) return client:estimate({}, given) end },
  ["client:models"] = { "omni.ModelsOptions", function(client, given) return client:models(given) end },
  ["client:templates"] = { "omni.TemplatesOptions", function(client, given) return client:templates(given) end },
  ["client:find"] = { "omni.FindOptions", function(client, given) return client:find(given) end },
  ["client:upload"] = { "omni.UploadOptions", function(client, given) return client:upload("x", given) end },
  ["task:refresh"] = { "omni.CallOptions", function(client, given) return client:task("x"):refresh(given) end },
  ["task:await"] = { "omni.AwaitOptions", function(client, given) return client:task("x"):await(given) end },
  ["task:result"] = { "omni.AwaitOptions", function(client, given) return client:task("x"):result(given) end },
  ["task:save"] = { "omni.SaveOptions", function(client, given) return client:task("x"):save("x", given) end },
}
-- Calls with options that no application makes, or whose options are values.
local internal <const> = { ["film.cut"] = true, ["omni.timeout"] = true }

describe("options", function()
  for name, call in pairs(calls) do
    it(("of %s are the fields of %s"):format(name, call[1]), function()
      local client <close> = assert(omni.client { api_key = "ak_" .. ("0"):rep(32), ledger = false })
      local _, message = pcall(call[2], client, { ["no such option at all"] = 1 })
      local known = tostring(message):match "known are: (.*)$"
      assert.equal(table.concat(sorted(fields_of(call[1])), ", "), known, message)
    end)
  end

  it("of every call of the source that has options are compared above", function()
    local command = [[grep -rhoE '(options|arguments)\.check\([^"]*"[^"]*"' lua/omni --include='*.lua']]
    local count = 0
    for _, line in ipairs(env.lines(command)) do
      for name in line:gmatch '"(%l+[.:][%l_]+)"' do
        count = count + 1
        assert.truthy(calls[name] or internal[name], name)
      end
    end
    assert.is_true(count >= 15, count)
  end)
end)

describe("results and events", function()
  local function check(value, class)
    local known = fields_of(class)
    for name in pairs(value) do
      if type(name) == "string" then assert.truthy(known[name], ("%s has no field %s"):format(class, name)) end
    end
  end

  it("of a plan and of a run have the fields of their classes", function()
    studio.open({ faults = { "fail:match=b" } }, function(s)
      local board = studio.board("a", "b", "c")
      check(board, "omni.Storyboard")
      local plan = assert(s:plan(board))
      check(plan, "omni.Plan")
      for _, scene in ipairs(plan.scenes) do check(scene, "omni.PlanScene") end
      local summary = assert(s:run(omni.storyboard { defaults = { duration = 4 }, cut = { "a" }, omni.scene "a" { prompt = "a" },
        omni.scene "b" { prompt = "b" }, omni.scene "c" { prompt = "c", first_frame = omni.last_frame "b" } }))
      check(summary, "omni.RunSummary")
      check(summary.film, "omni.FilmSummary")
      for _, scene in ipairs(summary.scenes) do check(scene, "omni.SceneSummary") end
      assert.is_true(#s.events > 8)
      local names = {}
      for name in source.classes["omni.RunEvent"].fields[1].type:gmatch '"([%l_]+)"' do names[name] = true end
      for _, status in ipairs(source.aliases["omni.SceneStatus"].values) do names[status.name] = true end
      for _, event in ipairs(s.events) do
        check(event, "omni.RunEvent")
        assert.truthy(names[event.event], event.event)
      end
    end)
  end)

  it("of a client have the fields of their classes", function()
    local box <close> = assert(omni.sandbox { seconds = 0, clips = "builtin" })
    check(box.keys[1], "omni.KeyOptions")
    local client <close> = assert(omni.client { base_url = box.url, api_key = box.key })
    check(assert(client:estimate { prompt = "x" }), "omni.Estimate")
    check(client:balances()[1], "omni.Balance")
    check(client:keys()[1], "omni.KeyState")
    local _, problem = client:query "no-such-task"
    check(problem, "omni.Error")
  end)
end)

describe("annotations", function()
  -- Checks that each argument has a `@param` and each `@param` is an argument.
  local function check(block, name)
    local params = {}
    for _, param in ipairs(block.params) do
      if param.name ~= "..." then params[#params + 1] = param.name end
    end
    assert.equal(block.arguments:gsub(",? ?%.%.%.$", ""), table.concat(params, ", "), name)
    assert.truthy(block.text ~= "" or block.returns[1], name .. " has no description")
  end

  it("describe every public function and its arguments", function()
    local words = {} -- of the board language, which are described for boards
    for _, block in pairs(source.files["lua/omni/types/board.d.lua"].functions) do words[block.name] = block end
    for name, value in pairs(omni) do
      if type(value) == "function" then check(assert(words[name] or source.block_of(value), name), name) end
    end
  end)

  it("describe every public method; those for omni's own modules are marked with @package", function()
    for _, section in ipairs(sections) do
      for _, part in ipairs(section) do
        local listed = {}
        for _, name in ipairs(part.names or {}) do listed[name] = true end
        for _, method in ipairs(part.methods and source.methods[part.methods] or {}) do
          local where = part.methods .. ":" .. method.name
          if part.names and not listed[method.name] then
            assert.is_true(method.hidden, where)
          elseif not method.hidden then
            check(method, where)
          end
        end
      end
    end
  end)
end)

describe("the addon for the Lua language server", function()
  local text

  setup(function()
    local root = env.output("pwd"):gsub("\n", "")
    text = env.output(('cd %s && LUA_PATH="docs/build/?.lua;lua/?.lua;lua/?/init.lua;;" LUA_CPATH="%s" %s docs/build/addon.lua')
      :format(env.quote(root), (os.getenv "LUA_CPATH" or "build/lib/?.so;;"):gsub("^build", root .. "/build"), env.lua))
  end)

  it("has every function and value of the module, and is Lua", function()
    local types = assert(load(text, "=addon"))()
    for name, value in pairs(omni) do
      if type(value) == "function" or type(value) == "table" and name ~= "null" then assert.equal(type(value), type(types[name]), name) end
    end
  end)

  it("defines every class that it names", function()
    local defined = {}
    for name in text:gmatch "%-%-%-@%a+ (omni[%w_.]*)" do defined[name] = true end
    for line in text:gmatch "%-%-%-@[^\n]*" do
      for name in line:gsub("  .*$", ""):gmatch "omni%.[%u][%w_.]*" do assert.truthy(defined[name], name) end
    end
  end)
end)
