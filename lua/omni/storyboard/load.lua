-- SPDX-License-Identifier: MIT
-- Loads a board: an ordinary Lua file that returns a storyboard, with the words of the language at hand.

local asset = require "omni.asset"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local models = require "omni.models"
local options = require "omni.options"
local problems = require "omni.storyboard.problem"
local scenes = require "omni.storyboard.scene"
local storyboard = require "omni.storyboard"

local HINT = 'end the file with: return storyboard { scene "name" { prompt = "..." } }'

-- Gives a message of Lua's the board's whole path (Lua shortens long ones), or the path alone where it has no place.
local function placed(path, message)
  local shortened, rest = message:match("^%.%.%.([^\n]-)(:%d+: .*)$")
  if shortened and path:sub(-#shortened) == shortened then return path .. rest end
  if message:find("^[^\n]-:%d+: ") then return message end
  return path .. ": " .. message
end

-- The folder that a board's file lies in, absolute; files that the board names lie there, too.
local function folder_of(path)
  return core.real_path(path:match("^(.*/)[^/]*$") or ".")
end

---Loads a board from a file of Lua text. Its global assignments stay in the board. May wait (the word `windows` looks at a film; with a
---client the service is asked what its models accept, else what is known here counts).
---@param path string
---@param opts? { client?: omni.Client }
---@return omni.Storyboard|nil board, omni.Error|nil err  `code` is "invalid_board"
local function load_board(path, opts)
  if type(path) ~= "string" then error("load_storyboard: the path must be a string, not " .. problems.a(path), 2) end
  local client = options.check(opts, { client = "any" }, "omni.load_storyboard").client
  if client and not loop.in_fiber "omni.load_storyboard" then return loop.drive(load_board, path, opts) end
  local check = client and function(model, given) return models.check(client, model, given, true) end
  local function fail(message, hint)
    return nil, problems.problem(path, nil, message, nil, hint)
  end

  local file, why = io.open(path, "rb")
  if not file then return nil, problems.problem(nil, nil, "can't read the board: " .. why) end
  local readable = file:read(0) or file:seek("end") == 0
  file:close()
  if not readable then return fail("can't read the board") end

  local folder, gone = folder_of(path)
  if not folder then return fail("can't find the board's folder: " .. gone) end
  local absolute = folder:gsub("/$", "") .. "/" .. path:match("[^/]*$")
  local environment = setmetatable({
    scene = storyboard.scene, windows = storyboard.windows,
    file = asset.file_in(folder), url = asset.url, last_frame = asset.last_frame, clip = asset.clip,
    -- `return storyboard {...}` is a tail call, after which Lua doesn't know the line any more: the file must do.
    storyboard = function(fields)
      local board, bad = storyboard.build(fields, path, absolute, check)
      if not board then error(bad, 0) end
      return board
    end,
  }, { __index = _G })
  local chunk, syntax = loadfile(path, "t", environment)
  if not chunk then return nil, problems.problem(nil, nil, placed(path, syntax)) end

  local ok, board = pcall(chunk)
  if not ok then
    if err.is(board) then return nil, board end
    local message = type(board) == "string" and board or "raised " .. problems.a(board)
    return nil, problems.problem(nil, nil, placed(path, message))
  end
  if storyboard.is_board(board) then return board end
  if scenes.is_scene(board) or scenes.is_unfinished(board) then
    return fail("the file returned a scene instead of a storyboard", HINT)
  end
  return fail(("the file returned %s instead of a storyboard"):format(problems.a(board)), HINT)
end

return { load = load_board }
