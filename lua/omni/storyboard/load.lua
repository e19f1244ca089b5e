-- SPDX-License-Identifier: MIT
-- Loads a board: an ordinary Lua file that returns a storyboard, with the words `storyboard` and `scene` at hand.

local err = require "omni.error"
local storyboard = require "omni.storyboard"
local words = require "omni.storyboard.scene"

local HINT = 'end the file with: return storyboard { scene "name" { prompt = "..." } }'

-- Gives a message of Lua's the board's whole path (Lua shortens long ones), or the path alone where it has no place.
local function placed(path, message)
  local shortened, rest = message:match("^%.%.%.([^\n]-)(:%d+: .*)$")
  if shortened and path:sub(-#shortened) == shortened then return path .. rest end
  if message:find("^[^\n]-:%d+: ") then return message end
  return path .. ": " .. message
end

---Loads a board from a file of Lua text. Its global assignments stay in the board.
---@param path string
---@return omni.Storyboard|nil board, omni.Error|nil err  `code` is "invalid_board"
local function load_board(path)
  if type(path) ~= "string" then error("load_storyboard: the path must be a string, not " .. words.a(path), 2) end
  local function fail(message, hint)
    return nil, words.problem(path, nil, message, nil, hint)
  end

  local file, why = io.open(path, "rb")
  if not file then return nil, words.problem(nil, nil, "can't read the board: " .. why) end
  local readable = file:read(0) or file:seek("end") == 0
  file:close()
  if not readable then return fail("can't read the board") end

  local environment = setmetatable({
    scene = words.scene,
    -- `return storyboard {...}` is a tail call, after which Lua doesn't know the line any more: the file must do.
    storyboard = function(fields)
      local board, bad = storyboard.build(fields, path)
      if not board then error(bad, 0) end
      return board
    end,
  }, { __index = _G })
  local chunk, syntax = loadfile(path, "t", environment)
  if not chunk then return nil, words.problem(nil, nil, placed(path, syntax)) end

  local ok, board = pcall(chunk)
  if not ok then
    if err.is(board) then return nil, board end
    local message = type(board) == "string" and board or "raised " .. words.a(board)
    return nil, words.problem(nil, nil, placed(path, message))
  end
  if storyboard.is_board(board) then return board end
  if words.is_scene(board) or words.is_unfinished(board) then
    return fail("the file returned a scene instead of a storyboard", HINT)
  end
  return fail(("the file returned %s instead of a storyboard"):format(words.a(board)), HINT)
end

return { load = load_board }
