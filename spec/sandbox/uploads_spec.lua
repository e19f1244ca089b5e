-- SPDX-License-Identifier: MIT
-- The sandbox's uploads, over real sockets: as any client sees them, and through omni's client.
local answers = require "helper.answers"
local cjson = require("cjson").new()
local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"
local program = require "helper.program"
local socket = require "socket"
local wire = require "helper.wire"

local api <const> = "/api/v1/client/"
local offer_path <const> = api .. "files/upload-url?content_type=image/png&ext=.png"
local PNG <const> = "\x89PNG\r\n\x1A\n a picture\0 of a lighthouse"

-- Runs fn(box, ask) with a sandbox whose tasks end at once.
local function with(given, fn)
  given.seconds, given.clips = given.seconds or 0, "builtin"
  return omni.run(function()
    local box <close> = assert(omni.sandbox(given))
    local function ask(method, target, body, headers)
      local status, found, text, ended = wire.request(box.url, method, target, headers or {}, body)
      local fine, decoded = pcall(cjson.decode, text)
      return status, fine and decoded or text, found, ended
    end
    return fn(box, ask)
  end)
end

-- The targets of a place: of its presigned_url and its file_url.
local function offer(box, ask, target)
  local status, answer = ask("GET", target or offer_path, nil, { ["x-api-key"] = box.key })
  assert.equal(200, status)
  local data = answer.data
  for _, url in pairs(data) do assert.equal(box.url, url:sub(1, #box.url)) end
  return data.presigned_url:sub(#box.url + 1), data.file_url:sub(#box.url + 1)
end

local function put(ask, target, body, headers)
  return ask("PUT", target, body or PNG, headers or { ["Content-Type"] = "image/png" })
end

local function client_of(box, options)
  options = options or {}
  options.api_key = box.key
  return answers.client(box.url, options)
end

-- A submit that names this; the status of its answer and the message.
local function submit(box, ask, input)
  input.prompt = "a boat"
  local status, answer = ask("POST", api .. "job/CreateTask", cjson.encode { model = "google/gemini-omni", input = input },
    { ["x-api-key"] = box.key })
  return status, answer.errors and answer.errors[1] or answer.message
end

describe("an upload to the sandbox", function()
  local directory, picture
  before_each(function()
    directory = env.directory()
    picture = env.write(directory:file "keeper.png", PNG)
  end)
  after_each(function() directory:close() end)

  it("is served unchanged, to anybody, as a whole and in parts", function()
    with({}, function(box, ask)
      local target, file = offer(box, ask)
      assert.matches("^/upload/%x+%-[%x-]+%.png%?signature=%x+$", target)
      assert.equal(404, (ask("GET", file)))
      assert.equal(200, (put(ask, target)))
      local status, body, headers = ask("GET", file)
      assert.same({ 200, PNG, "image/png" }, { status, body, headers["content-type"] })
      local part
      status, part, headers = ask("GET", file, nil, { Range = "bytes=8-12" })
      assert.same({ 206, PNG:sub(9, 13), ("bytes 8-12/%d"):format(#PNG) }, { status, part, headers["content-range"] })
      status, body, headers = ask("HEAD", file)
      assert.same({ 200, "", tostring(#PNG) }, { status, body, headers["content-length"] })
      assert.equal(405, (ask("DELETE", file)))
      assert.equal(405, (ask("GET", target)))
    end)
  end)

  it("can be repeated, and then replaces the file", function()
    with({}, function(box, ask)
      local target, file = offer(box, ask)
      put(ask, target)
      local _, _, before = ask("GET", file)
      put(ask, target, PNG:reverse())
      local status, body, after = ask("GET", file, nil, { Range = "bytes=5-", ["If-Range"] = before.etag })
      assert.same({ 200, PNG:reverse() }, { status, body })
      assert.not_equal(before.etag, after.etag)
    end)
  end)

  it("may be large: unfinished uploads are on disk and take no memory, whoever sends them", function()
    local service = program.service { "--out", directory.path }
    local function memory() return tonumber(env.read("/proc/" .. service.pid .. "/status"):match "VmRSS:%s+(%d+)") * 1024 end
    local large = PNG .. ("x"):rep(8 << 20)
    local offered = cjson.decode(env.output(("curl -s -H 'x-api-key: %s' '%s%s'"):format(service.key, service.url, offer_path))).data
    env.write(picture, large)
    env.output(("curl -sf -T %s -H 'Content-Type: image/png' '%s'"):format(env.quote(picture), offered.presigned_url))
    assert.is_true(large == env.output(("curl -sf '%s'"):format(offered.file_url)))

    local before, port, senders = memory(), service.url:match "%d+$", {}
    for i = 1, 6 do
      senders[i] = assert(socket.connect("127.0.0.1", port))
      assert(senders[i]:send(("PUT /upload/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"):format(#large + 1)))
      assert(senders[i]:send(large))
    end
    local function unfinished() return #env.lines("ls " .. env.quote(directory.path) .. " | grep ^body- || true") end
    repeat until unfinished() == 6
    assert.is_true(memory() - before < env.slowness * (16 << 20), memory() - before)
    for _, sender in ipairs(senders) do sender:close() end
    repeat until unfinished() == 0
    service.stop()
  end)

  it("is offered only with the key, for media, and with an ending", function()
    with({}, function(box, ask)
      assert.equal(401, (ask("GET", offer_path)))
      local wrong = {
        ["content_type"] = { "", "?ext=.png", "?content_type=text/html&ext=.html", "?content_type=image&ext=.png",
          "?content_type=image%2Fpng%0D%0AX:y&ext=.png" },
        ["ext"] = { "?content_type=image/png", "?content_type=image/png&ext=png", "?content_type=image/png&ext=.p/../x",
          "?content_type=image/png&ext=." .. ("p"):rep(20) },
      }
      for field, queries in pairs(wrong) do
        for _, query in ipairs(queries) do
          local status, answer = ask("GET", api .. "files/upload-url" .. query, nil, { ["x-api-key"] = box.key })
          assert.equal(422, status)
          assert.equal(field .. ":", answer.errors[1]:match "^%S+")
        end
      end
      assert.matches("%.mkv%?", (offer(box, ask, api .. "files/upload-url?ext=.mkv&content_type=video%2Fx-matroska")))
    end)
  end)

  describe("is refused", function()
    -- What is expected of a PUT to a place whose target a case may change; nothing must be kept.
    local cases = {
      ["without a signature"] = { 403, target = function(target) return (target:gsub("%?.*", "")) end },
      ["with another signature"] = { 403, target = function(target) return (target:gsub("signature=.", "signature=g")) end },
      ["at a place that wasn't offered"] = { 403, target = function(target) return (target:gsub("%.png", ".jpg")) end },
      ["at a path"] = { 404, target = function() return "/upload/../../x.png?signature=1" end },
      ["at a path in disguise"] = { 403, target = function() return "/upload/..%2F..%2Fx.png?signature=1" end },
      ["as another type"] = { 422, headers = { ["Content-Type"] = "image/jpeg" } },
      ["without a type"] = { 422, headers = {} },
      ["when it is empty"] = { 422, body = "" },
      ["with an x-api-key"] = { 400, headers = { ["Content-Type"] = "image/png", ["X-API-Key"] = "whatever" } },
      ["with the key in any header"] = { 400, headers = { ["Content-Type"] = "image/png", Authorization = "Bearer KEY" } },
    }
    for name, case in pairs(cases) do
      it(name, function()
        with({}, function(box, ask)
          local target, file = offer(box, ask)
          local headers = {}
          for header, value in pairs(case.headers or { ["Content-Type"] = "image/png" }) do headers[header] = value:gsub("KEY", box.key) end
          local status, answer = put(ask, case.target and case.target(target) or target, case.body, headers)
          assert.equal(case[1], status)
          assert.equal(case[1], answer.code)
          assert.is_nil(answer.message:find(box.key, 1, true))
          assert.equal(404, (ask("GET", file)))
          assert.is_nil(core.stat(box.directory .. "/uploads"))
        end)
      end)
    end

    it("without a length", function()
      with({}, function(box, ask)
        local target = offer(box, ask)
        local text = wire.exchange(tonumber(box.url:match ":(%d+)$"), ("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
          .. "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"):format(target))
        assert.matches("^HTTP/1.1 411 ", text)
      end)
    end)

    it("when it is larger than 64 MiB; and a call of the API when it is larger than 1 MiB", function()
      with({}, function(box, ask)
        local target = offer(box, ask)
        local text = wire.exchange(tonumber(box.url:match ":(%d+)$"), ("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
          .. "Content-Length: %d\r\n\r\n"):format(target, 64 * 1024 * 1024 + 1))
        assert.matches("^HTTP/1.1 413 ", text)
        local status, answer = ask("POST", api .. "job/CreateTask", (" "):rep(1024 * 1024 + 1), { ["x-api-key"] = box.key })
        assert.same({ 413, 413 }, { status, answer.code })
        assert.equal(422, (ask("POST", api .. "job/CreateTask", (" "):rep(1024 * 1024), { ["x-api-key"] = box.key })))
      end)
    end)

    it("after its time has passed", function()
      with({ upload_seconds = 0 }, function(box, ask)
        local status, answer = put(ask, (offer(box, ask)))
        assert.same({ 403, "the presigned URL has expired" }, { status, answer.message })
      end)
      with({ upload_seconds = 3600 }, function(box, ask) assert.equal(200, (put(ask, (offer(box, ask))))) end)
    end)
  end)

  it("is stored in the sandbox's directory, and is removed with it unless you gave the directory", function()
    local temporary
    with({}, function(box, ask)
      local target, file = offer(box, ask)
      put(ask, target)
      temporary = box.directory
      assert.equal(PNG, env.read(temporary .. "/uploads/" .. file:match "[^/]+$"))
    end)
    assert.is_nil(core.stat(temporary))
    with({ directory = directory:file "box" }, function(box, ask) put(ask, (offer(box, ask))) end)
    assert.equal(PNG, env.output(("cat %s/uploads/*.png"):format(env.quote(directory:file "box"))))
  end)

  it("has the same URLs for the same seed", function()
    local function first(seed)
      return with({ seed = seed }, function(box, ask) return (offer(box, ask)) end)
    end
    assert.equal(first(3), first(3))
    assert.not_equal(first(3), first(4))
  end)

  describe("through the client", function()
    it("gives a URL that a submit may name", function()
      with({}, function(box)
        local client = client_of(box)
        local uploaded = assert(client:upload(picture))
        assert.equal(#PNG, uploaded.bytes)
        local task = assert(client:submit { prompt = "a boat", img_urls = { uploaded.url } })
        assert.equal("success", assert(task:await()).status)
        assert.equal(uploaded.url, box:ledger().tasks[1].input.img_urls[1])
      end)
    end)

    local faults = {
      "upload-expired:first=2", "status-500:on=upload,first=1", "status-429:on=upload_url,first=1", "envelope-455:on=upload_url,first=1",
      "drop-before:on=upload,first=2", "drop-after:on=upload,first=2,reset=yes", "garbage:on=upload_url,first=1",
      "cut:on=upload_url,first=1",
    }
    for _, fault in ipairs(faults) do
      it("comes to its end in spite of " .. fault, function()
        with({ faults = { fault } }, function(box, ask)
          local uploaded, err = client_of(box, { retry_for = 120 }):upload(picture)
          assert(uploaded, err)
          assert.equal(PNG, select(2, ask("GET", uploaded.url:sub(#box.url + 1))))
        end)
      end)
    end

    it("says why it can't be completed", function()
      for fault, code in pairs { ["upload-expired"] = "upload_expired", ["status-505:on=upload_url"] = "feature_disabled" } do
        with({ faults = { fault } }, function(box)
          local uploaded, err = client_of(box, { retry_for = 120 }):upload(picture)
          assert.is_nil(uploaded)
          assert.equal(code, err.code)
        end)
      end
    end)

    it("says that the file is too large for the sandbox", function()
      env.output(("truncate -s 65M %s"):format(env.quote(picture)))
      with({}, function(box)
        local uploaded, err = client_of(box, { retry_for = 120 }):upload(picture)
        assert.is_nil(uploaded)
        assert.same({ "upload_failed", 413 }, { err.code, err.status })
      end)
    end)
  end)
end)

describe("a submit to the sandbox", function()
  it("may name existing files of the sandbox, and files elsewhere", function()
    with({}, function(box, ask)
      local target, file = offer(box, ask)
      local lost = "input.img_urls[2]: there is no such file"
      local function naming(url) return submit(box, ask, { img_urls = { "https://example.com/a.png", url } }) end
      assert.same({ 422, lost }, { naming(box.url .. file) })
      put(ask, target)
      assert.equal(200, (naming(box.url .. file)))
      assert.equal(200, (naming(box.url .. file .. "?as=you&like")))
      for _, path in ipairs { "/files/x.png", file .. "x", "/upload/x", "/", "/files/../x", "/media/x.mp4" } do
        assert.same({ 422, lost }, { naming(box.url .. path) })
      end
      assert.equal(200, (naming "http://127.0.0.1:1/files/x.png"))
      assert.equal(3, box:ledger().submits)
      local status, message = submit(box, ask, { video_list = { { url = box.url .. "/files/x.mp4", start = 0, ends = 2 } } })
      assert.same({ 422, "input.video_list[1].url: there is no such file" }, { status, message })
    end)
  end)

  it("may name a task's clip while the clip exists", function()
    with({}, function(box, ask)
      local task = assert(assert(client_of(box):submit { prompt = "a boat" }):await())
      assert.equal(200, (submit(box, ask, { video_list = { { url = task.media[1] } } })))
    end)
    with({ media_seconds = 0 }, function(box, ask)
      local task = assert(assert(client_of(box):submit { prompt = "a boat" }):await())
      assert.equal(422, (submit(box, ask, { video_list = { { url = task.media[1] } } })))
    end)
    with({ seconds = 3600 }, function(box, ask)
      local task = assert(client_of(box):submit { prompt = "a boat" })
      assert.equal(422, (submit(box, ask, { video_list = { { url = ("%s/media/%s.mp4"):format(box.url, task.id) } } })))
    end)
  end)

  it("isn't checked for existing references when it is only estimated", function()
    with({}, function(box)
      assert.equal(40, assert(client_of(box):estimate { prompt = "a boat", img_urls = { box.url .. "/files/x.png" } }).credits)
    end)
  end)
end)

describe("a clip of the sandbox", function()
  local function saved(given)
    return with(given, function(box, ask)
      local directory <close> = env.directory()
      local task = assert(assert(client_of(box, { retry_for = 120 }):submit { prompt = "a boat" }):await())
      local path, err = task:save(directory:file "clip.mp4")
      return { (ask("GET", task.media[1]:sub(#box.url + 1))), path and "saved" or err.code }, err
    end)
  end

  it("can't be downloaded after media_seconds, and the client says so", function()
    local outcome, err = saved { media_seconds = 0 }
    assert.same({ 410, "media_gone" }, outcome)
    assert.matches("expire", err.hint)
    assert.same({ 200, "saved" }, (saved { media_seconds = 3600 }))
  end)

  it("has expired with media-expired", function()
    assert.same({ 403, "media_gone" }, (saved { faults = { "media-expired" } }))
  end)

  it("can be downloaded until media_seconds after its task's end", function()
    local service, faults, clock = require "omni.sandbox.service", require "omni.sandbox.faults", 0
    local served = service.open {
      url = "http://127.0.0.1:1", key = "key", seconds = 10, seed = 1, credits = 100, faults = assert(faults.open()), media_seconds = 60,
      now = function() return clock end, wall = function() return 1700000000 + math.floor(clock) end,
      draw = function(_, done) done "/clip.mp4" end, stat = function() return { size = 1000, mtime = 1700000000 } end,
    }
    local made = served:handle { method = "POST", path = api .. "job/CreateTask", headers = { ["x-api-key"] = "key" },
      body = '{"model":"google/gemini-omni","input":{"prompt":"a boat"}}' }
    local path = ("/media/%s.mp4"):format(cjson.decode(made.body).data.task_id)
    local function status_at(time)
      clock = time
      return served:handle({ method = "GET", path = path, headers = {} }).status
    end
    assert.same({ 404, 200, 200, 410 }, { status_at(1), status_at(15), status_at(65), status_at(75) })
  end)
end)
