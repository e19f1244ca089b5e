-- SPDX-License-Identifier: MIT
-- `--store`: two machines that share a ledger and a store, and what the program says about a store that can't be used. The secret of the
-- store is in no output, no file and no child's environment.

local asked = require "helper.ledger"
local env = require "helper.env"
local program = require "helper.program"
local s3 = require "helper.s3"

local board <const> = [[
return storyboard { title = "Store", cut = false, scene "one" { prompt = "a", duration = 4 }, scene "two" { prompt = "b", duration = 4 } }
]]

local function merged(...)
  local all = {}
  for _, part in ipairs { ... } do
    for name, value in pairs(part) do all[name] = value end
  end
  return all
end

-- A stand-in for ffmpeg that writes its environment to a file, and fails.
local spy <const> = "#!/bin/sh\nenv >> %s\nexit 1\n"

describe("--store", function()
  local service, folder
  before_each(function()
    service, folder = program.real_service { credits = 1000, seconds = 0.05 }, env.directory()
    env.write(folder:file "board.lua", board)
  end)
  after_each(function()
    service.stop()
    folder:close()
  end)

  local function run(environment, ...)
    return program.run({ ... }, { environment = merged(service.environment, environment) })
  end

  it("lets a second machine make the film of a board without paying, and without the service's clips", function()
    env.output("mkdir " .. env.quote(folder:file "store"))
    local function machine(name)
      return run({ OMNI_LEDGER = folder:file "ledger.db" }, "run", folder:file "board.lua", "--yes", "--store", folder:file "store",
        "--out", folder:file(name))
    end
    local first = machine "one"
    assert.equal(0, first.code, first.out .. first.err)
    assert.equal("2", asked.sqlite3(folder:file "ledger.db", "SELECT count(*) FROM submit"):match "%d+")
    asked.sqlite3(folder:file "ledger.db", "UPDATE submit SET state = 'gone'") -- the service has deleted the clips
    env.output(("mv %s %s"):format(env.quote(folder:file "one"), env.quote(folder:file "elsewhere")))
    local plan = run({ OMNI_LEDGER = folder:file "ledger.db", OMNI_STORE = folder:file "store" }, "plan", folder:file "board.lua", "--out",
      folder:file "two")
    assert.matches("~ fetch +one +.*the store has it", plan.out)
    local second = machine "two"
    assert.equal(0, second.code, second.out .. second.err)
    assert.equal("2", asked.sqlite3(folder:file "ledger.db", "SELECT count(*) FROM submit"):match "%d+")
    assert.equal(env.output(("cd %s && cat *.mp4 | sha256sum"):format(env.quote(folder:file "elsewhere/media"))),
      env.output(("cd %s && cat *.mp4 | sha256sum"):format(env.quote(folder:file "two/media"))))
  end)

  it("that can't be used is refused before anything is paid, and doctor says why", function()
    local where = folder:file "missing"
    local result = run({ OMNI_STORE = where, OMNI_LEDGER = folder:file "ledger.db" }, "run", folder:file "board.lua", "--yes")
    assert.equal(3, result.code, result.out .. result.err)
    assert.matches("nothing was submitted: the store " .. where:gsub("%p", "%%%0") .. " doesn't exist", result.out .. result.err)
    assert.equal("0", asked.sqlite3(folder:file "ledger.db", "SELECT count(*) FROM submit"):match "%d+")
    local doctor = run({}, "doctor", "--store", where)
    assert.equal(1, doctor.code)
    assert.matches("problem  the store .* doesn't exist\n +> create the folder", doctor.out)
    assert.equal(2, run({}, "run", folder:file "board.lua", "--store", "https://clips").code)
    assert.equal(2, run({ OMNI_STORE = "s3://Not A Bucket" }, "run", folder:file "board.lua", "--yes").code)
    env.output("mkdir " .. env.quote(where))
    assert.matches("ok       the store .* can be written and read\n", run({}, "doctor", "--store", where).out)
  end)

  it("in S3: the secret is in no output, file or child", function()
    if not s3.is_there then return pending "the npm package s3rver isn't installed" end
    local server <close> = s3.open()
    local tools = folder:file "tools"
    env.output(("mkdir %s"):format(env.quote(tools)))
    for _, name in ipairs { "ffmpeg", "ffprobe" } do
      env.write(tools .. "/" .. name, spy:format(env.quote(folder:file "children")))
      env.output("chmod +x " .. env.quote(tools .. "/" .. name))
    end
    local common = server:environment { OMNI_STORE = "s3://clips/films", PATH = tools .. ":" .. os.getenv "PATH",
      AWS_SESSION_TOKEN = "T0KEN/of+omni" }
    for number, secret_key in ipairs { s3.secret_key, s3.secret_key .. "x", s3.secret_key .. "\nx" } do
      local environment = merged(common, { AWS_SECRET_ACCESS_KEY = secret_key, OMNI_LEDGER = folder:file(number .. ".db") })
      local runs <const> = { "run", folder:file "board.lua", "--yes", "--json", "--out", folder:file "out" }
      for _, arguments in ipairs { runs, { "doctor", "--json" } } do
        local result = run(environment, table.unpack(arguments))
        for _, secret in ipairs { s3.secret_key, "T0KEN" } do
          assert.is_nil((result.out .. result.err):find(secret, 1, true), result.out .. result.err)
        end
        assert.equal(number == 1, result.code == 0, result.out .. result.err)
      end
    end
    assert.equal("0", asked.sqlite3(folder:file "2.db", "SELECT count(*) FROM submit"):match "%d+") -- nothing was paid
    assert.is_true(#server:objects() >= 2)
    assert.matches("PATH=", env.read(folder:file "children"))
    for _, secret in ipairs { s3.secret_key, "T0KEN" } do
      assert.is_nil((os.execute(("grep -rqF %s %s"):format(env.quote(secret), env.quote(folder.path)))))
    end
  end)
end)
