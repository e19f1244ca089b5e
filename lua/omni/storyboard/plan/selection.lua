-- SPDX-License-Identifier: MIT
-- Selects the scenes for the options `only`, `redo` and `resubmit`. Each of the three options lists scene names or patterns. In a pattern
-- for scene names, `*` stands for any number of characters, and `?` for one character.

local core = require "omni.core"
local err = require "omni.error"
local options = require "omni.options"

local function misuse(option, message, hint)
  error(err.new { code = "invalid_input", field = option, message = option .. ": " .. message, hint = hint }, 0)
end

-- Returns the Lua pattern for a name that contains `*` or `?`, and nil for any other name.
local function pattern_of(name)
  if not name:find "[*?]" then return nil end
  local character = "[^\x80-\xBF][\x80-\xBF]*" -- in UTF-8
  return "^" .. name:gsub("[^%w*?\x80-\xff]", "%%%0"):gsub("%*", ".*"):gsub("%?", character) .. "$"
end

-- Returns the set of scenes that an option selects, or nil if the option is empty. Raises an error if a name or pattern matches no scene.
local function set_of(board, given, option)
  if given == nil or #given == 0 then return nil end
  local set, there = {}, {}
  for _, scene in ipairs(board.scenes) do there[scene.name] = true end
  for _, name in ipairs(given) do
    local pattern, found = not there[name] and pattern_of(tostring(name)), there[name]
    if found then set[name] = true end
    for _, scene in ipairs(pattern and board.scenes or {}) do
      if scene.name:find(pattern) then set[scene.name], found = true, true end
    end
    local shown = core.clean(tostring(name), 100)
    if not found and pattern then misuse(option, ('no scene of the board matches "%s"'):format(shown)) end
    if not found then misuse(option, ('the board has no scene "%s"; %s'):format(shown, options.unknown(name, there))) end
  end
  return set
end

---@class omni.Selection
---@field only? table<string, true>  nil: all scenes
---@field redo table<string, true>
---@field resubmit table<string, true>

---Returns the sets of scenes that the options select. Raises an error if a name or pattern matches no scene, or if `redo` selects a scene
---whose take is set on the board.
---@param board omni.Storyboard
---@param given { only?: string[], redo?: string[], resubmit?: string[] }
---@return omni.Selection
local function resolve(board, given)
  local selection = {
    only = set_of(board, given.only, "only"), redo = set_of(board, given.redo, "redo") or {},
    resubmit = set_of(board, given.resubmit, "resubmit") or {},
  }
  for _, scene in ipairs(board.scenes) do
    if selection.redo[scene.name] and scene.take then
      misuse("redo", ('scene "%s" has take = %d on the board'):format(scene.name, scene.take),
        ("write take = %d on the board"):format(scene.take + 1))
    end
  end
  return selection
end

local function include(plan, planned)
  if planned.selected then return end
  planned.selected = true
  for _, name in ipairs(planned.waits_for or {}) do include(plan, plan.by_name[name]) end
end

---Marks the scenes that a run includes: the scenes selected by `only`, and the scenes that these scenes wait for. Raises an error if `redo`
---or `resubmit` selects a scene that the run doesn't include.
---@param plan omni.Plan
---@param selection omni.Selection
local function mark(plan, selection)
  for _, planned in ipairs(plan.scenes) do
    planned.selected = planned.selected or false
    if not selection.only or selection.only[planned.scene] then include(plan, planned) end
  end
  for _, option in ipairs { "redo", "resubmit" } do
    for _, planned in ipairs(plan.scenes) do
      if selection[option][planned.scene] and not planned.selected then
        misuse(option, ("scene \"%s\" isn't among those of 'only'"):format(planned.scene), "name it in both, or leave one of them out")
      end
    end
  end
end

return { mark = mark, resolve = resolve }
