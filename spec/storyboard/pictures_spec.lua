-- SPDX-License-Identifier: MIT
-- Scenes whose models make pictures or sound: what they may be used for on the board, and in the film.
local env = require "helper.env"
local film = require "omni.film"
local modality = require "omni.models.modality"
local omni = require "omni"
local studio = require "helper.studio"

local clip, last_frame, scene, storyboard = omni.clip, omni.last_frame, omni.scene, omni.storyboard

local function portrait() return scene "portrait" { model = "google/nano-banana", prompt = "a face" } end

-- Returns the message of a board's first error.
local function wrong(fields)
  local fine, problem = pcall(storyboard, fields)
  assert.is_false(fine)
  assert.equal("invalid_board", problem.code)
  return problem.message .. (problem.hint and "\n" .. problem.hint or "")
end

describe("what a scene makes", function()
  it("is known by its model: a film, a picture or sound", function()
    assert.same({ "image", "video", "video" },
      { modality.of "google/nano-banana", modality.of "google/gemini-omni", modality.of "somebody/new" })
    local board = storyboard { portrait(), scene "dawn" { prompt = "dawn" } }
    assert.same({ "image", "video" }, { board.scenes[1].yields, board.scenes[2].yields })
  end)

  it("is what the service's catalogue says of a model that omni doesn't know", function()
    studio.open({}, function(s)
      s.client.known_models = { ["somebody/new"] = { till = math.huge, modality = "image" } }
      local path = env.write(s.directory .. "/board.lua", [[return storyboard {
        scene "face" { model = "somebody/new", prompt = "a face" }, scene "dawn" { prompt = "x", first_frame = clip "face" } }]])
      assert.equal("image", assert(omni.load_storyboard(path, { client = s.client })).scenes[1].yields)
      local _, problem = omni.load_storyboard(path)
      assert.matches("must be an image, not another scene's clip", problem.message)
    end)
  end)

  it("decides where its clip may stand, before anything is paid", function()
    local function dawn(fields)
      fields.prompt = "dawn"
      return { portrait(), scene "dusk" { prompt = "dusk" }, scene "dawn"(fields) }
    end
    for _, fields in ipairs { { first_frame = clip "portrait" }, { references = { clip "portrait" } },
      { img_urls = { clip "portrait" } } } do
      assert.same({ "portrait" }, storyboard(dawn(fields)).scenes[3].builds_on)
    end
    assert.same({ "portrait" }, storyboard { references = { face = clip "portrait" }, portrait(),
      scene "dawn" { prompt = "x", references = "face" } }.scenes[2].builds_on)
    assert.matches('scene "portrait" makes a picture\nwrite clip "portrait"$', wrong(dawn { first_frame = last_frame "portrait" }))
    assert.matches('first_frame: .*\nwrite clip "portrait"$', wrong(dawn { first_frame = "portrait" }))
    assert.matches('video: scene "portrait" makes a picture', wrong(dawn { video = clip "portrait" }))
    assert.matches('continues: scene "portrait" makes a picture, not a film', wrong(dawn { continues = "portrait" }))
    assert.matches('must be an image, not another scene\'s clip\nwrite last_frame "dusk"$', wrong(dawn { first_frame = clip "dusk" }))
    assert.matches("must be an image", wrong(dawn { img_urls = { clip "dusk" } }))
  end)
end)

describe("a board with a picture", function()
  it("pays for the picture, sends it to the scenes that build on it, and leaves it out of the film", function()
    studio.open({}, function(s)
      local board = storyboard { portrait(), scene "dawn" { prompt = "dawn", duration = 4, first_frame = clip "portrait" } }
      assert.same({ "dawn" }, board.cut.scenes)
      local plan = assert(s:plan(board))
      assert.same({ "image", "video" }, { plan.scenes[1].yields, plan.scenes[2].yields })
      local summary = assert(s:run(board))
      assert.same({ "fetched", "fetched" }, studio.statuses(summary))
      assert.matches("%.png$", summary.scenes[1].file)
      assert.equal("film.mp4", summary.film.path:match "[^/]*$")
      local sent = s.sandbox:ledger().tasks[2].input.img_urls[1]
      assert.matches("^http://127%.0%.0%.1:%d+/media/.*%.png$", sent)
    end)
  end)

  it("without any film has no cut", function()
    assert.is_nil(storyboard { portrait() }.cut)
  end)

  it("shows the picture in the film for as long as the cut says", function()
    studio.open({ films = true, clips = "ffmpeg" }, function(s)
      local function board(seconds)
        return storyboard { portrait(), scene "dawn" { prompt = "dawn", duration = 4 },
          cut = { { "portrait", seconds = seconds }, "dawn", { "portrait", seconds = 1 } } }
      end
      local summary = assert(s:run(board(2)))
      assert.is_nil(summary.film_error)
      local seconds = assert(film.probe(summary.film.path)).seconds
      assert.is_true(math.abs(seconds - 7) < 0.1, seconds)
      assert.is_false(assert(s:run(board(2))).film.made)
      assert.is_true(math.abs(assert(s:run(board(3))).film.seconds - 8) < 0.1)
      assert.equal(2, s:submits())
    end)
  end)

  it("says what is wrong with its cut", function()
    local function cut(...) return { portrait(), scene "dawn" { prompt = "dawn" }, cut = { ... } } end
    assert.matches('scene "portrait" makes a picture; say how long the film shows it\nwrite { "portrait", seconds = 3 }$',
      wrong(cut "portrait"))
    assert.matches('the seconds of scene "portrait" must be a number above 0', wrong(cut { "portrait", seconds = 0 }))
    assert.matches('scene "dawn" makes a film, which has its own length', wrong(cut { "dawn", seconds = 3 }))
    assert.matches("unknown field 'second'", wrong(cut { "portrait", second = 3 }))
  end)
end)
