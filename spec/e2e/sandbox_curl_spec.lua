-- SPDX-License-Identifier: MIT
-- The sandbox with a foreign client: the program curl, a process for each call.
local cjson = require("cjson").new()
local core = require "omni.core"
local env = require "helper.env"
local loop = require "omni.loop"
local process = require "omni.process"
local sandbox = require "omni.sandbox"
local media = require "omni.sandbox.drawing"

local job = "/api/v1/client/job/"

-- Runs fn(box, curl, submit, directory). curl(...) returns curl's exit code and its output.
local function with(given, fn)
  return loop.run(function()
    local box <close> = assert(sandbox.open(given))
    local directory <close> = env.directory()
    local function curl(...)
      local result = assert(process.run({ "curl", "-sS", "--noproxy", "*", "-H", "x-api-key: " .. box.key, ... }, { stdout = "pipe" }))
      assert.is_nil(result.stderr:find(box.key, 1, true))
      return result.exit, result.stdout
    end
    local function submit(input, ...)
      local body = cjson.encode { model = "google/gemini-omni", input = input or { prompt = "a boat" } }
      return curl(box.url .. job .. "CreateTask", "-d", body, ...)
    end
    fn(box, curl, submit, directory)
  end)
end

-- Queries the task until it has ended.
local function final(box, curl, answer)
  local id = cjson.decode(answer).data.task_id
  while true do
    local _, text = curl("-G", "--data-urlencode", "task_id=" .. id, box.url .. job .. "TaskInfo")
    local data = cjson.decode(text).data
    if data.result ~= cjson.null then return data end
    loop.sleep(0.02)
  end
end

describe("the sandbox, driven by curl", function()
  it("makes a clip of the requested length, shape and size, and states its price", function()
    local drawn = media.available() == "ffmpeg"
    with({ seconds = 0.2, credits = 100 }, function(box, curl, submit, directory)
      local exit, answer = submit { prompt = "a lighthouse at dusk", duration = 6, aspect_ratio = "9:16" }
      assert.equal(0, exit)
      local data = final(box, curl, answer)
      assert.same({ "success", 60 }, { data.status, data.credits })
      local path = directory:file "clip.mp4"
      assert.equal(0, (curl("-f", "-o", path, data.result.media_urls[1])))
      local probe = process.run({
        "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height:format=duration", "-of", "csv=p=0", path,
      }, { stdout = "pipe" })
      if drawn then
        local width, height, seconds = probe.stdout:match "^(%d+),(%d+)%s+([%d.]+)"
        assert.same({ "720", "1280" }, { width, height })
        assert.is_true(math.abs(tonumber(seconds) - 6) < 0.1)
      else
        assert.equal("ftyp", env.read(path):sub(5, 8))
      end
      local _, text = curl(box.url .. "/api/v1/client/account/balance")
      assert.equal('{"code":200,"message":"success","data":{"balance":40}}', text)
      _, text = submit({ prompt = "a boat", duration = 10 }, "-w", "%{http_code}")
      assert.matches("not enough credits: this task costs 100, the balance is 40.*402$", text)
      _, text = curl(box.url .. "/sandbox/ledger")
      local ledger = cjson.decode(text)
      assert.same({ 1, 60, data.task_id }, { ledger.submits, ledger.charged, ledger.tasks[1].task_id })
    end)
  end)

  it("lets curl continue an interrupted download, so that the file is complete", function()
    with({ seconds = 0, clips = "builtin", faults = { "media-cut" } }, function(box, curl, submit, directory)
      local _, answer = submit()
      local url = final(box, curl, answer).result.media_urls[1]
      local path, whole = directory:file "clip.mp4", directory:file "whole.mp4"
      assert.equal(18, (curl("-o", path, url))) -- partial file
      local part = core.stat(path).size
      assert.equal(0, (curl("-C", "-", "-o", path, url)))
      assert.equal(part, core.stat(path).size // 2)
      assert.equal(0, (curl("-r", "1-", "-o", whole, url))) -- a range that starts later isn't cut
      assert.is_true(env.read(path):sub(2) == env.read(whole))
    end)
  end)

  it("drops, resets, cuts and delays connections as requested; its ledger has every charge", function()
    local function exit_of(fault, ...)
      local more, exit, submits = table.pack(...), nil, nil
      with({ seconds = 0, clips = "builtin", faults = { fault } }, function(box, _, submit)
        exit = submit(nil, table.unpack(more))
        submits = box:ledger().submits
      end)
      return exit, submits
    end
    assert.same({ 52, 0 }, { exit_of "drop-before" }) -- empty reply
    assert.same({ 52, 1 }, { exit_of "drop-after" })
    assert.same({ 56, 0 }, { exit_of "drop-before:reset=yes" }) -- connection reset
    assert.same({ 56, 1 }, { exit_of "drop-after:reset=yes" })
    assert.same({ 18, 1 }, { exit_of "cut" }) -- partial response
    assert.same({ 28, 1 }, { exit_of("slow:delay=30", "-m", "0.3") }) -- time-out
  end)

  it("is called again by curl after a 429, at the time in Retry-After", function()
    with({ seconds = 0, clips = "builtin", faults = { "status-429:first=1,retry_after=1" } }, function(box, _, submit)
      local began = core.now()
      local exit, answer = submit(nil, "--retry", "1", "-f")
      assert.equal(0, exit)
      assert.truthy(cjson.decode(answer).data.task_id)
      assert.is_true(core.now() - began >= 0.9)
      assert.equal(1, box:ledger().submits)
    end)
  end)

  it("refuses wrong methods, keys and bodies with an envelope", function()
    with({ seconds = 0, clips = "builtin" }, function(box, curl)
      local function ask(...) return select(2, curl("-w", "%{http_code}", ...)) end
      assert.matches('{"code":405,.*}405$', ask("-X", "PUT", box.url .. job .. "CreateTask"))
      assert.matches('{"code":404,.*}404$', ask(box.url .. job .. "Nothing"))
      assert.matches('{"code":401,.*}401$', ask("-H", "x-api-key: ak_wrong", box.url .. "/api/v1/client/account/balance"))
      assert.matches('{"code":422,.*JSON.*}422$', ask("-d", "prompt=a boat", box.url .. job .. "CreateTask"))
      assert.matches('^[^{]*404$', (ask("-o", "/dev/null", box.url .. "/media/..%2f..%2fetc%2fpasswd.mp4")))
    end)
  end)

  it("is served by the omni program, which prints how to reach it", function()
    loop.run(function()
      local told, reader = "", loop.current()
      local directory <close> = env.directory()
      local server <close> = loop.spawn(function()
        process.run({ os.getenv "OMNI" or "build/omni", "sandbox", "--seconds", "0", "--out", directory.path }, {
          on_output = function(text)
            told = told .. text
            loop.wake(reader)
          end,
        })
      end)
      while not told:find "CRUN_API_KEY=%S+\n" do assert(loop.park(env.seconds(20)) == nil and told ~= "", "omni sandbox says nothing") end
      local url, key = told:match "CRUN_BASE_URL=(%S+)", told:match "CRUN_API_KEY=(%S+)"
      local result = process.run({ "curl", "-sS", "--noproxy", "*", "-H", "x-api-key: " .. key, url .. "/api/v1/client/account/balance" },
        { stdout = "pipe" })
      assert.equal('{"code":200,"message":"success","data":{"balance":10000}}', result.stdout)
      assert.is_false(server:done())
    end)
  end)
end)
