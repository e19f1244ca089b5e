-- SPDX-License-Identifier: MIT
-- The names of the files of scenes.
local names = require "omni.storyboard.run.file_names"

local function stems(list, identities)
  local scenes, planned = {}, {}
  for index, name in ipairs(list) do
    scenes[index], planned[index] = { name = name }, { identity = identities and identities[index] }
  end
  return names.stems(scenes, planned)
end

describe("the files of scenes", function()
  it("never leave their folder, are never hidden and keep readable names", function()
    assert.same({ "a-b", "etc-passwd", "hidden", "scene", "黎明", "50" }, stems { "a/b", "../../etc/passwd", ".hidden", "..", "黎明", "50%" })
  end)

  it("differ for different scenes, even if only the identity differs", function()
    local identities = { ("a"):rep(64), ("b"):rep(64), ("c"):rep(64) }
    assert.same({ "Dawn-aaaaaaaa", "dawn-bbbbbbbb", "dawn-cccccccc" }, stems({ "Dawn", "dawn", "dawn" }, identities))
  end)

  it("fit into the limit of a file name, cut between characters", function()
    local stem = stems({ ("黎"):rep(100) }, { ("a"):rep(64) })[1]
    assert.is_true(#stem <= 140)
    assert.is_truthy(utf8.len(stem))
    assert.matches("%-aaaaaaaa$", stem)
  end)

  it("are numbered from the second file on", function()
    assert.equal("dawn", names.numbered("dawn", 1))
    assert.equal("dawn-2", names.numbered("dawn", 2))
  end)

  it("have the extension of the URL", function()
    assert.equal("mp4", names.extension "https://x.org/a")
    assert.equal("png", names.extension "https://x.org/a.PNG?token=x.mp4")
    assert.equal("mp4", names.extension "https://x.org/a.exe")
  end)
end)
