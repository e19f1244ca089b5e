-- SPDX-License-Identifier: MIT
-- Runs ffmpeg and ffprobe safely: neither program mistakes a file name for an option or a URL, and neither can use the network. Cleans up
-- their messages.

local core = require "omni.core"
local err = require "omni.error"
local process = require "omni.process"

local environment = { AV_LOG_FORCE_NOCOLOR = "1" }

-- The file formats that clips can have. Formats that refer to other files, such as playlists, concat scripts and image sequences, aren't
-- allowed.
local formats = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,mp3,wav,w64,flac,aac,ac3,aiff,caf"

local picture_formats = "png_pipe,jpeg_pipe,webp_pipe,gif_pipe,gif"

local special = { ffmpeg = { "-nostdin", "-y" }, ffprobe = {} }

-- The maximum number of pixels in an image or a video frame. Level 6.2 of HEVC and AV1 allows exactly this number of pixels. The limit
-- matters because a decoder allocates memory for whatever size the stream states.
local max_pixels <const> = 8192 * 4352

-- The memory limit, in bytes, for a program that decodes one clip with one thread. A decoder keeps up to 16 frames in memory.
local max_memory <const> = 3 << 30

local tool = { max_pixels = max_pixels, max_memory = max_memory }

---Returns the arguments with which ffmpeg opens a file. With these arguments, ffmpeg never mistakes the file for an option, a pattern, a
---playlist or a URL, whatever the file's name and content.
---@param path string
---@param before? string[]  options of this input
---@return string[]
function tool.input(path, before)
  return tool.words(before or {}, "-max_pixels", tostring(max_pixels), "-protocol_whitelist", "file", "-format_whitelist", formats,
    "-i", "file:" .. path)
end

---Returns the arguments with which ffmpeg safely opens a single image.
---@param path string
---@return string[]
function tool.picture(path)
  return { "-max_pixels", tostring(max_pixels), "-protocol_whitelist", "file", "-format_whitelist", picture_formats, "-i", "file:" .. path }
end

---Returns the arguments with which ffmpeg's concat demuxer opens a list of files. The arguments make ffmpeg keep the files' timestamps,
---since an audio stream's first packet can have a timestamp below 0.
---@param path string
---@param offset? number  seconds to add to all times
---@return string[]
function tool.list(path, offset)
  return { "-copyts", "-itsoffset", ("%dus"):format(math.floor((offset or 0) * 1e6 + 0.5)), "-f", "concat", "-safe", "0",
    "-auto_convert", "0", "-protocol_whitelist", "file", "-format_whitelist", formats .. ",concat", "-i", "file:" .. path }
end

---Returns the arguments with which ffmpeg opens a file of AAC packets.
---@param path string
---@return string[]
function tool.aac(path) return { "-protocol_whitelist", "file", "-f", "aac", "-i", "file:" .. path } end

---Combines arguments and lists of arguments into one list of arguments.
---@param ... string|string[]
---@return string[]
function tool.words(...)
  local all = {}
  for _, item in ipairs { ... } do
    if type(item) == "table" then table.move(item, 1, #item, #all + 1, all) else all[#all + 1] = item end
  end
  return all
end

---Returns a program's error output as one short line. The line contains no memory addresses, and doesn't repeat the file name in `path`,
---which omni's own message already contains.
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
    line = line:gsub("^Format not on whitelist.*", "a file of this format isn't allowed as a clip")
    line = line:gsub("^No such filter: '([%w_]+)'.*", "this ffmpeg lacks the filter %1")
    if line ~= "" and not seen[line] then
      seen[line] = true
      lines[#lines + 1] = line
    end
  end
  local said = table.concat(lines, "; ", math.max(1, #lines - 1))
  return core.clean(said ~= "" and said or "no reason given", 300)
end

---Describes how a failed program ended.
---@param result omni.process.Result
---@return string
function tool.how(result)
  if result.exit then return "exit code " .. result.exit end
  return result.signal and "signal " .. result.signal or "unknown exit status, because this program ignores SIGCHLD"
end

---Runs ffmpeg or ffprobe. Returns a result, not an error, for a nonzero exit code.
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
    code = "process_failed", message = ("can't start %s: %s"):format(program, failure.message),
    hint = "install ffmpeg (it includes ffprobe) and check that it is in PATH", cause = failure,
  }
end

---Returns the error for a clip that can't be used.
---@param path string
---@param why string
---@param damaged? boolean  the content can't be decoded, and another copy may be fine. The error's `damaged` field is then the path
---@return omni.Error
function tool.unreadable(path, why, damaged)
  return err.new {
    code = "unreadable_clip", damaged = damaged and path or nil,
    message = ("can't read the clip %s: %s"):format(core.clean(path, 300), why),
  }
end

---Returns the error message for a picture that is too large to decode.
---@param width integer
---@param height integer
---@return string
function tool.too_large(width, height)
  return ("its picture of %dx%d has more pixels than any video standard allows (%d)"):format(width, height, max_pixels)
end

---Returns whether a program failed because of its input, rather than because of a signal, a missing filter, or a lack of memory or disk
---space.
---@param result omni.process.Result
---@return boolean
function tool.is_damage(result)
  return not result.signal and not result.stderr:find "Cannot allocate memory" and not result.stderr:find "No space left"
    and not result.stderr:find "exceeds specified max pixel" and not result.stderr:find "No such filter"
end

---Syncs a finished file to disk, then renames it.
---@param part string
---@param path string  in the same file system
---@param place? fun(part: string, path: string): true|nil, string|nil  renames it; by default the rename replaces an existing file
---@return true|nil
---@return string|nil message
function tool.publish(part, path, place)
  local there = core.stat(path)
  if there and there.kind ~= "file" then return nil, core.clean(path, 300) .. " isn't a regular file" end
  local synced = process.run({ "sync", part:find "^%-" and "./" .. part or part }, { environment = environment, max_output = 4096 })
  -- If the program `sync` isn't installed, the operating system writes the file to disk later.
  if synced and not process.succeeded(synced, true) then return nil, tool.said(synced.stderr) end
  local renamed, message = (place or os.rename)(part, path)
  if not renamed then return nil, core.clean(message, 300) end
  return true
end

return tool
