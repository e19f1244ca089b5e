-- SPDX-License-Identifier: MIT
local core = require "omni.core"
local env = require "helper.env"
local socket = require "socket"

describe("the clock", function()
  it("counts seconds and never stops", function()
    local before = core.now()
    socket.sleep(0.05)
    local took = core.now() - before
    assert.is_true(took >= 0.05 and took < env.seconds(1), "0.05 s took " .. took)
  end)
end)

describe("core.terminal", function()
  it("returns a terminal's width, and nil for a file", function()
    local code = "local core = require 'omni.core'; print(core.terminal(0), core.terminal(1))"
    local command = ("%s -e %s"):format(env.lua, env.quote(code))
    assert.equal("nil\tnil\n", env.output(command .. " </dev/null"))
    local inside = "stty cols 77 <&1; " .. command .. " <&1"
    local told = env.output(("script -qec %s /dev/null </dev/null"):format(env.quote(inside)))
    assert.equal("77\t77", told:match "%w+\t%w+")
  end)

  it("refuses any other descriptor than 0 to 2", function()
    assert.has_error(function() core.terminal(3) end, "bad argument #1 to 'terminal' (must be 0, 1 or 2)")
  end)
end)

describe("core.columns", function()
  local widths = {
    { "", 0, "nothing" }, { "plain", 5, "ASCII" }, { "é", 1, "a Latin letter" },
    { "e\u{301}", 1, "a combining accent" }, { "日本", 4, "wide letters" }, { "😀", 2, "an emoji" },
    { "\u{200B}x", 1, "a space without width" }, { "a\27\n\u{85}b", 2, "control characters" },
    { "\xff\xc3", 2, "bytes that aren't UTF-8" }, { "\xed\xa0\x80", 3, "a surrogate" },
  }
  for _, row in ipairs(widths) do
    it("counts " .. row[3], function() assert.equal(row[2], core.columns(row[1])) end)
  end

  it("leaves the program's locale unchanged", function()
    local before = os.setlocale()
    core.columns "日本"
    assert.equal(before, os.setlocale())
  end)
end)

describe("core.clean", function()
  local cleaned = {
    { "leaves good text alone", "Grüße, 日本 😀", "Grüße, 日本 😀" },
    { "makes line breaks and tabs spaces", "a\nb\tc\rd", "a b c d" },
    { "takes the escape out of a terminal's commands", "\27[31mred\7", "?[31mred?" },
    { "replaces NUL and DEL", "a\0b\127", "a?b?" },
    { "replaces the control characters above ASCII", "a\u{80}\u{9b}31m\u{9f}\u{a0}", "a??31m?\u{a0}" },
    { "replaces what turns the reading direction", "\u{202a}\u{202e}exe.\u{2066}x\u{2069}", "??exe.?x?" },
    { "leaves marks that only hint a direction", "\u{200e}\u{2065}", "\u{200e}\u{2065}" },
    { "replaces each byte that isn't UTF-8", "\xff\x80a\xc3", "??a?" },
    { "replaces overlong forms", "\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf", "?????????" },
    { "replaces surrogates", "\xed\xa0\x80", "???" },
    { "replaces what is above Unicode's end", "\xf4\x90\x80\x80\u{10ffff}", "????\u{10ffff}" },
  }
  for _, row in ipairs(cleaned) do
    it(row[1], function() assert.equal(row[3], core.clean(row[2])) end)
  end

  it("cuts between code points and ends with an ellipsis", function()
    assert.equal("éé", core.clean("éé", 4))
    assert.equal("éé…", core.clean("ééééé", 7))
    assert.equal("éé…", core.clean("ééééé", 8))
    assert.equal("é…", core.clean("éé日日", 6))
    assert.equal("…", core.clean("abcd", 3))
    assert.equal("ab", core.clean("abcd", 2))
    assert.equal("", core.clean("abcd", 0))
  end)

  it("never returns more bytes than allowed, and always valid UTF-8", function()
    local text = "aé日😀\n\u{202e}\xff\xed\xa0\x80" -- every length of piece
    for most = 0, #text + 1 do
      for first = 1, #text do
        local got = core.clean(text:sub(first), most)
        assert.is_true(#got <= most)
        assert.is_truthy(utf8.len(got))
      end
    end
  end)

  it("refuses a negative limit", function()
    assert.has_error(function() core.clean("a", -1) end, "bad argument #2 to 'clean' (must not be negative)")
  end)
end)

describe("files", function()
  it("have a kind, a size, a mode and a time", function()
    local directory <close> = env.directory()
    local path = env.write(directory:file "a file", "12345")
    os.execute(("chmod 640 %s; ln -s 'a file' %s"):format(env.quote(path), env.quote(directory:file "link")))
    local status = core.stat(path)
    assert.same({ "file", 5, tonumber("640", 8) }, { status.kind, status.size, status.mode })
    assert.is_true(math.abs(status.mtime - os.time()) < env.seconds(60))
    assert.equal("file", core.stat(directory:file "link").kind)
    assert.equal("directory", core.stat(directory.path).kind)
    assert.equal("other", core.stat("/dev/null").kind)
  end)

  it("that don't exist return nil and a message with the path", function()
    local status, message = core.stat "/nowhere/at/all"
    assert.is_nil(status)
    assert.equal("/nowhere/at/all: No such file or directory", message)
  end)

  it("can be removed, like empty directories, but not full ones", function()
    local directory <close> = env.directory()
    local path = directory:file "d"
    assert.is_true(core.make_directory(path))
    env.write(path .. "/f", "")
    assert.is_nil((core.remove(path)))
    assert.is_true(core.remove(path .. "/f"))
    assert.is_true(core.remove(path))
    local removed, message = core.remove(path)
    assert.is_nil(removed)
    assert.equal(path .. ": No such file or directory", message)
  end)

  it("can't have a NUL in their names", function()
    for _, name in ipairs { "stat", "make_directory", "make_temporary_directory", "remove" } do
      assert.error_matches(function() core[name] "/tmp/a\0b" end, "must not contain a NUL")
    end
  end)
end)

describe("directories", function()
  it("may exist already when they are created, but not as a file", function()
    local directory <close> = env.directory()
    assert.is_true(core.make_directory(directory.path))
    local path = env.write(directory:file "f", "")
    local made, message = core.make_directory(path)
    assert.is_nil(made)
    assert.equal(path .. ": File exists", message)
    assert.is_nil((core.make_directory(directory:file "x/y")))
  end)

  it("that are temporary are new, have the given prefix, and are private", function()
    local one, two = core.make_temporary_directory "omni-spec-", core.make_temporary_directory "omni-spec-"
    assert.not_equal(one, two)
    assert.is_truthy(one:find "/omni%-spec%-%w+$")
    assert.equal(tonumber("700", 8), core.stat(one).mode)
    assert.is_true(core.remove(one) and core.remove(two))
    assert.has_error(function() core.make_temporary_directory "a/b" end)
  end)

  it("that are temporary are in TMPDIR", function()
    local directory <close> = env.directory()
    local code = "io.write(tostring(require 'omni.core'.make_temporary_directory 'x-'))"
    local command = "TMPDIR=%s " .. env.lua_without_tmpdir .. " -e " .. env.quote(code)
    local path = env.output(command:format(env.quote(directory.path)))
    assert.equal(directory.path .. "/x-", path:sub(1, -7))
    assert.equal("nil", env.output(command:format "/nowhere"))
  end)
end)
