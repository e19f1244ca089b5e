-- SPDX-License-Identifier: MIT
-- Computes a scene's identity: a digest of its model, its input, the contents of its files, the identities of the scenes that it builds on,
-- and its take. A scene's identity doesn't change when the scene's name, its position on the board, a file's path or a URL's signature
-- changes.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local unsigned = require "omni.storyboard.plan.url_signature"

local VERSION <const> = 1 -- version of the form from which an identity is computed; with a new version, every scene counts as new

---@class omni.Identity
---@field form? string       canonical JSON
---@field base? string       digest of the form, which doesn't contain the take
---@field take? integer
---@field identity? string   digest of the base and the take
---@field error? omni.Error  why the identity is unknown: an error of `digest` or `take`, or the code "builds_on_invalid"

-- Returns a copy of a value with the signatures removed from its URLs.
local function without_signatures(value)
  if type(value) == "string" then return unsigned(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, part in pairs(value) do copy[key] = without_signatures(part) end
  return copy
end

---@param base string
---@param take integer
---@return string
local function with_take(base, take)
  return core.sha256(("%s take %d"):format(base, take))
end

-- Returns a scene's form, from which its identity is computed. `known` contains the identities of the scenes that this scene builds on.
local function form_of(scene, known, digest)
  local input, problem = placeholder.map(scene.input, function(part)
    if part.kind == "file" then
      local sha256, failure = digest(part.path)
      if not sha256 then return nil, failure end
      return { file = sha256 }
    end
    local below = known[part.scene]
    if below.error then
      return nil, err.new { code = "builds_on_invalid", cause = below.error,
        message = ('it builds on scene "%s", which can\'t be submitted: %s')
          :format(part.scene, (below.error.cause or below.error).message) }
    end
    return { [part.kind] = below.identity }
  end)
  if not input then return nil, problem end
  return json.canonical { version = VERSION, model = scene.model, input = without_signatures(input) }
end

-- Returns whether the identities of all scenes that a scene builds on are known.
local function is_ready(scene, known)
  for _, name in ipairs(scene.builds_on) do
    if not known[name] then return false end
  end
  return true
end

---@class omni.IdentityOptions
---@field digest fun(path: string): string|nil, omni.Error|nil
---@field prepare? fun(bases: string[])  called before `take` is called for these bases
---@field take fun(scene: omni.ResolvedScene, base: string): integer|nil, omni.Error|nil

---Returns the identities of a board's scenes. Reads each file only once.
---@param board omni.Storyboard
---@param given omni.IdentityOptions
---@return omni.Identity[]  in the order of the scenes
local function resolve(board, given)
  local digests = {}
  local function digest(path)
    local seen = digests[path]
    if not seen then
      seen = table.pack(given.digest(path))
      digests[path] = seen
    end
    return seen[1], seen[2]
  end

  local result, known, left = {}, {}, board.order
  repeat -- each round computes the identities of the scenes that build only on scenes from earlier rounds
    local ready, bases, later = {}, {}, {}
    for _, index in ipairs(left) do
      local scene = board.scenes[index]
      local group = is_ready(scene, known) and ready or later
      group[#group + 1] = index
    end
    for _, index in ipairs(ready) do
      local scene, found = board.scenes[index], {}
      result[index] = found
      found.form, found.error = form_of(scene, known, digest)
      found.base = found.form and core.sha256(found.form)
      if found.base and not scene.take then bases[#bases + 1] = found.base end
    end
    if given.prepare and #bases > 0 then given.prepare(bases) end
    for _, index in ipairs(ready) do
      local scene, found = board.scenes[index], result[index]
      known[scene.name] = found
      if found.base then
        found.take = scene.take
        if not found.take then found.take, found.error = given.take(scene, found.base) end
        found.identity = found.take and with_take(found.base, found.take)
      end
    end
    left = later
  until #left == 0
  return result
end

return { difference = require("omni.storyboard.plan.scene_changes").difference, resolve = resolve, with_take = with_take }
