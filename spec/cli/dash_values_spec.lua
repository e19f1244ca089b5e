-- SPDX-License-Identifier: MIT
-- Values and arguments that begin with a dash, for every option of every command.

local parser = require "omni.cli.parser"
local program = require "helper.program"
local words = require "omni.cli.dash_values"

-- Returns the commands, each with its own parser.
local function commands()
  local list = {}
  for i, name in ipairs(parser.commands) do
    local made = parser.new { name }
    for at, command in ipairs(made._commands) do
      if command._name == name then table.insert(made._commands, 1, table.remove(made._commands, at)) end
    end
    list[i] = { name = name, parser = made, values = parser.values(made, name) }
  end
  return list
end

-- Returns the words that a command needs in addition to the option of this name.
local function needed(made, name)
  local list = {}
  for _, option in ipairs(made._commands[1]._options) do
    if option._mincount > 0 and option._aliases[1] ~= name then
      table.move({ option._aliases[1], option._choices and option._choices[1] or "1" }, 1, 2, #list + 1, list)
    end
  end
  for _, argument in ipairs(made._commands[1]._arguments) do
    for _ = 1, argument._minargs do list[#list + 1] = argument._choices and argument._choices[1] or "x" end
  end
  return list
end

local all <const> = commands()

describe("a value that begins with a dash", function()
  it("is accepted by every option of every command, unless it may be an option's name", function()
    local count = 0
    for _, command in ipairs(all) do
      for name, needs in pairs(command.values) do
        for _, value in ipairs(needs > 0 and { "-5 degrees, snow", "- a boat, slowly" } or {}) do
          count = count + 1
          local given = { command.name, name, value }
          for i = 2, needs do given[i + 2] = "y" .. i end
          table.move(needed(command.parser, name), 1, 9, #given + 1, given)
          local fine, found = command.parser:pparse(words.tie_values(given, command.values))
          local field = name:gsub("^%-%-", ""):gsub("-", "_")
          local got = fine and found[field]
          while type(got) == "table" do got = got[1] end -- repeatable options, and options with several values
          -- If the option itself refuses the value, its message names the option and the value.
          local refused = not fine and found:find(name, 1, true) and not found:find "unknown option" and not found:find "requires"
          assert.is_truthy(got == value or refused,
            ("%s %s %q: %s"):format(command.name, name, value, fine and tostring(got) or found))
        end
      end
    end
    assert.is_true(count > 100)
  end)

  it("needs an equals sign if it may be an option's name; the message says how, for every option of every command", function()
    for _, command in ipairs(all) do
      for name, needs in pairs(command.values) do
        for _, value in ipairs(needs > 0 and { "-x", "--no-such-option", "--no-such=option", "--help-me" } or {}) do
          local given = { command.name, name, value }
          local fine, message = command.parser:pparse(words.tie_values(given, command.values))
          assert.is_false(fine)
          local hint = words.hint(given, command.values, message)
          assert.is_truthy(hint and hint:find(name .. "=", 1, true), ("%s %s %s: %s"):format(command.name, name, value, message))
        end
      end
    end
  end)

  it("gets this hint from the program, too, which spends nothing", function()
    for given, wanted in pairs {
      ["--prompt --jsno"] = "\n  write a value that begins with a dash like this: --prompt=--jsno\n",
      ["--prompt -x"] = "\n  write a value that begins with a dash like this: --prompt=-x\n",
      ["--prompt x -5"] = "\n  write an argument that begins with a dash after --, like this: -- -5\n",
    } do
      local arguments = { "submit" }
      for word in given:gmatch "%S+" do arguments[#arguments + 1] = word end
      local result = program.run(arguments)
      assert.equal(2, result.code)
      assert.is_truthy(result.err:find(wanted, 1, true), result.err)
    end
    assert.not_matches("dash", program.run({ "submit", "--jsno" }).err)
    assert.not_matches("dash", program.run({ "submit", "--jsno", "x" }).err)
  end)
end)

describe("the arguments of a command that passes some on to a script", function()
  it("are its own up to the first one that isn't an option", function()
    local values = { ["--seed"] = 1, ["--sandbox"] = 0, ["--pair"] = 2 }
    local own, rest = words.split({ "lua", "--seed", "-5", "--sandbox", "--pair", "a", "b", "x.lua", "--seed", "y" }, values)
    assert.same({ "lua", "--seed", "-5", "--sandbox", "--pair", "a", "b", "x.lua" }, own)
    assert.same({ "--seed", "y" }, rest)
    own, rest = words.split({ "lua", "--", "-x.lua", "y" }, values)
    assert.same({ { "lua", "--", "-x.lua" }, { "y" } }, { own, rest })
  end)
end)
