-- SPDX-License-Identifier: MIT
-- A clip that isn't what its scene asked for: the warnings, and where they appear. The clip is paid for and kept.
local differences = require("omni.storyboard.run.clip_mismatch").differences
local env = require "helper.env"
local omni = require "omni"
local studio = require "helper.studio"

local function clip(seconds, width, height, more)
  local video = { seconds = seconds, width = width, height = height, sar = "1:1", rotation = 0 }
  for name, value in pairs(more or {}) do video[name] = value end
  return { seconds = seconds + 3, video = video } -- its sound lasts longer
end

describe("a clip", function()
  it("with the requested properties has no differences, give or take a few frames and pixels", function()
    local asked = { duration = 8, aspect_ratio = "16:9", resolution = "720p" }
    for _, found in ipairs { clip(8, 1280, 720), clip(8.04, 1280, 720), clip(7.6, 1278, 720), clip(8, 960, 720, { sar = "4:3" }),
      clip(8, 720, 1280, { rotation = 90 }), clip(8, 720, 1280, { rotation = -90 }) } do
      assert.same({}, differences(asked, found))
    end
    assert.same({}, differences({ aspect_ratio = "9:16", resolution = "4K" }, clip(3, 2160, 3840)))
  end)

  it("that is shorter, longer, or of another shape or size has a difference", function()
    assert.same({ "the clip lasts 4.1 s instead of 8 s" }, differences({ duration = 8 }, clip(4.08, 1280, 720)))
    assert.same({ "the clip lasts 10 s instead of 8 s" }, differences({ duration = 8 }, clip(10, 1280, 720)))
    assert.same({ "the clip's picture is 1280×720 instead of 9:16" }, differences({ aspect_ratio = "9:16" }, clip(8, 1280, 720)))
    assert.same({ "the clip's picture is 720×720 instead of 16:9", "the clip's picture is 720×720 instead of 1080p" },
      differences({ aspect_ratio = "16:9", resolution = "1080p" }, clip(8, 720, 720)))
  end)

  it("has no difference in properties that weren't requested or aren't known, nor in length if a video decides it", function()
    for _, asked in ipairs { {}, { duration = "8", aspect_ratio = "auto", resolution = 720 }, { aspect_ratio = "0:0", resolution = "best" },
      { duration = 8, video_list = { { url = "https://example.com/v.mp4" } } } } do
      assert.same({}, differences(asked, clip(3, 300, 200)))
    end
    assert.same({}, differences({ duration = 8 }, { seconds = 3 })) -- sound alone
  end)

  it("with a difference is reported in an event, the summary and the report", function()
    local key = "ak_" .. ("x"):rep(32) -- no sandbox's key: the clips are taken for the service's
    studio.open({ clips = "builtin", key = key, films = true }, function(s) -- the built-in clip is a small one, whatever is asked for
      local board = omni.storyboard {
        omni.scene "wide" { prompt = "x", duration = 10, aspect_ratio = "9:16" }, omni.scene "any" { prompt = "y" }, cut = false,
      }
      local summary = assert(s:run(board, { yes = true }))
      local wide, any = summary.scenes[1], summary.scenes[2]
      assert.same({ "fetched", "fetched" }, studio.statuses(summary))
      assert.equal(2, #wide.warnings)
      assert.matches("^the clip lasts %d[%d.]* s instead of 10 s$", wide.warnings[1])
      assert.matches("instead of 9:16$", wide.warnings[2])
      assert.is_nil(any.warnings)
      local told = {}
      for _, event in ipairs(s.events) do
        if event.event == "warning" then told[#told + 1] = event end
      end
      assert.same({ "wide", 1, wide.task_id, wide.file, wide.warnings[1] },
        { told[1].scene, told[1].index, told[1].task_id, told[1].file, told[1].message })
      assert.equal(2, #told)
      local page = env.read(summary.report)
      assert.truthy(page:find("instead of 10 s", 1, true))
    end)
  end)

  it("of a sandbox has the requested properties and causes no warning", function()
    studio.open({ clips = "builtin", films = true }, function(s)
      local wide = omni.scene "wide" { prompt = "x", duration = 10, aspect_ratio = "9:16" }
      local summary = assert(s:run(omni.storyboard { wide, cut = false }))
      assert.is_nil(summary.scenes[1].warnings)
    end)
  end)
end)
