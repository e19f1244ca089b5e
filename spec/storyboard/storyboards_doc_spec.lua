-- SPDX-License-Identifier: MIT
-- docs/storyboards.md: each of its examples runs, and the examples use everything in the language.
local cut_words = require "omni.storyboard.language.cut_field"
local env = require "helper.env"
local scenes = require "omni.storyboard.language.scene"
local identity = require "omni.storyboard.plan.identity"
local input = require "omni.models.input_rules"
local load_board = require("omni.storyboard.language.load").load
local storyboard = require "omni.storyboard.language"
local transitions = require("omni.film.transitions").names

-- The page's examples: { code = Lua text, says = the text block behind it, line = }.
local function examples(page)
  local found, kind = {}, nil
  local number = 0
  for line in (page .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local opened = line:match("^```(%l+)$")
    if opened == "lua" then
      found[#found + 1] = { code = "", line = number + 1 }
    elseif opened == "text" then
      found[#found].says = ""
    end
    if line:find("^```") then
      kind = opened
    elseif kind == "lua" then
      found[#found].code = found[#found].code .. line .. "\n"
    elseif kind == "text" then
      found[#found].says = found[#found].says .. line
    end
  end
  return found
end

-- The first bytes of media, by the ending of the file name.
local begins <const> = { png = "\x89PNG\r\n\x1a\n", jpg = "\xFF\xD8\xFF", mp4 = "\0\0\0\x18ftypisom", mp3 = "ID3" }

describe("docs/storyboards.md", function()
  local page = env.read("docs/storyboards.md")
  local directory

  setup(function()
    directory = env.directory()
    env.output(("ffmpeg -v error -f lavfi -i color=size=32x32:rate=5:duration=20.4 -c:v libx264 -preset ultrafast %s"):format(
      env.quote(directory:file "long.mp4")))
    os.execute("mkdir " .. env.quote(directory:file "lib"))
    env.write(directory:file "lib/shots.lua", 'return { scene "first" { prompt = "The first shot." } }')
    env.write(directory:file "prompts.txt", "The pier at night.\nThe tower.\n")
    for name in page:gmatch('file "([^"]+)"') do
      if name ~= "long.mp4" then env.write(directory:file(name), (begins[name:match "%w+$"] or "") .. name) end
    end
  end)
  teardown(function() directory:close() end)

  local everything = ""
  for _, example in ipairs(examples(page)) do
    everything = everything .. example.code
    local is_board = example.code:find("return storyboard", 1, true)
    if not is_board then
      it(("has a program at line %d that runs"):format(example.line), function()
        assert(load(example.code, "=docs/storyboards.md"))()
      end)
    elseif example.says then
      it(("tells at line %d what is wrong with its board"):format(example.line), function()
        local path = env.write(directory:file "board.lua", example.code)
        local board, bad = load_board(path)
        assert.is_nil(board)
        assert.equal(example.says, (bad.message:gsub("^.*/", "")))
      end)
    else
      it(("has a board at line %d that can be planned"):format(example.line), function()
        local board = assert(load_board(env.write(directory:file "board.lua", example.code)))
        local known = identity.resolve(board, { digest = env.read, take = function() return 1 end })
        for index, scene in ipairs(board.scenes) do
          assert.is_nil(known[index].error, scene.name)
          assert.matches("^%x+$", known[index].identity)
        end
      end)
    end
  end

  -- As a name or as a word, in an example.
  local function is_shown(name)
    return everything:find("%f[%w_]" .. name .. '%f[^%w_] [="]') or everything:find("%f[%w_]" .. name .. '%f[^%w_]%(')
  end

  it("shows every field and word in an example that a test runs", function()
    for name in pairs(scenes.words) do assert.truthy(is_shown(name), name) end
    for name in pairs(storyboard.fields) do assert.truthy(is_shown(name), name) end
    for name in pairs(cut_words.fields) do assert.truthy(is_shown(name), name) end
    for _, rule in ipairs(input.fields(input.default_model)) do assert.truthy(is_shown(rule.name), rule.name) end
    for _, word in ipairs { "scene", "file", "url", "last_frame", "clip", "windows" } do assert.truthy(is_shown(word), word) end
  end)

  it("names every transition, and no other", function()
    local listed = page:match("`xfade` filter:(.-), and `none`")
    local count = 0
    for name in listed:gmatch("`(%l+)`") do
      count = count + 1
      assert.is_true(transitions[name], name)
    end
    for name in pairs(transitions) do
      count = count - 1
      assert.truthy(listed:find("`" .. name .. "`", 1, true), name)
    end
    assert.equal(0, count)
  end)

  it("lists the transitions of the installed ffmpeg", function()
    local help = env.output("ffmpeg -hide_banner -h filter=xfade")
    for name in pairs(transitions) do assert.truthy(help:find("\n%s+" .. name .. "%s+%d"), name) end
  end)
end)
