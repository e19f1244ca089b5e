-- SPDX-License-Identifier: MIT
-- A run remembers the properties of its clips, so that a later cut doesn't start ffprobe for each clip.

local film = require "omni.film"
local studio = require "helper.studio"
local tool = require "omni.film.ffmpeg"

-- Runs a board, and returns the clips that the run has given to film.cut.
local function clips_of_run(s, board)
  local cut, clips = film.cut, nil
  local back <close> = setmetatable({}, { __close = function() film.cut = cut end }) -- luacheck: ignore 211
  film.cut = function(given)
    clips = given.clips
    return cut(given)
  end
  assert(s:run(board))
  return clips
end

local function whole_numbers(value, path, list)
  for key, part in pairs(value) do
    if type(part) == "table" then whole_numbers(part, path .. key .. ".", list) end
    if math.type(part) == "integer" then list[#list + 1] = path .. key end
  end
  table.sort(list)
  return list
end

describe("the properties of a run's clips", function()
  it("are known to its cut, and to a later run's cut, as ffprobe reports them", function()
    studio.open({ films = true }, function(s)
      for _ = 1, 2 do
        local clips = clips_of_run(s, studio.board("dusk", "dawn"))
        assert.equal(2, #clips)
        for _, clip in ipairs(clips) do
          local found = assert(film.probe(clip.path))
          assert.same(found, clip.probe)
          for _, name in ipairs(whole_numbers(found, "", {})) do
            assert.is_truthy(table.concat(whole_numbers(clip.probe, "", {}), " "):find(name, 1, true), name)
          end
        end
        assert(os.remove(s.directory .. "/film.mp4")) -- so that the next run cuts it again
      end
    end)
  end)

  it("let a run that changes nothing start neither ffmpeg nor ffprobe", function()
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
