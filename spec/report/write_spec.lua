-- SPDX-License-Identifier: MIT
-- report.html is written completely or not at all, and quickly.

local core = require "omni.core"
local env = require "helper.env"
local page_of = require "helper.report_page"
local report = require "omni.report"

local T, data_of, elements, render, scene_of = page_of.T, page_of.data_of, page_of.elements, page_of.render, page_of.scene_of

describe("writing the report", function()
  it("replaces the old report by a complete new one, and leaves nothing else behind", function()
    local files <close> = env.directory()
    local path = env.write(files:file "report.html", "old")
    assert.equal(path, report.write(path, data_of { scene_of() }))
    assert.equal(render { scene_of() }, env.read(path))
    assert.same({ "report.html" }, files:names())
  end)

  it("that fails returns an error, and leaves the old file", function()
    local files <close> = env.directory()
    assert(core.make_directory(files:file "report.html"))
    for _, path in ipairs { files:file "report.html", files:file "none/report.html" } do
      local done, problem = report.write(path, data_of {})
      assert.is_nil(done)
      assert.equal("io", problem.code)
      assert.matches("can't write the report", problem.message)
    end
    assert.same({ "report.html" }, files:names())
  end)

  it("takes at most a moment for 1,000 scenes", function()
    local scenes = {}
    for n = 1, page_of.many do
      scenes[n] = scene_of { name = "scene " .. n, files = { n .. ".mp4" }, prompt = ("A quiet sea, with <gulls>. "):rep(20), credits = 6,
        times = { intended = T + n, accepted = T + n, completed = T + n + 60, fetched = T + n + 61 } }
    end
    local before = os.clock()
    local page = render(scenes)
    assert.is_true(os.clock() - before < env.seconds(2))
    assert.equal(page_of.many, elements(page).article)
  end)
end)
