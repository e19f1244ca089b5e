-- SPDX-License-Identifier: MIT
-- omni.sandbox over real sockets: the bytes that any client sends and receives.
local cjson = require("cjson").new()
local core = require "omni.core"
local loop = require "omni.loop"
local sandbox = require "omni.sandbox"
local server = require "omni.http.server"
local wire = require "helper.wire"

local job = "/api/v1/client/job/"
local null = cjson.null

describe("a sandbox on a socket", function()
  -- Runs fn(box, ask) with a sandbox whose tasks end at once and whose clips are the built-in one.
  local function with(given, fn)
    given.seconds, given.clips = given.seconds or 0, given.clips or "builtin"
    return loop.run(function()
      local box <close> = assert(sandbox.open(given))
      local function ask(method, target, body, headers)
        headers = headers or {}
        headers["X-API-Key"] = headers["X-API-Key"] or box.key
        return wire.request(box.url, method, target, headers, body)
      end
      local function submit(prompt)
        return ask("POST", job .. "CreateTask", cjson.encode { model = "google/gemini-omni", input = { prompt = prompt or "a boat" } })
      end
      -- Asks until the task is final, and gives the answer's data.
      local function final(id)
        while true do
          local _, _, body = ask("GET", job .. "TaskInfo?task_id=" .. id)
          local data = cjson.decode(body).data
          if data.result ~= null then return data end
          loop.sleep(0.01)
        end
      end
      local function clip()
        local _, _, body = submit()
        return final(cjson.decode(body).data.task_id).result.media_urls[1]:match "^http://[^/]+(/.*)$"
      end
      return fn(box, ask, submit, final, clip)
    end)
  end

  it("has a URL, a sandbox key like a real one, and the ledger that it serves", function()
    with({}, function(box, ask, submit)
      assert.matches("^http://127%.0%.0%.1:%d+$", box.url)
      assert.matches("^ak_%w+$", box.key)
      assert.equal(35, #box.key)
      assert.equal(200, (submit()))
      local _, _, body = ask("GET", "/sandbox/ledger")
      local served, held = cjson.decode(body), box:ledger()
      assert.same({ 1, 40, served.tasks[1].task_id }, { held.submits, held.charged, held.tasks[1].task_id })
      assert.same({ 1, 40 }, { served.submits, served.charged })
    end)
  end)

  it("sets its clock ahead, so that nobody waits: tasks end, late answers and callbacks come, URLs expire", function()
    with({ seconds = 3600, media_seconds = 3600, faults = { "slow:on=balance,delay=3600", "callback-late:delay=3600" } }, function(box, ask)
      local place <close> = assert(server.serve({}, function() return 204 end))
      local _, _, body = ask("POST", job .. "CreateTask", cjson.encode { model = "google/gemini-omni", input = { prompt = "a boat" },
        callback_url = place.url })
      local id = cjson.decode(body).data.task_id
      local function data()
        local _, _, text = ask("GET", job .. "TaskInfo?task_id=" .. id)
        return cjson.decode(text).data
      end
      assert.equal("pending", data().status)
      box:advance(720)
      assert.equal("running", data().status)
      box:advance(3600)
      while data().status ~= "success" do loop.sleep(0) end -- its clip is drawn in the meantime
      local media = data().result.media_urls[1]:match "^http://[^/]+(/.*)$"
      assert.equal(200, (ask("GET", media)))

      assert.same({}, box:callbacks())
      local late = loop.spawn(ask, "GET", "/api/v1/client/account/balance")
      assert.equal(200, (ask("GET", "/sandbox/ledger")))
      assert.is_false(late:done())
      repeat
        assert.equal(200, (ask("POST", "/sandbox/advance?seconds=3600.5")))
      until late:done() and box:callbacks()[1] and box:callbacks()[1].status == 204
      assert.equal(200, (late:join()))
      assert.equal(410, (ask("GET", media)))
      assert.equal(422, (ask("POST", "/sandbox/advance?seconds=-1")))
      assert.equal(405, (ask("GET", "/sandbox/advance?seconds=1")))
      for _, wrong in ipairs { -1, 0 / 0, math.huge, "1" } do
        assert.error_matches(function() box:advance(wrong) end, "seconds must be 0 or more")
      end
    end)
  end)

  it("serves a clip that is an MP4 file, as a whole and in parts that fit together", function()
    with({}, function(_, ask, _, _, clip)
      local path = clip()
      local status, headers, whole = ask("GET", path)
      assert.equal(200, status)
      assert.equal(tostring(#whole), headers["content-length"])
      assert.equal("ftyp", whole:sub(5, 8))
      assert.truthy(headers.etag and headers["last-modified"])
      local middle = #whole // 2
      local first_status, first_headers, first = ask("GET", path, nil, { Range = "bytes=0-" .. middle - 1 })
      local rest_status, _, rest = ask("GET", path, nil, { Range = "bytes=" .. middle .. "-", ["If-Range"] = headers.etag })
      assert.same({ 206, 206 }, { first_status, rest_status })
      assert.equal(("bytes 0-%d/%d"):format(middle - 1, #whole), first_headers["content-range"])
      assert.is_true(first .. rest == whole)
      local head_status, head, nothing = ask("HEAD", path)
      assert.same({ 200, tostring(#whole), "" }, { head_status, head["content-length"], nothing })
      assert.equal(416, (ask("GET", path, nil, { Range = "bytes=" .. #whole .. "-" })))
    end)
  end)

  it("interrupts a download in the middle with media-cut, and lets it continue", function()
    with({ faults = { "media-cut" } }, function(_, ask, _, _, clip)
      local path = clip()
      local _, headers, part = ask("GET", path)
      local size = math.tointeger(tonumber(headers["content-length"]))
      assert.equal(size // 2, #part)
      local status, _, rest = ask("GET", path, nil, { Range = ("bytes=%d-"):format(#part), ["If-Range"] = headers.etag })
      assert.same({ 206, size - #part }, { status, #rest })
    end)
  end)

  it("closes the connection without a byte, and charges as documented", function()
    for spec, submits in pairs { ["drop-before"] = 0, ["drop-after"] = 1 } do
      with({ faults = { spec .. ":first=1" } }, function(box, _, submit)
        local status, _, _, ended, bytes = submit()
        assert.same({ nil, "closed", "" }, { status, ended, bytes })
        assert.equal(submits, box:ledger().submits)
        assert.equal(200, (submit()))
        assert.equal(submits + 1, box:ledger().submits)
      end)
    end
  end)

  it("cuts an answer: declares its whole length, and sends half of it", function()
    with({ faults = { "cut" } }, function(box, _, submit)
      local status, headers, body = submit()
      assert.equal(200, status)
      assert.equal(tonumber(headers["content-length"]) // 2, #body)
      assert.equal(1, box:ledger().submits)
    end)
  end)

  it("answers late, while other requests are answered", function()
    with({ faults = { "slow:delay=3600,first=1" } }, function(box, _, submit)
      local late <close> = loop.spawn(submit)
      while box:ledger().submits == 0 do loop.sleep(0) end -- it was handled, and charged
      assert.equal(200, (submit()))
      assert.is_false(late:done())
    end)
    with({ faults = { "slow:delay=0.1" } }, function(_, _, submit)
      local began = core.now()
      assert.equal(200, (submit()))
      assert.is_true(core.now() - began >= 0.1)
    end)
  end)

  it("draws one spec once, however many tasks need it", function()
    with({}, function(box, _, submit, final)
      for i = 1, 6 do
        local _, _, body = submit(i % 2 == 0 and "a boat" or "a kite")
        assert.equal("success", final(cjson.decode(body).data.task_id).status)
      end
      assert.equal(2, io.popen("ls '" .. box.directory .. "' | wc -l"):read "n")
    end)
  end)

  it("removes its temporary directory when it is closed, even during drawing; a given directory stays", function()
    local temporary
    with({}, function(box, _, _, _, clip)
      clip()
      temporary = box.directory
      assert.equal("directory", core.stat(temporary).kind)
    end)
    assert.is_nil(core.stat(temporary))

    with({ clips = "ffmpeg" }, function(box, _, submit)
      submit()
      temporary = box.directory
    end)
    assert.is_nil(core.stat(temporary))

    local own = core.make_temporary_directory "omni-spec-"
    with({ directory = own }, function(_, _, _, _, clip) clip() end)
    local name = io.popen("ls " .. own):read "l"
    assert.matches("^%x+%.mp4$", name)
    core.remove(own .. "/" .. name)
    core.remove(own)
  end)

  it("can be closed twice, and answers nothing afterwards", function()
    loop.run(function()
      local box = assert(sandbox.open {})
      box:close()
      box:close()
      assert.has_error(function() wire.request(box.url, "GET", "/") end)
    end)
  end)

  it("refuses unknown options with the nearest known one, and returns an error for an unknown fault or address", function()
    assert.error_matches(function() sandbox.open { secnds = 1 } end, "unknown option 'secnds'; did you mean 'seconds'?")
    assert.error_matches(function() sandbox.open { seconds = -1 } end, "seconds")
    assert.error_matches(function() sandbox.open { credits = -1 } end, "credits")
    assert.error_matches(function() sandbox.open { clips = "gif" } end, "clips")
    assert.error_matches(function() sandbox.open { key = "a\nb" } end, "key")
    local box, failure = sandbox.open { faults = { "fial" } }
    assert.is_nil(box)
    assert.matches("did you mean 'fail'", failure.message)
    box, failure = sandbox.open { host = "192.0.2.1" }
    assert.is_nil(box)
    assert.equal("listen_failed", failure.code)
  end)
end)
