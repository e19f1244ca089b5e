-- SPDX-License-Identifier: MIT
-- The current waits: what the client's events and the clock make of them, and their text.
local core = require "omni.core"
local err = require "omni.error"
local lines = require "omni.cli.view.status_line"
local loop = require "omni.loop"
local screen = require "helper.screen"
local waits = require "omni.cli.view.waits"

describe("the waits of a command", function()
  local time, current, begun, over, keys, users

  local function open(options)
    options = options or {}
    time, begun, over, keys, users = 100, {}, {}, 1, nil
    options.now = function() return time end
    options.on_begin = function(wait) begun[#begun + 1] = current:words(wait) end
    options.on_over = function(wait, seconds) over[#over + 1] = wait.kind .. " " .. seconds end
    options.has_keys = function() return keys end
    options.find_users = function() return users end
    current = waits.new(options)
  end
  before_each(function() open() end)

  local function event(name, fields)
    fields.event = name
    current:event(fields)
  end
  local function at(seconds)
    time = 100 + seconds
    current:tick()
  end
  local function shown(columns, most) return current:lines(columns or 80, most or 9) end

  it("show a pause that the service asked for with a countdown, until it is over", function()
    event("paused", { key = "1a2b3c4d5e6f", seconds = 15, reason = "rate_limited" })
    assert.same({ "the service asks to wait, 0:15 left" }, shown())
    at(5.5)
    assert.same({ "the service asks to wait, 0:10 left" }, shown())
    at(15)
    assert.same({ {}, { "pause 15" } }, { shown(), over })
    event("paused", { key = "1a2b3c4d5e6f", seconds = 60, reason = "maintenance" })
    assert.same({ "the service is under maintenance, 1:00 left" }, shown())
    event("resumed", { key = "1a2b3c4d5e6f" })
    assert.same({}, shown())
  end)

  it("name the key of a pause if there are several, and show one pause for each", function()
    keys = 2
    event("paused", { key = "1a2b3c4d5e6f", seconds = 15, reason = "rate_limited" })
    event("paused", { key = "f6e5d4c3b2a1", seconds = 5, reason = "rate_limited" })
    event("paused", { key = "1a2b3c4d5e6f", seconds = 30, reason = "rate_limited" })
    assert.same({ "the service asks to wait, 0:05 left (key f6e5d4c3b2a1)", "the service asks to wait, 0:30 left (key 1a2b3c4d5e6f)" },
      shown())
  end)

  it("show a retry with its reason, once for all calls with the same failure", function()
    local problem = err.new { code = "network", message = "couldn't connect to\27 the service" }
    for _ = 1, 5 do event("retry", { error = problem, seconds = 4, reason = "network", attempt = 2 }) end
    assert.same({ "trying again in 0:04: couldn't connect to? the service" }, shown())
    at(4.5) -- the next attempt is under way
    assert.same({ "trying again in 0:00: couldn't connect to? the service" }, shown())
    event("retry", { error = problem, seconds = 8, reason = "network", attempt = 3 })
    assert.same({ "trying again in 0:08: couldn't connect to? the service" }, shown())
    assert.equal(1, #begun)
    at(14)
    assert.same({ "retry 14" }, over)
  end)

  it("show a pause and not the retries that wait for its end", function()
    event("paused", { key = "k", seconds = 15, reason = "rate_limited" })
    event("retry", { error = err.new { code = "rate_limited", message = "slow down" }, seconds = 15, reason = "rate_limited", attempt = 2 })
    assert.equal(1, #shown())
  end)

  it("show a full key, and who uses it, once a submit has waited for a moment", function()
    loop.run(function()
      users = "other.lua: dusk, 2 more"
      event("slots_full", { slots = 3 })
      assert.same({}, shown())
      loop.sleep(1.1)
      time = 135
      assert.same({ "no free slot of 3 for 0:35: used by other.lua: dusk, 2 more" }, shown())
      event("slots_free", {})
      assert.same({}, shown())
      event("slots_full", { slots = 1 })
      event("slots_free", {})
      loop.sleep(1.1)
      assert.same({ {}, 1 }, { shown(), #begun })
    end)
  end)

  it("show that there is no response after some seconds, one line for all requests", function()
    event("request_begun", { request = 1, kind = "query" })
    event("request_begun", { request = 2, kind = "submit" })
    at(2)
    assert.same({}, shown())
    at(8)
    assert.same({ "no response from the service for 0:08" }, shown())
    event("request_ended", { request = 1 })
    at(9)
    event("request_ended", { request = 2 })
    at(9.1)
    assert.same({ {}, 1 }, { shown(), #begun })
  end)

  it("show what is slow later where nobody watches, so that pipes and scripts get few lines", function()
    open { patience = function() return 10 end }
    event("request_begun", { request = 1, kind = "query" })
    event("request_begun", { request = 2, kind = "download", file = "a.mp4" })
    at(9)
    assert.same({}, shown())
    at(11)
    assert.equal(3, #begun)
  end)

  it("show a slow download, and say so if it stalls", function()
    event("request_begun", { request = 1, kind = "download", file = "out/media/storm-1a2b3c4d.mp4" })
    event("download", { request = 1, bytes = 0, total = 4000000 })
    at(2)
    event("download", { request = 1, bytes = 1000000, total = 4000000 })
    assert.same({}, shown())
    at(4)
    event("download", { request = 1, bytes = 2000000, total = 4000000 })
    assert.same({ "downloading storm-1a2b3c4d.mp4   50%  2 MB of 4 MB  500 kB/s  0:04 left" }, shown())
    assert.same({ "sto…mp4   50%  2 MB of 4 MB  500 kB/s  0:04 left" }, shown(49))
    at(16)
    assert.same({ "storm-1a2b3c4d.mp4: nothing received for 0:12, 2 MB of 4 MB" }, shown())
    assert.same({ "stor….mp4: nothing received for 0:12, 2 MB of 4 MB" }, shown(50))
    event("download", { request = 1, bytes = 3000000, total = 4000000 })
    assert.matches("^downloading .* 75%%", shown()[1])
    event("request_ended", { request = 1 })
    assert.same({ {}, { "stalled 12", "download 16" } }, { shown(), over })
  end)

  it("show a long upload, at once if transfers are all that there is to see", function()
    open { slow = 0 }
    event("request_begun", { request = 1, kind = "upload", file = "keeper.png" })
    at(0)
    event("upload", { request = 1, bytes = 100, total = 1000 })
    assert.same({ "keeper.png   10%  100 bytes of 1 kB" }, shown())
    at(6)
    assert.same({ "keeper.png: nothing sent for 0:06, 100 bytes of 1 kB" }, shown())
  end)

  it("show another run's lock, another run's submit and an awaited callback with the time since they began", function()
    current:begin("callback", { scene = "dusk" })
    current:begin("submit", { scene = "dawn" })
    local lock = current:begin("lock", { directory = "/out" })
    at(35)
    assert.same({ "another omni run uses /out; waiting for it, 0:35", 'another run is submitting scene "dawn"; waiting for it, 0:35',
      'waiting for a callback for scene "dusk", 0:35' }, shown())
    assert.equal("another omni run uses /out; waiting for it", begun[3])
    current:over(lock)
    assert.same({ "lock 35" }, over)
  end)

  it("show that the ledger's database can't be reached, until it can", function()
    event("ledger_waits", { error = { code = "ledger_failed", message = "it is away" } })
    at(5)
    assert.same({ "waiting for the ledger, to record what has happened, 0:05: it is away" }, shown())
    event("ledger_continues", {})
    assert.same({ "ledger 5" }, over)
  end)

  it("show the making of the report only once it has taken some seconds", function()
    local report = current:begin("report", {})
    at(2)
    current:over(report)
    current:begin("film", {})
    assert.same({ {}, {}, {} }, { shown(), begun, over })
    at(6)
    assert.same({ "checking the clips and the film, 0:04" }, shown())
  end)

  it("fit any width, and a line counts those that have no room", function()
    for i = 1, 6 do event("retry", { error = err.new { code = "x", message = i .. ("x"):rep(300) }, seconds = 9, reason = "x" }) end
    for width = 1, 120 do
      for _, line in ipairs(shown(width, 3)) do assert.is_true(core.columns(line) <= width) end
    end
    assert.equal("and 4 more waits", shown(80, 3)[3])
    assert.same({}, shown(80, 0))
  end)

  it("are drawn below the status of a command, and leave nothing behind", function()
    local out, term, columns = screen.sink(), screen.new(40), 40
    local line = lines.open(out, function() return columns end, current)
    term:feed "before\n"
    event("paused", { key = "k", seconds = 15, reason = "rate_limited" })
    line:draw "asking what it costs ..."
    term:feed(out.take())
    assert.same({ "asking what it costs ...", "the service asks to wait, 0:15 left" }, { term:line(2), term:line(3) })
    at(15)
    line:refresh()
    term:feed(out.take())
    assert.same({ "asking what it costs ...", "" }, { term:line(2), term:line(3) })
    line:clear()
    term:feed(out.take())
    assert.same({ "before", "", 2, 1 }, { term:line(1), term:line(2), term.row, term.column })
  end)
end)
