-- SPDX-License-Identifier: MIT
-- A run probes each clip once, so that a later cut doesn't start ffprobe for each clip.

local studio = require "helper.studio"
local tool = require "omni.film.ffmpeg"

-- Calls f, and returns how often it started ffprobe.
local function probes_of(f)
  local run, started = tool.run, 0
  local back <close> = setmetatable({}, { __close = function() tool.run = run end }) -- luacheck: ignore 211
  tool.run = function(program, ...)
    if program == "ffprobe" then started = started + 1 end
    return run(program, ...)
  end
  f()
  return started
end

describe("a run", function()
  it("probes each clip once, and a later cut of the same clips probes only the film", function()
    studio.open({ films = true }, function(s)
      local board = studio.board("dusk", "dawn")
      assert.equal(2 + 2, probes_of(function() assert(s:run(board)) end)) -- the film before and after it gets its name
      assert(os.remove(s.directory .. "/film.mp4")) -- so that the next run cuts it again
      assert.equal(2, probes_of(function() assert(s:run(board)) end))
    end)
  end)

  it("that changes nothing starts neither ffmpeg nor ffprobe", function()
    studio.open({ films = true }, function(s)
      assert(s:run(studio.board("dusk", "dawn")))
      local run = tool.run
      local back <close> = setmetatable({}, { __close = function() tool.run = run end }) -- luacheck: ignore 211
      tool.run = function(program) error(program .. " was started") end
      local summary = assert(s:run(studio.board("dusk", "dawn")))
      assert.is_false(summary.film.made)
      assert.equal(2, summary.film.seconds)
    end)
  end)
end)
