-- SPDX-License-Identifier: MIT
-- Probes of unchanged files come from the user's cache folder.

local clips = require "helper.clips"
local env = require "helper.env"

local count <const> = 'echo "$*" >> "$CALLS"\nexec "$REAL/ffprobe" "$@"\n'

-- Runs Lua code that can call probe(path), and returns what it printed and how often it started ffprobe.
local function run(directory, code, cache)
  local log = directory:file "calls"
  os.remove(log)
  local printed = clips.stand_in({ ffprobe = count }, [[
    local film = require "omni.film"
    function probe(path) return assert(film.probe(path)) end
  ]] .. code, { CALLS = log, CLIP = directory:file "clip.mp4", XDG_CACHE_HOME = cache or directory:file "cache" })
  local calls = io.open(log)
  return printed, calls and select(2, calls:read "a":gsub("\n", "")) or 0
end

local types <const> = [[
  local function show(value, path)
    if type(value) ~= "table" then return print(path, math.type(value) or type(value), value) end
    local names = {}
    for name in pairs(value) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do show(value[name], path .. "." .. name) end
  end
  show(probe(os.getenv "CLIP"), "probe")
]]

describe("the probes of a file", function()
  local directory
  before_each(function()
    directory = env.directory()
    env.write(directory:file "clip.mp4", env.read(clips.make { seconds = 0.7, rate = "30000/1001" }))
  end)
  after_each(function() directory:close() end)

  it("come from the cache in a later process, with whole numbers and all other values as ffprobe reports them", function()
    local fresh, first = run(directory, types)
    local cached, second = run(directory, types)
    assert.same({ 1, 0 }, { first, second })
    assert.matches("probe.video.width\tinteger\t", fresh)
    assert.equal(fresh, cached)
  end)

  it("are made again once the file has changed, and if what is stored is damaged, incomplete or foreign", function()
    local code <const> = 'print(probe(os.getenv "CLIP").video.width)'
    local before, first = run(directory, code)
    env.write(directory:file "clip.mp4", env.read(clips.make { size = "96x54" }))
    local after, second = run(directory, code)
    assert.same({ 1, "96\n", 1 }, { first, after, second })
    assert.not_equal(before, after)
    local stored = env.output(("find %s -type f"):format(env.quote(directory:file "cache"))):gsub("\n", "")
    local text = env.read(stored)
    for _, bad in ipairs { "", "{", "[]", "null", text:sub(1, -2), '{"version":2}', (text:gsub('"seconds"', '"second"')),
      (text:gsub('"version":%d+', '"version":1')), ("x"):rep(20000) } do
      env.write(stored, bad)
      local again, calls = run(directory, code)
      assert.same({ "96\n", 1 }, { again, calls }, bad)
      assert.equal(text, env.read(stored))
    end
  end)

  it("don't need a cache folder", function()
    local code <const> = 'print(probe(os.getenv "CLIP").video.width)'
    env.write(directory:file "file", "not a folder")
    local printed, calls = run(directory, code, directory:file "file")
    assert.same({ "64\n", 1 }, { printed, calls })
  end)
end)
