-- SPDX-License-Identifier: MIT
-- Loads a board: a Lua file that returns a storyboard. A board may contain anybody's code, so it runs confined (environment.lua), unless
-- the caller trusts it.

local placeholder = require "omni.client.placeholder"
local board_file = require "omni.storyboard.language.board_file"
local field_lines = require "omni.storyboard.language.field_lines"
local confined = require "omni.storyboard.language.confined_load"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local models = require "omni.models"
local options = require "omni.options"
local paths = require "omni.file.path"
local errors = require "omni.storyboard.language.errors"
local scenes = require "omni.storyboard.language.scene"
local storyboard = require "omni.storyboard.language"
local upload = require "omni.client.upload"
local windows_word = require "omni.storyboard.language.windows"

local MAX_BYTES <const> = require("omni.storyboard.language.environment").MAX_BYTES
local CPU_SECONDS <const>, MAX_MEMORY <const> = 10, 256 * 1024 * 1024 -- limits for a board's process: CPU seconds, memory in bytes
local LIMITS <const> = { scenes = 10000, bytes = 64 * 1024 * 1024, problems = 100 } -- limits for a board's storyboard in this process
local HOOK_COUNT <const> = 10000 -- number of Lua instructions between two calls to `interrupted`
local TRUST_HINT <const> = "--trust (in a program: trusted = true) runs a board without these limits"

local HINT = 'end the file with: return storyboard { scene "name" { prompt = "..." } }'

local function cancelled()
  return err.new { code = "cancelled", message = "loading the board was interrupted" }
end

