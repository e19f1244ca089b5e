-- SPDX-License-Identifier: MIT
-- client:upload(path): whatever the file is, however it is named or changes meanwhile, the error names it, and nothing hangs.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"
local storage = require "helper.storage"

local PNG <const>, done <const> = storage.PNG, storage.done
local assert_failed <const> = storage.assert_failed
local MIB <const> = 1024 * 1024

local server, directory, path


-- Uploads `path` to a server that does as the turns say. A client tries once unless the options say otherwise.
local function upload(turns, options, upload_options)
  storage.script(server, turns)
  return storage.client(server.url, options):upload(path, upload_options)
end

local function puts() return server:requests "PUT" end

-- Runs a shell command in which "F" is replaced by the file.
local function shell(command)
  return env.output((command:gsub("F", { F = env.quote(path) })))
end

local function assert_named(err)
  assert.equal("path", err.field)
  assert.is_truthy(err.message:find(path, 1, true), err.message)
  assert.equal(0, storage.descriptors(path))
end

-- Returns the output of a program that uses omni and a client of the server, and nothing of the specs. `before` comes before its command
-- line.
local function child(code, before)
  local text = ("local client = require 'omni'.client { base_url = %q, api_key = %q, retry_for = 0, ledger = false } %s"):format(
    server.url, answers.KEY, code)
  return env.output(("%s %s -e %s"):format(before or "", env.lua, env.quote(text)))
end

-- Uploads a large file; `command` is run once while most of it is still here.
local function upload_while(command)
  storage.large(path)
  local changed = false
  local turn = { early = true, hostile.until_requests(3), hostile.answer("200 OK", ""), hostile.hang() }
  local uploaded, err = upload({ turn }, { retry_for = 120 }, {
    on_progress = function(bytes, total)
      if changed then return end
      changed = true
      assert(bytes < total, "all of it was sent before it was changed")
      shell(command)
      storage.release(server)
    end,
  })
  assert.is_true(changed)
  return uploaded, err
end

