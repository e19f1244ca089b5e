-- SPDX-License-Identifier: MIT
local core = require "omni.core"
local tables = require "omni.cli.view.table"
local text = require "omni.cli.view.text"

local columns = { { title = "model" }, { title = "makes" }, { title = "operations", wrap = true } }
local rows = {
  { "google/gemini-omni", "video", "text-to-video, image-to-video, video-to-video" },
  { "kling/v3", nil, { "text-to-video", "image-to-video" } },
  { "x", "image" },
}

local function widest(lines)
  local width = 0
  for _, line in ipairs(lines) do width = math.max(width, core.columns(line)) end
  return width
end

describe("a table", function()
  it("without a terminal has one line for each row, aligned, and nothing is cut", function()
    assert.same({
      "model               makes  operations",
      "google/gemini-omni  video  text-to-video, image-to-video, video-to-video",
      "kling/v3                   text-to-video; image-to-video",
      "x                   image",
    }, tables.lines(columns, rows))
  end)

  it("on a terminal wraps its last column beside the others", function()
    assert.same({
      "model               makes  operations",
      "google/gemini-omni  video  text-to-video, image-to-video,",
      "                           video-to-video",
      "kling/v3                   text-to-video",
      "                           image-to-video",
      "x                   image",
    }, tables.lines(columns, rows, { columns = 60 }))
  end)

  it("wraps it below the others if there is little room, without a column head", function()
    assert.same({
      "model               makes",
      "google/gemini-omni  video",
      "    text-to-video, image-to-video,",
      "    video-to-video",
      "kling/v3",
      "    text-to-video",
      "    image-to-video",
      "x                   image",
    }, tables.lines(columns, rows, { columns = 40 }))
  end)

  it("is never wider than the terminal; the widest columns shrink first", function()
    for width = 12, 90 do
      local lines = tables.lines(columns, rows, { columns = width })
      assert.is_true(widest(lines) <= width, width)
      if width >= 20 then assert.matches("kling/v3", table.concat(lines, "\n")) end
    end
    assert.equal("googl…i-omni  video", tables.lines({ columns[1], columns[2] }, rows, { columns = 19 })[2])
    local wide = tables.lines({ { title = "a" }, { title = "b" } }, { { ("漢"):rep(20), "x" } }, { columns = 21 })
    assert.is_true(widest(wide) <= 21)
    assert.is_truthy(wide[2]:find("漢…漢", 1, true))
    assert.matches(" x$", wide[2])
  end)

  it("colours its head on request, after it was cut", function()
    local lines = tables.lines(columns, rows, { columns = 60, paint = text.painter(true) })
    assert.equal("\27[1mmodel               makes  operations\27[0m", lines[1])
    assert.not_matches("\27", table.concat(lines, "\n", 2))
  end)

  it("contains nothing that moves a terminal's cursor, and numbers unchanged", function()
    local lines = tables.lines({ { title = "a" }, { title = "b" } }, { { "x\27[2J\ny\t", 40.0 }, { "\u{202e}z", 0.5 }, { true, false } })
    assert.same({ "a         b", "x?[2J y   40", "?z        0.5", "yes       no" }, lines)
  end)
end)

describe("a list of fields", function()
  local fields = { { "task", "d6956973" }, { "took" }, { "media", { "https://a.example/x.mp4", "https://b.example/y.mp4" } },
    { "error", "it could not be made, as the prompt is too long", "failed" }, { "", "a hint" }, { "cost", 2.5 }, { "good", true } }

  it("is aligned, with one line for each value, and without missing values", function()
    assert.same({ "task   d6956973", "media  https://a.example/x.mp4", "       https://b.example/y.mp4",
      "error  it could not be made, as the prompt is too long", "       a hint", "cost   2.5", "good   yes" }, tables.list(fields))
  end)

  it("wraps texts at the terminal's width, but never text to be copied", function()
    local lines = tables.list(fields, { columns = 31 })
    assert.same({ "error  it could not be made, as", "       the prompt is too long", "       a hint" }, { lines[4], lines[5], lines[6] })
    assert.equal("media  https://a.example/x.mp4", tables.list(fields, { columns = 20 })[2])
  end)

  it("colours a value that is a state", function()
    local lines = tables.list(fields, { columns = 60, paint = text.painter(true) })
    assert.equal("error  \27[31mit could not be made, as the prompt is too long\27[0m", lines[4])
    assert.equal("task   d6956973", lines[1])
  end)
end)
