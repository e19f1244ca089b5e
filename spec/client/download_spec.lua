-- SPDX-License-Identifier: MIT
-- task:save(path): the file gets its name when it is complete and is the paid one, and not before.
local answers = require "helper.answers"
local core = require "omni.core"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"
local tls = require "helper.tls"

local SIZE <const> = 100000
local function pattern(word) -- has the boxes of a film
  local parts = { "\0\0\0\24ftypisom\0\0\2\0isomiso2" .. "\0\0\0\8moov" .. (">I4"):pack(SIZE - 32) .. "mdat" }
  for i = 5, SIZE // 10 do parts[i - 3] = ("%s%09d"):format(word, i) end
  return table.concat(parts)
end
local BODY, OTHER = pattern "a", pattern "b"

local server, directory, path

-- What a task says whose clip is at `url`, and how the server behaves when it is fetched.
local function script(turns, url)
  server:script{
    { target = "TaskInfo", turns = { { answers.success(url or server.url .. "/clip.mp4") } } },
    { target = "/", turns = turns },
  }
end

local function save(turns, options, url)
  script(turns, url)
  local task, err = answers.client(server.url, options):query(answers.ID)
  return assert(task, err):save(path)
end

local function fetches()
  local list = {}
  for _, request in ipairs(server:requests "GET") do
    if not request.target:find("TaskInfo", 1, true) then list[#list + 1] = request end
  end
  return list
end

local function file(fields)
  local all = { body = BODY, etag = '"v1"' }
  for name, value in pairs(fields or {}) do all[name] = value or nil end
  return { hostile.file(all) }
end

-- A part of a file, as the server says it.
local function part(range, body, headers)
  return { hostile.answer("206 Partial Content", body, { "Content-Range: " .. range, table.unpack(headers or {}) }) }
end

local function redirect(location) return { hostile.answer("302 Found", "", { "Location: " .. location }) } end

local patient = { retry_for = 120 }

local function assert_saved(body, ...)
  assert(...)
  assert.is_true(env.read(path) == body, "the file isn't what was sent")
  assert.is_nil(env.read(path .. ".part"))
end

local function assert_failed(code, saved, err)
  assert.is_nil(saved)
  answers.text_of(err)
  assert.equal(code, err.code)
  assert.equal(answers.ID, err.task_id)
  assert.is_nil(env.read(path))
end

describe("a download", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)
  before_each(function()
    directory = env.directory()
    path = directory:file "clip.mp4"
  end)
  after_each(function() directory:close() end)

  it("writes the whole file, and sends no key", function()
    assert_saved(BODY, save{ file() })
    assert.equal(1, #fetches())
    assert.is_nil(fetches()[1].headers["x-api-key"])
    assert.is_nil(fetches()[1].headers.range)
    assert.same({ "clip.mp4" }, directory:names())
  end)

  it("replaces an older file only when it is complete", function()
    env.write(path, "older")
    local saved = save{ file{ cut = 500 } }
    assert.is_nil(saved)
    assert.equal("older", env.read(path))
    assert_saved(BODY, save{ file() })
  end)

  it("resumes where the connection broke", function()
    assert_saved(BODY, save({ file{ cut = 40000 }, file() }, patient))
    local again = fetches()[2]
    assert.equal("bytes=40000-", again.headers.range)
    assert.equal('"v1"', again.headers["if-range"])
    assert.is_nil(again.headers["x-api-key"])
  end)

  it("resumes as often as the connection breaks", function()
    local broken = { file{ cut = 40000 }, file{ cut = 1 }, file{ cut = 0 }, file{ cut = 30000 }, file() }
    assert_saved(BODY, save(broken, patient))
    assert.equal(5, #fetches())
    assert.equal("bytes=70001-", fetches()[5].headers.range)
  end)

  it("resumes by the date if there is no ETag", function()
    local modified = "Tue, 20 Jan 2026 09:26:18 GMT"
    local first = file{ etag = false, modified = modified, cut = 40000 }
    assert_saved(BODY, save({ first, file{ etag = false, modified = modified } }, patient))
    assert.equal("bytes=40000-", fetches()[2].headers.range)
    assert.equal(modified, fetches()[2].headers["if-range"])
  end)

  it("resumes after a reset", function()
    local head = ('HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n'):format(SIZE)
    assert_saved(BODY, save({ { hostile.send(head .. BODY:sub(1, 40000)), hostile.reset() }, file() }, patient))
  end)

  it("resumes after a silence", function()
    local head = ('HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n'):format(SIZE)
    local silent = { hostile.send(head .. BODY:sub(1, 40000)), hostile.hang() }
    assert_saved(BODY, save({ silent, file() }, { retry_for = 120, timeout = env.seconds(0.5) }))
    assert.equal(2, #fetches())
  end)

  it("starts again if the server doesn't support ranges", function()
    assert_saved(BODY, save({ file{ cut = 40000 }, { hostile.answer("200 OK", BODY) } }, patient))
    assert.equal(2, #fetches())
  end)

  describe("never mixes two files", function()
    it("when the ETag has changed", function()
      assert_saved(OTHER, save({ file{ cut = 40000 }, file{ body = OTHER, etag = '"v2"' } }, patient))
    end)

    it("when the ETag has changed and the server sends the rest nevertheless", function()
      local rest = part("bytes 40000-99999/100000", OTHER:sub(40001), { 'ETag: "v2"' })
      assert_saved(OTHER, save({ file{ cut = 40000 }, rest, file{ body = OTHER, etag = '"v2"' } }, patient))
    end)

    it("when nothing shows whether the file is the same", function()
      assert_saved(OTHER, save({ file{ etag = false, cut = 40000 }, file{ body = OTHER, etag = false } }, patient))
    end)

    it("when the ETag is weak", function()
      local weak = { body = OTHER, etag = 'W/"v1"' }
      assert_saved(OTHER, save({ file{ etag = 'W/"v1"', cut = 40000 }, file(weak) }, patient))
    end)

    it("when the total size has changed", function()
      local rest = part("bytes 40000-99998/99999", BODY:sub(40001, 99999), { 'ETag: "v1"' })
      assert_saved(BODY, save({ file{ cut = 40000 }, rest, file() }, patient))
    end)
  end)

  describe("accepts no other part than it asked for, when the server sends", function()
    local parts = {
      ["an earlier one"] = part("bytes 0-99999/100000", BODY),
      ["a later one"] = part("bytes 50000-99999/100000", BODY:sub(50001)),
      ["one without its place"] = { hostile.answer("206 Partial Content", BODY:sub(40001), {}) },
      ["one in other units"] = part("lines 40000-99999/100000", BODY:sub(40001)),
      ["one with a place of nonsense"] = part("bytes 40000-", BODY:sub(40001)),
      ["one with a negative place"] = part("bytes -40000-99999/100000", BODY:sub(40001)),
      ["more than it said"] = part("bytes 40000-99999/100000", BODY:sub(40001) .. "more"),
      ["several"] = { hostile.answer("206 Partial Content", "--x\r\n\r\n" .. BODY .. "--x--",
        { "Content-Type: multipart/byteranges; boundary=x" }) },
    }
    for name, turn in pairs(parts) do
      it(name, function()
        assert_saved(BODY, save({ file{ cut = 40000 }, turn, file() }, patient))
      end)
    end

    it("a part though none was requested", function()
      local unasked = part("bytes 40000-99999/100000", BODY:sub(40001))
      assert_failed("bad_answer", save{ unasked })
    end)
  end)

  it("starts again when the server says that the range is invalid", function()
    local refusal = { hostile.answer("416 Range Not Satisfiable", "", { "Content-Range: bytes */100000" }) }
    assert_saved(BODY, save({ file{ cut = 40000 }, refusal, file() }, patient))
    assert.is_nil(fetches()[3].headers.range)
  end)

  describe("is incomplete, and leaves no file, when", function()
    it("it is shorter than announced", function()
      assert_failed("network", save{ file{ cut = 99999 } })
    end)

    it("a chunk breaks off", function()
      assert_failed("network", save{ { hostile.send "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        hostile.send("ffff\r\n" .. BODY:sub(1, 500)), hostile.close() } })
    end)

    it("the server hangs", function()
      assert_failed("network", save({ { hostile.hang() } }, { timeout = 0.5 }))
    end)
  end)

  it("reads no more than announced", function()
    local head = ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(SIZE)
    assert_saved(BODY, save{ { hostile.send(head .. BODY .. "and more"), hostile.close() } })
  end)

  it("starts again if a film is incomplete although its length was announced", function()
    assert_saved(BODY, save({ { hostile.answer("200 OK", BODY:sub(1, 70000), { 'ETag: "v1"' }) }, file() }, patient))
    assert.is_nil(fetches()[2].headers.range)
    local unannounced = { hostile.send "HTTP/1.1 200 OK\r\n\r\n", hostile.send(BODY:sub(1, 70000)), hostile.close() }
    assert_saved(BODY, save({ unannounced, file() }, patient))
  end)

  it("fails if a film stays incomplete, unless files of any kind are accepted", function()
    local short = { hostile.answer("200 OK", BODY:sub(1, 70000)) }
    local saved, problem = save({ short }, { retry_for = 0.05 })
    assert_failed("network", saved, problem)
    assert.equal("the downloaded film is incomplete: it ends in the middle of its box 'mdat'", problem.message)
    assert.equal("save it again later, or pass any = true to keep the incomplete file", problem.hint)
    assert.is_nil(env.read(path .. ".part"))

    script({ short })
    local task = assert(answers.client(server.url):query(answers.ID))
    assert(task:save(path, { any = true }))
    assert.equal(70000, #env.read(path))
  end)

  it("accepts a file of unannounced length", function()
    assert_saved(BODY, save{ { hostile.send "HTTP/1.1 200 OK\r\n\r\n", hostile.send(BODY), hostile.close() } })
  end)

  describe("never treats a foreign file at PATH.part as its own", function()
    for name, left in pairs{ ["which is as long"] = ("x"):rep(SIZE), ["which is shorter"] = "xyz",
      ["which is longer"] = ("x"):rep(SIZE + 1), ["which is empty"] = "" } do
      it(name, function()
        env.write(path .. ".part", left)
        assert_saved(BODY, save{ file() })
      end)
    end

    it("and follows no link there", function()
      local precious = env.write(directory:file "precious", "precious")
      assert(os.execute(("ln -s %s %s.part"):format(env.quote(precious), env.quote(path))))
      assert_failed("io", save{ file() })
      assert.equal("precious", env.read(precious))
    end)
  end)

  for _, status in ipairs{ 403, 404, 410 } do
    it(("is over at once when the file is gone (%d)"):format(status), function()
      assert_failed("media_gone", save({ { hostile.answer(status .. " Gone", "no") } }, patient))
      assert.equal(1, #fetches())
      assert.same({}, directory:names())
    end)
  end

  for _, status in ipairs{ 408, 429, 500, 502, 503 } do
    it(("is tried again after a %d"):format(status), function()
      assert_saved(BODY, save({ { hostile.answer(status .. " Later", "later") }, file() }, patient))
      assert.equal(2, #fetches())
    end)
  end

  it("writes nothing of an error page to the file", function()
    assert_failed("download_failed", save({ { hostile.answer("400 Bad Request", "no") } }, patient))
    assert.same({}, directory:names())
  end)

  describe("follows redirects", function()
    it("five times", function()
      local turns = {}
      for i = 1, 5 do turns[i] = redirect("/" .. i .. ".mp4") end
      turns[6] = file()
      assert_saved(BODY, save(turns))
      assert.equal("/5.mp4", fetches()[6].target)
    end)

    it("but not six times", function()
      local turns = {}
      for i = 1, 6 do turns[i] = redirect("/" .. i .. ".mp4") end
      turns[7] = file()
      assert_failed("download_failed", save(turns, patient))
      assert.equal(6, #fetches())
    end)

    it("but not in a circle", function()
      assert_failed("download_failed", save({ redirect "/clip.mp4" }, patient))
      assert.equal(6, #fetches())
    end)

    it("to another host, without the key", function()
      local other <close> = hostile.start()
      other:script{ GET = { file() } }
      assert_saved(BODY, save{ redirect(other.url .. "/x.mp4") })
      local request = other:requests()[1]
      assert.is_nil(request.headers["x-api-key"])
      assert.is_nil(request.headers.authorization)
    end)

    it("and resumes behind them when the connection breaks", function()
      assert_saved(BODY, save({ redirect "/a.mp4", file{ cut = 40000 }, redirect "/b.mp4", file() }, patient))
      assert.equal("bytes=40000-", fetches()[4].headers.range)
    end)

    for _, location in ipairs{ "file:///etc/hostname", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "javascript:1",
      "http://user:open-sesame@127.0.0.1/x", "http://", "//" } do
      it("but never to " .. location, function()
        local saved, err = save({ redirect(location) }, patient)
        assert.is_nil(saved)
        assert.equal("url_refused", err.code)
        assert.is_nil(err.message:find("sesame", 1, true))
        assert.same({}, directory:names())
        assert.equal(1, #fetches())
      end)
    end

    it("but not without a target", function()
      assert_failed("download_failed", save({ { hostile.answer("302 Found", "") } }, patient))
    end)

    it("but never from https down to http", function()
      local folder <close> = env.directory()
      local certificate, key = tls.certificate(folder, "good", "IP:127.0.0.1")
      local secure <close> = tls.serve(folder, certificate, key)
      env.write(folder:file "down.mp4", tls.answer("302 Found", "", ("Location: %s/clip.mp4"):format(server.url)))
      env.write(folder:file "side.mp4", tls.answer("302 Found", "", "Location: /clip.mp4"))
      env.write(folder:file "clip.mp4", tls.answer("200 OK", BODY))
      local options = { ca_file = certificate, retry_for = 120 }
      assert_failed("url_refused", save({ file() }, options, secure.url .. "/down.mp4"))
      assert.equal(0, #fetches())
      assert_saved(BODY, save({ file() }, options, secure.url .. "/side.mp4"))
    end)
  end)

  describe("returns an error when the file isn't media:", function()
    local bodies = {
      ["a login page"] = { "<!DOCTYPE html><html><body>Sign in</body></html>", nil, "HTML.*Sign in" },
      ["an error in XML"] = { "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", nil, "XML.*AccessDenied" },
      ["JSON"] = { '{"code":404}', nil, "JSON" }, ["text"] = { "try again later", nil, "plain text" }, ["nothing"] = { "", nil, "empty" },
      ["an archive"] = { "PK\3\4\20\0\0\0\8\0", nil, "ZIP" }, ["gzip"] = { env.gzip "a film", nil, "gzip" },
      ["a body in brotli"] = { "\x0B\x02\x80film\x03", "br", "Content%-Encoding: br" },
    }
    for name, row in pairs(bodies) do
      it(name, function()
        env.write(path, "older")
        local headers = { "Content-Type: video/mp4", row[2] and "Content-Encoding: " .. row[2] }
        local saved, err = save({ { hostile.answer("200 OK", row[1], headers) } }, patient)
        assert.is_nil(saved)
        answers.text_of(err)
        assert.equal("not_media", err.code)
        assert.matches(row[3], err.message)
        assert.equal("older", env.read(path))
        assert.same({ "clip.mp4" }, directory:names())
        assert.equal(1, #fetches())
      end)
    end

    it("but the next try succeeds", function()
      script{ file{ body = "<html>Sign in</html>" }, file() }
      local task = assert(answers.client(server.url):query(answers.ID))
      assert_failed("not_media", task:save(path))
      assert_saved(BODY, task:save(path))
    end)

    it("though it came in two parts", function()
      local page = ("<html>%s</html>"):format(("x"):rep(5000))
      assert_failed("not_media", save({ file{ body = page, cut = 4000 }, file{ body = page } }, patient))
      assert.same({}, directory:names())
    end)

    it("unless any file is allowed; but never an empty one", function()
      script{ file{ body = '{"words":[]}' }, file{ body = "" } }
      local task = assert(answers.client(server.url):query(answers.ID))
      assert_saved('{"words":[]}', task:save(path, { any = true }))
      local saved, err = task:save(directory:file "other", { any = true })
      assert.same({ nil, "not_media" }, { saved, err.code })
    end)

    it("but accepts an unknown binary format", function()
      local flac = "fLaC\0\0\0\34" .. ("\1"):rep(100)
      assert_saved(flac, save{ file{ body = flac } })
    end)
  end)

  describe("makes way for an existing file with its name", function()
    local function save_aside(body, turns)
      script(turns)
      return assert(answers.client(server.url):query(answers.ID)):save(path, { aside = true }), body
    end

    it("which is renamed once the new file is complete", function()
      env.write(path, "mine")
      assert_saved(BODY, save_aside(BODY, { file() }))
      assert.equal("mine", env.read(directory:file "clip (older 1).mp4"))
      assert.same({ "clip (older 1).mp4", "clip.mp4" }, directory:names())
    end)

    it("which stays unchanged if it has the same bytes", function()
      env.write(path, BODY)
      local stamp = core.stat(path).stamp
      assert_saved(BODY, save_aside(BODY, { file() }))
      assert.equal(stamp, core.stat(path).stamp)
      assert.same({ "clip.mp4" }, directory:names())
    end)

    it("which keeps its name if the download fails", function()
      for _, turn in ipairs{ file{ cut = 500 }, file{ body = "<html>" }, { hostile.answer("404 Not Found", "") } } do
        env.write(path, "mine")
        assert.is_nil((save_aside(BODY, { turn })))
        assert.equal("mine", env.read(path))
        assert.is_nil(env.read(directory:file "clip (older 1).mp4"))
      end
    end)
  end)

  describe("resumes only its own file:", function()
    -- Between the first try, which breaks off, and the second one something happens to PATH.part.
    local function save_after(command)
      script{ file{ cut = 40000 }, file() }
      local options = { on_event = function(event)
        if event.event == "retry" then assert(os.execute(("cd %s && %s"):format(env.quote(directory.path), command))) end
      end }
      for name, value in pairs(patient) do options[name] = value end
      local client = answers.client(server.url, options)
      return assert(client:query(answers.ID)):save(path)
    end

    for name, command in pairs{
      ["when it is gone, it begins anew"] = "rm clip.mp4.part",
      ["when it is shorter, it begins anew"] = "truncate -s 100 clip.mp4.part",
      ["when it is longer, it begins anew"] = "printf more >>clip.mp4.part",
      ["when others wrote as many bytes, it begins anew"] = "head -c 40000 /dev/zero >clip.mp4.part",
      ["when it is another file of that size, it begins anew"] = "head -c 40000 /dev/zero >x && mv x clip.mp4.part",
    } do
      it(name, function()
        assert_saved(BODY, save_after(command))
        assert.is_nil(fetches()[2].headers.range)
      end)
    end
  end)

  describe("reports what is at PATH.part, and doesn't wait for it:", function()
    for name, row in pairs{
      ["a FIFO"] = { "mkfifo clip.mp4.part", "clip.mp4.part can't be written: it is not a regular file" },
      ["a device's name"] = { "ln -s /dev/null clip.mp4.part", "it is a symbolic link" },
      ["a folder"] = { "mkdir clip.mp4.part", "it is a folder" },
      ["another name of a file"] = { "printf precious >precious && ln precious clip.mp4.part", "it has other names, too" },
    } do
      it(name, function()
        assert(os.execute(("cd %s && %s"):format(env.quote(directory.path), row[1])))
        local saved, err = save{ file() }
        assert.is_nil(saved)
        assert.equal("io", err.code)
        assert.matches(row[2], err.message)
        assert.equal(0, #fetches())
        local precious = env.read(directory:file "precious")
        assert.is_true(precious == nil or precious == "precious")
      end)
    end

    it("nor for a FIFO at its path", function()
      assert(os.execute("mkfifo " .. env.quote(path)))
      local saved, err = save{ file() }
      assert.same({ nil, "io" }, { saved, err.code })
      assert.matches("clip.mp4 can't be written: it is no regular file", err.message)
    end)
  end)

  describe("says why it can't write, when", function()
    it("the folder doesn't exist", function()
      path = directory:file "none/clip.mp4"
      assert_failed("io", save{ file() })
    end)

    it("the path is a folder", function()
      path = directory.path
      local saved, err = save{ file() }
      assert.is_nil(saved)
      assert.equal("io", err.code)
    end)

    it(".part is a folder", function()
      assert(os.execute("mkdir " .. env.quote(path .. ".part")))
      local saved, err = save{ file() }
      assert.is_nil(saved)
      assert.equal("io", err.code)
    end)

    it("the folder isn't writable", function()
      path = "/sys/kernel/clip.mp4" -- nobody can make a file there, not even root
      assert_failed("io", save{ file() })
    end)

    it("the disk is full", function()
      -- A limit on the size of files stands in for it; another process, as a limit can't be taken back.
      script{ file() }
      local code = ([[
        local client = require "omni".client{ base_url = "%s", api_key = "%s", retry_for = 0 }
        local saved, err = client:query("%s"):save("%s")
        print(saved or err.code .. " " .. err.message)]]):format(server.url, answers.KEY, answers.ID, path)
      local told = env.output(("trap '' XFSZ; ulimit -f 32; %s -e %s"):format(env.lua, env.quote(code)))
      assert.equal(("io %s.part can't be written: File too large\n"):format(path), told)
      assert.is_nil(env.read(path))
    end)
  end)

  it("doesn't disturb another download to the same path", function()
    script{ { hostile.until_requests(2), hostile.file{ body = BODY } } }
    local client = answers.client(server.url)
    local task = assert(client:query(answers.ID)) -- the first request; the first download is the second
    local outcomes = {}
    omni.run(function()
      local function one()
        local saved, err = task:save(path)
        outcomes[#outcomes + 1] = saved and "saved" or err.code
      end
      local first, second = omni.spawn(one), omni.spawn(one)
      omni.join(first, second)
    end)
    table.sort(outcomes)
    assert.equal("saved", outcomes[2])
    assert.is_true(outcomes[1] == "io" or outcomes[1] == "saved")
    assert_saved(BODY, true)
  end)

  it("can run beside many others", function()
    script{ file() }
    local client = answers.client(server.url, { max_connections = 8 })
    local task = assert(client:query(answers.ID))
    omni.run(function()
      local fibers = {}
      for i = 1, 30 do
        fibers[i] = omni.spawn(function() assert(task:save(path .. i)) end)
      end
      omni.join(table.unpack(fibers))
    end)
    for i = 1, 30 do assert.is_true(env.read(path .. i) == BODY) end
  end)
end)
