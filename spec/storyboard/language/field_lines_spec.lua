-- SPDX-License-Identifier: MIT
-- The lines of the fields in a board's file.
local lines_of = require("omni.storyboard.language.field_lines").of

local text <const> = [==[
local x = { a = 1 } -- storyboard { no = 1 }
local names = "storyboard { quoted \" }" .. [[ storyboard { long } ]]
return storyboard {
  title = "T",
  defaults = {
    duration = 5, -- {
    style = "x",
  },
  references = { keeper = file "k.png",
    tower = "x" },
  scene "a" { prompt = "x",
    duration = 4 },
  { scene "b" { prompt = "x" },
    7 },
  cut = { "a", "b",
    { "c", seconds = 3 },
    "d", --[[ }
    ]] transition = { "fad",
      seconds = 9 },
    audio = f(a == b, function() return { q = 1 } end),
  },
  budget = -1,
}
]==]

describe("a board's field", function()
  local line_of = lines_of(text)

  it("has the line of its name", function()
    for field, line in pairs { title = 4, defaults = 5, ["defaults.duration"] = 6, ["defaults.style"] = 7, ["references.tower"] = 10,
      cut = 15, ["cut.transition"] = 18, ["cut.transition.seconds"] = 19, ["cut.audio"] = 20, budget = 22 } do
      assert.equal(line, line_of(field), field)
    end
  end)

  it("without a name has the line on which it begins", function()
    for field, line in pairs { ["1"] = 11, ["2"] = 13, ["2.2"] = 14, ["cut.2"] = 15, ["cut.3"] = 16, ["cut.4"] = 17 } do
      assert.equal(line, line_of(field), field)
    end
  end)

  it("that isn't there has the line of the table around it", function()
    assert.equal(3, line_of())
    assert.equal(3, line_of "nothing")
    assert.equal(5, line_of "defaults.nothing")
  end)

  it("is found in a board with parentheses", function()
    assert.equal(2, lines_of "return storyboard({\n title = 5 })" "title")
  end)

  it("has no line where the board isn't a table in the file", function()
    assert.is_nil(lines_of "return 5" "title")
    assert.equal(1, lines_of "return storyboard(fields)" "title")
    for _, broken in ipairs { "storyboard {", "storyboard { a = ", "storyboard { '", "storyboard { [[", "storyboard { --[[",
      ("storyboard {"):rep(200),
      "storyboard { a = \"\\" } do
      assert.has_no.errors(function() lines_of(broken) "a" end)
    end
  end)
end)
