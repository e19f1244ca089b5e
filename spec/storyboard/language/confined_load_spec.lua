-- SPDX-License-Identifier: MIT
-- Hostile boards: whatever one tries, nothing outside of the board is read, written, run or kept busy.
local env = require "helper.env"
local err = require "omni.error"
local load_board = require("omni.storyboard.language.load").load

-- `make asan` has the collector at its most eager, which boards that make much would not live to see the end of.
local LARGE <const> = 'collectgarbage("setpause", 200) '
local END <const> = '\nreturn storyboard { cut = false, scene "a" { prompt = "x" } }'

-- A folder with a board's folder in it, and with what the board must not reach.
local function new_world()
  local directory = env.directory()
  local function file(name) return directory:file(name) end
  os.execute(("mkdir -p %s %s"):format(env.quote(file "films/.hidden"), env.quote(file "films/lib")))
  env.write(file "secret.txt", "SECRET")
  env.write(file "outside.lua", 'return "SECRET"')
  env.write(file "films/.env", "SECRET")
  env.write(file "films/.hidden/key", "SECRET")
  env.write(file "films/bytecode.lua", string.dump(load 'return "SECRET"'))
  env.write(file "films/bytecode.so", "not a library")
  env.write(file "films/prompts.txt", "the pier\nthe tower\n")
  env.write(file "films/lib/shots.lua", 'return { scene "from a module" { prompt = ... } }')
  os.execute(("cd %s && ln -s ../secret.txt link.txt && ln -s .. up && mkfifo pipe"):format(env.quote(file "films")))
  return directory
end

