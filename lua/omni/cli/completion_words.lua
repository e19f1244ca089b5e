-- SPDX-License-Identifier: MIT
-- `omni __complete WORD...`: prints the completions of the last word, for the scripts in command/completion.lua. Prints each completion on
-- its own line, followed by a tab and a description. If `omni __complete` prints only ":files" or ":directories", the shell completes
-- paths.

local parser = require "omni.cli.parser"

-- The words that stand for paths in the help texts, such as FILE, and how the shell completes these paths.
local paths <const> = {
  { "DIR", ":directories" }, { "FILE", ":files" }, { "PATH", ":files" }, { "BOARD", ":files" }, { "SCRIPT", ":files" },
}

-- Typical values for options that also accept other values.
local typical <const> = {
  ["--model"] = { "google/gemini-omni" },
  ["--duration"] = { "4", "6", "8", "10" },
  ["--aspect-ratio"] = { "16:9", "9:16" },
  ["--resolution"] = { "720p", "1080p", "4k" },
}

local function faults()
  local names = {}
  for i, row in ipairs(require("omni.sandbox.faults").rows) do names[i] = row.name end
  return names
end

-- Returns a line for each word that begins with `text`, with `prefix` in front of the word.
local function matches(words, prefix, text, descriptions)
  local lines = {}
  for i, word in ipairs(words) do
    if word:sub(1, #text) == text then
      lines[#lines + 1] = prefix .. word .. (descriptions and "\t" .. descriptions[i] or "")
    end
  end
  return lines
end

-- Returns the names of a board's scenes, or an empty list if the board can't be loaded. Runs the board in the same confined environment as
-- `omni plan`.
local function scenes(board_path)
  local board = board_path and require("omni").load_storyboard(board_path, { cpu_seconds = 1 })
  local names = {}
  for i, scene in ipairs(board and board.scenes or {}) do names[i] = scene.name end
  return names
end

local function value_lines(value, option_name, prefix, text, first)
  local words = value and (value.choices or typical[option_name])
  if option_name == "--fault" then words = faults() end
  if value and value.name == "SCENE" then words = scenes(first) end
  if words then return matches(words, prefix, text) end
  for _, row in ipairs(paths) do
    if value and value.name:find(row[1], 1, true) then return { row[2] } end
  end
  return {}
end

-- Returns the first sentence of `text`, without the full stop.
local function first_sentence(text)
  return ((text:match("^(.-)%.%s") or text):gsub("[.,]+$", ""))
end

local function option_lines(options, text)
  local names, descriptions = {}, {}
  for _, option in ipairs(options) do
    for _, name in ipairs(option.names) do
      names[#names + 1], descriptions[#descriptions + 1] = name, first_sentence(option.text)
    end
  end
  return matches(names, "", text, descriptions)
end

local function command_lines(commands, text)
  local names, descriptions = {}, {}
  for i, command in ipairs(commands) do names[i], descriptions[i] = command.name, first_sentence(command.summary) end
  return matches(names, "", text, descriptions)
end

local function option_values(command, name)
  for _, option in ipairs(command.options) do
    for _, alias in ipairs(option.names) do
      if alias == name then return option.values end
    end
  end
  return {}
end

-- Reads all words of the command line except the last one. Returns the command, its arguments so far, and whether only arguments, but no
-- options, can follow. If an option still needs a value, also returns the description of that value and the option's name.
local function read(words, commands)
  local by_name = {}
  for _, command in ipairs(commands) do by_name[command.name] = command end
  local command, arguments, only_arguments, needed, option = nil, {}, false, {}, nil
  for i = 1, #words - 1 do
    local word = words[i]
    if #needed > 0 then
      needed = table.move(needed, 2, #needed, 1, {})
    elseif not command then
      if word:sub(1, 1) ~= "-" then command = by_name[word] or { options = {}, arguments = {} } end
    elseif only_arguments or word == "-" or word:sub(1, 1) ~= "-" then
      arguments[#arguments + 1] = word
      only_arguments = only_arguments or command.passes_on
    elseif word == "--" then
      only_arguments = true
    else
      option, needed = word, option_values(command, word)
    end
  end
  return command, arguments, only_arguments, needed[1], option
end

---Returns the completion lines to print.
---@param words string[]  the words after "omni"; the shell wants to complete the last one
---@return string[]
local function complete(words)
  local options, commands = parser.read(parser.new())
  local text = words[#words] or ""
  local command, arguments, only_arguments, value, option = read(words, commands)
  if value then return value_lines(value, option, "", text, arguments[1]) end
  if not command then return text:sub(1, 1) == "-" and option_lines(options, text) or command_lines(commands, text) end
  if text:sub(1, 1) == "-" and not only_arguments then
    local name, rest = text:match "^(%-%-[^=]+)=(.*)$"
    if not name then return option_lines(command.options, text) end
    return value_lines(option_values(command, name)[1], name, name .. "=", rest, arguments[1])
  end
  if command.passes_on and #arguments > 0 then return { ":files" } end
  local last = command.arguments[#command.arguments]
  return value_lines(command.arguments[#arguments + 1] or last and last.many and last or nil, nil, "", text)
end

return complete
