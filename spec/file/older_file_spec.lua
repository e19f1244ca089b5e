-- SPDX-License-Identifier: MIT
local env = require "helper.env"
local older_file = require "omni.file.older_file"

local directory

local function file(name) return directory:file(name) end

describe("an older file", function()
  before_each(function() directory = env.directory() end)
  after_each(function() directory:close() end)

  it("moves to the first free name, and back", function()
    env.write(file "film.mp4", "mine")
    env.write(file "film (older 1).mp4", "older")
    local older = assert(older_file.step_aside(file "film.mp4"))
    assert.equal(file "film (older 2).mp4", older)
    assert.is_nil(env.read(file "film.mp4"))
    older_file.put_back(older, file "film.mp4")
    assert.equal("mine", env.read(file "film.mp4"))
    assert.equal("older", env.read(file "film (older 1).mp4"))
    env.write(file "plain", "")
    assert.equal(file "plain (older 1)", older_file.step_aside(file "plain"))
    local none, err = older_file.step_aside(file "none.mp4")
    assert.is_nil(none)
    assert.equal("io", err.code)
  end)

  it("is renamed for a finished file only if omni didn't make it, and gets its name back if that fails", function()
    env.write(file "film.mp4", "mine")
    env.write(file "part", "new")
    local function foreign() return false end
    assert(older_file.place(file "part", file "film.mp4", foreign))
    assert.equal("new", env.read(file "film.mp4"))
    assert.equal("mine", env.read(file "film (older 1).mp4"))
    env.write(file "part", "newer")
    assert(older_file.place(file "part", file "film.mp4", function() return true end))
    assert.equal("newer", env.read(file "film.mp4"))
    local fine, err = older_file.place(file "gone", file "film.mp4", foreign)
    assert.is_nil(fine)
    assert.equal("io", err.code)
    assert.equal("newer", env.read(file "film.mp4"))
    assert.same({ "film (older 1).mp4", "film.mp4" }, directory:names())
  end)
end)