describe("a board that isn't trusted", function()
  local directory, before

  setup(function()
    directory = new_world()
    env.write(directory:file "films/board.lua", "")
    before = directory:listing()
  end)
  teardown(function() directory:close() end)

  local function load_text(text, opts)
    return load_board(env.write(directory:file "films/board.lua", text), opts)
  end

  local function refused(text, pattern, opts)
    local board, bad = load_text(text, opts)
    assert.is_nil(board, "it loaded: " .. text)
    assert.is_true(err.is(bad))
    assert.equal("invalid_board", bad.code)
    assert.matches(pattern, bad.message .. "\n" .. (bad.hint or ""))
    assert.is_nil(bad.message:find "SECRET")
    env.write(directory:file "films/board.lua", "")
    assert.equal(before, directory:listing())
  end

  -- --- functions that reach outside: name → a call of it
  local unavailable <const> = {
    ["os.execute"] = 'os.execute "touch ../escaped"',
    ["os.remove"] = 'os.remove "../secret.txt"',
    ["os.rename"] = 'os.rename("../secret.txt", "stolen")',
    ["os.tmpname"] = "os.tmpname()",
    ["os.exit"] = "os.exit(0)",
    ["os.setlocale"] = 'os.setlocale "C"',
    ["io.popen"] = 'io.popen "touch ../escaped"',
    ["io.tmpfile"] = "io.tmpfile()",
    ["io.write"] = 'io.write "x"',
    ["io.read"] = "io.read()",
    ["io.input"] = 'io.input "../secret.txt"',
    ["io.output"] = 'io.output "../escaped"',
    ["io.close"] = "io.close()",
    ["io.stdout"] = 'io.stdout:write "x"',
    ["io.stderr"] = 'io.stderr:write "x"',
    ["io.stdin"] = 'io.stdin:read "a"',
    ["package.loadlib"] = 'package.loadlib("libc.so.6", "*")',
    ["package.cpath"] = 'package.cpath = package.cpath .. ";./?.so"',
    ["package.path"] = 'package.path = "../?.lua;" .. package.path',
    ["package.searchers"] = "package.searchers[1]()",
    ["package.searchpath"] = 'package.searchpath("secret", "../?.txt")',
    ["package.preload"] = "package.preload.x = 1",
    ["package.loaded"] = 'package.loaded["omni.core"].make_directory "../escaped"',
    ["string.dump"] = "string.dump(function() end)",
    ["debug.getregistry"] = "debug.getregistry()",
    ["debug.sethook"] = "debug.sethook()",
    ["debug.getinfo"] = "debug.getinfo(1)",
    ["debug.getlocal"] = "debug.getlocal(1, 1)",
    ["debug.getupvalue"] = "debug.getupvalue(print, 1)",
    ["debug.setupvalue"] = "debug.setupvalue(print, 1, nil)",
    ["debug.upvaluejoin"] = "debug.upvaluejoin(print, 1, print, 1)",
    ["debug.getmetatable"] = 'debug.getmetatable ""',
    ["debug.setmetatable"] = "debug.setmetatable(1, {})",
    ["debug.debug"] = "debug.debug()",
    ["io.open for writing"] = 'io.open("escaped", "w")',
  }
  for name, call in pairs(unavailable) do
    it("hasn't " .. name .. ", and is told so", function()
      refused(call .. END, ":1: " .. name:gsub("%p", "%%%0") .. " isn't available to a board: .*%-%-trust .*trusted = true")
    end)
  end

  -- --- ways around: what it tries → { board, what is said }
  local attempts <const> = {
    ["append to a file"] = { 'io.open("prompts.txt", "a")', "io.open for writing" },
    ["update a file"] = { 'io.open("prompts.txt", "r+")', "io.open for writing" },
    ["write through a file that it reads"] = { 'assert(io.open "prompts.txt":write "x")', "Bad file descriptor" },
    ["read a file of the folder above"] = { 'error(assert(io.open "../secret.txt"):read "a")', "only files in its own folder" },
    ["read a file by its absolute path"] = { 'error(assert(io.open "/etc/passwd"):read "a")', "only files in its own folder" },
    ["read the lines of a foreign file"] = { 'for line in io.lines "../secret.txt" do error(line) end', "only files in its own folder" },
    ["read through a link"] = { 'error(assert(io.open "link.txt"):read "a")', "only files in its own folder" },
    ["read through a linked folder"] = { 'error(assert(io.open "up/secret.txt"):read "a")', "only files in its own folder" },
    ["read a folder whose name begins alike"] = { 'assert(io.open "../films2/x")', "No such file" },
    ["read a hidden file"] = { 'error(assert(io.open ".env"):read "a")', "can't read hidden files" },
    ["read a hidden folder's file"] = { 'error(assert(io.open ".hidden/key"):read "a")', "can't read hidden files" },
    ["read a hidden file by a winding way"] = { 'error(assert(io.open "lib/.././.env"):read "a")', "can't read hidden files" },
    ["wait at a named pipe"] = { 'assert(io.open "pipe")', "not a regular file" },
    ["read a folder"] = { 'assert(io.open "lib")', "it is a folder, not a file" },
    ["read a device"] = { 'assert(io.open "/dev/zero"):read(1)', "only files in its own folder" },
    ["read the environment of its process"] = { 'assert(io.open "/proc/self/environ")', "only files in its own folder" },
    ["end a path early"] = { 'assert(io.open "prompts.txt\\0.png")', "io.open: a path must not contain a NUL" },
    ["run a file of the folder above"] = { 'error(dofile "../outside.lua")', "only files in its own folder" },
    ["load a file of the folder above"] = { 'error(assert(loadfile "../outside.lua")())', "only files in its own folder" },
    ["require a file of the folder above"] = { 'error(require "../outside")', "module '../outside' not found" },
    ["require a file above by dots"] = { 'error(require "...outside")', "module '...outside' not found" },
    ["require omni"] = { 'require "omni".sandbox {}', "module 'omni' not found.*%-%-trust" },
    ["require omni's C"] = { 'require "omni.core".make_directory "../escaped"', "module 'omni.core' not found" },
    ["require a C module"] = { 'require "cjson"', "module 'cjson' not found" },
    ["require a C library beside it"] = { 'require "bytecode.so"', "module 'bytecode.so' not found" },
    ["require a standard library"] = { 'require "os".execute "touch ../escaped"', "module 'os' not found" },
    ["run bytecode beside it"] = { 'error(dofile "bytecode.lua")', "binary chunk" },
    ["load bytecode beside it"] = { 'error(assert(loadfile "bytecode.lua")())', "binary chunk" },
    ["load bytecode beside it by its mode"] = { 'error(assert(loadfile("bytecode.lua", "b"))())', "binary chunk" },
    ["require bytecode beside it"] = { 'error(require "bytecode")', "binary chunk" },
    ["load bytecode from a text"] = { 'error(assert(load(io.open "bytecode.lua":read "a"))())', "binary chunk" },
    ["load bytecode in pieces"] = {
      'local f = io.open "bytecode.lua"; error(assert(load(function() return f:read(7) end))())', "binary chunk",
    },
    ["load bytecode by its mode"] = { 'assert(load("\\27Lua", "x", "b"))', "load of bytecode isn't available" },
    ["load with either mode"] = { 'assert(load(io.open "bytecode.lua":read "a", "x", "bt"))', "binary chunk" },
    ["find what was replaced behind os"] = { "getmetatable(os).__index.execute 'x'", "attempt to index" },
    ["find what was replaced in _G"] = { 'rawget(_G, "os").execute "touch ../escaped"', "os.execute isn't available" },
    ["find what was replaced in _ENV"] = { '_ENV["o" .. "s"]["exec" .. "ute"] "touch ../escaped"', "os.execute isn't available" },
    ["find what was replaced by rawget"] = { 'rawget(io, "stdout"):write "x"', "attempt to index a nil value" },
    ["see the environment"] = { 'error(os.getenv "HOME" .. "SECRET")', "a nil value.*%-%-set NAME=VALUE.*'HOME' isn't set" },
    ["see the API key"] = { 'error(os.getenv "CRUN_API_KEY" .. "SECRET")', "a nil value" },
    ["see omni's globals"] = { "error(omni.version .. arg[0])", "global 'omni'" },
    ["hide an error of its own"] = { "error(setmetatable({}, { __tostring = function() return 'SECRET' end }))", "raised a table" },
    ["raise nothing"] = { "error()", "raised a nil" },
    ["raise a long text"] = { 'error(("x"):rep(1e6), 0)', "^.+xxx" },
    ["return a function in a field"] = {
      'return storyboard { scene "a" { prompt = function() return "x" end } }', "prompt",
    },
    ["return a coroutine in a field"] = {
      'return storyboard { scene "a" { prompt = coroutine.create(print) } }', "prompt",
    },
    ["return a file in a field"] = { 'return storyboard { scene "a" { prompt = io.open "prompts.txt" } }', "prompt" },
    ["return a table in itself"] = { 'local t = {}; t.input = t; return storyboard { scene "a" (t) }', "nested too deeply" },
    ["return an array in itself"] = { "local t = { cut = false }; t[1] = t; return storyboard(t)", "nested too deeply" },
    ["nest a storyboard in itself"] = { 'return storyboard { storyboard { scene "a" { prompt = "x" } } }', "expected a scene" },
    ["forge a scene"] = {
      'return storyboard { setmetatable({ name = {}, where = {}, fields = 5 }, getmetatable(scene "x" {})) }',
      "a scene's name must be a string",
    },
    ["forge a scene's place"] = {
      'return storyboard { setmetatable({ name = "a\\27[2J", where = "\\27[2J", fields = {} }, getmetatable(scene "x" {})) }',
      "^%?%[2J: a scene's name must not contain control characters",
    },
    ["forge a file"] = {
      'return storyboard { scene "a" { prompt = "x", first_frame = setmetatable({ value = {} }, getmetatable(file "x")) } }',
      "file: the path must be a string, not a table",
    },
    ["hide a zero byte in a path"] = {
      'return storyboard { scene "a" { prompt = "x", first_frame = file "a.png\\0.txt" } }', "a string with a NUL",
    },
    ["pass bad windows"] = { "return storyboard { windows(5, 8) }", "expected a file" },
    ["replace what omni might call"] = {
      "local all, word = _G, storyboard; for name in next, all do all[name] = nil end; return word {}", "at least one scene",
    },
  }
  for name, attempt in pairs(attempts) do
    it("can't " .. name, function()
      refused(attempt[1] .. (attempt[1]:find("return ", 1, true) and "" or END), attempt[2])
    end)
  end

  -- --- time and memory
  local endless <const> = {
    ["a loop"] = "while true do end",
    ["a loop that catches errors"] = "while true do pcall(error) end",
    ["a loop in a coroutine"] = "coroutine.wrap(function() while true do end end)()",
    ["coroutines without end"] = "while true do coroutine.wrap(function() pcall(error) end)() end",
    ["a loop in a function that C calls"] = '("x"):gsub("x", function() while true do end end)',
    ["a loop in a sort"] = "table.sort({ 1, 2, 3 }, function() while true do end end)",
    ["a loop in a metamethod"] = "local _ = setmetatable({}, { __index = function() while true do end end }).x",
    ["a loop in a finalizer"] = "setmetatable({}, { __gc = function() while true do end end }) collectgarbage()",
    ["a loop while a variable is closed"] = "local x <close> = setmetatable({}, { __close = function() while true do end end })",
    ["a loop in a message handler"] = "xpcall(error, function() while true do end end)",
    ["a loop in a reader of load"] = 'load(function() while true do end end)',
    ["a pattern that never ends"] = '(("a"):rep(30000)):find(("a*"):rep(20) .. "b")',
    ["garbage while the collector is stopped"] = 'collectgarbage "stop"; while true do _ = {} end',
    ["a goto"] = "::again:: goto again",
    ["an endless iteration"] = "for _ in function() return 1 end do end",
    ["printing"] = 'while true do print(("x"):rep(100)) end',
  }
  for name, text in pairs(endless) do
    it("is ended when it takes too long: " .. name, function()
      refused(text .. END, "it takes more than 0.1 s of processor time", { cpu_seconds = 0.1 })
    end)
  end

  local greedy <const> = {
    ["a long string"] = '_ = ("x"):rep(1 << 30)',
    ["a string that doubles"] = 'local s = "xxxxxxxx"; while true do s = s .. s end',
    ["a table"] = "local t = {}; while true do t[#t + 1] = {} end",
    ["a concatenation"] = 'local t = {}; for i = 1, 64 do t[i] = ("x"):rep(1 << 20) end; _ = table.concat(t)',
    ["a replacement"] = '_ = (("x"):rep(1 << 16)):gsub("x", ("y"):rep(1 << 16))',
    ["a packed string"] = 'local f = "!1" .. ("s4"):rep(99); _ = f:pack(table.unpack((function() local t = {} for i = 1, 99 do '
      .. 't[i] = ("x"):rep(1 << 20) end return t end)()))',
    ["coroutines"] = "local t = {}; while true do t[#t + 1] = coroutine.create(print) end",
    ["a read of everything"] = '_ = io.open "prompts.txt":read(1 << 40)',
    ["finalizers that make more"] = "local function more() setmetatable({}, { __gc = more }) _G[#_G + 1] = (\"x\"):rep(1 << 20) end "
      .. "while true do more() end",
  }
  for name, text in pairs(greedy) do
    it("is ended when it takes too much memory: " .. name, function()
      refused(LARGE .. text .. END, "needs more than 32 MiB of memory", { max_memory = 32 * 1024 * 1024 })
    end)
  end

  local large <const> = {
    ["by size"] = { 'return storyboard { scene "a" { prompt = ("x"):rep(9 << 20) } }', "makes more than 8 MiB" },
    ["by tables that hold one another"] = {
      'local t = { "x" }; for i = 1, 40 do t = { t, t } end; return storyboard { scene "a" { prompt = t } }', "makes more than 8 MiB",
    },
    ["by number of scenes"] = {
      'local t = {}; for i = 1, 10001 do t[i] = scene("s" .. i) { prompt = "x" } end; return storyboard { t }', "at most 10000 scenes",
    },
    ["by a style in every scene"] = {
      'local t = {}; for i = 1, 100 do t[i] = scene("s" .. i) { prompt = "x", model = "a/b" } end;'
        .. 'return storyboard { style = ("x"):rep(1 << 20), t }', "take more than 64 MiB",
    },
    ["by defaults in every scene"] = {
      'local t, d = {}, {}; for i = 1, 20000 do d["f" .. i] = i end; for i = 1, 1000 do t[i] = scene("s" .. i) { prompt = "x" } end;'
        .. 'return storyboard { defaults = { model = "a/b", input = d }, t }', "take more than 64 MiB",
    },
    ["by a scene's fields"] = {
      'local f = {}; for i = 1, 201 do f["f" .. i] = 1 end; return storyboard { scene "a" (f) }', "has more than 200 fields",
    },
  }
  for name, attempt in pairs(large) do
    it("can't make a storyboard that is too large: " .. name, function() refused(LARGE .. attempt[1], attempt[2]) end)
  end

  it("reports at most a hundred errors", function()
    local _, bad = load_text(LARGE
      .. 'local t = {}; for i = 1, 5000 do t[i] = scene("s" .. i) { promt = "x" } end; return storyboard { t }')
    assert.equal(100, #bad.problems)
  end)

  it("can't make its errors long, or slow to explain", function()
    local _, bad = load_text(LARGE .. [[
      local t, names = {}, {}
      for i = 1, 3000 do names[("%090d"):format(i)] = url "https://e.org/a.png" end
      for i = 1, 200 do t[i] = scene("s" .. i) { prompt = "x", references = ("%090d"):format(i + 5000) } end
      return storyboard { references = names, t }
    ]])
    assert.equal(100, #bad.problems)
    assert.is_nil(bad.message:find "did you mean")
    _, bad = load_text 'return storyboard { [("x"):rep(1 << 20)] = 1, scene "a" { [("y"):rep(1 << 20)] = 1 } }'
    assert.is_true(#bad.message <= 2010)
    _, bad = load_text 'return storyboard { scene "a" { [("y"):rep(1 << 20)] = 1 } }'
    assert.is_true(#bad.message <= 2010)
  end)

  it("leaves everything in this process unchanged: libraries, metatables, descriptors, children", function()
    local function descriptors() return env.output "ls /proc/self/fd | wc -l; cat /proc/$PPID/task/$PPID/children | wc -w" end
    local there = descriptors()
    assert(load_text([[
      string.upper = function() return "changed" end
      getmetatable("").__index = function() return function() return "changed" end end
      table.concat, math.floor, next, type, leaked = nil, nil, nil, nil, true
      setmetatable(_G, { __index = function() return "changed" end })
    ]] .. END))
    for _ = 1, 20 do load_text "error 'x'" end
    assert.equal("UPPER", ("upper"):upper())
    assert.is_function(table.concat)
    assert.is_nil(rawget(_G, "leaked"))
    assert.is_nil(getmetatable(_G) and getmetatable(_G).__index)
    assert.equal(there, descriptors())
  end)

  it("is plain data afterwards: none of its metamethods run", function()
    local board = assert(load_text [[
      local function loud() error "a metamethod ran" end
      local all = {}
      for _, name in ipairs { "__index", "__newindex", "__pairs", "__len", "__eq", "__lt", "__le", "__concat", "__call", "__tostring",
        "__name", "__gc", "__close", "__unm", "__add" } do all[name] = loud end
      all.__metatable = "hidden"
      local function quiet(value) return setmetatable(value, all) end
      return storyboard(quiet { title = "T", cut = quiet { "a" }, defaults = quiet { duration = 4 },
        scene "a" (quiet { prompt = "x", references = quiet { url "https://e.org/a.png" } }) })
    ]])
    assert.equal("x", board.scenes[1].input.prompt)
    assert.equal(4, board.scenes[1].input.duration)
    assert.is_nil(getmetatable(board.scenes[1].input.img_urls))
    assert.same({ "a" }, board.cut.scenes)
  end)

  it("keeps whole numbers whole, and every byte of a text", function()
    local board = assert(load_text [[return storyboard { scene "a" { model = "a/b", whole = 8, float = 8.0, half = 0.5, no = false,
      least = math.mininteger, list = { 1, 2, { x = "\0\1é}{" } }, prompt = "x" } }]])
    local input = board.scenes[1].input
    assert.same({ "integer", "float", 0.5, false, math.mininteger },
      { math.type(input.whole), math.type(input.float), input.half, input.no, input.least })
    assert.same({ 1, 2, { x = "\0\1é}{" } }, input.list)
  end)
end)

describe("the bytes from a board's process", function()
  it("are refused unless they have the expected form", function()
    local environment = require "omni.storyboard.language.environment"
    local confined = require "omni.storyboard.language.confined_load"
    local loop = require "omni.loop"
    local inside = environment.inside
    local directory <close> = env.directory()
    local function answer(bytes)
      environment.inside = assert(load(("return %q"):format(bytes)))
      local told, why = loop.drive(confined.run, {
        path = "board.lua", text = "", folder = directory.path, set = {}, cpu_seconds = 5, max_memory = 1 << 25,
      })
      environment.inside = inside
      assert.is_nil(told)
      assert.matches("its process ended before it returned the board", why)
    end
    for _, bytes in ipairs {
      "", "n", "t", "s", "s\255\255\255\255", "s\255\255\255\255x", "{", "{s", "{nn}", "{" .. ("<c1d"):pack("d", 0 / 0) .. "t}", "q",
      ("{t"):rep(5000), "w", "w\1\0\0\0", "w\1\0\0\0x", "i\1", "x", "}",
    } do
      answer(bytes)
    end
  end)
end)

describe("a board", function()
  local directory

  setup(function() directory = new_world() end)
  teardown(function() directory:close() end)

  local function load_text(text, opts)
    return assert(load_board(env.write(directory:file "films/board.lua", text), opts))
  end

  for _, trusted in ipairs { false, true } do
    describe(trusted and "that is trusted" or "that isn't trusted", function()
      it("runs Lua files beside it, which can use the words of the language", function()
        env.write(directory:file "films/lib/init.lua", 'return "the folder"')
        env.write(directory:file "films/one.lua", '\xEF\xBB\xBF#!/usr/bin/env lua\nreturn scene "one" { prompt = word }')
        local board = load_text([[
          word = "a global"
          assert(require "lib.shots" == require "lib.shots")
          return storyboard { cut = false, require "lib.shots", dofile "one.lua", assert(loadfile "one.lua")() and nil,
            scene(require "lib") { prompt = "x" } }
        ]], { trusted = trusted })
        assert.equal("from a module", board.scenes[1].name)
        assert.equal("lib.shots", board.scenes[1].input.prompt)
        assert.equal("a global", board.scenes[2].input.prompt)
        assert.equal(directory:file "films/one.lua" .. ":2", board.scenes[2].where)
        assert.equal("the folder", board.scenes[3].name)
      end)

      it("reports where the error in a file beside it is", function()
        env.write(directory:file "films/bad.lua", "\n= 5")
        env.write(directory:file "films/fails.lua", "\n\nerror 'on purpose'")
        for text, place in pairs { ['require "bad"'] = "bad.lua:2:", ['dofile "fails.lua"'] = "fails.lua:3: on purpose" } do
          local _, bad = load_board(env.write(directory:file "films/board.lua", text), { trusted = trusted })
          assert.equal(directory:file "films/" .. place, bad.message:sub(1, #directory:file "films/" + #place))
        end
      end)

      it("has the variables of --set", function()
        local board = load_text('return storyboard { title = os.getenv "TITLE", scene "a" { prompt = "x" } }',
          { trusted = trusted, set = { TITLE = "Night" } })
        assert.equal("Night", board.title)
      end)

      it("has the rest of Lua", function()
        local board = load_text([[
          local made = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
          local name = ("%s %d"):format(("night"):upper():gsub("N", "K"), made() + made())
          assert(os.time() > 0 and os.date "%Y" and os.clock() and os.difftime(2, 1) == 1)
          assert(pcall(error) == false and select("#", 1, 2) == 2 and utf8.len "é" == 1 and math.max(1, 2) == 2)
          assert(load "return 5"() == 5 and load("return x", "c", "t", { x = 6 })() == 6)
          assert(debug.traceback "x" and getmetatable(setmetatable({}, { __gc = type })))
          collectgarbage()
          table.sort({ 3, 2, 1 })
          return storyboard { scene(name) { prompt = table.concat({ "a", "b" }, " ") } }
        ]], { trusted = trusted })
        assert.equal("KIGHT 3", board.scenes[1].name)
      end)
    end)
  end

  it("reads files of its folder", function()
    local board = load_text [[
      local shots = {}
      for line in io.lines "prompts.txt" do shots[#shots + 1] = scene(line) { prompt = line } end
      local file <close> = assert(io.open("lib/../prompts.txt", "r"))
      assert(io.type(file) == "file" and file:read "l" == "the pier" and file:seek "set" == 0)
      return storyboard { title = file:read "a", shots }
    ]]
    assert.equal("the pier\nthe tower\n", board.title)
    assert.equal("the tower", board.scenes[2].name)
  end)

  it("may do anything if it is trusted", function()
    local board = load_text(([[
      assert(require "omni.core" and require "cjson" and package.loaded and debug.getregistry and io.stdout)
      assert(os.execute "true")
      return storyboard { title = os.getenv "PATH" .. io.open(%q):read "a", scene "a" { prompt = "x" } }
    ]]):format(directory:file "secret.txt"), { trusted = true })
    assert.equal(os.getenv "PATH" .. "SECRET", board.title)
  end)

  it("is trusted only if the option is exactly true", function()
    env.write(directory:file "films/board.lua", END)
    assert.has_error(function() load_board(directory:file "films/board.lua", { trusted = "yes" }) end)
    assert.has_error(function() load_board(directory:file "films/board.lua", { trust = true }) end)
    assert.has_error(function() load_board(directory:file "films/board.lua", { set = { A = 1 } }) end)
    assert.has_error(function() load_board(directory:file "films/board.lua", { cpu_seconds = 0 }) end)
  end)

  it("can be loaded by several fibers at once, and outside of the loop", function()
    local loop = require "omni.loop"
    local path = env.write(directory:file "films/board.lua", END)
    loop.run(function()
      local fibers = {}
      for i = 1, 5 do fibers[i] = loop.spawn(load_board, path) end
      for _, fiber in ipairs(fibers) do assert.equal("a", assert(fiber:join()).scenes[1].name) end
    end)
    assert.equal("a", assert(load_board(path)).scenes[1].name)
  end)

  it("that is trusted and loops forever is stopped when `interrupted` returns true", function()
    for _, text in ipairs {
      "while true do end", "while true do pcall(function() while true do end end) end",
      "coroutine.wrap(function() while true do pcall(error) end end)()",
      "local c = coroutine.create(function() while true do pcall(error) end end) while true do coroutine.resume(c) end",
    } do
      local calls = 0
      local board, bad = load_board(env.write(directory:file "films/board.lua", text), {
        trusted = true,
        interrupted = function()
          calls = calls + 1
          return calls > 3
        end,
      })
      assert.is_nil(board)
      assert.equal("cancelled", bad.code)
      assert.is_nil((debug.gethook()))
    end
  end)

  it("that is trusted loads in a program whose debug hook a C library has set, and leaves that hook", function()
    local gethook, sethook, set = debug.gethook, debug.sethook, 0
    local function put(get, replace)
      rawset(debug, "gethook", get)
      rawset(debug, "sethook", replace)
    end
    local back <close> = setmetatable({}, { __close = function() put(gethook, sethook) end }) -- luacheck: ignore 211
    put(function() return "external hook", "l", 0 end, function() set = set + 1 end) -- as Lua describes such a hook
    local board = assert(load_board(env.write(directory:file "films/board.lua",
      'coroutine.wrap(function() end)() return storyboard { scene "a" { prompt = "x" } }'),
      { trusted = true, interrupted = function() return false end }))
    assert.same({ 1, 0 }, { #board.scenes, set })
  end)
end)
