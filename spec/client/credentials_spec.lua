-- SPDX-License-Identifier: MIT
-- The sources of API keys, their options, and refused keys. Runs in child processes, each with its own environment.

local credentials = require "omni.client.credentials"
local env = require "helper.env"

local function key(letter) return "ak_" .. letter:rep(32) end

local A <const>, B <const>, C <const> = key "a", key "b", key "c"

-- Prints the keys that a client would use, one a line: the first letter after "ak_" and the limits; or the error.
local lister <const> = [[
local credentials = require "omni.client.credentials"
local found, problem = credentials.find_all()
if found then found, problem = credentials.check_all(found) end
for _, one in ipairs(found or {}) do
  print(one.key:sub(4, 4) .. " " .. tostring(one.in_flight) .. " " .. tostring(one.rate) .. " " .. one.from)
end
if problem then print(problem.code .. ": " .. problem.message .. " / " .. tostring(problem.hint)) end
]]

describe("API keys", function()
  local home

  before_each(function()
    home = env.directory()
    os.execute(("mkdir -p %s/.config/omni %s/.crun %s/xdg/omni"):format(home.path, home.path, home.path))
    env.write(home:file "list.lua", lister)
  end)
  after_each(function() home:close() end)

  local function write(name, text, mode)
    env.write(home:file(name), text)
    os.execute(("chmod %s %s"):format(mode or "600", env.quote(home:file(name))))
  end

  -- Returns the printed lines, with "~" for the home folder.
  local function find(variables)
    local words = {}
    for name, value in pairs(variables or {}) do words[#words + 1] = name .. "=" .. env.quote(value) end
    local out = env.output(("env -u CRUN_API_KEY -u CRUN_API_KEYS -u XDG_CONFIG_HOME HOME=%s %s %s %s"):format(
      env.quote(home.path), table.concat(words, " "), env.lua, env.quote(home:file "list.lua")))
    return (out:gsub(home.path:gsub("%p", "%%%0"), "~"):gsub("\n$", ""))
  end

  it("come from CRUN_API_KEYS, each with its limit of tasks in flight and its rate", function()
    assert.equal("a nil nil CRUN_API_KEYS\nb 2 nil CRUN_API_KEYS\nc nil 0.5 CRUN_API_KEYS",
      find { CRUN_API_KEYS = A .. "," .. B .. "=2, " .. C .. "@0.5," })
    assert.equal("a 3 5 CRUN_API_KEYS", find { CRUN_API_KEYS = A .. "=3@5" })
  end)

  it("come from the keys file, one a line, with comments", function()
    write(".config/omni/keys", "# mine\n\n" .. A .. "\n  " .. B .. "=5   # hers\r\n" .. C .. "=1@2")
    assert.equal("a nil nil ~/.config/omni/keys\nb 5 nil ~/.config/omni/keys\nc 1 2 ~/.config/omni/keys", find())
  end)

  it("are read from files of other systems: byte order marks, line breaks, quotes, comments, UTF-16", function()
    local d = key "d"
    local function utf16(text, order) return (text:gsub(".", order == "<" and "%0\0" or "\0%0")) end
    for _, text in ipairs {
      "\xEF\xBB\xBFCRUN_API_KEY=" .. d .. "\r\n", "CRUN_API_KEY=" .. d .. "\rX=1\r", "export CRUN_API_KEY=" .. d .. " # mine\r\n",
      'CRUN_API_KEY="' .. d .. '" # "mine"\n', "CRUN_API_KEY = '" .. d .. "'\t#mine\n", "CRUN_API_KEY=" .. d .. "\t# it's \"mine\"",
      'CRUN_API_KEY=" ' .. d .. ' "', "# CRUN_API_KEY=no\nCRUN_API_KEY=" .. d, "\xFF\xFE" .. utf16("CRUN_API_KEY=" .. d .. "\r\n", "<"),
      "\xFE\xFF" .. utf16("CRUN_API_KEY=" .. d .. "\n", ">"),
    } do
      write(".crun/.env", text)
      assert.equal("d nil nil ~/.crun/.env", find(), text)
    end
    for _, text in ipairs {
      "\xEF\xBB\xBF" .. A .. "\r\n" .. B .. "=5 # hers\r\n", A .. "\r" .. B .. "=5\r",
      "\xFF\xFE" .. utf16("# ours\r\n" .. A .. "\r\n" .. B .. "=5", "<"),
    } do
      write(".config/omni/keys", text)
      assert.equal("a nil nil ~/.config/omni/keys\nb 5 nil ~/.config/omni/keys", find(), text)
    end
    write(".config/omni/keys", "")
    write(".crun/.env", "CRUN_API_KEY=" .. d .. "#1") -- no comment without a blank before it: it is in the key
    assert.equal("d nil nil ~/.crun/.env", find())
    write(".crun/.env", "CRUN_API_KEY=# none yet\n")
    assert.matches("^no_key: there is no API key", find())
  end)

  it("are read from a variable with surrounding white space or a byte order mark", function()
    assert.equal("a nil nil CRUN_API_KEY", find { CRUN_API_KEY = A .. "\r\n" })
    assert.equal("a nil nil CRUN_API_KEY", find { CRUN_API_KEY = "\xEF\xBB\xBF " .. A .. "\n" })
    assert.equal("a nil nil CRUN_API_KEYS\nb 2 nil CRUN_API_KEYS", find { CRUN_API_KEYS = "\xEF\xBB\xBF" .. A .. ",\n" .. B .. "=2\n" })
    assert.matches("^no_key: there is no API key", find { CRUN_API_KEY = " \n" })
  end)

  it("come from the first place that has any: CRUN_API_KEYS, CRUN_API_KEY, the keys file, ~/.crun/.env", function()
    write(".crun/.env", "export CRUN_API_KEY='" .. key "d" .. "'\n")
    assert.equal("d nil nil ~/.crun/.env", find())
    write(".config/omni/keys", C)
    assert.equal("c nil nil ~/.config/omni/keys", find())
    assert.equal("b nil nil CRUN_API_KEY", find { CRUN_API_KEY = B })
    assert.equal("a nil nil CRUN_API_KEYS", find { CRUN_API_KEYS = A, CRUN_API_KEY = B })
    assert.equal("b nil nil CRUN_API_KEY", find { CRUN_API_KEYS = " , ", CRUN_API_KEY = B })
    assert.equal("c nil nil ~/.config/omni/keys", find { CRUN_API_KEYS = "", CRUN_API_KEY = "" })
    write("xdg/omni/keys", A)
    assert.equal("a nil nil ~/xdg/omni/keys", find { XDG_CONFIG_HOME = home:file "xdg" })
    assert.equal("c nil nil ~/.config/omni/keys", find { XDG_CONFIG_HOME = "xdg" }) -- must be absolute
    write(".config/omni/keys", "# none yet\n")
    assert.equal("d nil nil ~/.crun/.env", find())
  end)

  it("aren't read from a file that other users can read, nor from the next place then", function()
    write(".crun/.env", "CRUN_API_KEY=" .. B)
    for _, mode in ipairs { "644", "640", "604", "620" } do
      write(".config/omni/keys", A, mode)
      assert.equal("no_key: ~/.config/omni/keys can be read by other users of this machine, so its key isn't used"
        .. " / run chmod 600 ~/.config/omni/keys, and reset the key at https://crun.ai/user-api-key, since others may know it", find())
    end
    write(".config/omni/keys", A, "400")
    assert.equal("a nil nil ~/.config/omni/keys", find())
    os.remove(home:file ".config/omni/keys")
    write(".crun/.env", "CRUN_API_KEY=" .. B, "644")
    assert.matches("^no_key: ~/%.crun/%.env can be read by other users", find())
  end)

  it("that are missing are an error with a hint", function()
    assert.matches("^no_key: there is no API key / set the environment variable CRUN_API_KEY", find())
  end)

  it("are refused with an invalid number, and never printed", function()
    for word, message in pairs {
      ["=0"] = "in_flight %(KEY=N%) must be a whole number, 1 or more, not 0", ["=1.5"] = "a whole number, 1 or more, not 1.5",
      ["=2x"] = "in_flight %(KEY=N%) must be a whole number", ["="] = "in_flight", ["=-1"] = "not %-1", ["=1e30"] = "not 1e%+30",
      ["@0"] = "rate %(KEY@R%) must be a number above 0, not 0", ["@1.2.3"] = "rate", ["@"] = "rate", ["=2@x"] = "rate",
      ["=1=2"] = "in_flight", ["@1=2"] = "in_flight", ["=nan"] = "in_flight", ["@1e400"] = "rate",
    } do
      local said = find { CRUN_API_KEYS = B .. "," .. A .. word }
      assert.matches("^no_key: API key 2 of 2 can't be used: .*" .. message, said, word)
      assert.is_nil(said:find(A:sub(4, 20), 1, true), said)
    end
    write(".config/omni/keys", "CRUN_API_KEY=" .. A) -- that is how ~/.crun/.env has it
    local said = find()
    assert.matches("^no_key: the API key can't be used: in_flight", said)
    assert.is_nil(said:find(A:sub(4, 20), 1, true), said)
  end)

  it("are refused when one is a duplicate, and when sandbox keys are mixed with real ones", function()
    assert.matches("^no_key: API key 3 of 3 can't be used: it is a duplicate", find { CRUN_API_KEYS = A .. "," .. B .. "," .. A .. "=2" })
    local mixed = find { CRUN_API_KEYS = A .. "," .. credentials.sandbox_key(1) }
    assert.matches("^no_key: sandbox keys and real keys can't be used together", mixed)
    assert.equal("s 1 nil CRUN_API_KEYS\ns 2 nil CRUN_API_KEYS",
      find { CRUN_API_KEYS = credentials.sandbox_key(1) .. "=1," .. credentials.sandbox_key(2) .. "=2" })
  end)
end)

describe("the keys of a client's options", function()
  it("are checked one by one; the message has the number, but no key", function()
    for message, given in pairs {
      ["API key 2 of 2 can't be used: it must consist of printable ASCII"] = { { key = A }, { key = "b\n" .. B } },
      ["the API key can't be used: it must be a string"] = { { in_flight = 2 } },
      ["1 to 512 characters"] = { { key = ("x"):rep(513) } },
      ["in_flight %(KEY=N%) must be a whole number, 1 or more, not 0"] = { { key = A, in_flight = 0 } },
      ["rate %(KEY@R%) must be a number above 0, not %-1"] = { { key = A, rate = -1 } },
      ["API key 2 of 2 can't be used: it is a duplicate"] = { { key = A }, { key = A, in_flight = 1 } },
      ["can't be used together"] = { { key = credentials.sandbox_key(1) }, { key = B } },
    } do
      local checked, problem = credentials.check_all(given)
      assert.is_nil(checked)
      assert.equal("no_key", problem.code)
      assert.matches(message, problem.message)
      assert.is_nil((problem.message .. tostring(problem.hint)):find(A:sub(4, 20), 1, true))
      assert.is_nil((problem.message .. tostring(problem.hint)):find(B:sub(4, 20), 1, true))
    end
  end)

  it("raise at the caller's line when they can't be right, and are never shown", function()
    local omni = require "omni"
    for message, keys in pairs {
      ["option 'keys' must list at least one table"] = {},
      ["option 'keys', number 1: expected a table { key = \"ak_...\" }, got a string"] = { A },
      ["option 'keys', number 2: options must be a table, not a number"] = { { key = A }, 5 },
      ["option 'keys', number 1: it has no 'key'"] = { { in_flight = 2 } },
      ["option 'keys', number 1: option 'key' must be a string, not 7"] = { { key = 7 } },
      ["option 'keys', number 2: unknown option 'limit'"] = { { key = B }, { key = A, limit = 2 } },
      ["option 'keys', number 1: option 'in_flight' must be a whole number, 1 or more, not 0"] = { { key = A, in_flight = 0 } },
      ["option 'keys', number 1: option 'in_flight' must be a whole number, 1 or more, not a string"] = { { key = A, in_flight = B } },
      ["option 'keys[1].rate' must be more than 0"] = { { key = A, rate = -1 } },
    } do
      local fine, problem = pcall(function() omni.client { keys = keys } end)
      assert.is_false(fine)
      assert.matches("^spec/client/credentials_spec%.lua:%d+: omni%.client: ", problem)
      assert.is_truthy(problem:find(message, 1, true), problem)
      for _, secret in ipairs { A, B } do assert.is_nil(problem:find(secret:sub(4, 20), 1, true)) end
    end
  end)

  it("are used without a trailing line break", function()
    local given = { { key = A .. "\n", in_flight = 2 } }
    assert.same({ { key = A, in_flight = 2 } }, assert(credentials.check_all(given)))
    assert.equal(A .. "\n", given[1].key) -- the caller's own table
    local client <close> = assert(require("omni").client { api_key = B .. "\r\n", base_url = "http://127.0.0.1:9", ledger = false })
    assert.equal(credentials.fingerprint(B), client:keys()[1].key)
    assert.equal("no_key", select(2, credentials.check_all { { key = A .. "\n" .. B } }).code)
  end)

  it("have fingerprints that don't reveal them", function()
    assert.matches("^%x%x%x%x%x%x%x%x%x%x%x%x$", credentials.fingerprint(A))
    assert.not_equal(credentials.fingerprint(A), credentials.fingerprint(B))
  end)
end)
