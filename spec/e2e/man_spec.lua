-- SPDX-License-Identifier: MIT
-- The man page of docs/build/man_page.lua: programs that show man pages can read it, and it agrees with the help and docs/cli.md.
local env = require "helper.env"
local topics = require "omni.cli.help_topics"
local program = require "helper.program"

local function there(name) return (os.execute("command -v " .. name .. " >/dev/null")) end

describe("the man page", function()
  local directory, page, shown

  setup(function()
    directory = env.directory()
    page = directory:file "omni.1"
    env.output(("%s docs/build/man_page.lua >%s"):format(env.lua, env.quote(page)))
    -- The page as text, with lines long enough for each paragraph. Bold characters are struck twice.
    shown = there "mandoc" and env.output("mandoc -T utf8 -O width=1000 " .. env.quote(page)):gsub(".\b", "") or nil
  end)
  teardown(function() directory:close() end)

  local function with(tool, promise, body)
    it(promise, function()
      if not there(tool) then return pending(tool .. " isn't installed") end
      body()
    end)
  end

  with("mandoc", "prints a page that mandoc finds no fault with, but that it has no date", function()
    local said = env.output(("mandoc -T lint -W warning %s 2>&1 || true"):format(env.quote(page)))
    assert.equal("", (said:gsub("[^\n]*missing date[^\n]*\n", "")))
  end)

  with("groff", "prints a page that groff finds no fault with", function()
    assert.equal("", env.output(("groff -man -Tutf8 -ww -z %s 2>&1"):format(env.quote(page))))
  end)

  with("mandoc", "shows all sections, in the usual order", function()
    local names = {}
    for name in ("\n" .. shown):gmatch "\n(%u[%u ]+)%f[\n]" do names[#names + 1] = name end
    assert.same({ "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO" },
      names)
    assert.matches("\n *omni %- makes films from scripts\n", shown)
  end)

  with("mandoc", "tells of every command and every option that the help tells of, in its words", function()
    -- Ignores where the help breaks lines.
    local function flat(text) return (text:gsub("%s+", " ")) end
    local commands, all = {}, flat(shown)
    for name in program.run({ "help" }).out:match("\nCommands:\n(.-)\n\n"):gmatch "\n?   ([%l-]+) +%u" do commands[#commands + 1] = name end
    assert.is_true(#commands > 20)
    for _, name in ipairs(commands) do
      local section = assert(("\n" .. shown):match("\n   omni " .. name:gsub("%-", "%%-") .. "%f[%s][^\n]*\n(.-)\n ? ? ?%f[%w]"), name)
      local options = program.run({ "help", name }).out:match "\nOptions:\n(.*)" or ""
      for option in options:gmatch "\n   %-?%w?,? ?(%-%-[%w-]+)" do
        assert.truthy(option == "--help" or section:find(option, 1, true), name .. " " .. option)
      end
    end
    assert.truthy(all:find("--tls-key FILE The certificate's private key, in a file that only you can read.", 1, true))
    assert.truthy(all:find("-h, --help Show this help message and exit. Every command has this option.", 1, true))
    assert.truthy(all:find("omni lua [OPTIONS] SCRIPT [ARGS ...]", 1, true))
    assert.truthy(all:find("One of: kling, vidu, bytedance.", 1, true) or all:find("kling, vidu or bytedance", 1, true))
  end)

  with("mandoc", "shows what is typed as it is typed: no dash, quote or tilde is made prettier", function()
    for _, text in ipairs { "omni run film.lua --budget 200", "~/.config/omni/keys", "CRUN_API_KEY=ak_...", "isn't" } do
      assert.truthy(shown:find(text, 1, true), text)
    end
    assert.falsy(shown:find("`", 1, true))
    -- The page has roff's names for the characters that some programs would prettify.
    local source = env.read(page):gsub('^%.\\"[^\n]*\n%.TH[^\n]*', ""):gsub("\\%-", "")
    assert.is_nil(source:match "[^\n]*[~^'`-][^\n]*")
  end)

  with("mandoc", "shows a text as it is, whatever it would mean to roff", function()
    local texts = { ".SH A name\n.sp 9", "'ta 9", [[\fBbold\fR \(bu \n(.s \\]], "--~^ \"quoted\"" }
    local script = [[
      local parser = require "argparse"("omni")
      local command = parser:command("try", "A summary.")
      for i, text in ipairs(arg) do command:option("--a" .. i, text) end
      package.path = "docs/build/?.lua;" .. package.path
      io.stdout:write(require "man_page"(require("omni.cli.parser").read(parser)))]]
    local words = {}
    for i, text in ipairs(texts) do words[i] = env.quote(text) end
    env.write(directory:file "try.lua", script)
    local said = env.output(("%s %s %s | mandoc -T utf8 -O width=200"):format(env.lua, env.quote(directory:file "try.lua"),
      table.concat(words, " "))):gsub(".\b", "")
    for i, text in ipairs(texts) do
      assert.truthy(said:gsub("%s+", " "):find(("--a%d A%d "):format(i, i) .. text:gsub("%s+", " "), 1, true), text .. "\n" .. said)
    end
  end)

  with("mandoc", "shows the exit codes, the environment and the files that docs/cli.md has", function()
    local document = env.read "docs/cli.md"
    local function has(name, text)
      assert.truthy(document:find(("| %s | %s |\n"):format(name, text), 1, true), name .. " in docs/cli.md")
      local plain = name:gsub("`", "")
      local found = false
      for line in shown:gmatch "[^\n]+" do
        local words = line:gsub("^ +", ""):gsub("^" .. plain:gsub("%p", "%%%0") .. " +", "")
        found = found or words == text:gsub("`", "")
      end
      assert.is_true(found, name .. " in the man page")
    end
    for _, row in ipairs(topics.exit_codes) do has(tostring(row.code), row.text) end
    for _, row in ipairs(topics.environment) do has("`" .. row.name .. "`", row.text) end
    for _, row in ipairs(topics.files) do has("`" .. row.name .. "`", row.text) end
    local _, rows = document:match("\n## Environment and files\n(.-)\n## "):gsub("\n| `", "")
    assert.equal(#topics.environment + #topics.files, rows)
    assert.truthy(program.run({ "help" }).out:gsub("%s+", " "):find(topics.exit_line(), 1, true))
  end)

  it("names only documents that exist", function()
    local count = 0
    for path in topics.documents:gmatch "docs/[%w.]+" do
      assert(env.read(path), path)
      count = count + 1
    end
    assert.is_true(count > 3)
  end)
end)

describe("docs/cli.md", function()
  it("describes every command, and no other", function()
    local commands, document, told = {}, env.read "docs/cli.md", {}
    for name in program.run({ "help" }).out:match("\nCommands:\n(.-)\n\n"):gmatch "\n?   ([%l-]+) +%u" do commands[name] = true end
    for row in document:match("\n| command | what it does |\n(.-)\n\n"):gmatch "[^\n]+" do
      for name in row:match("^|(.-)|"):gmatch "`omni (%l[%l-]*)" do told[name] = true end
    end
    assert.same(commands, told)
  end)
end)
