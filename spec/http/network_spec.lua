-- SPDX-License-Identifier: MIT
-- How requests reach the network (docs/network.md): which addresses, which redirects, which proxy, which certificates.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"
local storage = require "helper.storage"
local tls = require "helper.tls"

local CLIP <const> = "\0\0\0\20ftypisom\0\0\2\0isom\0\0\0\8moov" -- has the boxes of a film

local server, directory

local function start()
  server, directory = hostile.start(), env.directory()
end

local function stop()
  server:close()
  directory:close()
end

-- A task whose clip is at `url`; what the server answers when it is fetched.
local function script(url, turns)
  server:script {
    { target = "TaskInfo", turns = { { answers.success(url) } } },
    { target = "/", turns = turns or { { hostile.file { body = CLIP } } } },
  }
end

local function save(url, options, base_url, turns)
  script(url, turns)
  local client <close> = assert(answers.client(base_url or server.url, options))
  return assert(client:query(answers.ID)):save(directory:file "clip.mp4")
end

-- Of the requests that the server saw, those that aren't the API's.
local function fetches()
  local list = {}
  for _, request in ipairs(server:requests()) do
    if not request.target:find("/api/v1/", 1, true) then list[#list + 1] = request end
  end
  return list
end

local function redirect(location, status)
  return { hostile.answer((status or 302) .. " Found", "", { "Location: " .. location }) }
end

-- Runs Lua in a process of its own with such an environment; `%BASE%` is the server's URL.
local function run_under(environment, code, ...)
  local words = { "env -u http_proxy -u https_proxy -u all_proxy -u no_proxy -u CURL_CA_BUNDLE -u SSL_CERT_FILE -u SSL_CERT_DIR" }
  for name, value in pairs(environment) do words[#words + 1] = env.quote(name .. "=" .. value) end
  words[#words + 1] = env.lua .. " -e " .. env.quote(code:format(...)) .. " 2>&1"
  return env.output(table.concat(words, " "))
end

local query_and_save <const> = [[
  local client = require "omni".client {
    base_url = "%s", api_key = "]] .. answers.KEY .. [[", retry_for = 0, ledger = false, schemas = false,
  }
  local task, problem = client:query("]] .. answers.ID .. [[")
  local saved
  if task then saved, problem = task:save(%q) end
  print(saved and "saved" or problem.code .. ": " .. problem.message)]]

describe("a media URL", function()
  setup(start)
  teardown(stop)

  local elsewhere <const> = {
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "169.254.1.1", "198.18.0.1", "0.0.0.0", "0.1.2.3",
    "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "167772161", "0xa000001", "012.0.0.1", "10.1", "0xA.0.0.1", "%31%30.0.0.1", "10.0.0.1.", "１０.0.0.1",
    "[::]", "[fd00::1]", "[fd00:ec2::254]", "[fc00::1]", "[fe80::1]", "[fe80::1%25lo]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]",
    "[100::1]", "[2001::1]", "[3fff::1]", "[::10.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:0:10.0.0.1]", "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::10.0.0.1]", "[2002:a00:1::1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[4000::1]",
  }
  for _, host in ipairs(elsewhere) do
    it("never leads to " .. host, function()
      local saved, problem = save(("http://%s:1/clip.mp4"):format(host))
      assert.is_nil(saved)
      assert.equal("url_refused", problem.code)
      assert.same({}, directory:names())
    end)
  end

  it("never leads to this machine, in any spelling, unless the service is there", function()
    for _, host in ipairs { "127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "localhost", "LOCALHOST.", "[::1]",
      "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.9.9.9" } do
      local saved, problem = save(("http://%s:%d/clip.mp4"):format(host, server.port), { proxy = server.url }, "http://service.invalid")
      assert.is_nil(saved, host)
      assert.equal("url_refused", problem.code)
      assert.same({}, fetches())
    end
  end)

  it("that is refused gives an error that names the address and the option that allows it", function()
    local _, problem = save "http://192.168.0.1/clip.mp4"
    assert.equal("the URL leads to 192.168.0.1, an address of a private network, and the service itself isn't there", problem.message)
    assert.matches("allow_private_networks = true", problem.hint, 1, true)
    assert.equal(answers.ID, problem.task_id)
    _, problem = save "http://169.254.169.254/clip.mp4"
    assert.matches("169.254.169.254, an address of a reserved network", problem.message, 1, true)
    assert.is_nil(problem.hint)
  end)

  it("may lead to the network of the service", function()
    for _, host in ipairs { "127.0.0.1", "localhost", "2130706433" } do
      assert(save(("http://%s:%d/clip.mp4"):format(host, server.port)))
    end
  end)

  it("may lead to a private network if that is allowed, and never to a reserved address", function()
    local options = { allow_private_networks = true, proxy = server.url }
    assert(save("http://10.0.0.1/clip.mp4", options))
    local _, problem = save("http://169.254.169.254/clip.mp4", options)
    assert.equal("url_refused", problem.code)
    script "http://10.0.0.1/clip.mp4"
    local environment = { OMNI_ALLOW_PRIVATE_NETWORKS = "1", http_proxy = server.url }
    assert.equal("saved\n", run_under(environment, query_and_save, "http://service.invalid", directory:file "clip.mp4"))
  end)

  -- libcurl itself takes every name below "localhost" for this machine: names whose addresses are known without a name server.
  it("is checked by the address of the connection, not by its name", function()
    script(("http://media.localhost:%d/clip.mp4"):format(server.port))
    local environment = { http_proxy = server.url, no_proxy = ".localhost" }
    local told = run_under(environment, query_and_save, "http://service.invalid", directory:file "clip.mp4")
    assert.matches("^url_refused: the URL leads to [%w.:]+, an address of this machine", told)
    assert.same({}, fetches())
    environment.OMNI_ALLOW_PRIVATE_NETWORKS = "yes"
    assert.equal("saved\n", run_under(environment, query_and_save, "http://service.invalid", directory:file "clip.mp4"))
  end)

  it("may lead to the network in which the service's name was found", function()
    local base_url = ("http://api.localhost:%d"):format(server.port)
    assert(save(server.url .. "/clip.mp4", nil, base_url))
    local saved, problem = save("http://10.0.0.1/clip.mp4", nil, base_url)
    assert.is_nil(saved)
    assert.equal("url_refused", problem.code)
  end)

  it("may contain spaces and unusual characters", function()
    assert(save(server.url .. "/my clip [1] é.mp4"))
    assert.equal("/my%20clip%20%5B1%5D%20%C3%A9.mp4", fetches()[1].target)
  end)

  it("that is refused leads to no new submit", function()
    server:script {
      { target = "TaskInfo", turns = { { answers.success "http://10.0.0.1/clip.mp4" } } },
      { target = "CreateTask", turns = { { answers.accepted() } } },
      { target = "EstimateTask", turns = { { hostile.json(answers.envelope '{"estimated_credits":1,"balance":10,"affordable":true}') } } },
      { target = "balance", turns = { { hostile.json(answers.envelope '{"balance":10}') } } },
    }
    local client <close> = assert(answers.client(server.url, { ledger = directory:file "ledger.db" }))
    local board = omni.storyboard { cut = false, omni.scene "one" { prompt = "a lighthouse" } }
    for _ = 1, 2 do
      local summary = assert(omni.run_storyboard(board, { client = client, directory = directory:file "film", yes = true }))
      assert.equal("url_refused", summary.scenes[1].error.code)
      local submits = 0
      for _, request in ipairs(server:requests "POST") do submits = submits + (request.target:find "CreateTask" and 1 or 0) end
      assert.equal(1, submits)
    end
  end)
end)

describe("a redirect", function()
  setup(start)
  teardown(stop)

  it("of a download never leads to another network than the service's", function()
    for _, location in ipairs { "http://10.0.0.1/x", "//169.254.169.254/latest/meta-data", "http://[::ffff:10.0.0.1]/" } do
      local saved, problem = save(server.url .. "/clip.mp4", nil, nil, { redirect(location) })
      assert.is_nil(saved)
      assert.equal("url_refused", problem.code)
      assert.equal(1, #fetches())
    end
  end)

  it("of a download is read as curl and browsers read it", function()
    for location, target in pairs {
      ["/a b.mp4"] = "/a%20b.mp4", ["é.mp4"] = "/dir/%C3%A9.mp4", ["../up.mp4"] = "/up.mp4", ["?x=[1]"] = "/dir/clip.mp4?x=%5B1%5D",
    } do
      assert(save(server.url .. "/dir/clip.mp4", nil, nil, { redirect(location), { hostile.file { body = CLIP } } }))
      assert.equal(target, fetches()[2].target)
    end
  end)

  it("of an API call never gets the key", function()
    local other <close> = hostile.start()
    other:script { GET = { { answers.running() } }, POST = { { answers.accepted() } } }
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      local turn = redirect(other.url .. "/api/v1/client/job/TaskInfo", status)
      server:script { GET = { turn }, POST = { turn } }
      local client <close> = assert(answers.client(server.url))
      assert.equal("bad_answer", select(2, client:query(answers.ID)).code)
      assert.equal("bad_answer", select(2, client:call("GET", "/api/v1/x")).code)
      assert.equal("submit_unknown", select(2, client:submit { prompt = "a" }).code)
      assert.same({}, other:requests())
    end
  end)

  describe("of an upload", function()
    local path

    before_each(function() path = env.write(directory:file "a.png", storage.PNG) end)

    local function upload(turns, elsewhere)
      storage.script(server, turns, elsewhere)
      local client <close> = assert(storage.client(server.url))
      return client:upload(path)
    end

    for _, status in ipairs { 301, 302, 307, 308 } do
      it(("is followed with the whole file, and without the key (%d)"):format(status), function()
        local other <close> = hostile.start()
        other:script { PUT = { storage.done } }
        assert.equal(server.url .. "/files/1.png", assert(upload { redirect(other.url .. "/region/key?sig=a%2Bb", status) }).url)
        local put = other:requests()[1]
        assert.equal("PUT", put.method)
        assert.equal("/region/key?sig=a%2Bb", put.target)
        assert.equal("image/png", put.headers["content-type"])
        assert.is_true(put.body == storage.PNG)
        assert.is_nil(put.headers["x-api-key"])
      end)
    end

    it("is followed at once if it comes before the whole file was sent", function()
      storage.large(path)
      local other <close> = hostile.start()
      other:script { PUT = { { early = true, hostile.discard(), hostile.answer("200 OK", "") } } }
      local early = redirect(other.url .. "/x", 307)
      early.early, early[#early + 1] = true, hostile.hang()
      assert(upload { early })
      assert.equal(1, #other:requests())
    end)

    it("may be relative, and is followed five times but not six times", function()
      local turns = {}
      for i = 1, 5 do turns[i] = redirect("/" .. i, 307) end
      turns[6] = storage.done
      assert(upload(turns))
      turns[6], turns[7] = redirect("/6", 307), storage.done
      storage.assert_failed("upload_failed", upload(turns))
    end)

    it("never leads to another network than the service's", function()
      storage.assert_failed("url_refused", upload { redirect("http://10.0.0.1/x", 307) })
      storage.assert_failed("url_refused", upload { redirect("file:///tmp/x", 307) })
    end)
  end)

  it("or a presigned URL never leads to another network than the service's", function()
    server:script { GET = { { hostile.json(answers.envelope '{"presigned_url":"http://192.168.0.1/x","file_url":"https://h.org/x"}') } } }
    local client <close> = assert(storage.client(server.url))
    storage.assert_failed("url_refused", client:upload(env.write(directory:file "a.png", storage.PNG)))
  end)
end)

describe("with an https service", function()
  local folder, certificate, secure

  setup(function()
    start()
    folder = env.directory()
    local key
    certificate, key = tls.certificate(folder, "good", "IP:127.0.0.1")
    secure = tls.serve(folder, certificate, key)
  end)
  teardown(function()
    secure:close()
    folder:close()
    stop()
  end)

  local function answer(url)
    local target = folder:file("api/v1/client/job/TaskInfo?task_id=" .. answers.ID)
    os.execute("mkdir -p " .. env.quote(target:match "^(.*)/"))
    env.write(target, tls.answer("200 OK", answers.envelope(answers.task("success", ('{"media_urls":["%s"]}'):format(url)))))
  end

  it("no file is requested over plain http", function()
    server:script { GET = { { hostile.file { body = CLIP } } } }
    answer(server.url .. "/clip.mp4")
    local client <close> = assert(answers.client(secure.url, { ca_file = certificate }))
    local saved, problem = assert(client:query(answers.ID)):save(directory:file "clip.mp4")
    assert.is_nil(saved)
    assert.equal("url_refused", problem.code)
    assert.same({}, server:requests())
  end)

  it("your own certificates are trusted if a variable of curl or OpenSSL names them", function()
    answer(secure.url .. "/clip.mp4")
    env.write(folder:file "clip.mp4", tls.answer("200 OK", CLIP))
    local trusted <close> = env.directory()
    env.output(("cp %s %s && openssl rehash %s 2>&1"):format(env.quote(certificate), env.quote(trusted.path), env.quote(trusted.path)))
    for name, value in pairs { CURL_CA_BUNDLE = certificate, SSL_CERT_FILE = certificate, SSL_CERT_DIR = trusted.path } do
      assert.equal("saved\n", run_under({ [name] = value }, query_and_save, secure.url, directory:file "clip.mp4"), name)
    end
    assert.matches("^network: .*certificate", run_under({}, query_and_save, secure.url, directory:file "clip.mp4"))
    local first_counts = { CURL_CA_BUNDLE = folder:file "none.pem", SSL_CERT_FILE = certificate }
    assert.matches("^network: ", run_under(first_counts, query_and_save, secure.url, directory:file "clip.mp4"))
  end)
end)

describe("a proxy of the environment", function()
  setup(start)
  teardown(stop)

  it("is never used for this machine", function()
    local proxy = "http://127.0.0.1:" .. hostile.dead_port()
    local told = run_under({ http_proxy = proxy, https_proxy = proxy, all_proxy = proxy, no_proxy = "" }, [[
      local omni = require "omni"
      for _, host in ipairs { "127.0.0.1", "::1" } do
        local sandbox <close> = assert(omni.sandbox { seconds = 0.1, host = host, directory = %q })
        local client <close> = assert(omni.client {
          base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.05, poll_max = 0.1, retry_for = 1,
        })
        omni.run(function()
          local receiver <close> = assert(omni.callbacks { client = client, listen = "127.0.0.1:0" })
          assert(client:balance())
          local uploaded = assert(client:upload(%q))
          local task = assert(client:submit { prompt = "A boat.", img_urls = { uploaded.url } })
          assert(task:await())
          assert(task:save(%q))
          while receiver.counts.confirmed == 0 do omni.sleep(0.01) end
          print(host, task.callback ~= nil)
        end)
      end]], directory.path, env.write(directory:file "a.png", storage.PNG), directory:file "clip.mp4")
    assert.equal("127.0.0.1\ttrue\n::1\ttrue\n", told)
  end)

  it("is used for everything else, except for hosts in no_proxy", function()
    local dead = "http://127.0.0.1:" .. hostile.dead_port()
    script "http://media.invalid/clip.mp4"
    assert.equal("saved\n", run_under({ http_proxy = server.url }, query_and_save, "http://service.invalid", directory:file "clip.mp4"))
    local targets = {}
    for i, request in ipairs(server:requests()) do targets[i] = request.target:match "^http://[^/]+" end
    assert.same({ "http://service.invalid", "http://media.invalid" }, targets)
    script(server.url .. "/clip.mp4")
    local base_url = ("http://api.localhost:%d"):format(server.port)
    local function outcome(no_proxy)
      return run_under({ http_proxy = dead, no_proxy = no_proxy }, query_and_save, base_url, directory:file "clip.mp4")
    end
    for _, exempt in ipairs { "*", "localhost", ".localhost", "a, api.localhost", "a api.localhost." } do
      assert.equal("saved\n", outcome(exempt), exempt)
    end
    for _, other in ipairs { "host", "xapi.localhost", "b.api.localhost", "10.0.0.0/8" } do
      assert.matches("^network: ", outcome(other))
    end
  end)

  it("isn't used for addresses and networks in no_proxy", function()
    local core = require "omni.core"
    local function used(host, exempt)
      return run_under({ http_proxy = "http://proxy.invalid:1", no_proxy = exempt },
        [[print(require "omni.core".client {}:network("http://%s/").proxy_used)]], host) == "true\n"
    end
    assert.is_false(used("10.1.2.3", "10.0.0.0/8"))
    assert.is_false(used("10.1.2.3", "192.168.0.1,10.1.2.3"))
    assert.is_false(used("[fd00::1]", "fd00::/8"))
    assert.is_true(used("11.1.2.3", "10.0.0.0/8"))
    assert.is_true(used("10.1.2.3", "10.1.2.0/32"))
    assert.is_true(used("[fe00::1]", "[fd00::]/8"))
    assert.equal("proxy.invalid:1", core.client { proxy = "me:secret@proxy.invalid:1" }:network("http://h.org/").proxy)
  end)
end)

describe("an IPv6 address", function()
  it("works for every kind of request", function()
    local folder <close> = env.directory()
    local sandbox <close> = assert(omni.sandbox { seconds = 0.1, host = "::1", directory = folder.path })
    assert.matches("^http://%[::1%]:%d+$", sandbox.url)
    local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.05, poll_max = 0.1 })
    local uploaded = assert(client:upload(env.write(folder:file "a.png", storage.PNG)))
    local task = assert(client:submit { prompt = "A boat.", img_urls = { uploaded.url } })
    assert(task:await())
    assert(task:save(folder:file "clip.mp4"))
    assert(client:balance())
  end)
end)
