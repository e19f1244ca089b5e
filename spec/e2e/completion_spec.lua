-- SPDX-License-Identifier: MIT
-- Completion: keys are typed into a shell on a terminal, and the spec looks at the command that the shell would run.
local env = require "helper.env"
local omni = require "omni"
local program = require "helper.program"

local shells <const> = { "bash", "zsh", "fish" }
local directory

-- A function in place of omni: it records its arguments. The completion scripts find the real program in PATH.
local stand_in <const> = "omni() { printf '[%%s]' \"$@\" >> %s; echo >> %s; }\n"

local function there(shell) return (os.execute("command -v " .. shell .. " >/dev/null")) end

-- Defines a test that needs this shell.
local function with(shell, promise, body)
  it(promise, function()
    if not there(shell) then return pending(shell .. " isn't installed") end
    body()
  end)
end

setup(function()
  directory = env.directory()
  for _, shell in ipairs(shells) do
    env.write(directory:file("omni." .. shell), program.run({ "completion", shell }).out .. "\n")
  end
  env.output(("cd %s && mkdir bin && ln -s %s bin/omni && mkdir here functions zsh && mkdir here/clips 'here/other clips'"
    .. " && touch 'here/my board.lua' here/clipsfile here/tls.key && cp omni.zsh functions/_omni"):format(env.quote(directory.path),
    env.quote(program.binary)))
  env.write(directory:file "here/film.lua", 'return storyboard { defaults = { duration = 4 }, scene "storm" { prompt = "storm" },'
    .. 'scene "dusk at sea" { prompt = "dusk" } }')
  local called = env.quote(directory:file "called")
  env.write(directory:file "bashrc", ("source %s\n"):format(env.quote(directory:file "omni.bash")) .. stand_in:format(called, called))
  env.write(directory:file "zsh/.zshrc", ("fpath=(%s $fpath)\nautoload -U compinit\ncompinit -u -D\n"):format(
    env.quote(directory:file "functions")) .. stand_in:format(called, called))
end)

teardown(function() directory:close() end)

local starts <const> = { bash = "bash --noprofile --rcfile %s/bashrc -i", zsh = "env ZDOTDIR=%s/zsh zsh -i" }