describe("an upload of", function()
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)
  before_each(function()
    directory = env.directory()
    path = env.write(directory:file "keeper.png", PNG)
  end)
  after_each(function() directory:close() end)

  describe("a file that can't be uploaded causes no request, and the error names it, when", function()
    local cases = {
      ["it isn't there"] = { "io", "none.png" },
      ["its folder is a file"] = { "io", "keeper.png/x.png" },
      ["it is a folder"] = { "invalid_input", "", "is a folder" },
      ["it is a folder with a picture's name"] = { "invalid_input", "folder.png", "is a folder" },
      ["it is empty"] = { "invalid_input", "empty.png", "is empty" },
      ["it is a pipe that nobody writes to"] = { "invalid_input", "pipe.png", "isn't a file" },
      ["it is a link to such a pipe"] = { "invalid_input", "to_pipe.png", "isn't a file" },
      ["it is a link to a device"] = { "invalid_input", "to_zero.png", "isn't a file" },
      ["it is a link to nothing"] = { "io", "link.png" },
      ["it is a link to itself"] = { "io", "circle.png" },
      ["its name is too long"] = { "io", ("x"):rep(300) .. ".png" },
      ["nothing tells what it is"] = { "invalid_input", "notes.txt", "is plain text.*PNG, JPEG.*M4A" },
      ["it is something else"] = { "invalid_input", "paper.png", "is a PDF document.*PNG, JPEG" },
    }
    for name, case in pairs(cases) do
      it(name, function()
        env.write(directory:file "empty.png", "")
        env.write(directory:file "notes.txt", "a lighthouse")
        env.write(directory:file "paper.png", "%PDF-1.7")
        env.output(("cd %s && mkdir folder.png && mkfifo pipe.png && ln -s pipe.png to_pipe.png && ln -s /dev/zero to_zero.png "
          .. "&& ln -s nowhere link.png && ln -s circle.png circle.png"):format(env.quote(directory.path)))
        path = directory:file(case[2])
        local err = assert_failed(case[1], upload({ done }, { retry_for = 120 }))
        if #path <= 200 then assert_named(err) end -- no more of a name is shown
        assert.matches(case[3] or "", err.message)
        assert.same({}, server:requests())
      end)
    end

    it("others than its owner can't read it, or its folder", function()
      storage.script(server, { done })
      -- root may, unless it can do without that
      local before = env.output "id -u" == "0\n" and "setpriv --bounding-set=-dac_override,-dac_read_search --" or ""
      local code = ("local uploaded, err = client:upload(%q) print(uploaded, err.code, err.field, err.message)"):format(path)
      for _, closed in ipairs { path, directory.path } do
        env.output("chmod 0 " .. env.quote(closed))
        local said = child(code, before)
        env.output("chmod 700 " .. env.quote(closed))
        assert.equal(("nil\tio\tpath\t%s: can't be read: Permission denied\n"):format(path), said)
      end
      assert.same({}, server:requests())
      assert.matches("^omni", child(code:gsub("print.*", "print(uploaded and 'omni')"), before)) -- and else it may
    end)
  end)

  describe("a file called", function()
    local names = {
      "a b.png", "-rf.png", "--help", "%2e%2e%2f.png", "?x=1&y=2#z.png", "quote'\"`$(id)`;.png", "line\r\nHost: evil.png",
      "\27[2J\7.png", "\u{202e}gnp.exe.png", "caf\u{e9} \u{1F3EE}.png", "\xFF\xFE.png", ".png", "...", ("n"):rep(251) .. ".png",
    }
    for _, name in ipairs(names) do
      it(("%q is uploaded, and nobody is told the name"):format(name):gsub("[^\32-\126]", "?"), function()
        path = env.write(directory:file(name), PNG)
        assert(upload { done })
        assert.same({ "content_type=image/png&ext=.png" }, storage.asked(server))
        assert.is_true(puts()[1].body == PNG)
        for _, request in ipairs(server:requests()) do
          assert.is_nil(request.headers.host:find "evil")
          for _, value in pairs(request.headers) do assert.is_nil(value:find(name, 1, true)) end
          assert.is_nil(request.target:find("/" .. name, 1, true))
        end
      end)
    end

    it("has its control characters removed in every error", function()
      local name = "\27[2J\u{202e}\r\n\x9b\xFF.txt"
      local function check(code, ...)
        local err = assert_failed(code, ...)
        assert.equal("path", err.field)
        assert.is_nil((err.message .. (err.hint or "")):find "%c", err.message)
        assert.is_nil(err.message:find("\u{202e}", 1, true))
        assert.is_truthy(utf8.len(err.message))
        assert.is_truthy(err.message:find("[2J", 1, true), err.message)
      end
      path = directory:file(name)
      check("io", upload { done })
      env.write(path, "a lighthouse")
      check("invalid_input", upload { done })
      check("file_changed", upload_while ": >F")
    end)
  end)

  it("of 300 MB needs no more memory than one of a few bytes", function()
    local small, size = path, 300 * MIB
    path = storage.large(directory:file "large.png", size)
    storage.script(server, { { early = true, hostile.discard(), hostile.answer("200 OK", "") } })
    local taken = child(([[
      local function peak() return tonumber(io.open("/proc/self/status"):read "a":match "VmHWM:%%s*(%%d+)") end
      assert(client:upload %q)
      local before = peak()
      assert(client:upload(%q).bytes == %d)
      print(peak() - before)]]):format(small, path, size))
    assert.same({ true, size }, { puts()[2].complete, puts()[2].bytes })
    assert.is_true(tonumber(taken) < (env.is_slow and 16384 or 4096), -- a checked heap keeps freed memory for a while
      "it took KiB: " .. taken)
  end)

  describe("a large file starts again, at a new URL, when it", function()
    -- The places are on a server of their own. Where a connection that was used before breaks, libcurl itself tries once more.
    local places, content
    setup(function() places = hostile.start() end)
    teardown(function() places:close() end)
    before_each(function()
      local parts = {}
      for i = 1, 500000 do parts[i] = ("%08d"):format(i) end
      content = PNG .. table.concat(parts)
      env.write(path, content)
    end)

    local function upload_there(turns, options)
      options.retry_for = options.retry_for or 120
      storage.script(server, turns, places)
      return storage.client(server.url, options):upload(path)
    end

    -- The last try, and no other, brought the whole.
    local function assert_brought(try, uploaded, err)
      assert(uploaded, err)
      assert.equal(("%s/files/%d.png"):format(places.url, try), uploaded.url)
      local all = places:requests "PUT"
      assert.same({ try, try }, { #all, #storage.asked(server) })
      assert.is_true(all[try].body == content, "it isn't the file")
      for n, put in ipairs(all) do
        assert.equal(("/put/%d?signature=s3cret"):format(n), put.target)
        assert.equal(n == try, put.complete)
        assert.is_nil(put.headers["x-api-key"])
      end
      assert.equal(0, storage.descriptors(path))
    end

    local function breaks(...) return { early = true, hostile.discard(MIB), ... } end

    -- The server of an expired URL lets the client close the connection: if it closed first, a reset could discard its response.
    local cut, expired = breaks(hostile.reset()), breaks(hostile.answer("403 Forbidden", "<Error>expired</Error>"), hostile.hang())

    it("was cut off in the middle, again and again", function()
      assert_brought(6, upload_there({ cut, cut, cut, cut, cut, done }, {}))
    end)

    it("was closed in the middle", function()
      assert_brought(2, upload_there({ breaks(hostile.close()), done }, {}))
    end)

    it("stalled in the middle", function()
      assert_brought(2, upload_there({ breaks(hostile.until_requests(99)), done }, { timeout = env.seconds(0.4) }))
    end)

    it("was refused in the middle, as the URL had expired", function()
      assert_brought(3, upload_there({ expired, expired, done }, {}))
    end)

    it("but not for longer than retry_for, nor at more than three expired URLs", function()
      assert_failed("upload_expired", upload_there({ expired }, {}))
      assert.equal(3, #places:requests "PUT")
      assert_failed("network", upload_there({ cut }, { retry_for = 0.1 })) -- last: its last request may come late
      assert.is_true(#places:requests "PUT" > 1)
      assert.equal(0, storage.descriptors(path))
    end)
  end)

  describe("a file's upload fails when the file, while it is sent,", function()
    local changes = {
      ["grows"] = "printf more >>F", ["shrinks"] = "truncate -s 1000 F", ["is emptied"] = ": >F",
      ["is written to in its middle"] = "printf other | dd of=F bs=1 seek=1000000 conv=notrunc status=none",
      ["is replaced"] = "cp F F.new && printf other >>F.new && mv F.new F",
      ["is removed"] = "rm F", ["makes way for a folder"] = "rm F && mkdir F", ["makes way for a pipe"] = "rm F && mkfifo F",
    }
    for name, command in pairs(changes) do
      it(name, function()
        local err = assert_failed("file_changed", upload_while(command))
        assert_named(err)
        assert.equal(1, #puts())
      end)
    end

    it("but not when only its permissions change, or an equal file replaces it", function()
      assert(upload_while "chmod 600 F")
      assert(upload_while "cp F F.new && mv F.new F")
    end)
  end)

  describe("a file's upload fails, and no other file is sent, when the file, before it is sent,", function()
    -- Uploads the file; the service names the place once `command` was run.
    local function changing(command)
      local place = storage.place(server, 1)
      server:script { GET = { { hostile.until_requests(2), place[1] } }, PUT = { done } }
      local uploaded, err
      omni.run(function()
        local fiber = omni.spawn(function() uploaded, err = storage.client(server.url, { retry_for = 120 }):upload(path) end)
        while #server:requests "GET" == 0 do omni.sleep(0.01) end
        shell(command)
        storage.release(server)
        omni.join(fiber)
      end)
      return uploaded, err
    end

    local changes = {
      ["is removed"] = { "io", "rm F" },
      ["makes way for a folder"] = { "io", "rm F && mkdir F" },
      ["makes way for a pipe"] = { "io", "rm F && mkfifo F" },
      ["makes way for a device"] = { "io", "ln -sf /dev/zero F" },
      ["is emptied"] = { "file_changed", ": >F" },
      ["is replaced by one of the same size"] = { "file_changed", "tr a b <F >F.new && mv F.new F" },
    }
    for name, case in pairs(changes) do
      it(name, function() assert_named(assert_failed(case[1], changing(case[2]))) end)
    end
  end)
end)
