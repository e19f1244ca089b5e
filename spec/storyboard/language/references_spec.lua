-- SPDX-License-Identifier: MIT
-- References, videos, and scenes that build on others: how the words fill the input, and the messages about wrong ones.
local env = require "helper.env"
local asset = require "omni.client.placeholder"
local err = require "omni.error"
local words = require "omni.storyboard.language"

local scene, storyboard, file, url = words.scene, words.storyboard, asset.file, asset.url
local last_frame, clip = asset.last_frame, asset.clip

local function raised(fields)
  local ok, bad = pcall(storyboard, fields)
  assert.is_false(ok, "expected an error")
  assert.is_true(err.is(bad), tostring(bad))
  assert.equal("invalid_board", bad.code)
  return bad
end

-- What is wrong with a board of the one scene "a", which has these fields.
local function wrong(fields, more)
  local board = { references = { keeper = file "keeper.png", walk = file "walk.mp4" }, scene "b" { prompt = "x" } }
  for name, value in pairs(more or {}) do board[name] = value end
  fields.prompt = fields.prompt or "x"
  board[#board + 1] = scene "a" (fields)
  return raised(board)
end

-- The model's input of the scene "a", assets as the words that make them.
local function input_of(fields, more)
  local board = { references = { keeper = file "keeper.png", sky = url "https://h.org/sky.jpg", walk = file "walk.mp4" } }
  for name, value in pairs(more or {}) do board[name] = value end
  board[#board + 1] = scene "a" (fields)
  board[#board + 1] = scene "b" { prompt = "x", references = false, first_frame = false, video = false, continues = false }
  local made = storyboard(board).scenes[1]
  return asset.map(made.input, tostring), made
end

describe("references", function()
  it("become images: the first frame, then the references, then the model's own", function()
    local made = input_of { prompt = "x", img_urls = { "https://h.org/1.png", file "2.png" }, references = { "sky", file "3.png" },
      first_frame = "keeper" }
    assert.same({ 'file "keeper.png"', "https://h.org/sky.jpg", 'file "3.png"', "https://h.org/1.png", 'file "2.png"' }, made.img_urls)
  end)

  it("can be a single name, file, URL or frame", function()
    for _, case in ipairs { { "keeper", 'file "keeper.png"' }, { file "k.png", 'file "k.png"' },
      { url "https://h.org/a", "https://h.org/a" }, { last_frame "b", 'last_frame "b"' } } do
      assert.same({ case[2] }, input_of { prompt = "x", references = case[1] }.img_urls)
      assert.same({ case[2] }, input_of { prompt = "x", first_frame = case[1] }.img_urls)
    end
  end)

  it("can be other scenes' frames and clips by name", function()
    local named = { references = { ending = last_frame "b", take = clip "b" } }
    local made, whole = input_of({ prompt = "x", references = "ending", video = { "take", from = 1, to = 4 } }, named)
    assert.same({ 'last_frame "b"' }, made.img_urls)
    assert.same({ { url = 'clip "b"', start = 1, ends = 4 } }, made.video_list)
    assert.same({ "b" }, whole.builds_on)
  end)

  it("are inherited, replaced by a scene's own, or disabled", function()
    local defaults = { defaults = { references = "keeper", first_frame = "sky", img_urls = { "https://h.org/1.png" } } }
    assert.same({ "https://h.org/sky.jpg", 'file "keeper.png"', "https://h.org/1.png" }, input_of({ prompt = "x" }, defaults).img_urls)
    assert.same({ "https://h.org/sky.jpg", 'file "n.png"', "https://h.org/1.png" },
      input_of({ prompt = "x", references = { file "n.png" } }, defaults).img_urls)
    assert.is_nil(input_of({ prompt = "x", references = false, first_frame = false, img_urls = {} }, defaults).img_urls)
    assert.same({ "https://h.org/sky.jpg" }, input_of({ prompt = "x", references = {}, img_urls = {} }, defaults).img_urls)
  end)

  it("are listed for people, by the board's names or by what they are", function()
    local _, made = input_of { prompt = "x", first_frame = last_frame "b", references = { "keeper", file "sub/3.png" },
      img_urls = { url "https://h.org/p/q.png?token=secret" }, video = { "walk", from = 2, to = 8 } }
    local found = {}
    for i, entry in ipairs(made.references) do
      found[i] = { entry.label, entry.role, entry.place, entry.path or entry.url or entry.scene }
    end
    assert.same({
      { 'the last frame of "b"', "first_frame", "img_urls[1]", "b" },
      { "keeper", "reference", "img_urls[2]", "keeper.png" },
      { "3.png", "reference", "img_urls[3]", "sub/3.png" },
      { "q.png", "input", "img_urls[4]", "https://h.org/p/q.png?token=secret" },
      { "walk", "video", "video_list[1].url", "walk.mp4" },
    }, found)
    assert.equal(2, made.references[5].from)
    assert.equal(8, made.references[5].to)
  end)

  it("in another model's own fields are found, too", function()
    local made, whole = input_of { model = "kling/v3", prompt = "x", start_image = last_frame "b", refs = { { image = file "k.png" } },
      input = { video = clip "b", style = "raw", model = "inner" } }
    assert.same({ prompt = "x", start_image = 'last_frame "b"', refs = { { image = 'file "k.png"' } }, video = 'clip "b"', style = "raw",
      model = "inner" }, made)
    assert.equal("kling/v3", whole.model)
    assert.same({ "b" }, whole.builds_on)
    assert.equal(3, #whole.references)
  end)

  it("that don't exist are named, with the most similar one", function()
    local bad = wrong { references = { "keeper", "keper" } }
    assert.matches('scene "a": references%[2%]: there is no reference \'keper\'; did you mean \'keeper\'%?', bad.message)
    assert.equal("references[2]", bad.field)
    assert.equal('for a file write file "other.png"', wrong { references = "other.png" }.hint)
    assert.matches("declare it on the board", wrong({ first_frame = "zzz" }).hint)
    assert.equal('for a file write file "door.png"', wrong({ img_urls = { "https://h.org/a.png", "door.png" } }).hint)
    assert.equal('for a file write file "a/walk.mp4"', wrong({ video_list = { { url = "a/walk.mp4", start = 0, ends = 2 } } }).hint)
    assert.equal('for a file write file "walk.mov"', wrong({ video = { "walk.mov", from = 1, to = 2 } }).hint)
    assert.is_nil(wrong({ duration = "5.0" }).hint)
    assert.equal('write last_frame "b"', wrong({ first_frame = "b" }).hint)
    assert.equal('write continues = "b"', wrong({ video = { "b", to = 2 } }).hint)
  end)

  it("that can't be images are refused", function()
    for _, value in ipairs { 5, true, { { "keeper" } }, { keeper = "x" }, { "keeper", nil, "keeper" }, "file:///x",
      "data:image/png;base64,AA", clip "b" } do
      local bad = wrong { references = value }
      assert.matches("^references", bad.field)
    end
    local bad = wrong { references = clip "b" }
    assert.equal('write last_frame "b"', bad.hint)
    assert.matches("must be an image", wrong { img_urls = { clip "b" } }.message)
    assert.matches("img_urls: must be an array", wrong { references = "keeper", img_urls = "https://h.org/a" }.message)
  end)

  it("are at most seven, or five beside a video, wherever they come from", function()
    local many = {}
    for i = 1, 6 do many[i] = file(i .. ".png") end
    assert.matches("at most 5 images", wrong { references = many, video = file "v.mp4" }.message)
    many[7] = file "7.png"
    local bad = wrong({ first_frame = "keeper" }, { defaults = { references = many } })
    assert.matches("at most 7 images, not 8", bad.message)
    assert.matches("from the board's defaults", wrong({}, { defaults = { references = many, first_frame = "keeper" } }).message)
  end)

  it("are declared on the board with a name, once, as files, URLs, frames or clips", function()
    local function declared(references) return raised { references = references, scene "a" { prompt = "x" } } end
    assert.matches("a reference needs a name", declared { file "a.png" }.message)
    local bad = declared { keeper = "keeper.png" }
    assert.equal("references.keeper", bad.field)
    assert.equal('write keeper = file "keeper.png"', bad.hint)
    assert.matches("must be a table of names", declared(file "a.png").message)
    assert.matches("must be a table of names", declared("a.png").message)
    assert.matches("can't be a URL", declared { ["https://h.org"] = file "a.png" }.message)
    assert.matches("public http", declared { a = "ftp://h.org/a.png" }.message)
    assert.matches("control", declared { ["a\n"] = file "a.png" }.message)
    assert.equal(2, #declared({ a = 5, b = {}, c = file "c" }).problems)
    local scene_of = raised { references = { other = last_frame "zzz" }, scene "a" { prompt = "x", references = "other" } }
    assert.matches("references%[1%]: there is no scene 'zzz'", scene_of.message)
  end)
end)

describe("a scene's video", function()
  it("can be a file, a name, a URL, or a window of one", function()
    for _, case in ipairs {
      { file "v.mp4", { url = 'file "v.mp4"' } },
      { "walk", { url = 'file "walk.mp4"' } },
      { url "https://h.org/v.mp4", { url = "https://h.org/v.mp4" } },
      { clip "b", { url = 'clip "b"' } },
      { { file "v.mp4", from = 2, to = 8 }, { url = 'file "v.mp4"', start = 2, ends = 8 } },
      { { "walk", from = 2.5, to = 12.5 }, { url = 'file "walk.mp4"', start = 2.5, ends = 12.5 } },
      { { "walk", to = 3 }, { url = 'file "walk.mp4"', start = 0, ends = 3 } },
      { { url "https://h.org/v.mp4", from = 0, to = 1 }, { url = "https://h.org/v.mp4", start = 0, ends = 1 } },
    } do
      assert.same({ case[2] }, input_of { prompt = "x", video = case[1] }.video_list)
    end
  end)

  it("has a window with an end, of at most 10 seconds; otherwise the board is refused", function()
    for _, given in ipairs {
      { video = { "walk", from = 2.5 } }, { continues = { "b", from = 2 } }, { video = { "walk", from = 2, to = 12.1 } },
      { continues = { "b", to = 11 } }, { video_list = { { url = file "v.mp4", start = 1 } } },
    } do
      given.prompt = "x"
      local bad = wrong(given)
      assert.equal("video_list[1].ends", bad.field)
      assert.matches(given.video_list and ': scene "a": video_list%[1%]%.ends: ' or ": scene \"a\": %l+: 'to' ", bad.message)
    end
  end)

  it("can be another scene's clip, or a window of it", function()
    local made, whole = input_of { prompt = "x", continues = "b" }
    assert.same({ { url = 'clip "b"' } }, made.video_list)
    assert.same({ "b" }, whole.builds_on)
    assert.same({ { url = 'clip "b"', start = 2, ends = 6 } }, input_of { prompt = "x", continues = { "b", from = 2, to = 6 } }.video_list)
  end)

  it("is a single one: a scene's own video replaces the default, whichever words give them", function()
    local defaults = { defaults = { video = file "d.mp4" } }
    assert.same({ { url = 'clip "b"' } }, input_of({ prompt = "x", continues = "b" }, defaults).video_list)
    assert.same({ { url = 'file "d.mp4"' } }, input_of({ prompt = "x" }, defaults).video_list)
    assert.is_nil(input_of({ prompt = "x", video = false }, defaults).video_list)
    assert.is_nil(input_of({ prompt = "x", video_list = {} }, defaults).video_list)
    defaults = { defaults = { video_list = { { url = "https://h.org/v.mp4" } } } }
    assert.same({ { url = 'file "o.mp4"' } }, input_of({ prompt = "x", video = file "o.mp4" }, defaults).video_list)
    for _, both in ipairs {
      { video = file "v.mp4", continues = "b" },
      { video = file "v.mp4", video_list = { { url = "https://h.org/v.mp4" } } },
      { continues = "b", input = { video_list = { { url = "https://h.org/v.mp4" } } } },
    } do
      assert.matches("can't be combined", wrong(both).message)
    end
  end)

  it("has a window that is possible", function()
    for _, case in ipairs {
      { { file "v", from = 4, to = 4 }, "'from' %(4%) must be less than 'to' %(4%)" },
      { { file "v", to = 0 }, "less than" }, { { file "v", from = -1 }, "0 or more, not %-1" },
      { { file "v", from = "2" }, "not a string" }, { { file "v", from = 0 / 0 }, "number of seconds" },
      { { file "v", to = 1e9 }, "number of seconds" }, { { file "v", form = 2 }, "did you mean 'from'%?" },
      { { file "v", file "w" }, "unknown field '2'" }, { {}, "not nothing" }, { { from = 1 }, "not nothing" },
      { 5, "not a number" }, { last_frame "b", "must be a video" }, { "keper", "did you mean 'keeper'" },
    } do
      local bad = wrong { video = case[1] }
      assert.equal("video", bad.field)
      assert.matches(case[2], bad.message)
    end
    for _, case in ipairs { { file "v.mp4", 'not file "v.mp4"' }, { { "b", from = 3, to = 2 }, "less than" }, { {}, "not nothing" },
      { "bb", "there is no scene 'bb'; did you mean 'b'%?" }, { { "zzzzz" }, "known are: a, b" } } do
      local bad = wrong { continues = case[1] }
      assert.equal("continues", bad.field)
      assert.matches(case[2], bad.message)
    end
  end)
end)

describe("scenes that build on others", function()
  local function order(...)
    local board = storyboard { ... }
    local names = {}
    for place, index in ipairs(board.order) do names[place] = board.scenes[index].name end
    return table.concat(names, " ")
  end
  local function s(name, ...) return scene(name) { prompt = "x", model = "x/y", on = { ... } } end

  it("come after those, and otherwise stay in their declared order", function()
    assert.equal("a b c", order(s "a", s "b", s "c"))
    assert.equal("a b c", order(s "a", s("b", clip "a"), s("c", clip "b")))
    assert.equal("c b a d", order(s("a", clip "b"), s("b", clip "c"), s "c", s "d"))
    assert.equal("a c b d", order(s "a", s("b", clip "a", last_frame "c"), s("c", clip "a"), s("d", clip "b", clip "c")))
  end)

  it("list each of those once, in the order of the input", function()
    local board = storyboard { s "a", s "b", s("c", clip "b", last_frame "b", clip "a") }
    assert.same({ "b", "a" }, board.scenes[3].builds_on)
  end)

  it("in a circle are refused, with their names in order and the place", function()
    local bad = raised {
      scene "dawn" { prompt = "x", continues = "storm" },
      scene "storm" { prompt = "x", first_frame = last_frame "dawn" },
    }
    assert.matches("references_spec%.lua:%d+: scene \"dawn\": .*circle: dawn → storm → dawn$", bad.message)
    assert.matches(": dawn → dawn$", raised { scene "dawn" { prompt = "x", continues = "dawn" } }.message)
    bad = raised { s "x", s("a", clip "x", clip "b"), s("b", clip "c"), s("c", clip "a"), s("d", clip "d"), s("e", clip "a") }
    assert.equal(2, #bad.problems)
    assert.matches(": a → b → c → a$", bad.problems[1].message)
    assert.matches(": d → d$", bad.problems[2].message)
  end)

  it("can be a chain as long as a film, declared backwards", function()
    local long = env.is_slow and 200 or 5000 -- an eager collector takes minutes for thousands
    local shots = {}
    for i = 1, long do shots[i] = i < long and s(tostring(i), clip(tostring(i + 1))) or s(tostring(long)) end
    local board = storyboard(shots)
    assert.equal(long, board.order[1])
    assert.equal(1, board.order[long])
  end)

  it("need scenes that exist", function()
    local bad = raised { scene "dawn" { prompt = "x", first_frame = last_frame "dwan" } }
    assert.equal("first_frame", bad.field)
    assert.matches("there is no scene 'dwan'; did you mean 'dawn'%?", bad.message)
    bad = raised { s("dawn", clip "dwan") }
    assert.equal("on[1]", bad.field)
  end)
end)

describe("the other fields of a scene", function()
  it("have a take, a whole number from 1", function()
    local board = storyboard { defaults = { take = 2 }, scene "a" { prompt = "x" }, scene "b" { prompt = "x", take = 3.0 } }
    assert.equal(2, board.scenes[1].take)
    assert.equal("integer", math.type(board.scenes[2].take))
    assert.is_nil(storyboard({ scene "a" { prompt = "x" } }).scenes[1].take)
    for _, take in ipairs { 0, -1, 1.5, "2", 0 / 0, true } do assert.equal("take", wrong({ take = take }).field) end
    assert.is_nil(storyboard({ defaults = { take = 2 }, scene "a" { prompt = "x", take = false } }).scenes[1].take)
  end)

  it("keep the style that was added to the prompt", function()
    local board = storyboard { style = "Ink.", scene "a" { prompt = "x" }, scene "b" { prompt = "x", style = false } }
    assert.equal("Ink.", board.style)
    assert.equal("Ink.", board.scenes[1].prompt_style)
    assert.is_nil(board.scenes[2].prompt_style)
  end)

  it("can be in `input`, once", function()
    assert.equal(8, input_of({ input = { prompt = "x", duration = 8.0 } }).duration)
    assert.equal(4, input_of({ prompt = "x", duration = 4 }, { defaults = { input = { duration = 8 } } }).duration)
    assert.equal(8, input_of({ prompt = "x", input = { duration = 8 } }, { defaults = { duration = 4 } }).duration)
    assert.matches("is also in 'input'", wrong { duration = 4, input = { duration = 8 } }.message)
    assert.matches("did you mean 'duration'", wrong { input = { duraton = 8 } }.message)
    assert.matches("must be a table", wrong { input = "x" }.message)
    assert.matches("without a field's name", wrong { input = { "x" } }.message)
    assert.matches("in the board's defaults", wrong({}, { defaults = { input = 5 } }).message)
    assert.matches("from the board's defaults", wrong({}, { defaults = { input = { duration = 5 } } }).message)
  end)
end)
