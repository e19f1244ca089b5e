-- SPDX-License-Identifier: MIT
-- Contains the sandbox's effect templates: a fixed list for each platform.

local json = require "omni.json"

local verbs = { "hug", "kiss", "dance", "fly", "melt", "freeze", "bloom", "spin", "shrink", "grow", "wave", "float" }
local things = { "lighthouse", "boat", "keeper", "storm", "gull", "lamp" }

-- Returns the two words that make up the name of a platform's nth template.
local function pair_of(n)
  return verbs[(n - 1) % #verbs + 1], things[(n - 1) // #verbs % #things + 1]
end

local function template(platform, n)
  local verb, thing = pair_of(n)
  local name = ("%s %s"):format(verb:gsub("^%l", string.upper), thing)
  return platform.object {
    [platform.named] = platform.id(verb, thing, n), name = name, description = ("Lets the %s %s"):format(thing, verb),
    input_images = 1 + n % 2, seconds = 4 + n % 3 * 2,
  }
end

-- `named` is the name of the query parameter, and of the response field, that contains a template's id.
local platforms = {
  kling = { count = 57, named = "template_id", id = function(_, _, n) return ("kling-%03d"):format(n) end },
  vidu = { count = 23, named = "template", id = function(verb, thing) return verb .. "_" .. thing end },
  bytedance = { count = 50, named = "template_id", id = function(_, _, n) return tostring(7100000000 + n) end },
}

for _, platform in pairs(platforms) do
  platform.object = json.shape { platform.named, "name", "description", "input_images", "seconds" }

  ---Returns the platform's templates in order.
  ---@param only? string  only the template with this id
  ---@return table[]
  function platform.list(only)
    local found = {}
    for n = 1, platform.count do
      local one = template(platform, n)
      if not only or one[platform.named] == only then found[#found + 1] = one end
    end
    return found
  end
end

return platforms
