-- SPDX-License-Identifier: MIT
-- The progress of a transfer as text, and the line on which it is drawn.
local core = require "omni.core"
local lines = require "omni.cli.view.status_line"
local loop = require "omni.loop"
local screen = require "helper.screen"
local text = require "omni.cli.view.text"
local transfer = require "omni.cli.view.transfer"

describe("sizes", function()
  it("have three digits and a unit", function()
    for bytes, said in pairs {
      [0] = "0 bytes", [1] = "1 byte", [999] = "999 bytes", [1000] = "1 kB", [1234] = "1.23 kB", [999499] = "999 kB", [999500] = "1 MB",
      [12345678] = "12.3 MB", [1024 ^ 3] = "1.07 GB", [5e12] = "5 TB", [4e15] = "4e+03 TB",
    } do
      assert.equal(said, text.bytes(bytes))
    end
  end)
end)

describe("a transfer", function()
  local time, meter
  before_each(function()
    time = 100
    meter = transfer.meter("keeper\27.png", function() return time end)
  end)

  it("shows only its cleaned name until it has begun", function()
    assert.equal("keeper?.png", meter:words(80))
  end)

  it("shows its share, its bytes, its recent rate, and the remaining time", function()
    time = 100.25
    meter:progress(100000, 1000000)
    assert.equal("keeper?.png   10%  100 kB of 1 MB", meter:words(80)) -- the rate isn't known yet
    time = 102
    meter:progress(200000, 1000000)
    assert.equal("keeper?.png   20%  200 kB of 1 MB  100 kB/s  0:08 left", meter:words(80))
    for second = 103, 112 do
      time = second
      meter:progress(200000 + 50000 * (second - 102), 1000000)
    end
    assert.equal("keeper?.png   70%  700 kB of 1 MB  50 kB/s  0:06 left", meter:words(80))
  end)

  it("slows down while nothing arrives, and shows no remaining time then", function()
    time = 101
    meter:progress(500000, 1000000)
    assert.matches("500 kB/s  0:01 left", meter:words(80))
    time = 105
    assert.matches("100 kB/s  0:05 left", meter:words(80))
    time = 120
    assert.equal("keeper?.png   50%  500 kB of 1 MB  0 bytes/s", meter:words(80))
  end)

  it("that starts again has a new rate", function()
    time = 101
    meter:progress(900000, 1000000)
    time = 102
    meter:progress(0, 1000000)
    time = 104
    meter:progress(100000, 1000000)
    assert.matches("10%%  100 kB of 1 MB  50 kB/s  0:18 left", meter:words(80))
  end)

  it("of unknown length shows its bytes and its rate", function()
    time = 102
    meter:progress(1000, nil)
    assert.equal("keeper?.png  1 kB  500 bytes/s", meter:words(80))
    meter:progress(0, 0)
    assert.equal("keeper?.png  0 bytes", meter:words(80))
  end)

  it("fits: the name is shortened first, and left out if there is no room for it", function()
    time = 102
    meter:progress(200000, 1000000)
    for width = 1, 80 do assert.is_true(core.columns(meter:words(width)) <= width, width) end
    assert.equal("ke…png   20%  200 kB of 1 MB  100 kB/s  0:08 left", meter:words(50))
    assert.matches("^ 20%%  200 kB", meter:words(45))
  end)
end)

describe("the status line", function()
  it("is redrawn in place, is written only if it has changed, and leaves nothing behind", function()
    local out, term, columns = screen.sink(), screen.new(20), 20
    local line = lines.open(out, function() return columns end)
    term:feed "before\n"
    line:draw "one"
    line:draw "one and more, which is too long"
    term:feed(out.take())
    assert.equal("one and more, whic…", term:line(2))
    line:draw "one and more, which is too long"
    assert.equal("", out.take())
    line:clear()
    term:feed(out.take())
    assert.same({ "before", "", 2, 1 }, { term:line(1), term:line(2), term.row, term.column })
    line:clear()
    assert.equal("", out.take())
  end)

  it("erases all of itself on a terminal that has become narrower", function()
    local out, term, columns = screen.sink(), screen.new(40), 40
    local line = lines.open(out, function() return columns end)
    line:draw(("x"):rep(35))
    term:feed(out.take())
    columns = 10
    term.columns, term.rows, term.row, term.column = 10, {}, 1, 1
    term:feed(("x"):rep(35)) -- as the terminal has wrapped it
    line:clear()
    term:feed(out.take())
    for row = 1, 4 do assert.equal("", term:line(row)) end
    assert.equal(1, term.row)
  end)

  it("isn't drawn without a terminal, and costs nothing there", function()
    local out = screen.sink()
    local line = lines.open(out, function() return nil end)
    line:draw "one"
    assert.is_nil(line:live(function() error "never asked" end))
    line:clear()
    assert.equal("", out.take())
  end)

  it("follows its text until it is closed", function()
    local out, said = screen.sink(), 0
    local line = lines.open(out, function() return 40 end)
    loop.run(function()
      local waiter = loop.current()
      local drawing <close> = line:start() -- luacheck: ignore 211
      do
        local live <close> = line:live(function(columns) -- luacheck: ignore 211
          said = said + 1
          if said == 3 then loop.wake(waiter) end
          return ("%d of %d"):format(said, columns)
        end)
        loop.park()
      end
      local term = screen.new(40)
      term:feed(out.take())
      assert.same({ 3, "" }, { said, term:line(1) })
    end)
    assert.equal(3, said)
  end)
end)
