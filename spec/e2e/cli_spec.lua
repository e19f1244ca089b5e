-- SPDX-License-Identifier: MIT
local env = require "helper.env"
local program = require "helper.program"

describe("the command line", function()
  it("prints its version, wherever the single file is", function()
    local directory <close> = env.directory()
    local result = program.run({ "--version" }, { directory = directory.path, environment = { LUA_PATH = "", LUA_CPATH = "" } })
    assert.same({ 0, "omni " .. require "omni.version", "" }, { result.code, result.out, result.err })
    assert.equal(result.out, program.run({ "--version", "run" }).out)
  end)

  it("explains itself and each command", function()
    local help = program.run { "help" }
    assert.equal(0, help.code)
    for _, command in ipairs { "plan", "run", "status", "forget", "lua", "sandbox" } do
      assert.matches("\n +" .. command .. " ", help.out)
      local one = program.run { "help", command }
      assert.equal(0, one.code)
      assert.matches("^Usage: omni " .. command, one.out)
      assert.equal(one.out, program.run({ command, "--help" }).out)
    end
    assert.equal(help.out, program.run({ "--help" }).out)
    for _, code in ipairs { "0 success", "130%s+interrupted" } do assert.matches(code, help.out) end
  end)

  it("answers misuse with one clear line, what to do, and exit code 2", function()
    for message, arguments in pairs {
      ["unknown command 'rnu'; did you mean 'run'%?"] = { "rnu", "board.lua" },
      ["no help for 'sandbx'; did you mean 'sandbox'%?"] = { "help", "sandbx" },
      ["unknown option '%-%-jbos'.*'%-%-jobs'"] = { "run", "--jbos", "3", "board.lua" },
      ["missing argument 'board'"] = { "run" },
      ["missing argument 'script'"] = { "lua", "--seed", "3" },
      ["too many arguments"] = { "run", "a.lua", "b.lua" },
      ["%-%-jobs: expected a whole number, 1 or more, got '0'"] = { "run", "--jobs", "0", "a.lua" },
      ["%-%-budget: expected a number, 0 or more, got 'much'"] = { "run", "--budget", "much", "a.lua" },
      ["%-%-budget: expected a number, 0 or more, got 'nan'"] = { "run", "--budget", "nan", "a.lua" },
      ["%-%-port: expected a port, 0 to 65535, got '70000'"] = { "sandbox", "--port", "70000" },
      ["%-%-seed configures a sandbox; add %-%-sandbox"] = { "run", "--seed", "3", "a.lua" },
      ["%-%-fault configures a sandbox"] = { "lua", "--fault", "never", "a.lua" },
      ["%-%-sandbox and %-%-base%-url exclude each other"] = { "run", "--sandbox", "--base-url", "http://127.0.0.1:1", "a.lua" },
      ["there is no fault 'nevr'; did you mean 'never'"] = { "sandbox", "--fault", "nevr" },
      ["unknown option '%-%-key'"] = { "run", "--key", "ak_x", "a.lua" },
      ["option '%-%-fail%-fast' can not be used together with option '%-%-keep%-going'"] =
        { "run", "--keep-going", "--fail-fast", "a.lua" },
      ["option '%-%-adopt' requires 2 arguments"] = { "run", "a.lua", "--adopt", "dusk" },
      ["%-%-ledger: expected a path, got an empty text"] = { "status", "--ledger", "" },
      ["%-%-out: expected a path, got an empty text"] = { "plan", "--out", "", "a.lua" },
      ["%-%-credits configures a sandbox; add %-%-sandbox"] = { "plan", "--credits", "3", "a.lua" },
      ["unknown option '%-%-jobs'"] = { "plan", "--jobs", "3", "a.lua" },
      ["unknown command 'pln'; did you mean 'plan'%?"] = { "pln" },
      ["missing argument 'submits'"] = { "forget" },
      ["there is no board nowhere.lua"] = { "status", "nowhere.lua" },
    } do
      local result = program.run(arguments)
      assert.equal(2, result.code, message)
      assert.equal("", result.out)
      assert.matches("^omni: [^\n]*" .. message, result.err)
      assert.is_true(select(2, result.err:gsub("\n", "")) <= 2, result.err)
    end
  end)

  it("refuses a pipe, a device or a folder as a board in every command, without waiting for it", function()
    local files <close> = env.directory()
    env.output("mkfifo " .. env.quote(files:file "fifo"))
    local board = 'return storyboard { scene "a" { prompt = "one" } }'
    for _, command in ipairs { { "plan", "--sandbox" }, { "run", "--sandbox" }, { "status" } } do
      for _, path in ipairs { files:file "fifo", files.path, "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/dev/zero" } do
        local result = program.run({ command[1], path, command[2] }, { input = board })
        assert.equal(2, result.code, path)
        assert.equal("", result.out)
        local wanted = ("%s is a %s; a board must be a file with its own name")
          :format(path, path == files.path and "folder" or "pipe or a device")
        assert.is_truthy(result.err:find(wanted, 1, true), result.err)
      end
    end
    assert.same({ "fifo" }, files:names())
  end)

  it("without a command prints the help on stderr, and exits with 2", function()
    local result = program.run {}
    assert.same({ 2, "" }, { result.code, result.out })
    assert.matches("Usage: omni", result.err)
  end)

  it("says what to install if a module is missing", function()
    -- Hides the system folder that contains the module.
    local function without(module, path, command)
      local folder = assert(package.searchpath(module, path)):match "^(.*)/"
      return env.output(
        ("unshare -rm sh -c 'mount -t tmpfs none %s && env -i %s %s' 2>&1; echo $?"):format(folder, program.binary, command))
    end
    if not os.execute "unshare -rm true 2>/dev/null" then return pending "no folder can be hidden here" end
    assert.matches("^omni: [^\n]*lua%-argparse[^\n]*\n1\n$", without("argparse", package.path, "help"))
    assert.matches("^omni: can't start: [^\n]*cjson.*\n.*install.*lua%-cjson.*\n1\n$", without("cjson", package.cpath, "sandbox"))
  end)
end)

describe("omni sandbox", function()
  it("prints the variables to export, serves until a signal ends it, and leaves nothing behind", function()
    local files <close> = env.directory()
    local child = program.start({ "sandbox", "--seed", "7" }, { environment = { TMPDIR = files.path } })
    local url = child:wait_for("^export CRUN_BASE_URL="):match("=(http://127%.0%.0%.1:%d+)$")
    local key = child:wait_for("^export CRUN_API_KEY="):match("=(ak_%w+)$")
    assert.matches('"balance":10000', env.output(("curl -s -H 'x-api-key: %s' %s/api/v1/client/account/balance"):format(key, url)))
    child:signal("INT")
    local result = child:finish()
    assert.same({ 0, "" }, { result.code, result.err })
    assert.same({}, files:names())
  end)

  it("listens on the given port, and says why it can't", function()
    local service = program.service { "--credits", "5" }
    local port = service.url:match("%d+$")
    local second = program.run { "sandbox", "--port", port }
    assert.equal(1, second.code)
    assert.matches("^omni: ", second.err)
    assert.equal(0, service.stop().code)
    local third = program.start { "sandbox", "--port", port }
    assert.matches(":" .. port .. "$", third:wait_for("CRUN_BASE_URL"))
    third:signal("TERM")
    assert.equal(0, third:finish().code)
  end)
end)
