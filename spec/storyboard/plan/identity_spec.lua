-- SPDX-License-Identifier: MIT
-- A scene's identity: which scenes are paid for again after a change to a board, and which aren't.
local canonical = require("omni.json").canonical
local core = require "omni.core"
local env = require "helper.env"
local err = require "omni.error"
local identity = require "omni.storyboard.plan.identity"
local load_board = require("omni.storyboard.language.load").load
local unsigned = require "omni.storyboard.plan.url_signature"

-- dusk <- storm <- dawn; harbour builds on nothing.
local plain <const> = [[
return storyboard {
  title = "Night", style = "35 mm.", budget = 100,
  defaults = { duration = 6, resolution = "720p" },
  references = { keeper = file "keeper.png", tower = url "https://e.org/t.png?X-Amz-Signature=a&X-Amz-Date=1&v=2" },
  scene "dusk" { prompt = "The sun sets.", references = { "keeper", "tower" } },
  scene "storm" { prompt = "The wind rises.", continues = { "dusk", from = 1, to = 4 }, resolution = "1080p" },
  scene "dawn" { prompt = "The sun rises.", first_frame = last_frame "storm" },
  scene "harbour" { prompt = "Boats.", video = { file "boats.mp4", from = 2, to = 6 }, take = 3 },
}
]]

