-- SPDX-License-Identifier: MIT
-- Numbers are written and read in the same way in every locale, whenever the locale is set. With a decimal comma, C's printf and strtod,
-- and therefore Lua and lua-cjson, write 0,5 and read [1,2] as one number.
local core = require "omni.core"
local env = require "helper.env"

local locales = env.locales("de_DE", "tr_TR")
if not locales then
  it("numbers in other locales", function() pending("localedef makes no locale here (package locales): nothing was tried") end)
  return
end

teardown(function() locales:close() end)

-- Returns the output of a Lua program that sets the locale before or after it loads omni, or never.
local function run(text, locale, when)
  local files <close> = env.directory()
  local set = ("assert(os.setlocale %q)\n"):format(locale)
  env.write(files:file "script.lua", (when == "before" and set or "") .. 'local omni, core = require "omni", require "omni.core"\n'
    .. (when == "after" and set or "") .. text)
  return env.output(("cd %s && LOCPATH=%s LUA_PATH=%s %s script.lua 2>&1"):format(env.quote(files.path), env.quote(locales.path),
    env.quote(env.output("pwd"):gsub("\n", "/lua/?.lua;") .. env.output("pwd"):gsub("\n", "/lua/?/init.lua;;")), env.lua))
end

-- Checks that a program prints the same in the C locale and with a decimal comma.
local function same(text)
  local expected = run(text, "C", "never")
  assert.equal(expected, run(text, "de_DE.UTF-8", "before"))
  assert.equal(expected, run(text, "tr_TR.UTF-8", "after"))
  return expected
end

describe("a number", function()
  it("is read from JSON in the same way with a decimal comma", function()
    assert.equal("1 2 0.5 -0.25 3000.0 true\n", same [=[
      local list = assert(core.decode '[1,2,0.5,-0.25,3.0e3,{"a":"1.5,2","b":[0.125,7]}]')
      io.write(core.format("%d %d %s %s %s %s\n", list[1], list[2], list[3], list[4], list[5],
        #list == 6 and list[6].a == "1.5,2" and list[6].b[1] == 1 / 8 and list[6].b[2] == 7))
    ]=])
  end)

  it("is read from JSON whatever decimal point lua-cjson remembers", function()
    assert.equal("true\n", run([[
      os.setlocale "de_DE.UTF-8"
      require("cjson").new() -- remembers a comma
      os.setlocale "C"
      print(core.decode("[1.5]")[1] == 3 / 2)
    ]], "C", "never"))
  end)

  it("keeps its exact value without a decimal point", function()
    math.randomseed(11)
    for i = 1, 20000 do
      local text = i % 3 == 0 and ("%.3f"):format((math.random() - 0.5) * 1e4)
        or i % 3 == 1 and ("%.17g"):format((math.random() - 0.5) * 10.0 ^ math.random(-300, 300))
        or ("%.25fE%+d"):format(math.random(), math.random(-30, 30))
      assert.equal(tonumber(text), assert(core.decode("[" .. text .. "]"))[1], text)
    end
    for text, value in pairs { ["-0.0"] = -0.0, ["0.1e-99999999999999999999"] = 0.0, ["1.5e99999999999999999999"] = math.huge } do
      assert.equal(1 / value, 1 / core.decode("[" .. text .. "]")[1], text)
    end
  end)

  it("stays invalid when it is invalid in JSON", function()
    for _, text in ipairs { "01.5", "00.5", ".5", "1.2.3", "0x1.8", "1.5e", "1.5e+", "1e5.2", "--1.5", "1.5.", "1.5x" } do
      assert.is_nil(core.decode("[" .. text .. "]"), text)
    end
  end)

  it("is written in the same way with a decimal comma: in JSON, in a query, in a message", function()
    assert.equal('{"b":2.5,"c":0.1}\n?n=1.5\nthe plan costs 7.5 credits 5.0\n', same [[
      print((require("omni.json").encode({ b = 2.5, c = 0.1 }, "body")))
      print(require("omni.http.percent_encoding").query({ "n" }, { n = 1.5 }))
      print(core.format("the plan costs %.14g credits %s", 7.5, 5.0))
    ]])
  end)

  it("raises string.format's errors, which leave the locale unchanged", function()
    assert.equal("false\n0,5\n", run([[
      print((pcall(core.format, "%d", 0.5)))
      print(0.5)
    ]], "de_DE.UTF-8", "after"))
  end)

  it("is never formatted by string.format", function()
    local found = {}
    for _, path in ipairs(env.lines "find lua/omni -name '*.lua' ! -name '*.d.lua'") do
      local text = env.read(path)
      for literal in text:gmatch '%(("[^"\n]*")%s*%):format' do
        if literal:find "%%[-+ #0]*%d*%.?%d*[gGfFeEaA]" then found[#found + 1] = path .. ": " .. literal end
      end
    end
    assert.same({}, found)
  end)
end)

describe("a status", function()
  it("is recognised in upper and lower case, also where I isn't the capital of i", function()
    assert.equal("failed running\n", same [[
      local function status(word) return (omni.parse_callback('{"task_id":"a","status":"' .. word .. '"}')).status end
      print(status "FAILED" .. " " .. status "RUNNING")
    ]])
  end)
end)

describe("a date of HTTP", function()
  it("is in English in every locale", function()
    local said = same [[
      local sandbox <close> = assert(omni.sandbox { faults = { "status-429:retry_after=date+60" } })
      local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = false, retry_for = 0 })
      print(select(2, client:balance()).retry_after > 0)
    ]]
    assert.equal("true\n", said)
  end)
end)

describe("a film", function()
  it("is made and charged in the same way with a decimal comma", function()
    local said = same [[
      local sandbox <close> = assert(omni.sandbox { seconds = 0.05, credits = 1000.5, clips = "builtin" })
      local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "ledger.db", poll_min = 0.02 })
      local board = omni.storyboard { cut = false, omni.scene "a" { prompt = "one", duration = 4 } }
      local summary = assert(omni.run_storyboard(board, { client = client, directory = "out", budget = 500.5 }))
      print(summary.scenes[1].status, core.format("%s %s", summary.credits, client:balance()))
      local file <close> = io.open "out/report.html"
      print(file:read("a"):find '"%d+,%d+%%"' == nil)
      print(select(2, client:submit { prompt = "x", duration = 2.5 }).message)
    ]]
    assert.matches("^fetched\t40 960%.5\ntrue\n", said)
    assert.matches("2%.5", said)
  end)

  it("reaches ffmpeg in the same way", function()
    local said = same [[
      local slate = require("omni.sandbox.title_card").compose({ prompt = "a", seconds = 2.5 }, ".", { gradients = true })
      local graph = require "omni.film.filter_graph"
      print(slate.graph)
      print(graph.film_sound("0:1", 48000, { stream = "1:0", volume = 0.6, clips = 0.8 }))
    ]]
    assert.matches("d=2%.500000", said)
    assert.matches("volume=0%.6000", said)
  end)
end)
