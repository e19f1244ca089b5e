-- SPDX-License-Identifier: MIT
-- Puts a complete file at its final path. If the final path already has a file that omni didn't make, omni renames that file first, for
-- example to "film (older 1).mp4".

local core = require "omni.core"
local err = require "omni.error"

local EEXIST <const> = 17

---Renames a file to the first unused name in its folder, such as "film (older 1).mp4". Never replaces another file.
---@param path string
---@return string|nil older  its new path
---@return omni.Error|nil err  code "io"
local function step_aside(path)
  local stem, extension = path:match "^(.*[^/])(%.%w+)$"
  local n = 0
  while true do
    n = n + 1
    local older = ("%s (older %d)%s"):format(stem or path, n, extension or "")
    local fine, why, number = core.rename_new(path, older)
    if fine then return older end
    if number ~= EEXIST then return nil, err.new { code = "io", message = "can't move the older file aside: " .. core.clean(why, 400) } end
  end
end

---Restores the old name of a file that `step_aside` renamed, unless that name is taken.
---@param older string
---@param path string
local function put_back(older, path)
  core.rename_new(older, path)
end

---Renames a complete file to its final path. `place` replaces an existing file at the final path if `is_ours` returns true. If `is_ours`
---returns false, `place` renames the existing file with `step_aside`, and renames it back if placing the new file fails.
---@param part string
---@param path string  in the same file system
---@param is_ours fun(path: string): boolean  returns whether the file at that path may be replaced; may wait
---@return true|nil
---@return omni.Error|nil err  code "io"
local function place(part, path, is_ours)
  local older
  while true do
    local fine, why, number = core.rename_new(part, path)
    if not fine and number == EEXIST and not older then
      if is_ours(path) then
        fine, why = os.rename(part, path)
      else
        local problem
        older, problem = step_aside(path)
        if not older then return nil, problem end
        goto again
      end
    end
    if fine then return true end
    if older then put_back(older, path) end
    do return nil, err.new { code = "io", message = core.clean(why, 400) } end
    ::again::
  end
end

return { place = place, put_back = put_back, step_aside = step_aside }
