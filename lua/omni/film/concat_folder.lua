-- SPDX-License-Identifier: MIT
-- Manages the working folder FILM.part, which is next to the film. The folder FILM.part contains encoded pieces, file lists for ffmpeg, and
-- the unfinished film.

local core = require "omni.core"
local paths = require "omni.file.path"

local TAKEN <const> = 11 -- EWOULDBLOCK: another program has locked the folder

local Work_methods = {}
local Work_mt = { __name = "omni.film.work", __index = Work_methods }

-- Removes a cut's files from the folder FILM.part. A killed cut leaves its files behind.
local function clear(path, count)
  for _, name in ipairs { "film", "picture", "sound" } do os.remove(path .. "/" .. name) end
  for i = 1, count do
    os.remove(("%s/%d.mov"):format(path, i))
    os.remove(("%s/%d.clip"):format(path, i))
  end
end

---@param output string  the film
---@param count integer  number of pieces in this film
---@param most integer   maximum number of pieces in any film
---@return omni.film.Work|nil  closing it removes the folder
---@return string|nil message
local function open(output, count, most)
  local path = output .. ".part"
  if core.stat(path) and not core.stat(path .. "/lock") and not core.remove(path) then
    return nil, ("%s isn't one of omni's work folders"):format(path)
  end
  local made, message = core.make_directory(path)
  if not made then return nil, message end
  local lock, why, code = core.lock(path .. "/lock")
  if not lock then return nil, code == TAKEN and "another program is cutting it now" or why end
  clear(path, most)
  return setmetatable({ path = path, lock = lock, count = count, film = path .. "/film" }, Work_mt)
end

---Removes the cut's files from the folder FILM.part, so that the cut can start again.
function Work_methods:clear() clear(self.path, self.count) end

function Work_methods:piece(i) return ("%s/%d.mov"):format(self.path, i) end

-- Returns a file's name, quoted for the concat demuxer's list. A name in the list can't contain a line break, so a file with a line break
-- in its name gets a second name in the folder FILM.part.
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

---Writes a list of files for ffmpeg's concat demuxer.
---@param name "picture"|"sound"
---@param files string[]
---@param seconds? number[]  length of each file, so that errors don't add up over many files (default: the length that the file states)
---@return string|nil path
---@return string|nil message
function Work_methods:list(name, files, seconds)
  local lines, at, written_until = {}, 0, 0
  for i, file in ipairs(files) do
    local listed, problem = self:listed(file, i)
    if not listed then return nil, problem end
    lines[#lines + 1] = ("file %s\n"):format(listed)
    if seconds then
      at = at + seconds[i]
      local micros = math.floor(at * 1e6 + 0.5)
      lines[#lines + 1] = ("duration %d.%06d\n"):format((micros - written_until) // 1000000, (micros - written_until) % 1000000)
      written_until = micros
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

-- A silent AAC packet (1,024 stereo samples at 48 kHz), with its ADTS header.
local silent_packet <const> = "\xFF\xF1\x4C\x80\x02\x1F\xFC" .. "\x21\x00\x49\x90\x02\x19\x00\x23\x80"
local packets_at_once <const> = 65536

---Writes a silent audio file, which is shorter than `seconds` by at most one packet.
---@param seconds number
---@return string|nil path
---@return string|nil message
function Work_methods:silence(seconds)
  local path, left = self.path .. "/sound", math.max(1, math.floor(seconds * 48000 / 1024))
  local file <close>, message = core.open(path, "x")
  if not file then return nil, message end
  local fine, why = true, nil
  while fine and left > 0 do
    local count = math.min(left, packets_at_once)
    fine, why = file:write(silent_packet:rep(count))
    left = left - count
  end
  if fine then fine, why = file:close() end
  return fine and path or nil, why
end

function Work_mt:__close()
  self:clear()
  os.remove(self.path .. "/lock")
  os.remove(self.path)
  self.lock:close()
end

return { open = open }