describe("a scene's identity", function()
  local directory

  before_each(function()
    directory = env.directory()
    env.write(directory:file "keeper.png", "a face")
    env.write(directory:file "boats.mp4", "boats")
  end)
  after_each(function() directory:close() end)

  local function digest(path)
    local text = env.read(path)
    if not text then return nil, err.new { code = "io", message = path .. ": No such file" } end
    return core.sha256(text)
  end

  local function first() return 1 end

  -- name → the data of the scene.
  local function known(text, take, folder)
    local board = assert(load_board(env.write((folder or directory):file "board.lua", text)))
    local by_name = {}
    for index, entry in ipairs(identity.resolve(board, { digest = digest, take = take or first })) do
      by_name[board.scenes[index].name] = entry
    end
    return by_name
  end

  local function replaced(from, to)
    local at, ends = plain:find(from, 1, true)
    assert(at, from)
    return plain:sub(1, at - 1) .. to .. plain:sub(ends + 1)
  end

  -- The names of scenes that are other ones now, in alphabetic order.
  local function changed(before, after)
    local names = {}
    for name, entry in pairs(after) do
      if entry.identity ~= before[name].identity then names[#names + 1] = name end
    end
    table.sort(names)
    return table.concat(names, " ")
  end

  it("is the same in every run, and different for every scene", function()
    local once, again = known(plain), known(plain)
    assert.equal("", changed(once, again))
    local seen = {}
    for _, entry in pairs(once) do
      assert.matches("^%x+$", entry.identity)
      assert.equal(64, #entry.identity)
      assert.is_nil(seen[entry.identity])
      seen[entry.identity] = true
    end
  end)

  local free = {
    ["a comment, and other white space"] = { "return storyboard {", "-- the film\nreturn   storyboard\n{" },
    ["the title"] = { 'title = "Night"', 'title = "Another night"' },
    ["the budget"] = { "budget = 100", "budget = 1" },
    ["a number written in another way"] = { "duration = 6", "duration = 6.0" },
    ["a field that moves from the defaults to its scenes"] = { "duration = 6, ", "",
      { '"The sun sets."', '"The sun sets.", duration = 6' }, { '"The wind rises."', '"The wind rises.", duration = 6' },
      { '"The sun rises."', '"The sun rises.", duration = 6' }, { '"Boats."', '"Boats.", duration = 6' } },
    ["a reference's name"] = { "keeper = file", "warden = file", { '"keeper",', '"warden",' } },
    ["a reference written out"] = { '"keeper",', 'file "keeper.png",' },
    ["a path written in another way"] = { 'file "keeper.png"', 'file "./keeper.png"' },
    ["a style that becomes part of the prompt"] = { '"Boats."', '"Boats.\\n\\n35 mm.", style = false' },
    ["the signature of a URL"] = { "X-Amz-Signature=a&X-Amz-Date=1&", "X-Amz-Signature=b&X-Amz-Date=2&X-Amz-Expires=60&" },
    ["the cut"] = { "return storyboard {", 'return storyboard { cut = { "dawn", transition = "fade" },' },
    ["an array without anything in it"] = { '"Boats."', '"Boats.", img_urls = {}, references = {}' },
    ["the model's name where it is the usual one"] = { '"Boats."', '"Boats.", model = "google/gemini-omni"' },
    ["fields that stand in input"] = { 'prompt = "Boats."', 'input = { prompt = "Boats." }' },
  }
  for what, change in pairs(free) do
    it("doesn't cover " .. what, function()
      local text = replaced(change[1], change[2])
      for index = 3, #change do
        local at, ends = text:find(change[index][1], 1, true)
        assert(at, change[index][1])
        text = text:sub(1, at - 1) .. change[index][2] .. text:sub(ends + 1)
      end
      assert.not_equal(plain, text)
      assert.equal("", changed(known(plain), known(text)))
    end)
  end

  it("doesn't depend on a default that every scene overrides", function()
    local function board(defaults)
      return ([[return storyboard { defaults = { %s },
        scene "a" { prompt = "x", duration = 8, references = false, video = file "boats.mp4" },
        scene "b" { prompt = "y", duration = 4, references = file "keeper.png", continues = "a" } }]]):format(defaults)
    end
    local before = known(board "")
    assert.equal("", changed(before, known(board 'duration = 10, references = { file "boats.mp4" }, video = file "keeper.png"')))
    assert.equal("a b", changed(before, known(board 'resolution = "4k"')))
  end)

  it("doesn't depend on the order of the scenes", function()
    local scenes = {}
    for line in plain:gmatch("[^\n]+") do if line:find("^  scene") then scenes[#scenes + 1] = line end end
    local head = plain:match("^(.-)  scene")
    local before = known(plain)
    for _, order in ipairs { { 4, 3, 2, 1 }, { 2, 4, 1, 3 }, { 3, 1, 4, 2 } } do
      local text = head
      for _, index in ipairs(order) do text = text .. scenes[index] .. "\n" end
      assert.equal("", changed(before, known(text .. "}")))
    end
  end)

  it("doesn't depend on names: a renamed scene and the scenes that build on it stay the same", function()
    local before = known(plain)
    local after = known((plain:gsub('"dusk"', '"evening"')))
    assert.equal(before.dusk.identity, after.evening.identity)
    assert.equal(before.storm.identity, after.storm.identity)
    assert.equal(before.dawn.identity, after.dawn.identity)
  end)

  it("doesn't depend on the place of the board and its files", function()
    local before = known(plain)
    local elsewhere <close> = env.directory()
    env.write(elsewhere:file "keeper.png", "a face")
    env.write(elsewhere:file "boats.mp4", "boats")
    assert.equal("", changed(before, known(plain, first, elsewhere)))
    env.write(directory:file "face.png", "a face")
    assert.equal("", changed(before, known(replaced("keeper.png", "face.png"))))
  end)

  local costly = {
    ["a prompt, and what builds on it"] = { "The wind rises.", "The wind rises!", "dawn storm" },
    ["a prompt at the end of a chain"] = { "The sun rises.", "The sun rises!", "dawn" },
    ["a prompt at the beginning of a chain"] = { "The sun sets.", "The sun sets!", "dawn dusk storm" },
    ["a default, where it is inherited"] = { 'resolution = "720p"', 'resolution = "4k"', "dawn dusk harbour storm" },
    ["a scene's own field"] = { 'resolution = "1080p"', 'resolution = "4k"', "dawn storm" },
    ["the style"] = { "35 mm.", "16 mm.", "dawn dusk harbour storm" },
    ["the model"] = { '"Boats."', '"Boats.", model = "kling/v3"', "harbour" },
    ["a take"] = { "take = 3", "take = 4", "harbour" },
    ["a take that others build on"] = { '"The sun sets."', '"The sun sets.", take = 2', "dawn dusk storm" },
    ["the window of a file"] = { "from = 2", "from = 3", "harbour" },
    ["the window of a scene"] = { "to = 4", "to = 5", "dawn storm" },
    ["a clip, whole instead of a window"] = { '{ "dusk", from = 1, to = 4 }', '"dusk"', "dawn storm" },
    ["which scene it builds on"] = { 'last_frame "storm"', 'last_frame "dusk"', "dawn" },
    ["a frame instead of the clip"] = { 'first_frame = last_frame "storm"', 'continues = "storm"', "dawn" },
    ["what a URL names"] = { "t.png", "u.png", "dawn dusk storm" },
    ["a URL's own parameters"] = { "&v=2", "&v=3", "dawn dusk storm" },
    ["the order of the references"] = { '{ "keeper", "tower" }', '{ "tower", "keeper" }', "dawn dusk storm" },
  }
  for what, change in pairs(costly) do
    it("covers " .. what .. ", and nothing else", function()
      assert.equal(change[3], changed(known(plain), known(replaced(change[1], change[2]))))
    end)
  end

  it("depends on each byte of a file, and so do the scenes that build on it, and no other", function()
    local before = known(plain)
    env.write(directory:file "keeper.png", "a fact")
    assert.equal("dawn dusk storm", changed(before, known(plain)))
    env.write(directory:file "keeper.png", "a face")
    env.write(directory:file "boats.mp4", "boats ")
    assert.equal("harbour", changed(before, known(plain)))
  end)

  it("uses the take that the caller returns for a scene without a take", function()
    local asked = {}
    local before = known(plain)
    local after = known(plain, function(scene, base)
      asked[scene.name] = base
      return scene.name == "storm" and 2 or 1
    end)
    assert.equal("dawn storm", changed(before, after))
    assert.equal(before.storm.base, asked.storm)
    assert.equal(before.storm.base, after.storm.base)
    assert.equal(identity.with_take(asked.storm, 2), after.storm.identity)
    assert.not_equal(before.dawn.base, after.dawn.base)
    assert.is_nil(asked.harbour)
    assert.equal(3, after.harbour.take)
  end)

  it("reads each file once", function()
    local count = {}
    local shots = "return storyboard { defaults = { references = file 'keeper.png' }, "
    for i = 1, 20 do shots = shots .. ('scene "%d" { prompt = "%d" },'):format(i, i) end
    local board = assert(load_board(env.write(directory:file "b.lua", shots .. "}")))
    identity.resolve(board, { take = first, digest = function(path)
      count[path] = (count[path] or 0) + 1
      return digest(path)
    end })
    assert.same({ 1 }, { count[board.scenes[1].input.img_urls[1].path] })
  end)

  it("is missing without a file: the scene has the error, scenes that build on it say so, the others are fine", function()
    os.remove(directory:file "keeper.png")
    local after = known(plain)
    assert.equal("io", after.dusk.error.code)
    for _, name in ipairs { "storm", "dawn" } do
      assert.equal("builds_on_invalid", after[name].error.code)
      assert.matches("No such file", after[name].error.message)
      assert.is_nil(after[name].identity)
    end
    assert.matches('"dusk"', after.storm.error.message)
    assert.matches('"storm"', after.dawn.error.message)
    assert.is_nil(after.harbour.error)
  end)

  it("is missing without the take", function()
    local problem = err.new { code = "ledger_failed", message = "the ledger can't be read" }
    local after = known(plain, function() return nil, problem end)
    assert.equal(problem, after.dusk.error)
    assert.is_nil(after.dusk.identity)
    assert.equal("builds_on_invalid", after.storm.error.code)
    assert.is_nil(after.harbour.error)
  end)

  it("has one written form, which must never change, since all paid clips depend on it", function()
    local after = known [[
return storyboard { scene "a" { prompt = "\"Dé\"\n", duration = 8.0, video = { file "boats.mp4", to = 2.5 } } }]]
    assert.equal('{"input":{"duration":8,"prompt":"\\"Dé\\"\\n","video_list":[{"ends":2.5,"start":0,"url":{"file":"'
      .. core.sha256("boats") .. '"}}]},"model":"google/gemini-omni","version":1}', after.a.form)
    assert.equal(core.sha256(after.a.form), after.a.base)
    assert.equal(core.sha256(after.a.base .. " take 1"), after.a.identity)
  end)

  it("is known for a thousand scenes at once", function()
    local parts = { 'return storyboard { defaults = { references = file "keeper.png" }, style = "35 mm.",' }
    for i = 1, 1000 do
      parts[#parts + 1] = ('scene "%d" { prompt = "Shot %d of a long film.", %s },'):format(i, i,
        i > 1 and ("continues = { '%d', from = 0, to = 4 }"):format(i - 1) or "")
    end
    local after = known(table.concat(parts, "\n") .. "}")
    assert.is_string(after["1000"].identity)
  end)
end)

describe("the canonical form", function()
  it("writes each number in one way, in every locale", function()
    local cases = { [8] = 8.0, [0] = -0.0, ["0.5"] = 0.5, ["0.1"] = 0.1, ["1e+300"] = 1e300, ["-3"] = -3.0, ["2.125"] = 2.125 }
    for text, value in pairs(cases) do assert.equal(tostring(text), canonical(value)) end
    local was = os.setlocale(nil)
    local found = false
    for _, name in ipairs { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "C.UTF-8", "C" } do
      if os.setlocale(name) then
        found = true
        assert.equal('{"B":2.5,"a":1}', canonical { a = 1, B = 2.5 })
      end
    end
    os.setlocale(was)
    assert.is_true(found)
  end)

  it("sorts names by their bytes, and escapes only what must be escaped", function()
    assert.equal('{"":1,"Z":1,"a":1,"a b":1,"aa":1,"é":1}', canonical { aa = 1, ["é"] = 1, Z = 1, [""] = 1, a = 1, ["a b"] = 1 })
    assert.equal([["\"\\/\b\f\n\r\t\u0000\u0001\u001f]] .. '\127é→"', canonical("\"\\/\b\f\n\r\t\0\1\31\127é→"))
    assert.equal('[true,false,null,{},["x"]]', canonical { true, false, core.json.null, {}, { "x" } })
  end)

  it("is JSON with the same content", function()
    local value = { text = "\0\1\31\"\\/é", list = { 1, 2.5, -3 }, yes = true }
    assert.same(value, (function()
      local back = core.json.decode(canonical(value))
      for i, number in ipairs(back.list) do back.list[i] = math.tointeger(number) or number end
      return back
    end)())
  end)
end)

describe("a URL without its signature", function()
  it("is the same for every kind of signature, and keeps every other parameter", function()
    local plain_url = "https://h.org/a/b.png"
    for _, query in ipairs {
      "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Date=1&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Signature=ff",
      "x-amz-signature=ff&x-amz-security-token=t",
      "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Signature=ff&X-Goog-Expires=1",
      "AWSAccessKeyId=AK&Expires=1&Signature=s%3D",
      "GoogleAccessId=g&Expires=1&Signature=s",
      "Expires=1&Signature=s&Key-Pair-Id=K",
      "sv=2020&st=1&se=2&sr=b&sp=r&sig=s%3D",
      "OSSAccessKeyId=k&Expires=1&Signature=s",
      "x-oss-signature-version=4&x-oss-signature=s&x-oss-expires=1",
      "q-sign-algorithm=sha1&q-ak=a&q-sign-time=1&q-signature=s",
    } do
      assert.equal(plain_url, unsigned(plain_url .. "?" .. query), query)
      assert.equal(plain_url .. "?v=2", unsigned(plain_url .. "?v=2&" .. query), query)
      assert.equal(plain_url .. "?v=2#t=3", unsigned(plain_url .. "?" .. query .. "&v=2#t=3"), query)
    end
  end)

  it("is unchanged if it has no signature, and so is any other text", function()
    for _, text in ipairs {
      "https://h.org/a.png", "https://h.org/a.png?", "https://h.org/?Expires=5&v=1", "https://h.org/?se=1&sp=2&st=3",
      "https://h.org/?policy=x", "https://h.org/?a=b&&c", "a prompt?X-Amz-Signature=1", "https://h.org/ and more?Signature=1",
      "ftp://h.org/?Signature=1", "",
    } do assert.equal(text, unsigned(text)) end
  end)
end)
