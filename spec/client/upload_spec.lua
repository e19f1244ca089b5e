-- SPDX-License-Identifier: MIT
-- client:upload(path): all bytes reach the URL that the service names, and the key doesn't.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"
local storage = require "helper.storage"
local tls = require "helper.tls"

local PNG <const>, done <const>, refusal <const> = storage.PNG, storage.done, storage.refusal
local assert_failed <const> = storage.assert_failed

local server, directory, path

local function place(n) return storage.place(server, n) end

local function script(turns) storage.script(server, turns) end

-- Uploads `path` to a server that does as the turns say. A client tries once unless the options say otherwise.
local function upload(turns, options, upload_options)
  script(turns)
  return storage.client(server.url, options):upload(path, upload_options)
end

local patient = { retry_for = 120 }

local function asked() return storage.asked(server) end

local function puts() return server:requests "PUT" end

local function descriptors() return storage.descriptors(path) end

describe("an upload", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)
  before_each(function()
    directory = env.directory()
    path = env.write(directory:file "keeper.png", PNG)
  end)
  after_each(function() directory:close() end)

  it("PUTs the bytes to the service's URL, with type and length, and without the key", function()
    local uploaded, err = upload { done }
    assert(uploaded, err)
    assert.is_falsy(uploaded.reused)
    uploaded.reused = nil
    assert.same({ url = server.url .. "/files/1.png", bytes = #PNG, content_type = "image/png",
      sha256 = env.output("sha256sum < " .. env.quote(path)):match "%x+" }, uploaded)
    local asking = server:requests "GET"
    assert.equal(1, #asking)
    assert.equal("/api/v1/client/files/upload-url?content_type=image/png&ext=.png", asking[1].target)
    assert.equal(answers.KEY, asking[1].headers["x-api-key"])
    assert.equal(1, #puts())
    local put = puts()[1]
    assert.equal("/put/1?signature=s3cret", put.target)
    assert.is_true(put.body == PNG)
    assert.same({ "image/png", tostring(#PNG) }, { put.headers["content-type"], put.headers["content-length"] })
    assert.is_nil(put.headers["transfer-encoding"])
    assert.is_nil(put.headers.expect)
    for name, value in pairs(put.headers) do
      assert.is_nil(value:find(answers.KEY, 1, true), name)
      assert.not_equal("x-api-key", name)
    end
  end)

  it("accepts any 2xx as success, whatever the body", function()
    for _, answer in ipairs { hostile.answer("201 Created", "{}"), hostile.send "HTTP/1.1 204 No Content\r\n\r\n",
      hostile.answer("200 OK", ("page "):rep(20000)) } do
      assert(upload { { answer } })
    end
  end)

  it("works outside of the loop and in many fibers at once, each with its own URL", function()
    local turns = {}
    for n = 1, 20 do turns[n] = place(n) end
    server:script { { target = "/upload-url?", turns = turns }, { method = "PUT", turns = { done } } }
    local client, urls = storage.client(server.url, { max_connections = 3 }), {}
    omni.run(function()
      local fibers = {}
      for i = 1, 20 do
        local own = env.write(directory:file(i .. ".png"), PNG .. i)
        fibers[i] = omni.spawn(function() urls[assert(client:upload(own)).url] = true end)
      end
      omni.join(table.unpack(fibers))
    end)
    for n = 1, 20 do assert.is_true(urls[("%s/files/%d.png"):format(server.url, n)]) end
    for _, put in ipairs(puts()) do assert.is_true(put.body:sub(1, #PNG) == PNG) end
  end)

  it("has the type of the file's bytes, and a fitting ending", function()
    local cases = {
      ["x.PNG"] = "content_type=image/png&ext=.png", ["x.jpg"] = "content_type=image/png&ext=.png",
      ["x"] = "content_type=image/png&ext=.png", ["a b\u{e9}%.mp4"] = "content_type=image/png&ext=.png",
    }
    for name, query in pairs(cases) do
      path = env.write(directory:file(name), PNG)
      assert(upload { done })
      assert.same({ query }, asked())
    end
    path = env.write(directory:file "x.jpeg", "\xFF\xD8\xFF\xE0....")
    assert(upload { done })
    assert.same({ "content_type=image/jpeg&ext=.jpeg" }, asked())
  end)

  it("has the given type", function()
    path = env.write(directory:file "x.svg", "<svg/>")
    assert.equal("image/svg+xml", assert(upload({ done }, nil, { content_type = "image/svg+xml" })).content_type)
    assert.same({ "content_type=image/svg%2Bxml&ext=.svg" }, asked())
    assert.equal("image/svg+xml", puts()[1].headers["content-type"])
    path = env.write(directory:file("x." .. ("y"):rep(20)), "?")
    assert(upload({ done }, nil, { content_type = "video/mp4" }))
    assert.same({ "content_type=video/mp4&ext=.bin" }, asked())
  end)

  it("reports its progress, up to the last byte", function()
    local seen, total_seen = {}, nil
    assert(upload({ done }, nil, { on_progress = function(bytes, total)
      seen[#seen + 1], total_seen = bytes, total
    end }))
    assert.same({ #PNG, #PNG }, { seen[#seen], total_seen })
    for i = 2, #seen do assert.is_true(seen[i] >= seen[i - 1]) end
  end)

  it("counts bytes that left the system's buffer; fails when no more of them leave", function()
    storage.large(path)
    local other <close> = hostile.start()
    other:script { PUT = { { early = true, hostile.until_requests(99) } } }
    server:script { GET = { { hostile.json(answers.envelope(
      ('{"presigned_url":"%s/x","file_url":"%s/x"}'):format(other.url, other.url))) } } }
    local gone
    local uploaded, err = storage.client(server.url, { timeout = env.seconds(0.4) }):upload(path, {
      on_progress = function(bytes) gone = bytes end,
    })
    assert.matches("nothing was sent for", assert_failed("network", uploaded, err).message)
    assert.is_true(gone < 1024 * 1024, gone)
  end)

  it("raises for invalid arguments", function()
    local client = storage.client(server.url)
    for _, wrong in ipairs { 5, "", "a\0b", {} } do
      assert.error_matches(function() client:upload(wrong) end, "^client:upload: expected a path, got ")
    end
    assert.error_matches(function() client:upload(path, { on_progres = print }) end, "did you mean 'on_progress'")
    for _, wrong in ipairs { "png", "image/png\r\nX: y", "image/", "image/png; q=1" } do
      assert.error_matches(function() client:upload(path, { content_type = wrong }) end, "option 'content_type' must be a media type")
    end
    client:close()
    assert.equal("closed", select(2, client:upload(path)).code)
  end)

  describe("is repeated, with a new URL, when", function()
    -- The places are on a server of their own. Where a connection that was used before breaks, libcurl itself tries once more.
    local places
    setup(function() places = hostile.start() end)
    teardown(function() places:close() end)

    local turns = {
      ["the connection is closed without an answer"] = { { hostile.close() } },
      ["the connection is reset"] = { { early = true, hostile.reset() } },
      ["the answer breaks off"] = { { hostile.send "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", hostile.close() } },
      ["it was answered with 408"] = { refusal "408 Request Timeout" },
      ["it was answered with 429"] = { refusal "429 Slow Down" },
      ["it was answered with 500"] = { refusal "500 Oops" },
      ["it was answered with 503"] = { refusal "503 Slow Down" },
      ["the place had expired (403)"] = { refusal "403 Forbidden" },
      ["the place isn't there (404)"] = { refusal "404 Not Found" },
      ["the place is gone (410)"] = { refusal "410 Gone" },
    }
    for name, list in pairs(turns) do
      it(name, function()
        list[#list + 1] = done
        storage.script(server, list, places)
        local uploaded, err = storage.client(server.url, patient):upload(path)
        assert(uploaded, err)
        assert.equal(places.url .. "/files/2.png", uploaded.url)
        assert.equal(2, #asked())
        local sent = places:requests "PUT"
        assert.equal(2, #sent)
        assert.equal("/put/2?signature=s3cret", sent[2].target)
        assert.is_true(sent[2].body == PNG)
      end)
    end

    it("the server is silent", function()
      assert(upload({ { hostile.hang() }, done }, { retry_for = 120, timeout = env.seconds(0.3) }))
      assert.equal(2, #asked())
    end)

    it("the service itself was busy", function()
      server:script { { target = "/upload-url?", turns = { refusal "503 Busy", place(1) } }, { method = "PUT", turns = { done } } }
      assert(storage.client(server.url, patient):upload(path))
    end)
  end)

  it("fails after three URLs in a row that refuse it", function()
    local err = assert_failed("upload_expired", upload({ refusal "403 Forbidden" }, patient))
    assert.equal(403, err.status)
    assert.is_truthy(err.message:find(path, 1, true))
    assert.matches("HTTP 403.: <Error>no</Error>", err.message)
    assert.equal(3, #asked())
  end)

  it("is tried once with retry_for = 0, and otherwise for at most retry_for seconds", function()
    assert_failed("upload_failed", upload { refusal "503 Busy" })
    assert.equal(1, #puts())
    assert_failed("network", upload({ { hostile.close() } }, { retry_for = env.seconds(0.5) }))
    assert.is_true(#asked() > 1)
  end)

  it("fails when nothing was sent for retry_for seconds, however much was sent before", function()
    assert_failed("network", upload({ { hostile.hang() } }, { retry_for = env.seconds(0.6), timeout = env.seconds(0.2) }))
    assert.is_true(#asked() <= 3, #asked())
  end)

  for _, status in ipairs { 300, 303, 304, 400, 401, 405, 411, 413 } do
    it(("is over at once when it is refused (%d)"):format(status), function()
      local turn = { hostile.answer(status .. " No", "no", { "Location: " .. server.url .. "/elsewhere" }) }
      assert.equal(status, assert_failed("upload_failed", upload({ turn }, patient)).status)
      assert.equal(1, #puts())
      assert.equal(2, #server:requests())
    end)
  end

  it("returns a refusal that comes before the whole file was sent", function()
    storage.large(path)
    local early = { early = true, hostile.answer("413 Too Large", "too large"), hostile.hang() }
    assert.equal(413, assert_failed("upload_failed", upload({ early }, patient)).status)
  end)

  it("isn't complete if the server says so before it has received everything", function()
    storage.large(path)
    local early = { early = true, hostile.answer("200 OK", ""), hostile.close() }
    assert_failed("network", upload { early })
  end)

  it("shows no control characters of a file server's answer, and only its beginning", function()
    local err = assert_failed("upload_failed", upload { { hostile.answer("400 No", "\27[2J\0" .. ("\u{202e}x"):rep(5000)) } })
    assert.is_nil(err.message:find "[%c]")
    assert.is_nil(err.message:find "\u{202e}")
    assert.is_true(#err.message < 3000)
  end)

  it("stops reading an endless answer", function()
    assert_failed("too_large", upload { { hostile.send "HTTP/1.1 200 OK\r\n\r\n", hostile.many("x", math.huge) } })
    assert_failed("upload_failed", upload { { hostile.send "HTTP/1.1 400 No\r\n\r\n", hostile.many("x", math.huge) } })
  end)

  describe("uploads nothing when the service's answer", function()
    local url = "https://127.0.0.1/x"
    local wrong = {
      ["has no data"] = "null", ["has other data"] = "[1]", ["has no presigned_url"] = ('{"file_url":"%s"}'):format(url),
      ["has no file_url"] = ('{"presigned_url":"%s"}'):format(url), ["has numbers"] = '{"presigned_url":1,"file_url":2}',
      ["names a file"] = ('{"presigned_url":"file:///etc/hostname","file_url":"%s"}'):format(url),
      ["names another protocol"] = ('{"presigned_url":"ftp://127.0.0.1/x","file_url":"%s"}'):format(url),
      ["holds a password"] = ('{"presigned_url":"https://a:b@127.0.0.1/x","file_url":"%s"}'):format(url),
      ["holds a line break"] = ('{"presigned_url":"https://127.0.0.1/x\\r\\nX: y","file_url":"%s"}'):format(url),
      ["has a file_url that can't be fetched"] = ('{"presigned_url":"%s","file_url":"data:x"}'):format(url),
    }
    for name, data in pairs(wrong) do
      it(name, function()
        server:script { GET = { { hostile.json(answers.envelope(data)) } }, PUT = { done } }
        assert_failed("bad_answer", storage.client(server.url, patient):upload(path))
        assert.equal(1, #server:requests())
      end)
    end

    it("leads from https down to http", function()
      local folder <close> = env.directory()
      local certificate, key = tls.certificate(folder, "good", "IP:127.0.0.1")
      local secure <close> = tls.serve(folder, certificate, key)
      env.output(("mkdir -p '%s/api/v1/client/files/upload-url?content_type=image'"):format(folder.path))
      local function says(presigned)
        env.write(folder:file "api/v1/client/files/upload-url?content_type=image/png&ext=.png", tls.answer("200 OK",
          answers.envelope(('{"presigned_url":"%s","file_url":"%s/f"}'):format(presigned, secure.url)), "Content-Type: application/json"))
      end
      script { done }
      local client = storage.client(secure.url, { ca_file = certificate, retry_for = 120 })
      says(server.url .. "/put/1")
      assert.matches("from https down to http", assert_failed("url_refused", client:upload(path)).message)
      assert.same({}, server:requests())
    end)

    it("is a refusal", function()
      server:script { GET = { { hostile.json(answers.envelope("null", 401, "who are you")) } }, PUT = { done } }
      assert_failed("unauthorized", storage.client(server.url, patient):upload(path))
      assert.equal(1, #server:requests())
    end)
  end)

  it("ends with the client, and closes its file", function()
    script { { hostile.hang() } }
    local client = storage.client(server.url, patient)
    assert_failed("closed", client:upload(path, { on_progress = function() client:close() end }))
    assert.equal(0, descriptors())
  end)

  it("ends with its fiber, leaves the client usable, and closes its file", function()
    script { { hostile.hang() }, done }
    local client = storage.client(server.url, patient)
    omni.run(function()
      local under_way = false
      local fiber = omni.spawn(function()
        client:upload(path, { on_progress = function() under_way = true end })
      end)
      while not under_way do omni.sleep(0.01) end
      assert.is_true(descriptors() > 0)
      fiber:cancel()
      assert.equal(0, descriptors())
      assert(client:upload(path))
    end)
  end)

  it("ends with an error of on_progress", function()
    script { { hostile.hang() }, done }
    local client = storage.client(server.url, patient)
    assert.error_matches(function() client:upload(path, { on_progress = function() error "enough" end }) end, "enough")
    assert.equal(0, descriptors())
    assert(client:upload(path))
  end)
end)
