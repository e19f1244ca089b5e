-- SPDX-License-Identifier: MIT
-- `omni doctor`, against a sandbox that looks like the service, and against other servers.
local asked = require "helper.ledger"
local credentials = require "omni.client.credentials"
local env = require "helper.env"
local hostile = require "helper.hostile"
local program = require "helper.program"
local tls = require "helper.tls"

local key <const> = "ak_fedcba9876543210fedcba9876543210"
local shown <const> = credentials.fingerprint(key)
local path <const> = "/api/v1/client/account/balance"

-- Merges environments, without ffmpeg, which is slow.
local function with(...)
  local all = {}
  for _, more in ipairs { ... } do
    for name, value in pairs(more) do all[name] = value end
  end
  all.PATH = all.PATH ~= program.tools.PATH and all.PATH or nil
  return all
end

-- Returns the findings of one check, each as "state: text > hint".
local function of(result, check)
  local list = {}
  for _, finding in ipairs(program.events_of(result)[1].checks) do
    if finding.check == check then
      list[#list + 1] = finding.state .. ": " .. finding.text .. (finding.hint and " > " .. finding.hint or "")
    end
  end
  return table.concat(list, "\n")
end

local function doctor(environment, ...)
  return program.run({ "doctor", "--json", ... }, { environment = environment })
end

local function balance(text) return hostile.json(('{"code":200,"message":"success","data":{"balance":%s}}'):format(text)) end

describe("omni doctor", function()
  local service

  setup(function() service = program.real_service { credits = 120 } end)
  teardown(function() service.stop() end)

  it("prints a line for each successful check, and exits with 0", function()
    local result = program.run({ "doctor" }, { environment = service.environment })
    assert.same({ 0, "" }, { result.code, result.err })
    assert.equal("omni has everything that it needs", result.lines[#result.lines])
    for i = 1, #result.lines - 1 do assert.matches("^ok       %S", result.lines[i]) end
    assert.matches("omni " .. require("omni.version"):gsub("%p", "%%%0") .. ", Lua 5.4, libcurl [%d.]+ %(.*argparse [%d.]+", result.out)
    assert.matches("key " .. credentials.fingerprint(service.key) .. ", from CRUN_API_KEY\n", result.out, 1, true)
    assert.matches(service.url .. " answers in %d+ ms %(at 127%.0%.0%.1", result.out)
    assert.matches("is accepted: 120 credits\n", result.out, 1, true)
    for _, text in ipairs { "the clock agrees", "the ledger will be", "with libx264 and ffprobe", "GiB free" } do
      assert.truthy(result.out:find(text, 1, true), text)
    end
    assert.is_nil(result.out:find(service.key, 1, true))
  end)

  it("spends nothing and leaves nothing behind", function()
    local files <close> = env.directory()
    env.output("mkdir " .. env.quote(files:file "empty"))
    local environment = with(service.environment)
    for _, name in ipairs { "XDG_STATE_HOME", "HOME", "TMPDIR" } do environment[name] = files:file "empty" end
    local result = program.run({ "doctor" }, { environment = environment, directory = files:file "empty" })
    assert.equal(0, result.code)
    assert.equal("", env.output("ls -A " .. env.quote(files:file "empty")))
    assert.equal(0, service.submits())
  end)

  it("prints the findings as one line of JSON", function()
    local here <close> = env.directory() -- on the same disk as the ledger
    local result = program.run({ "doctor", "--json" }, { environment = service.environment, directory = here.path })
    assert.same({ 0, 1 }, { result.code, #result.lines })
    local event = program.events_of(result)[1]
    assert.same({ "doctor", 0, require "omni.version" }, { event.event, math.tointeger(event.exit), event.version })
    local names = {}
    for i, finding in ipairs(event.checks) do
      names[i] = finding.check
      assert.equal("ok", finding.state)
      assert.equal("string", type(finding.text))
    end
    assert.equal("program keys network service service clock ledger ffmpeg terminal disk", table.concat(names, " "))
  end)

  describe("about the key", function()
    it("says what to do if there is no key, exits with 1, and still runs the other checks", function()
      local result = doctor(with { CRUN_BASE_URL = service.url })
      assert.equal(1, result.code)
      assert.matches("^problem: there is no API key > .*CRUN_API_KEY", of(result, "keys"))
      assert.matches("^ok: .* answers in %d+ ms[^\n]*$", of(result, "service"))
      assert.equal("ok: the clock agrees with the service's", of(result, "clock"))
    end)

    it("says where a refused key comes from", function()
      local result = doctor(with(service.environment, { CRUN_API_KEY = key }))
      assert.equal(1, result.code)
      assert.matches("problem: key " .. shown .. ": [^\n]*%(status 401%) > [^\n]*https://crun.ai/user%-api%-key; "
        .. "[^\n]*reset it there at once, and correct CRUN_API_KEY$", of(result, "service"))
      assert.is_nil(result.out:find(key, 1, true))
    end)

    it("finds the key in the file of the service's own client, and warns if others can read that file", function()
      local home <close> = env.directory()
      env.output("mkdir " .. env.quote(home:file ".crun"))
      local file = env.write(home:file ".crun/.env", "export CRUN_API_KEY=" .. service.key .. "\n")
      env.output("chmod 600 " .. env.quote(file))
      local environment = with(service.environment, { CRUN_API_KEY = "", HOME = home.path })
      local fine = doctor(environment)
      assert.same({ 0, ("ok: key %s, from %s"):format(credentials.fingerprint(service.key), file) }, { fine.code, of(fine, "keys") })
      env.output("chmod 644 " .. env.quote(file))
      local refused = doctor(environment)
      assert.equal(1, refused.code)
      assert.equal(("problem: %s can be read by other users of this machine, so its key isn't used > run chmod 600 %s, and reset the key "
        .. "at https://crun.ai/user-api-key, since others may know it"):format(file, file),
        of(refused, "keys"))
      local unused = doctor(with(service.environment, { HOME = home.path }))
      assert.equal(0, unused.code)
      assert.matches(("\nwarning: other users of this machine can read %s (mode 644) > chmod 600 %s; and reset its keys at "
        .. "https://crun.ai/user-api-key, as others may know them"):format(file, file),
        of(unused, "keys"), 1, true)
      assert.is_nil((fine.out .. refused.out .. unused.out):find(service.key, 1, true))
    end)

    it("warns of a key with an unusual form, and of an account without credits", function()
      local server <close> = hostile.start()
      server:script { GET = { { balance "0" } } }
      local result = doctor(with { CRUN_BASE_URL = server.url, CRUN_API_KEY = "ak_short" })
      assert.equal(0, result.code)
      assert.matches("^warning: key %x+, from CRUN_API_KEY: it doesn't look like", of(result, "keys"))
      assert.matches("\nwarning: key %x+ is accepted, but has no credits > buy some at https://crun.ai/billing,", of(result, "service"))
      assert.is_nil(result.out:find("ak_short", 1, true))
    end)
  end)

  describe("about the service", function()
    it("reports a service that doesn't answer, and exits with 1", function()
      local url = "http://127.0.0.1:" .. hostile.dead_port()
      local result = doctor(with { CRUN_API_KEY = key }, "--base-url", url)
      assert.equal(1, result.code)
      assert.matches("^problem: " .. url .. " doesn't answer: .* > is there a network%? Is the base URL right%?", of(result, "service"))
      assert.equal("", of(result, "clock"))
    end)

    it("asks only once, for the balance", function()
      local server <close> = hostile.start()
      server:script { GET = { { balance "7.5" } } }
      local result = doctor(with { CRUN_API_KEY = key, CRUN_BASE_URL = server.url })
      assert.matches("is accepted: 7.5 credits", of(result, "service"), 1, true)
      assert.equal(1, #server:seen().requests)
      assert.same({ "GET", path }, { server:requests()[1].method, server:requests()[1].target })
      assert.equal(key, server:requests()[1].headers["x-api-key"])
    end)

    it("recognises the page of another server", function()
      local server <close> = hostile.start()
      server:script { GET = { { hostile.answer("200 OK", "<html>Please log in to the hotel's network</html>", {}) } } }
      for _, environment in ipairs { { CRUN_API_KEY = key }, {} } do
        local result = doctor(with({ CRUN_BASE_URL = server.url }, environment))
        assert.equal(1, result.code)
        assert.matches("\nproblem: [^\n]* > this isn't the service", of(result, "service"))
      end
    end)

    it("warns of maintenance, which is temporary", function()
      local busy = program.real_service { faults = { "status-455" } }
      local result = doctor(busy.environment)
      busy.stop()
      assert.equal(0, result.code)
      assert.matches("\nwarning: key %x+: [^\n]*%(status 455%) > ", of(result, "service"))
    end)

    it("explains why a certificate may not be trusted", function()
      local files <close> = env.directory()
      local certificate, secret = tls.certificate(files, "server", "IP:127.0.0.1")
      local server <close> = tls.serve(files, certificate, secret)
      local result = doctor(with { CRUN_API_KEY = key, CRUN_BASE_URL = server.url })
      assert.equal(1, result.code)
      assert.matches("certificate[^\n]* > is this machine's clock right%? It says %d%d%d%d%-", of(result, "service"))
    end)

    it("names the variable that sets a proxy, and never its value", function()
      local proxy = "http://me:secret@127.0.0.1:" .. hostile.dead_port()
      local result = doctor(with { CRUN_API_KEY = key, CRUN_BASE_URL = "http://omni.test", http_proxy = proxy })
      assert.equal(1, result.code)
      assert.matches("ok: requests: through the proxy http://127.0.0.1:", of(result, "network"), 1, true)
      assert.matches("> requests go through a proxy (http_proxy)", of(result, "service"), 1, true)
      assert.is_nil(result.out:find("secret", 1, true))
    end)

    it("prints no control characters of an answer or a path", function()
      local server <close> = hostile.start()
      server:script { GET = { { hostile.json '{"code":500,"message":"\\u001b[2Joh\\u202eno","data":null}' } } }
      local result = program.run({ "doctor", "--ledger", "/proc/no\27[2Jwhere/ledger.db" },
        { environment = with { CRUN_API_KEY = key, CRUN_BASE_URL = server.url } })
      assert.matches("oh", result.out)
      assert.matches("where/ledger.db", result.out, 1, true)
      assert.is_nil(result.out:find "[\27\u{202e}]")
    end)

    it("ends at Ctrl-C while it waits", function()
      local server <close> = hostile.start()
      server:script { GET = { { hostile.hang() } } }
      local child = program.start({ "doctor" }, { environment = with { CRUN_API_KEY = key, CRUN_BASE_URL = server.url } })
      child:wait_for "from CRUN_API_KEY"
      child:signal "INT"
      assert.equal(130, child:finish().code)
    end)
  end)

  describe("about the clock", function()
    local function clock_at(seconds)
      local server <close> = hostile.start()
      local date = "Date: " .. os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + seconds)
      server:script { GET = { { hostile.answer("200 OK", '{"code":200,"message":"success","data":{"balance":1}}', { date }) } } }
      local result = doctor(with { CRUN_API_KEY = key, CRUN_BASE_URL = server.url })
      return of(result, "clock"), result.code
    end

    it("warns if the clock differs by more than a minute, and says by how much", function()
      local behind, code = clock_at(3600)
      assert.equal(0, code)
      assert.matches("^warning: this machine's clock is %d?1?:?%d%d:%d%d behind the service's > set it", behind)
      assert.matches("ahead of the service's", (clock_at(-300)))
      assert.equal("ok: the clock agrees with the service's", (clock_at(-20)))
    end)

    it("reports nothing if the service sends no date", function()
      local server <close> = hostile.start()
      server:script { GET = { { balance "1" } } }
      local result = doctor(with { CRUN_API_KEY = key, CRUN_BASE_URL = server.url })
      assert.equal("ok: the service doesn't send its time", of(result, "clock"))
    end)
  end)

  describe("about the ledger", function()
    local files
    before_each(function() files = env.directory() end)
    after_each(function() files:close() end)

    local function about(ledger)
      local result = doctor(service.environment, "--ledger", ledger)
      return of(result, "ledger"), result.code
    end

    it("counts the submits in flight, and those that may have been charged without a known outcome", function()
      local ledger = files:file "ledger.db"
      env.output(asked.command([[
        local handle <close> = ledger.open(...)
        asked.intend(handle, "i1") -- and this process ends before the response arrives
        asked.ask(handle, "accept", { id = asked.intend(handle, "i2"), task_id = "t" })]], { ledger }))
      local told, code = about(ledger)
      assert.equal(0, code)
      assert.equal(("ok: the ledger %s: 1 in flight\nok: %s-wal and -shm belong to it; to copy it: sqlite3 %s \".backup COPY\"\n"
        .. "warning: 1 submit has an unknown outcome, and may have been charged > omni status")
        :format(ledger, ledger, ledger), told)
    end)

    it("reports a ledger that is damaged, readable by others, or impossible to create", function()
      local damaged = env.write(files:file "damaged.db", ("no database "):rep(1000))
      env.output("chmod 600 " .. env.quote(damaged))
      local open = files:file "open.db"
      env.output(asked.command([[local handle <close> = ledger.open(...) asked.intend(handle, "i")]], { open }))
      env.output("chmod 644 " .. env.quote(open))
      for _, ledger in ipairs { damaged, open, "/proc/nowhere/ledger.db", damaged .. "/ledger.db" } do
        local told, code = about(ledger)
        assert.equal(1, code, ledger)
        assert.matches("^problem: [^\n]*" .. ledger:gsub("%p", "%%%0"), told)
      end
    end)
  end)

  describe("about ffmpeg", function()
    local function found(programs)
      local folder <close> = env.directory()
      for name, script in pairs(programs) do
        env.write(folder:file(name), "#!/bin/sh\n" .. script .. "\n")
        env.output("chmod 755 " .. env.quote(folder:file(name)))
      end
      local result = doctor(with(service.environment, { PATH = folder.path }))
      assert.equal(0, result.code)
      return of(result, "ffmpeg")
    end

    it("says that ffmpeg is missing, and what doesn't work without it", function()
      local probe = "echo ffprobe version 4.4 Copyright"
      assert.matches("^warning: there is no ffmpeg: omni can't cut films.* > install ffmpeg", found {})
      assert.matches("^warning: ffprobe isn't installed", found { ffmpeg = "echo ffmpeg version 5.1 Copyright" })
      assert.matches("^warning: ffmpeg 5.1%-x has no libx264", found { ffmpeg = "echo ffmpeg version 5.1-x Copyright", ffprobe = probe })
      local old = 'case "$*" in *"-h full"*) printf "\\nlibx264 AVOptions:\\n" ;; *) echo ffmpeg version %s Copyright ;; esac'
      assert.matches("^warning: ffmpeg 4.4.2 is older than 5.1", found { ffmpeg = old:format "4.4.2", ffprobe = probe })
      assert.equal("ok: ffmpeg n6.0, with libx264 and ffprobe", found { ffmpeg = old:format "n6.0", ffprobe = probe })
    end)
  end)

  it("says which library is missing", function()
    local modules <close> = env.directory()
    local folder = modules:file "omni"
    env.output(("mkdir %s && cp %s %s"):format(folder, env.quote(package.searchpath("omni.core", package.cpath)), folder))
    local script = [[require("omni.cli.doctor.local_checks").program({}, function(state, text) print(state, text) end)]]
    local said = env.output(("LUA_CPATH=%s %s -e %s"):format(env.quote(modules.path .. "/?.so;;"), env.lua, env.quote(script)))
    assert.matches("problem\tcan't load omni.ledger_sqlite, so nothing can be submitted: ", said, 1, true)
    assert.matches("warning\tcan't load omni.listener, so there is no sandbox", said, 1, true)
    assert.matches("; built without libpq: the ledger can't be in PostgreSQL\n", said, 1, true)
  end)

  it("fits the width of the terminal, and is coloured unless NO_COLOR is set", function()
    local environment = with({ CRUN_BASE_URL = "http://127.0.0.1:" .. hostile.dead_port(), LANG = "C.UTF-8" })
    local coloured = program.on_terminal({ "doctor" }, { columns = 60, environment = environment })
    assert.equal(1, coloured.code)
    assert.matches("\27%[31mproblem\27%[0m  there is no API key", coloured.out)
    assert.matches("a terminal of 60 columns: redrawn in place", coloured.out, 1, true)
    for line in coloured.out:gmatch "[^\r\n]+" do
      assert.is_true(#line:gsub("\27%[[%d;]*m", "") <= 60, line)
    end
    local plain = program.on_terminal({ "doctor" }, { columns = 60, environment = with(environment, { NO_COLOR = "1" }) })
    assert.is_nil(plain.out:find "\27")
    local dumb = program.on_terminal({ "doctor" }, { columns = 60, environment = with(environment, { LANG = "C" }) })
    assert.matches("the locale of the terminal isn't", dumb.out)
  end)

  it("refuses invalid arguments with exit code 2", function()
    for message, arguments in pairs {
      ["%-%-ledger: expected a path"] = { "--ledger", "" },
      ["too many arguments"] = { "x" }, ["unknown option '%-%-key'"] = { "--key", key },
    } do
      local result = program.run { "doctor", table.unpack(arguments) }
      assert.equal(2, result.code)
      assert.matches("^omni: [^\n]*" .. message, result.err)
    end
    local odd = doctor(with { CRUN_API_KEY = key }, "--base-url", "ftp://omni.test")
    assert.equal(1, odd.code)
    assert.matches("^problem: .*base_url", of(odd, "service"))
  end)
end)
