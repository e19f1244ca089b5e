-- SPDX-License-Identifier: MIT
-- The key appears nowhere: not in output, not in files, not in the arguments of the program or its children.
local env = require "helper.env"
local omni = require "omni"

local binary = os.getenv("OMNI") or "build/omni"
local KEY <const> = "ak_" .. ("5ecre7"):rep(5) .. "zz"

local board <const> = [[
return storyboard { title = "Secrets", scene "one" { prompt = "a", duration = 4 }, scene "two" { prompt = "b", duration = 4 } }
]]

local script <const> = [[
local function show(event) for name, value in pairs(event) do print(name, value) end end
local client = assert(omni.client { retry_for = 0, media_wait = 0, on_event = show })
print(client, client.http, client:balance())
for name, value in pairs(client) do print(name, value) end
local task, problem = client:submit { prompt = "a", duration = 4 }
print(task, problem, task and task:await { timeout = 5 })
if problem then for name, value in pairs(problem) do print(name, value) end end
print(pcall(function() error(problem) end))
print(client:call("GET", "/no/such/place"))
error "and a traceback"
]]

-- Runs the program against a sandbox that accepts the key, and searches all output for it.
local function run(faults, arguments, files)
  local directory <close> = env.directory()
  for name, text in pairs(files) do env.write(directory:file(name), text) end
  local sandbox <close> = assert(omni.sandbox { key = KEY, seconds = 0.1, clips = "builtin", faults = faults })
  local argv = { binary:sub(1, 1) == "/" and binary or env.output("pwd"):gsub("\n", "") .. "/" .. binary }
  for _, word in ipairs(arguments) do argv[#argv + 1] = (word:gsub("URL", sandbox.url)) end
  local result = assert(omni.process(argv, {
    directory = directory.path, stdout = "pipe",
    environment = { CRUN_API_KEY = KEY, CRUN_BASE_URL = sandbox.url, HOME = directory.path, XDG_STATE_HOME = directory.path },
  }))
  assert.is_true(#result.stdout + #result.stderr > 0)
  local said = result.stdout .. result.stderr
  assert.is_nil(said:find(KEY, 1, true), said)
  assert.is_nil(said:find(KEY:sub(4), 1, true), said)
  assert.is_nil((os.execute(("grep -rqF %s %s"):format(KEY, env.quote(directory.path)))))
  return result
end

describe("the key never appears", function()
  it("in the output, the events and the files of a run", function()
    local result = run(nil, { "run", "board.lua", "--yes", "--base-url", "URL" }, { ["board.lua"] = board })
    assert.equal(0, result.exit, result.stdout .. result.stderr)
  end)

  it("in a run that fails in any way", function()
    for _, faults in ipairs { { "fail:first=1" }, { "garbage:on=submit,first=1", "drop-after:on=submit" },
      { "status-500:on=submit,first=1", "cut:on=submit" } } do
      local result = run(faults, { "run", "board.lua", "--yes", "--json" }, { ["board.lua"] = board })
      assert.is_true(result.exit > 0)
    end
  end)

  it("in the text of a client, its tasks and its errors, as a script prints them", function()
    for _, fault in ipairs { {}, { "no-media:match=a" }, { "garbage:on=submit" }, { "drop-after:on=submit" }, { "status-505:on=any" } } do
      local result = run(fault, { "lua", "script.lua" }, { ["script.lua"] = script })
      assert.truthy(result.stderr:find("and a traceback", 1, true), result.stderr)
    end
  end)

  it("in the arguments of the program and of its children: no option takes a key", function()
    local help = env.output(("%s help run; %s --help"):format(env.quote(binary), env.quote(binary)))
    assert.is_nil(help:find("--key", 1, true))
    assert.is_nil(help:find("--api-key", 1, true))
  end)

  it("in the error about an invalid key, not even in part", function()
    local bad = KEY .. "\nx"
    local result = assert(omni.process({ binary, "lua", "-" }, { stdout = "pipe", environment = { CRUN_API_KEY = bad } }))
    assert.is_nil((result.stdout .. result.stderr):find("5ecre7", 1, true))
    local directory <close> = env.directory()
    env.write(directory:file "board.lua", board)
    result = assert(omni.process({ binary, "run", directory:file "board.lua", "--yes" },
      { stdout = "pipe", environment = { CRUN_API_KEY = bad, CRUN_BASE_URL = "http://127.0.0.1:1" } }))
    assert.equal(2, result.exit)
    assert.is_nil((result.stdout .. result.stderr):find("5ecre7", 1, true))
    assert.truthy(result.stderr:find("line breaks", 1, true), result.stderr)
  end)
end)