-- Types lines into a shell on a terminal. Returns the arguments of omni for each line.
local function typed(shell, lines)
  os.remove(directory:file "called")
  local keys = env.write(directory:file "keys", table.concat(lines, "\n") .. "\nexit\n")
  env.output(("cd %s/here && TERM=xterm PATH=%s/bin:$PATH HOME=%s timeout 300 script -q -e -c %s /dev/null <%s; true"):format(
    env.quote(directory.path), env.quote(directory.path), env.quote(directory.path), env.quote(starts[shell]:format(directory.path)),
    env.quote(keys)))
  local calls = {}
  for line in (env.read(directory:file "called") or ""):gmatch "[^\n]+" do calls[#calls + 1] = line end
  return calls
end

-- The keys (\t is Tab), and the resulting arguments.
local table_of_keys <const> = {
  { "omni trig\t", "[trigger]" },
  { "omni trigger succ\t --wr\t", "[trigger][success][--wrapped]" },
  { "omni help doc\t", "[help][doctor]" },
  { "omni --ver\t", "[--version]" },
  { "omni completion z\t", "[completion][zsh]" },
  { "omni plan film.lua --only st\t --redo=d\t", "[plan][film.lua][--only][storm][--redo=dusk at sea]" },
  { "omni run --fault nev\t --js\t", "[run][--fault][never][--json]" },
  { "omni run --fault=nev\t", "[run][--fault=never]" },
  { "omni templates --platform v\t", "[templates][--platform][vidu]" },
  { "omni templates --platform=v\t", "[templates][--platform=vidu]" },
  { "omni estimate --aspect-ratio 9\t", "[estimate][--aspect-ratio][9:16]" },
  { "omni estimate --aspect-ratio=16:\t", "[estimate][--aspect-ratio=16:9]" },
  { "omni plan my\t --ledger tls\t", "[plan][my board.lua][--ledger][tls.key]" },
  { "omni plan \"my\t", "[plan][my board.lua]" },
  { "omni plan -- my\t", "[plan][--][my board.lua]" },
  { "omni plan --out=clips\t x", "[plan][--out=clips/][x]", "[plan][--out=clips][x]" }, -- the folder, not the file
  { "omni run --adopt my\t x my\t", "[run][--adopt][my][x][my board.lua]" }, -- a scene, its task, and the board
  { "omni forget my\t", "[forget][my]" }, -- takes no files
  { "omni plan --budget my\t", "[plan][--budget][my]" },
  { "omni lua my\t clipsf\t --see\t", "[lua][my board.lua][clipsfile][--see]" }, -- the option belongs to the script
  { "omni upload my\t tls\t", "[upload][my board.lua][tls.key]" },
}

describe("omni completion", function()
  for shell, expected_at in pairs { bash = 2, zsh = 3 } do
    with(shell, ("completes in %s commands, options, choices, and files where files are due"):format(shell), function()
      local lines, expected = {}, {}
      for i, row in ipairs(table_of_keys) do lines[i], expected[i] = row[1], row[expected_at] or row[2] end
      assert.same(expected, typed(shell, lines))
    end)
  end

  -- Returns the completions of fish for a line, without descriptions.
  local function offered(line)
    local words = {}
    for _, row in ipairs(env.lines(("cd %s/here && PATH=%s/bin:$PATH HOME=%s fish --no-config -c %s"):format(env.quote(directory.path),
      env.quote(directory.path), env.quote(directory.path), env.quote(("source ../omni.fish; complete -C %s"):format(env.quote(line)))))) do
      words[#words + 1] = row:match "^[^\t]*"
    end
    table.sort(words)
    return table.concat(words, " ")
  end

  with("fish", "completes in fish commands, options, choices, and files where files are due", function()
    for line, expected in pairs {
      ["omni trig"] = "trigger",
      ["omni trigger succ"] = "success",
      ["omni trigger success --wr"] = "--wrapped",
      ["omni help doc"] = "doctor",
      ["omni --ver"] = "--version",
      ["omni completion "] = "bash fish zsh",
      ["omni completion bash "] = "",
      ["omni run --fault nev"] = "never",
      ["omni run --fault=nev"] = "--fault=never",
      ["omni templates --platform "] = "bytedance kling vidu",
      ["omni estimate --aspect-ratio "] = "16:9 9:16",
      ["omni plan my"] = "my board.lua",
      ["omni plan --out clips"] = "clips/",
      ["omni plan --ledger clipsf"] = "clipsfile",
      ["omni forget my"] = "",
      ["omni plan --budget my"] = "",
      ["omni lua my.lua clipsf"] = "clipsfile",
    } do
      assert.equal(expected, offered(line), line)
    end
  end)

  -- Returns what `omni __complete` prints for these words, without descriptions.
  local function completions(...)
    local words = {}
    for line in program.run({ "__complete", ... }).out:gmatch "[^\n]+" do words[#words + 1] = line:match "^[^\t]*" end
    return words
  end

  local function matches(text, pattern)
    local list = {}
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do list[#list + 1] = line:match(pattern) end
    return list
  end

  it("completes every command and every option that the help shows", function()
    local commands = matches(program.run({ "help" }).out:match "\nCommands:\n(.-)\n\n", "^   ([%l-]+) ")
    assert.is_true(#commands > 15)
    local offered_commands = completions ""
    table.sort(commands)
    table.sort(offered_commands)
    assert.same(commands, offered_commands)
    for _, command in ipairs(commands) do
      local help = program.run({ "help", command }).out:match "\nOptions:\n(.*)" or ""
      local found = table.concat(completions(command, "--"), " ") .. " "
      for i, option in ipairs(matches(help, "^   %-?%w?,? ?(%-%-[%w-]+)")) do
        assert.truthy(found:find(option .. " ", 1, true), command .. " " .. option)
        assert.is_true(i < 30)
      end
    end
  end)

  it("describes commands and options by their first sentence", function()
    local function first_line(...) return program.run({ "__complete", ... }).out:match "^[^\n]*" end
    assert.equal("doctor\tCheck the program, the key, the service, the clock, the ledger, the store and ffmpeg; say what to do",
      first_line "doc")
    assert.equal("--redo\tMake this scene again, or those that match a pattern: its next take", first_line("run", "--red"))
  end)

  it("suggests only values that the options accept", function()
    local kinds = { ["--duration"] = tonumber, ["--aspect-ratio"] = tostring, ["--resolution"] = tostring }
    for option, convert in pairs(kinds) do
      local words = completions("submit", option, "")
      assert.is_true(#words > 1)
      for _, word in ipairs(words) do
        assert(omni.check_input(nil, { prompt = "A boat.", [option:sub(3):gsub("-", "_")] = convert(word) }))
      end
    end
    local faults = completions("sandbox", "--fault", "")
    assert.is_true(#faults > 5)
    for _, word in ipairs(faults) do
      local sandbox <close> = assert(omni.sandbox { faults = { word } }) -- luacheck: ignore 211
    end
  end)

  it("has no suggestions for an unknown command", function()
    assert.same({}, completions("nonsense", ""))
    assert.same({}, completions("nonsense", "--"))
  end)

  for _, shell in ipairs(shells) do
    with(shell, "is a script without faults for " .. shell, function()
      assert.equal("", env.output(("%s -n %s 2>&1"):format(shell, env.quote(directory:file("omni." .. shell)))))
    end)
  end

  it("refuses a shell that it doesn't know", function()
    for _, arguments in ipairs { { "completion" }, { "completion", "tcsh" } } do
      local result = program.run(arguments)
      assert.same({ 2, "" }, { result.code, result.out })
      assert.matches("^omni: .*shell", result.err)
    end
  end)
end)
