-- SPDX-License-Identifier: MIT
-- Builds the environment of an untrusted board: the board language's functions, the parts of Lua's libraries that can't reach outside the
-- board, and access to the files in the board's folder.
--
-- The function `inside` runs the board in a separate process with its own Lua state. The time and memory of a board's process are limited
-- (csrc/core/board_process.c). Since `inside` runs in its own Lua state, it can't use the rest of this file. `inside` returns the board's
-- result as bytes. The loader (confined_load.lua) doesn't trust the bytes from a board's process, so a hostile board can harm only its own
-- result.

local MAX_BYTES <const> = 8 * 1024 * 1024 -- maximum size of a board's file, and of the board's result

-- `open` opens a file in the board's folder for reading. `argument` is a packed string that contains the board's path as given, the board's
-- text, the maximum size of the board's result in bytes, and the names and values given with --set.
local function inside(open, argument)
  local MAX_DEPTH <const>, MAX_PRINTED <const> = 150, 65536
  local G, debug, io, os, string = _G, debug, io, os, string
  local find, gsub, match, pack, sub, unpack = string.find, string.gsub, string.match, string.pack, string.sub, string.unpack
  local concat, error, load, next, pcall, select, tostring, type = table.concat, error, load, next, pcall, select, tostring, type
  local getinfo, math_type, raw_metatable, setmetatable = debug.getinfo, math.type, debug.getmetatable, setmetatable
  local file_methods = raw_metatable(io.stdout).__index
  local path, text, max_bytes, at = unpack("<s4s4I4", argument)
  local open_file, opened, is_opened = open, {}, {}
  open = function(name)
    local file, why = open_file(name)
    if file and not is_opened[name] then opened[#opened + 1], is_opened[name] = name, true end
    return file, why
  end
  local folder = match(path, "^(.*/)[^/]*$") or ""

  -- --- functions that a board can't use

  local function refusal(name, why)
    return ("%s isn't available to a board: %s; --trust (in a program: trusted = true) allows it"):format(name, why)
  end

  -- Returns a library with only the fields in `kept`. Using a field of the library that isn't in `kept` raises an error.
  local function restricted(name, library, kept, why)
    local copy, refused = {}, {}
    for key in next, kept do copy[key] = library[key] end
    for key, value in next, library do
      local message = refusal(name .. "." .. key, why)
      if not kept[key] and type(value) == "function" then
        copy[key] = function() error(message, 2) end
      elseif not kept[key] then
        refused[key] = message
      end
    end
    return setmetatable(copy, { __index = function(_, key) if refused[key] then error(refused[key], 2) end end })
  end

  G.string.dump = function() error(refusal("string.dump", "it makes bytecode"), 2) end
  G.debug = restricted("debug", debug, { traceback = true }, "it can change running code")
  G.os = restricted("os", os, { clock = true, date = true, difftime = true, time = true }, "it reaches outside the board")
  G.io = restricted("io", io, { type = true }, "it reaches outside the board")
  G.package = setmetatable({}, { __index = function(_, key)
    error(refusal("package." .. tostring(key), "`require` finds only Lua files beside the board"), 2)
  end })

  -- --- environment variables: those of --set, not those of the system

  local variables, missing = {}, {}
  while at <= #argument do
    local name, value
    name, value, at = unpack("<s4s4", argument, at)
    variables[name] = value
  end

  function G.os.getenv(name)
    if type(name) ~= "string" then error("os.getenv: expected a name, got a " .. type(name), 2) end
    local value = variables[name]
    if not value and #missing < 10 then missing[#missing + 1] = sub(name, 1, 100) end
    return value
  end

  -- --- reading files

  local function read_only(name, mode)
    if mode == nil or mode == "r" or mode == "rb" then return end
    error(refusal(name, "it only reads files, so its mode must be 'r' or 'rb'"), 3)
  end

  local function check_path(what, name)
    if type(name) ~= "string" then error(what .. ": expected a path, got a " .. type(name), 3) end
    if find(name, "\0", 1, true) then error(what .. ": a path must not contain a NUL", 3) end
  end

  function G.io.open(name, mode)
    check_path("io.open", name)
    read_only("io.open for writing", mode)
    return open(name)
  end

  function G.io.lines(name, ...)
    check_path("io.lines", name)
    local file, why = open(name)
    if not file then error(why, 2) end
    local step = file_methods.lines(file, ...)
    local function after(...)
      if (...) == nil then file_methods.close(file) end
      return ...
    end
    return function() return after(step()) end
  end

  local printed, printed_bytes = {}, 0
  function G.print(...)
    local words = { ... }
    for index = 1, select("#", ...) do words[index] = tostring(words[index]) end
    local line = concat(words, "\t")
    printed_bytes = printed_bytes + #line + 1
    if printed_bytes <= MAX_PRINTED then printed[#printed + 1] = line end
  end

  -- --- running Lua: source text only

  function G.load(chunk, name, mode, ...)
    if mode ~= nil and type(mode) ~= "string" then error("load: the mode must be a string", 2) end
    if mode and not match(mode, "t") then return nil, refusal("load of bytecode", "bytecode isn't checked") end
    return load(chunk, name, "t", ...)
  end

  -- Removes a byte order mark, and the first line if it begins with "#".
  local function without_first_line(code)
    return (gsub(gsub(code, "^\xEF\xBB\xBF", ""), "^#[^\n]*", ""))
  end

  local function load_beside(name, ...)
    local file, why = open(name)
    if not file then return nil, why end
    local code = file_methods.read(file, "a")
    file_methods.close(file)
    local chunk, syntax = load(without_first_line(code), "@" .. (match(name, "^/") and "" or folder) .. name, "t", ...)
    return chunk, syntax, 0 -- the syntax error's message already contains its location
  end

  function G.loadfile(name, _, ...)
    if type(name) ~= "string" then error("loadfile: expected a path, got a " .. type(name), 2) end
    local chunk, why = load_beside(name, ...)
    return chunk, why
  end

  function G.dofile(name)
    if type(name) ~= "string" then error("dofile: expected a path, got a " .. type(name), 2) end
    local chunk, why, level = load_beside(name)
    if not chunk then error(why, level or 2) end
    return chunk()
  end

  local loaded, LOADING = {}, {}
  function G.require(name)
    if type(name) ~= "string" then error("require: expected a module's name, got a " .. type(name), 2) end
    if loaded[name] == LOADING then error(("require: module '%s' requires itself"):format(name), 2) end
    if loaded[name] ~= nil then return loaded[name] end
    local stem = gsub(name, "%.", "/")
    for _, ending in next, { ".lua", "/init.lua" } do
      local file = open(stem .. ending)
      if file then
        file_methods.close(file)
        local chunk, why = load_beside(stem .. ending)
        if not chunk then error(why, 0) end
        loaded[name] = LOADING
        local fine, result = pcall(chunk, name, stem .. ending)
        if not fine then
          loaded[name] = nil
          error(result, 0)
        end
        if result == nil then result = true end
        loaded[name] = result
        return result
      end
    end
    error(("module '%s' not found: neither %s.lua nor %s/init.lua is in the board's folder; a board has no other modules; "
      .. "--trust (in a program: trusted = true) allows them"):format(name, stem, stem), 2)
  end

  -- --- the words: each only records its arguments and its place

  -- Returns the location ("file:line") at which the board called one of the board language's functions, or nil if Lua doesn't know the line
  -- (after a tail call).
  local function place()
    if getinfo(2, "t").istailcall then return nil end
    local caller = getinfo(3, "Sl")
    if not caller or caller.currentline <= 0 then return nil end
    return (match(caller.source, "^@(.*)") or caller.short_src) .. ":" .. caller.currentline
  end

  local kinds = {} -- metatable → name of the function
  local function kind(name, call)
    local metatable = { __name = "omni." .. name, __call = call }
    kinds[metatable] = name
    return metatable
  end

  local Scene = kind "scene"
  local Unfinished = kind("unfinished", function(self, fields)
    return setmetatable({ name = self.name, where = self.where, fields = fields }, Scene)
  end)
  function G.scene(name, fields)
    local unfinished = setmetatable({ name = name, where = place() }, Unfinished)
    if fields ~= nil then return unfinished(fields) end
    return unfinished
  end

  local Windows
  Windows = kind("windows", function(self, fields)
    return setmetatable({ source = self.source, seconds = self.seconds, where = self.where, fields = fields or false }, Windows)
  end)
  function G.windows(given, seconds)
    return setmetatable({ source = given, seconds = seconds, where = place() }, Windows)
  end

  for _, name in next, { "file", "url", "last_frame", "clip" } do
    local Placeholder = kind(name)
    G[name] = function(value) return setmetatable({ value = value, where = place() }, Placeholder) end
  end

  local Board = kind "storyboard"
  function G.storyboard(fields) return setmetatable({ fields = fields }, Board) end

  -- --- the result as bytes, without calling the board's metamethods

  local parts, count, bytes = {}, 0, 0
  local function put(part)
    count, bytes = count + 1, bytes + #part
    if bytes > max_bytes then error("the board makes more than " .. max_bytes // 1048576 .. " MiB of scenes", 0) end
    parts[count] = part
  end

  local function write(value, depth)
    local sort = type(value)
    if sort == "string" then
      put(pack("<c1s4", "s", value))
    elseif sort == "number" then
      put(math_type(value) == "integer" and pack("<c1i8", "i", value) or pack("<c1d", "d", value))
    elseif sort == "boolean" then
      put(value and "t" or "f")
    elseif sort ~= "table" then
      put(sort == "nil" and "n" or pack("<c1s4", "x", sort))
    else
      if depth > MAX_DEPTH then error("the board's tables are nested too deeply, or contain themselves", 0) end
      local metatable = raw_metatable(value)
      local word = metatable and kinds[metatable]
      put(word and pack("<c1s4", "w", word) or "{")
      for key, item in next, value do
        write(key, depth + 1)
        write(item, depth + 1)
      end
      put "}"
    end
  end

  local function bytes_of(result)
    parts, count, bytes = {}, 0, 0
    result.printed, result.missing, result.opened = concat(printed, "\n"), missing, opened
    write(result, 0)
    return concat(parts, "", 1, count)
  end

  -- --- the run

  local function failed(why)
    if type(why) ~= "string" then return bytes_of { raised = type(why) } end
    return bytes_of { failed = sub(why, 1, 4096) }
  end

  local chunk, syntax = load(without_first_line(text), "@" .. path, "t")
  if not chunk then return failed(syntax) end
  local fine, result = pcall(chunk)
  if not fine then return failed(result) end
  local written, frame = pcall(bytes_of, { result = result })
  if written then return frame end
  return bytes_of { refused = tostring(frame) }
end

return { MAX_BYTES = MAX_BYTES, inside = inside }
