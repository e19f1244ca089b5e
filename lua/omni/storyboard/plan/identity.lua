-- SPDX-License-Identifier: MIT
-- What makes a scene the same: a digest of its model, its input, the content of the files in it, the identities of the scenes
-- that it builds on, and its take. Names, places, order, paths and signatures of URLs are no part of it.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local json = require "omni.json"
local unsigned = require "omni.storyboard.plan.url_signature"

local VERSION <const> = 1 -- of the form; another one makes every scene a new one

---@class omni.Identity
---@field form? string       the canonical text that `base` is the digest of
---@field base? string       of the scene without its take
---@field take? integer
---@field identity? string   of the scene with its take
---@field error? omni.Error  why the others aren't known: of the digest, of `take`, or with the code "builds_on_invalid"

-- A copy of a tree with each URL in it as it is without its signature.
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

-- The form of one scene; `known` has the identities of those before it.
local function form_of(scene, known, digest)
  local input, problem = asset.map(scene.input, function(part)
    if part.kind == "file" then
      local sha256, failure = digest(part.path)
      if not sha256 then return nil, failure end
      return { file = sha256 }
    end
    local below = known[part.scene]
    if below.error then
      return nil, err.new { code = "builds_on_invalid", cause = below.error,
        message = ('it builds on "%s", which can\'t be made: %s'):format(part.scene, (below.error.cause or below.error).message) }
    end
    return { [part.kind] = below.identity }
  end)
  if not input then return nil, problem end
  return json.canonical { version = VERSION, model = scene.model, input = without_signatures(input) }
end

---Says of each scene of a board what makes it the same. Files are asked for once each.
---@param board omni.Storyboard
---@param given { digest: fun(path: string): (string|nil, omni.Error|nil),
---  take: fun(scene: omni.ResolvedScene, base: string): (integer|nil, omni.Error|nil) }
---  digest: the SHA-256 of a file, may wait; take: asked for scenes that don't say theirs, in the board's order, may wait
---@return omni.Identity[]  at the scenes' places
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

  local result, known = {}, {}
  for _, index in ipairs(board.order) do
    local scene, entry = board.scenes[index], {}
    result[index], known[scene.name] = entry, entry
    entry.form, entry.error = form_of(scene, known, digest)
    if entry.form then
      local base = core.sha256(entry.form)
      local take, problem = scene.take, nil
      if not take then take, problem = given.take(scene, base) end
      entry.base, entry.take, entry.error = base, take, problem
      if take then entry.identity = with_take(base, take) end
    end
  end
  return result
end

return { difference = require("omni.storyboard.plan.scene_changes").difference, resolve = resolve, with_take = with_take }
