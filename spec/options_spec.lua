-- SPDX-License-Identifier: MIT
local options = require "omni.options"

-- What a function raises, or returns as its error.
local function refusal(fn, ...)
  local fine, value, problem = pcall(fn, ...)
  return fine and (problem and problem.message or value) or value
end

describe("a path with a NUL, where the system would cut it", function()
  local env = require "helper.env"
  local omni = require "omni"
  local film = require "omni.film"

  it("is refused with a message by every function that takes a path, and no file appears at the shorter path", function()
    local files <close> = env.directory()
    local sandbox <close> = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
    local function open(more)
      local given = { base_url = sandbox.url, api_key = sandbox.key, ledger = false }
      for name, value in pairs(more or {}) do given[name] = value end
      return omni.client(given)
    end
    local client <close> = assert(open())
    local task = assert(client:submit { prompt = "a" })
    assert(task:await())
    local board = omni.storyboard { omni.scene "a" { prompt = "a" } }
    local real = env.write(files:file "real", "text")
    local bad, new = real .. "\0.png", files:file "new" .. "\0.png"
    local cases = {
      function() return client:upload(bad) end,
      function() return task:save(new) end,
      function() return open { ledger = new } end,
      function() return open { ca_file = bad } end,
      function() return omni.load_storyboard(bad) end,
      function() return omni.run_storyboard(board, { client = client, directory = new, budget = 1000 }) end,
      function() return omni.plan_storyboard(board, { client = client, directory = new }) end,
      function() return omni.adopt_task(board, { client = client, directory = new, scene = "a", task_id = "b" }) end,
      function() return omni.sandbox { directory = new } end,
      function() return omni.file(bad) end,
      function() return omni.callbacks { client = client, listen = "127.0.0.1:0", tls_certificate = bad, tls_key = bad } end,
      function() return omni.callbacks { client = client, listen = "127.0.0.1\0:0" } end,
      function() return omni.process({ "true" }, { directory = files.path .. "\0" }) end,
      function() return film.probe(bad) end,
      function() return film.last_frame(bad, files:file "new") end,
      function() return film.last_frame(real, new) end,
      function() return film.poster(real, new) end,
      function() return film.cut { clips = { { path = bad } }, output = files:file "new" } end,
      function() return film.cut { clips = { { path = real } }, output = new } end,
      function() return require("omni.report").write(new, { title = "a", scenes = {} }) end,
      function() return require("omni.file.digest").file(bad) end,
    }
    for i, case in ipairs(cases) do
      local said = refusal(case)
      assert.equal("string", type(said), i)
      assert.not_matches("bad argument", said)
      local names = said:find "path" or said:find "NUL" or said:find "control character" or said:find "zero byte"
      assert.truthy(names or said:find "ADDRESS:PORT", i .. ": " .. said)
    end
    assert.same({ "real" }, files:names())
  end)

  it("is refused by the C functions", function()
    local core = require "omni.core"
    for _, name in ipairs { "stat", "make_directory", "real_path", "remove", "lock", "digest", "is_loopback" } do
      assert.error_matches(function() core[name] "/tmp/a\0b" end, "must not contain a NUL")
    end
  end)
end)

describe("options", function()
  it("that are misspelt raise an error with the most similar known one", function()
    local known = { timeout = "seconds", retry_for = "seconds", on_status = "function" }
    for wrong, right in pairs { timout = "timeout", tiemout = "timeout", onstatus = "on_status", retryfor = "retry_for",
      TIMEOUT = "timeout" } do
      local _, problem = pcall(options.check, { [wrong] = 1 }, known, "f")
      assert.truthy(problem:find(("did you mean '%s'"):format(right), 1, true), problem)
    end
  end)

  it("that resemble nothing raise an error with all known ones", function()
    local _, problem = pcall(options.check, { zzzzzzzz = 1 }, { b = "any", a = "any" }, "f")
    assert.truthy(problem:find("known are: a, b", 1, true))
  end)

  it("of a wrong type raise an error with the allowed type", function()
    for kind, wrong in pairs { seconds = -1, count = 0, integer = 1.5, string = 1, ["function"] = {}, table = "x", boolean = 0,
      path = "" } do
      local fine, problem = pcall(options.check, { option = wrong }, { option = kind }, "f")
      assert.is_false(fine)
      assert.truthy(problem:find("option 'option' must be", 1, true))
    end
  end)

  it("may be left out", function()
    assert.same({}, options.check(nil, {}, "f"))
  end)
end)
