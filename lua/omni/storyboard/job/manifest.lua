-- SPDX-License-Identifier: MIT
-- Writes and reads a job's manifest: the name of the board's file, the values that `os.getenv` returns to the board, and the list of the
-- board's files in the store.

local core = require "omni.core"
local err = require "omni.error"
local file_list = require "omni.storyboard.job.file_list"
local json = require "omni.json"
local upload = require "omni.client.upload"

local MAX_BYTES <const> = 8 * 1024 * 1024

---@class omni.Manifest
---@field board string  the path of the board's file within the folder
---@field set table<string, string>
---@field files omni.ListedFile[]

-- Returns the sorted names of the files that a worker needs: the board's file, the files that the board opens, and the media that it names.
-- Leaves out files that the board names but that aren't media, since the board can't use them.
local function names_of(board, folder)
  local names, audio = { board.path:match "[^/]*$" }, board.cut and board.cut.audio and board.cut.audio.path
  for name, how in pairs(board.files) do
    local path = folder .. "/" .. name
    if name ~= names[1] and (how == "opened" or path == audio or upload.check(path)) then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

---Makes a board's manifest, and puts its files into the store.
---@param board omni.Storyboard  from `load_contained`
---@param set table<string, string>
---@param ledger omni.Ledger
---@param store omni.Store
---@return string|nil manifest  JSON
---@return omni.Error|nil  codes: io, store_failed, file_changed, ...
local function put(board, set, ledger, store)
  local folder, name = board.path:match "^(.*)/([^/]*)$"
  local list, problem = file_list.make(ledger, folder, names_of(board, folder))
  if not list then return nil, problem end
  for _, file in ipairs(list) do
    if file.path == name and file.sha256 ~= board.sha256 then
      return nil, err.new { code = "file_changed", message = core.clean(name, 200) .. " changed while it was submitted" }
    end
  end
  local text = file_list.check(list) and json.canonical { board = name, set = set, files = list }
  if not text or #text > MAX_BYTES then
    return nil, err.new { code = "invalid_board", message = "the board has too many files, or a file whose name another machine can't use" }
  end
  local fine
  fine, problem = file_list.put(store, folder, list)
  return fine and text, problem
end

---Reads a manifest.
---@param text string
---@return omni.Manifest|nil
---@return omni.Error|nil  code "invalid_board"
local function read(text)
  local value = #text <= MAX_BYTES and json.decode(text)
  local list = type(value) == "table" and file_list.check(value.files)
  local known = false
  for _, file in ipairs(list or {}) do known = known or file.path == value.board end
  local set = list and value.set
  if known and type(set) == "table" then
    for name, given in pairs(set) do known = known and type(name) == "string" and type(given) == "string" end
    if known then return { board = value.board, set = set, files = list } end
  end
  return nil, err.new { code = "invalid_board", message = "the job's list of files can't be used" }
end

return { put = put, read = read }
