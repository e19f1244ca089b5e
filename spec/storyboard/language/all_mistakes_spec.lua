-- SPDX-License-Identifier: MIT
-- A board with many mistakes: omni reports all of them at once, each with its file and line.
local env = require "helper.env"
local load_board = require("omni.storyboard.language.load").load

describe("a board with many mistakes", function()
  local directory, path
  before_each(function()
    directory = env.directory()
    path = directory:file "board.lua"
    env.write(directory:file "keeper.png", "\x89PNG\r\n\x1a\n")
  end)
  after_each(function() directory:close() end)

  -- Returns the errors of a board as lines "3: message", with the hint behind " | ".
  local function mistakes(text, trusted)
    local board, bad = load_board(env.write(path, text), { trusted = trusted })
    assert.is_nil(board)
    if bad.problems then assert.equal(bad, bad.problems[1]) end
    local found = {}
    for i, problem in ipairs(bad.problems or { bad }) do
      assert.equal("invalid_board", problem.code)
      local line, message = problem.message:match("^" .. path:gsub("%p", "%%%0") .. ":(%d+: )(.*)$")
      found[i] = (line or "?") .. (message or problem.message) .. (problem.hint and " | " .. problem.hint or "")
    end
    return found
  end

  it("reports those of the board, its defaults, references, scenes and cut, in the order of the lines", function()
    assert.same({
      "2: field 'title' must be a string, not a number",
      "3: unknown field 'duration'; for all scenes write defaults = { duration = ... }",
      "5: scenes \"ok\" and \"three\": duration: must be 4, 6, 8 or 10, not 5 (from the board's defaults)",
      "6: defaults: put the style on the board itself: storyboard { style = ... }",
      "7: defaults: unknown field 'resoluton'; did you mean 'resolution'?",
      '9: references.keeper: must be file "..." or url "...", not a string | write keeper = file "keeper.png"',
      "11: scene \"bad\": unknown field 'promt'; did you mean 'prompt'?",
      '12: scene "bad": the name is already used at ' .. path .. ":11",
      '13: expected a scene at place 5, got a string | write scene "name" { ... }',
      "16: cut: there is no scene 'okay'; did you mean 'ok'?",
      "17: cut: unknown transition 'fad'; did you mean 'fade'?",
      "18: cut: transition.seconds: must be a number from 0 to 5, not 9",
      '19: cut: audio: must be a file, not a string | write audio = file "song.mp3"',
      "20: cut: output: must be a name that ends in .mp4",
      "22: field 'budget' must be a number of credits, 0 or more, not -1",
    }, mistakes [[
return storyboard {
  title = 5,
  duration = 4,
  defaults = {
    duration = 5,
    style = "x",
    resoluton = "4k",
  },
  references = { keeper = "keeper.png" },
  scene "ok" { prompt = "x" },
  scene "bad" { promt = "x", duration = 4 },
  scene "bad" { prompt = "x", duration = 4 }, scene "three" { prompt = "x" },
  "four",
  cut = {
    "ok",
    "okay",
    transition = { "fad",
      seconds = 9 },
    audio = "song.mp3",
    output = "film.mov",
  },
  budget = -1,
}]])
  end)

  it("reports several mistakes of one scene", function()
    assert.same({
      "3: scene \"a\": unknown field 'resoluton'; did you mean 'resolution'?",
      "3: scene \"a\": field 'take' must be a whole number, 1 or more",
      "3: scene \"a\": field 'style' must be a string, or false for none, not a number",
      "3: scene \"a\": references[1]: there is no reference 'keper'; did you mean 'keeper'?"
        .. ' | declare it on the board: references = { NAME = file "..." }',
      "3: scene \"a\": references[3]: there is no reference 'towr'; known are: keeper"
        .. ' | declare it on the board: references = { NAME = file "..." }',
      "3: scene \"a\": first_frame: there is no reference 'door.png'; known are: keeper | for a file write file \"door.png\"",
      "3: scene \"a\": prompt: must have 1 to 20000 characters, not 0",
      "3: scene \"a\": aspect_ratio: must be 16:9 or 9:16, not '1:1'",
      "3: scene \"a\": duration: must be 4, 6, 8 or 10, not 5",
      "3: scene \"a\": continues: there is no scene 'b'; did you mean 'a'?",
    }, mistakes [[
return storyboard {
  references = { keeper = file "keeper.png" },
  scene "a" { prompt = "", duration = 5, resoluton = "4k", aspect_ratio = "1:1", take = 0, style = 7,
    references = { "keper", "keeper", "towr" }, first_frame = "door.png", continues = "b" },
}]])
  end)

  it("reports the wrong words of the board besides its other mistakes, and nothing that only follows from them", function()
    local text = [[
return storyboard {
  references = { keeper = file "" },
  scene { prompt = "x" },
  scene "b" "x",
  scene "c" { prompt = "x", references = { "keeper", url "ftp://e.org/a.png" },
    first_frame = last_frame(5) },
  windows("long.mp4", 8),
  scene "d" { prompt = "x", duration = 5, continues = "long 1", first_frame = last_frame "b" },
  cut = { "b", "c", "long 1",
    audio = file() },
}]]
    local all = {
      '2: file: the path must be a string, not an empty string',
      '3: a scene\'s name must be a string, not a table | write scene "name" { prompt = "..." }',
      '4: scene "b": its fields must be a table, not a string | write scene "b" { prompt = "..." }',
      "5: url: must be a public http(s) URL",
      "6: last_frame: the scene's name must be a string, not a number",
      '7: windows: expected a file, got a string | write windows(file "long.mp4", 8)',
      '8: scene "d": duration: must be 4, 6, 8 or 10, not 5',
      "10: file: the path must be a string, not nothing",
    }
    assert.same(all, mistakes(text))
    assert.same(all, mistakes(text, true))
    assert.same({ '2: scene "a": duration: must be 4, 6, 8 or 10, not 5' },
      mistakes('return storyboard {\n scene("a", { prompt = "x", duration = 5 }) }', true))
  end)

  it("reports files that are missing or of no use besides its other mistakes, each file once", function()
    env.write(directory:file "notes.txt", "nothing to see")
    local found = mistakes [[
return storyboard {
  references = { keeper = file "keeper.png",
    tower = file "tower.png" },
  scene "a" { prompt = "x", duration = 5 },
  scene "b" { prompt = "x", references = { "tower", file "tower.png", file "sea.png" } },
  scene "c" { prompt = "x", video = { file "sea.png", from = 0, to = 3 }, img_urls = { file "notes.txt" } },
  cut = { "a",
    audio = { file "song.mp3", volume = 2 } },
}]]
    for i, line in ipairs(found) do
      found[i] = line:gsub(directory.path:gsub("%p", "%%%0") .. "/", ""):gsub("; these can be uploaded.*", "")
    end
    assert.same({
      "3: references.tower: tower.png: can't be read: No such file or directory",
      '4: scene "a": duration: must be 4, 6, 8 or 10, not 5',
      '5: scene "b": references: sea.png: can\'t be read: No such file or directory',
      '6: scene "c": img_urls: notes.txt: is plain text',
      "8: cut.audio: song.mp3: can't be read: No such file or directory",
    }, found)
  end)

  it("reports each mistake in the words of the board, with a hint", function()
    assert.same({
      '2: references.tower: must be file "..." or url "...", not a string | write tower = file "tower.png"',
      "3: scene \"a\": a value without a field's name; write for example prompt = \"...\"",
      '4: a scene\'s name must be a string, not a table | write scene "dusk" { prompt = "..." }',
      "5: scene \"c\": video: 'to' must be at most 10 seconds after 'from' (2), not 20",
      "6: scene \"d\": continues: 'to' is required with 'from': a part of a video ends at most 10 seconds after its start",
      '7: windows: expected a file, got a string | write windows(file "long.mp4", 4.5)',
      '8: cut: unknown transition \'crossfade\' | for example "fade", "dissolve" or "wipeleft"; docs/storyboards.md lists all',
    }, mistakes [[
return storyboard {
  references = { tower = "tower.png" },
  scene "a" { "The sea.", references = "tower" },
  scene { name = "dusk", prompt = "x" },
  scene "c" { prompt = "x", video = { url "https://e.org/long.mp4", from = 2, to = 20 } },
  scene "d" { prompt = "x", continues = { "c", from = 3 } },
  windows("long.mp4", 4.5),
  cut = { transition = "crossfade" },
}]])
    assert.same({ "3: '}' expected (to close '{' at line 1) near 'scene' | a comma may be missing before 'scene'" },
      mistakes 'return storyboard {\n  scene "a" { prompt = "x" }\n  scene "b" { prompt = "y" }\n}')
  end)

  it("names each file of a window's film in the hint, and reports two windows of one file once", function()
    local film = directory:file "long.mp4"
    env.output(("ffmpeg -v error -f lavfi -i color=s=32x32:r=5:d=20 -c:v libx264 -preset ultrafast %s"):format(env.quote(film)))
    assert.same({
      '3: scene "long 1": the name is already used at ' .. path .. ":2"
        .. ' | name one of them: windows(file "long.mp4", 5) { name = "...", ... }',
    }, mistakes [[
return storyboard { defaults = { prompt = "x" },
  windows(file "long.mp4", 8),
  windows(file "long.mp4", 5),
}]])
  end)
end)