-- Completes the location in a Lua error message by replacing a shortened path with the full path of the board or of a file next to the
-- board. If the message contains no location, puts the board's path in front of it.
local function with_place(path, message)
  local shortened, rest = message:match("^%.%.%.([^\n]-)(:%d+: .*)$")
  local folder = path:match("^.*/") or ""
  for length = shortened and #shortened or 0, 1, -1 do
    if folder:sub(-length) == shortened:sub(1, length) then return folder .. shortened:sub(length + 1) .. rest end
  end
  -- The shortened path may contain only a part of the file's name.
  if shortened and path:sub(-#shortened) == shortened then return path .. rest end
  if message:find("^[^\n]-:%d+: ") then return message end
  return path .. ": " .. message
end

-- Returns a hint for a Lua error that is common in boards.
local function hint_for(message)
  local near = message:match "'[}%)]' expected.* near (%S+)$"
  return near and ("a comma may be missing before %s"):format(near) or nil
end

local function read_text(path)
  local file <close>, why = board_file.open(path)
  if not file then return nil, "can't read the board: " .. why end
  local text, unreadable = file:read(MAX_BYTES + 1)
  if unreadable then return nil, ("%s: can't read the board: %s"):format(path, unreadable) end
  if text and #text > MAX_BYTES then return nil, ("%s: is larger than %d MiB"):format(path, MAX_BYTES // 1048576) end
  return text or ""
end

-- Calls `fn(...)` in the same way as `pcall`. Once `interrupted()` has returned true, every further instruction in `fn` raises an error.
-- Since the error is repeated, even an endless loop that catches errors ends. If a C library, such as a profiler, has set a debug hook,
-- this function leaves the hook in place and doesn't interrupt `fn`. Lua code couldn't restore a debug hook that a C library has set.
local function pcall_interruptible(interrupted, fn, ...)
  local hook, mask, count = debug.gethook()
  if not interrupted or hook and type(hook) ~= "function" then return pcall(fn, ...) end
  local function stop()
    if debug.getinfo(2, "f").func == pcall_interruptible or not interrupted() then return end
    debug.sethook(stop, "", 1)
    error(cancelled(), 0)
  end
  debug.sethook(stop, "", HOOK_COUNT)
  local results = table.pack(pcall(fn, ...))
  debug.sethook(hook, mask, count)
  return table.unpack(results, 1, results.n)
end

-- Returns a coroutine library for trusted boards. Coroutines that this library creates inherit the debug hook.
local function hooked_coroutines()
  local function hooked(fn)
    local hook, mask, count = debug.gethook()
    if type(hook) ~= "function" or type(fn) ~= "function" then return fn end
    return function(...)
      debug.sethook(hook, mask, count)
      return fn(...)
    end
  end
  return setmetatable({
    create = function(fn) return coroutine.create(hooked(fn)) end,
    wrap = function(fn) return coroutine.wrap(hooked(fn)) end,
  }, { __index = coroutine })
end

-- Returns the functions of the board language for a trusted board. The functions add the board's errors to the errors found so far.
local function trusted_words(folder, found)
  local words = {}
  function words.scene(name, fields)
    local unfinished = scenes.declare(name, errors.place(), found)
    if fields ~= nil then return (unfinished(fields)) end
    return unfinished
  end
  function words.windows(source, seconds)
    if source == errors.stand_in then return scenes.declare(false, nil, { problems = {} }) end
    local made = errors.try(found, nil, nil, windows_word.declare, source, seconds, errors.place())
    if made then return made end
    found.incomplete = true
    return scenes.declare(false, nil, { problems = {} }) -- returns a substitute, which the board can call but which isn't a scene
  end
  for name, fn in pairs { file = placeholder.file_in(folder), url = placeholder.url, last_frame = placeholder.last_frame,
    clip = placeholder.clip } do
    words[name] = function(value)
      local where = errors.place()
      return (errors.try(found, errors.stand_in, where, function() return fn(value) end))
    end
  end
  return words
end

-- Returns the globals of a trusted board. In a trusted board, `require`, `dofile` and `loadfile` find files next to the board.
local function trusted_environment(path, folder, set, found)
  local words = trusted_words(folder, found)
  local environment = {
    scene = words.scene, windows = words.windows, file = words.file, url = words.url, last_frame = words.last_frame, clip = words.clip,
    coroutine = hooked_coroutines(),
    os = setmetatable({ getenv = function(name) return set[name] or os.getenv(name) end }, { __index = os }),
  }
  local function beside(name)
    return name:sub(1, 1) == "/" and name or (path:match("^(.*/)[^/]*$") or "") .. name
  end
  function environment.loadfile(name, mode, ...)
    if select("#", ...) > 0 then return loadfile(name and beside(name), mode, ...) end
    return loadfile(name and beside(name), mode, environment)
  end
  function environment.dofile(name)
    local chunk, why = environment.loadfile(name)
    if not chunk then error(why, 0) end
    return chunk()
  end
  local loaded = {}
  function environment.require(name)
    if type(name) ~= "string" or loaded[name] ~= nil then return loaded[name] or require(name) end
    for _, ending in ipairs { ".lua", "/init.lua" } do
      local file = name:gsub("%.", "/") .. ending
      if core.stat(beside(file)) then
        local chunk, why = environment.loadfile(file)
        if not chunk then error(why, 0) end
        local result = chunk(name, beside(file))
        loaded[name] = result == nil or result
        return loaded[name]
      end
    end
    return require(name)
  end
  return setmetatable(environment, { __index = _G })
end

local known = {
  client = "any", trusted = "boolean", set = "table", cpu_seconds = "seconds", max_memory = "count", interrupted = "function",
}

local function check_options(opts)
  opts = options.check(opts, known, "omni.load_storyboard", 3)
  if opts.cpu_seconds == 0 then error("omni.load_storyboard: option 'cpu_seconds' must be more than 0", 3) end
  for name, value in pairs(opts.set or {}) do
    if type(name) ~= "string" or type(value) ~= "string" then
      error("omni.load_storyboard: option 'set' must be a table of strings by name", 3)
    end
  end
  return opts
end

-- Adds the names of the files that a board has opened to the set `files`. Returns nil and the reason if another machine couldn't open the
-- files.
local function add_opened(names, folder, files)
  for _, given in ipairs(type(names) == "table" and names or {}) do
    local name = type(given) == "string" and paths.contained(given)
    local real = name and core.real_path(folder .. "/" .. name)
    if not real or real:sub(1, #folder + 1) ~= folder .. "/" then
      return nil, ('the board opens "%s"; a job must open files by a path within the board\'s folder, without ".."')
        :format(core.clean(tostring(given), 200))
    end
    files[name] = "opened"
  end
  return true
end

-- Loads a board. If `contained` is true, the board may use only files in its own folder. Runs in a fiber.
local function load_in_fiber(path, opts, contained)
  local client, interrupted, set = opts.client, opts.interrupted, opts.set or {}
  local check = client and function(model, given) return models.check(client, model, given, true) end
  local modality_of = client and function(model) return models.modality(client, model) end
  local function fail(message, hint)
    return nil, errors.problem(path, nil, message, nil, hint)
  end

  local text, unreadable = read_text(path)
  if not text then
    local with_ending = path .. ".lua"
    return nil, errors.problem(nil, nil, unreadable, nil, core.stat(with_ending) and ("did you mean %s?"):format(with_ending) or nil)
  end
  local absolute, folder = board_file.key(path)
  if not absolute then return fail("can't find the board's folder: " .. folder) end
  local line_of = field_lines.of(text)
  local function build(fields, limits, found)
    local board, bad = storyboard.build(fields, {
      where = path, path = absolute, check = check, limits = limits, modality_of = modality_of, line_of = line_of,
      file_trouble = function(file)
        local fine, wrong = upload.check(file)
        return not fine and wrong or nil
      end,
      problems = found and found.problems, incomplete = found and found.incomplete,
    })
    if not board then error(bad, 0) end
    return board
  end

  -- Loads the file of a trusted board. Returns the board's code as a function. If the file has a syntax error, returns nil and an error.
  local function trusted()
    local found = { problems = {} }
    local environment = trusted_environment(path, folder, set, found)
    environment.storyboard = function(fields) return build(fields, nil, found) end
    local code = text:gsub("^\xEF\xBB\xBF", ""):gsub("^#[^\n]*", "")
    local chunk, syntax = load(code, "@" .. path, "t", environment)
    return chunk, not chunk and errors.problem(nil, nil, with_place(path, syntax), nil, hint_for(syntax)) or nil
  end
  local function untrusted()
    local answer, message, hint = confined.run {
      path = path, text = text, folder = folder, set = set, cpu_seconds = opts.cpu_seconds or CPU_SECONDS,
      max_memory = opts.max_memory or MAX_MEMORY,
    }
    if not answer then return nil, errors.problem(path, nil, message, nil, hint or TRUST_HINT) end
    local failed = type(answer.failed) == "string" and with_place(path, answer.failed)
      or type(answer.raised) == "string" and ("%s: raised a %s"):format(path, core.clean(answer.raised, 20))
    if failed then return nil, errors.problem(nil, nil, failed, nil, hint or hint_for(failed)) end
    local files = contained and {} or nil
    if files then
      local fine, why = add_opened(answer.opened, folder, files)
      if not fine then return fail(why) end
    end
    return function()
      local found = { folder = folder, problems = {}, on_file = files and function(name) files[name] = files[name] or "named" end }
      local fields, other = confined.fields_of(answer.result, found)
      if fields ~= nil then
        local board = build(fields, LIMITS, found)
        board.files = files
        return board
      end
      if found.problems[1] then error(found.problems[1], 0) end
      return other
    end
  end

  local made, bad = (opts.trusted and trusted or untrusted)()
  if not made then return nil, bad end
  local ok, board = pcall_interruptible(interrupted, made)
  if not ok then
    if err.is(board) then return nil, board end
    local message = type(board) == "string" and board or "raised " .. errors.a(board)
    return nil, errors.problem(nil, nil, with_place(path, message))
  end
  if storyboard.is_board(board) then
    board.sha256 = core.sha256(text)
    return board
  end
  if scenes.is_scene(board) or scenes.is_unfinished(board) then
    return fail("the file returned a scene instead of a storyboard", HINT)
  end
  return fail(("the file returned %s instead of a storyboard"):format(errors.a(board)), HINT)
end

---Loads a board from a Lua file, and waits until it is loaded. The board runs in a separate process, with time and memory limits, and
---without access to programs, the environment, or files outside its folder (docs/storyboards.md, "What a board can do"). A trusted board
---runs in this process, without limits.
---@param path string
---@param opts? omni.LoadOptions
---@return omni.Storyboard|nil
---@return omni.Error|nil  codes: invalid_board, cancelled
local function load_board(path, opts)
  options.path(path, "omni.load_storyboard")
  opts = check_options(opts)
  if not loop.in_fiber "omni.load_storyboard" then return loop.drive(load_in_fiber, path, opts) end
  return load_in_fiber(path, opts)
end

---Loads an untrusted board for another machine: the board may use only files in its folder, and the board's `files` field lists these
---files. Runs in a fiber.
---@param path string
---@param opts omni.LoadOptions
---@return omni.Storyboard|nil
---@return omni.Error|nil
local function load_contained(path, opts)
  return load_in_fiber(path, opts, true)
end

return { load = load_board, load_contained = load_contained }
