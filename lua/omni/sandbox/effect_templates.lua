-- SPDX-License-Identifier: MIT
-- The sandbox's effect templates, a fixed list for each platform, and the endpoint that returns a page of such a list.

local json = require "omni.json"
local response = require "omni.sandbox.response"

local most_on_page <const>, usual_on_page <const> = 50, 20
local page_object = json.shape { "total", "page", "page_size", "templates" }

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

-- Returns a query parameter's value as a number, or nil and an error message.
local function number(request, name, usual, most)
  local text = response.parameter(request.query, name)
  if not text then return usual end
  local value = text:find "^%d+$" and #text <= 9 and math.tointeger(tonumber(text))
  if value and value >= 1 and value <= (most or value) then return value end
  return nil, ("%s: must be a whole number, %s"):format(name, most and "1 to " .. most or "1 or more")
end

---The endpoint: a function (service, request) → response. `request.name` is the platform.
local function endpoint(_, request)
  local page, wrong = number(request, "page", 1)
  local size
  if page then size, wrong = number(request, "page_size", usual_on_page, most_on_page) end
  if wrong then return response.refuse(422, wrong) end
  local platform = platforms[request.name]
  local all = platform.list(response.filter(request, platform.named))
  local first = (page - 1) * size
  return response.success(page_object {
    total = #all, page = page, page_size = size, templates = table.move(all, first + 1, math.min(#all, first + size), 1, {}),
  })
end

return { endpoint = endpoint }
