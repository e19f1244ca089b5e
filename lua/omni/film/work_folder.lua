-- SPDX-License-Identifier: MIT
-- The folder in which a film is made, FILM.part beside the film: pieces, lists of them, and the film until it is whole.

local core = require "omni.core"
local paths = require "omni.file.path"

local TAKEN <const> = 11 -- EWOULDBLOCK: the lock's answer when somebody holds it

local Work_methods = {}
local Work_mt = { __name = "omni.film.work", __index = Work_methods }

-- All that can lie there. A cut that was killed leaves it behind.
local function clear(path, count)
  for _, name in ipairs { "film", "picture", "sound" } do os.remove(path .. "/" .. name) end
  for i = 1, count do
    os.remove(("%s/%d.mov"):format(path, i))
    os.remove(("%s/%d.clip"):format(path, i))
  end
end

---@param output string  the film
---@param count integer  how many pieces there can be
---@param most integer   how many any film can have
---@return omni.film.Work|nil  to be closed, which leaves nothing
---@return string|nil message
local function open(output, count, most)
  local path = output .. ".part"
  if core.stat(path) and not core.stat(path .. "/lock") and not core.remove(path) then
    return nil, ("%s is not a folder that omni has made"):format(path)
  end
  local made, message = core.make_directory(path)
  if not made then return nil, message end
  local lock, why, code = core.lock(path .. "/lock")
  if not lock then return nil, code == TAKEN and "another program is making it now" or why end
  clear(path, most)
  return setmetatable({ path = path, lock = lock, count = count, film = path .. "/film" }, Work_mt)
end

---Removes what was made, so that it can be made anew.
function Work_methods:clear() clear(self.path, self.count) end

function Work_methods:piece(i) return ("%s/%d.mov"):format(self.path, i) end

-- A file's name in a list: in quotes all is taken as it is, but a line break can't be there. What lies beside the list needs no path.
function Work_methods:listed(file, i)
  if file:find "[\r\n]" then
    if file:sub(1, #self.path + 1) == self.path .. "/" then return "'" .. file:sub(#self.path + 2) .. "'" end
    local plain = ("%d.clip"):format(i)
    local fine, problem = paths.duplicate(file, self.path .. "/" .. plain)
    if not fine then return nil, problem.message end
    return "'" .. plain .. "'"
  end
  return "'file:" .. file:gsub("'", "'\\''") .. "'"
end

---Writes a list for the concat demuxer.
---@param name "picture"|"sound"
---@param files string[]
---@param seconds? number[]  of each file; default: what the file says. The list's times don't drift, however many there are
---@return string|nil path
---@return string|nil message
function Work_methods:list(name, files, seconds)
  local lines, at, told = {}, 0, 0
  for i, file in ipairs(files) do
    local listed, problem = self:listed(file, i)
    if not listed then return nil, problem end
    lines[#lines + 1] = ("file %s\n"):format(listed)
    if seconds then
      at = at + seconds[i]
      local micros = math.floor(at * 1e6 + 0.5)
      lines[#lines + 1] = ("duration %d.%06d\n"):format((micros - told) // 1000000, (micros - told) % 1000000)
      told = micros
    end
  end
  local path = self.path .. "/" .. name
  local file, message = core.open(path, "x")
  if not file then return nil, message end
  local written, why = file:write(table.concat(lines))
  local closed, reason = file:close()
  if not (written and closed) then return nil, why or reason end
  return path
end

function Work_mt:__close()
  self:clear()
  os.remove(self.path .. "/lock")
  os.remove(self.path)
  self.lock:close()
end

return { open = open }
