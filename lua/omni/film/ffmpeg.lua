-- SPDX-License-Identifier: MIT
-- How ffmpeg and ffprobe are called: names of files that can't be taken for anything else, no network, what they say made fit to show.

local core = require "omni.core"
local err = require "omni.error"
local process = require "omni.process"

local environment = { AV_LOG_FORCE_NOCOLOR = "1" }

-- What a file may be. Playlists, scripts of concat and numbered pictures, which name other files, are not among them.
local formats = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mp3,wav,w64,flac,aac,ac3,aiff,caf"

local special = { ffmpeg = { "-nostdin", "-y" }, ffprobe = {} }

-- No standard picture of video has more pixels (level 6.2 of HEVC and AV1). A decoder asks for memory by what the stream says.
local max_pixels <const> = 8192 * 4352

-- What a program that decodes one clip with one thread gets: a decoder keeps up to 16 pictures.
local max_memory <const> = 3 << 30

local tool = { max_pixels = max_pixels, max_memory = max_memory }

---The arguments that open a file: never as an option, a pattern, a playlist or an address, whatever its name and content.
---@param path string
---@param before? string[]  options of this input
---@return string[]
function tool.input(path, before)
  return tool.words(before or {}, "-max_pixels", tostring(max_pixels), "-protocol_whitelist", "file", "-format_whitelist", formats,
    "-i", "file:" .. path)
end

---Like `input`, for a list that the concat demuxer reads. Its times stay as they are: a sound's first packet lies before 0.
---@param path string
---@param offset? number  seconds that are added to all times
---@return string[]
function tool.list(path, offset)
  return { "-copyts", "-itsoffset", ("%dus"):format(math.floor((offset or 0) * 1e6 + 0.5)), "-f", "concat", "-safe", "0",
    "-auto_convert", "0", "-protocol_whitelist", "file", "-format_whitelist", formats .. ",concat", "-i", "file:" .. path }
end

---One argument list out of words and lists of words.
---@param ... string|string[]
---@return string[]
function tool.words(...)
  local all = {}
  for _, item in ipairs { ... } do
    if type(item) == "table" then table.move(item, 1, #item, #all + 1, all) else all[#all + 1] = item end
  end
  return all
end

---What they wrote to stderr, as one short line: without addresses in memory, and without the file's name, which we tell ourselves.
---@param text string
---@param path? string
---@return string
function tool.said(text, path)
  if path then
    local name = ("file:" .. path):gsub("%p", "%%%0")
    text = text:gsub(name .. ":? ?", "")
  end
  local lines, seen = {}, {}
  for line in text:gmatch "[^\r\n]+" do
    line = line:gsub("^%[[^%]]* @ 0x%x+%] ", ""):gsub("^%s+", "")
    line = line:gsub("^Format not on whitelist.*", "a file of this kind isn't taken for a clip")
    line = line:gsub("^No such filter: '([%w_]+)'.*", "this ffmpeg lacks the filter %1")
    if line ~= "" and not seen[line] then
      seen[line] = true
      lines[#lines + 1] = line
    end
  end
  local said = table.concat(lines, "; ", math.max(1, #lines - 1))
  return core.clean(said ~= "" and said or "it gave no reason", 300)
end

---How a program ended that didn't end well.
---@param result omni.process.Result
---@return string
function tool.how(result)
  if result.exit then return "exit code " .. result.exit end
  return result.signal and "signal " .. result.signal or "how it ended is unknown: this program ignores SIGCHLD"
end

---Runs ffmpeg or ffprobe; an exit code other than 0 is a result, too.
---@param program "ffmpeg"|"ffprobe"
---@param words string[]
---@param options? omni.process.RunOptions
---@return omni.process.Result|nil
---@return omni.Error|nil  code "process_failed"
function tool.run(program, words, options)
  local settings = { environment = environment, max_output = 65536 }
  for name, value in pairs(options or {}) do settings[name] = value end
  local result, failure = process.run(tool.words(program, "-hide_banner", "-loglevel", "error", special[program], words), settings)
  if result then return result end
  return nil, err.new {
    code = "process_failed", message = ("%s can't be started: %s"):format(program, failure.message),
    hint = "install ffmpeg (it brings ffprobe) and see that it is in PATH", cause = failure,
  }
end

---The error value of a clip that can't be used.
---@param path string
---@param why string
---@param damaged? boolean  its bytes can't be decoded: another copy of it may be fine. The error's field `damaged` is its path then
---@return omni.Error
function tool.unreadable(path, why, damaged)
  return err.new {
    code = "unreadable_clip", damaged = damaged and path or nil,
    message = ("the clip %s can't be read: %s"):format(core.clean(path, 300), why),
  }
end

---What is said of a picture that is too large to be decoded.
---@param width integer
---@param height integer
---@return string
function tool.too_large(width, height)
  return ("its picture of %dx%d has more pixels than any standard of video knows (%d)"):format(width, height, max_pixels)
end

---Whether a program that failed did so because of what it read: not because it was killed, or found no memory, room or filter.
---@param result omni.process.Result
---@return boolean
function tool.is_damage(result)
  return not result.signal and not result.stderr:find "Cannot allocate memory" and not result.stderr:find "No space left"
    and not result.stderr:find "exceeds specified max pixel" and not result.stderr:find "No such filter"
end

---Gives a finished file its name: it is on the disk before it has it.
---@param part string
---@param path string  in the same file system
---@param place? fun(part: string, path: string): true|nil, string|nil  gives it the name; by default what is there is replaced
---@return true|nil
---@return string|nil message
function tool.publish(part, path, place)
  local there = core.stat(path)
  if there and there.kind ~= "file" then return nil, core.clean(path, 300) .. " is no plain file" end
  local synced = process.run({ "sync", part:find "^%-" and "./" .. part or part }, { environment = environment, max_output = 4096 })
  -- Where there is no such program, the system syncs later.
  if synced and not process.succeeded(synced, true) then return nil, tool.said(synced.stderr) end
  local renamed, message = (place or os.rename)(part, path)
  if not renamed then return nil, core.clean(message, 300) end
  return true
end

return tool
