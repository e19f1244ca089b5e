-- SPDX-License-Identifier: MIT
-- Lua values as JSON: the text that is written, which is the same with every lua-cjson, and the values that are refused.
local cjson = require("cjson").new()
local json = require "omni.json"

local function text(value)
  return (assert(json.encode(value, "body")))
end

describe("a value as JSON", function()
  it("has its names in order, so that equal values give equal texts", function()
    assert.equal('{"B":1,"a":{"x":[1,"two",false],"y":null},"b":2}', text { b = 2, a = { y = json.null, x = { 1, "two", false } }, B = 1 })
  end)

  it("has empty tables as they are marked; unmarked ones become objects", function()
    assert.equal('{"list":[],"map":{},"none":{}}', text { list = json.array {}, map = json.object {}, none = {} })
    assert.equal("[]", text(json.array()))
    assert.equal("array", json.mark_of(json.mark_like({}, json.array { 1 })))
    assert.is_nil(json.mark_of(json.mark_like({}, {})))
  end)

  it("has whole numbers without a point, and others with the fewest digits that give the same number", function()
    local cases = {
      ["8"] = 8.0, ["-1"] = -1, ["0"] = -0.0, ["0.1"] = 0.1, ["0.30000000000000004"] = 0.1 + 0.2, ["1e+300"] = 1e300, ["2.5e-07"] = 2.5e-7,
      ["9007199254740993"] = 9007199254740993, ["9007199254740992"] = 2 ^ 53, ["9223372036854775807"] = math.maxinteger,
      ["9.223372036854776e+18"] = 2 ^ 63, ["100000000000000000"] = 1e17,
    }
    for expected, value in pairs(cases) do assert.equal(expected, text(value)) end
    math.randomseed(7)
    for _ = 1, 2000 do
      local value = math.random() * 10 ^ math.random(-30, 30)
      assert.equal(value, tonumber(text(value)))
    end
  end)

  it("has a decimal point in its numbers, whatever the locale", function()
    local before, found = os.setlocale(nil, "numeric"), false
    for _, name in ipairs { "de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "C.UTF-8", "C" } do
      if os.setlocale(name, "numeric") then
        found = true
        assert.equal("[0.5,0.30000000000000004]", text { 0.5, 0.1 + 0.2 })
      end
    end
    os.setlocale(before, "numeric")
    assert.is_true(found)
  end)

  it("keeps every byte of a string", function()
    local all = {}
    for byte = 0, 127 do all[byte + 1] = string.char(byte) end
    local value = table.concat(all) .. "é→\u{1F3AC}"
    assert.equal(value, cjson.decode(text { value })[1])
    assert.equal([["a/b\"\\\n\t\u0000\u007f"]], text "a/b\"\\\n\t\0\127")
  end)

  it("may be as deeply nested as an answer, and no deeper", function()
    local function nested(depth)
      local value = {}
      for _ = 1, depth do value = { value } end
      return value
    end
    assert.truthy(json.encode(nested(json.most_depth), "body"))
    local none, problem = json.encode(nested(json.most_depth + 1), "body")
    assert.is_nil(none)
    assert.matches("is nested too deeply", problem.message)
    local endless = {}
    endless.a = endless
    assert.is_nil((json.encode(endless, "body")))
  end)
end)

describe("a value that JSON can't hold is refused with its place:", function()
  local cases = {
    ["a hole"] = { { list = { 1, nil, 3 } }, "body.list", "without holes" },
    ["a late hole"] = { { list = { 1, 2, [9] = 3 } }, "body.list", "array" },
    ["names and numbers"] = { { a = { 1, b = 2 } }, "body.a", "array %(1 to n, without holes%) or an object" },
    ["a key that is no name"] = { { a = { [true] = 1 } }, "body.a", "or an object" },
    ["names in a marked array"] = { { a = json.array { b = 1 } }, "body.a", "must be an array" },
    ["an array in a marked object"] = { { a = json.object { 1 } }, "body.a", "an object" },
    ["NaN"] = { { a = { 0 / 0 } }, "body.a[1]", "finite" },
    ["infinity"] = { { a = -math.huge }, "body.a", "finite" },
    ["a function"] = { { a = { b = print } }, "body.a.b", "it is a function" },
    ["a coroutine"] = { coroutine.create(print), "body", "it is a thread" },
    ["a string that isn't UTF-8"] = { { a = { "ok", "\xff" } }, "body.a[2]", "UTF%-8" },
    ["a surrogate"] = { { a = "\xed\xa0\x80" }, "body.a", "UTF%-8" },
    ["a name that isn't UTF-8"] = { { a = { ["\xff"] = 1 } }, "body.a", "the name of a field must be valid UTF%-8" },
    ["a name that a terminal would obey"] = { { ["\27[2J"] = print }, "body.?[2J", "function" },
  }
  for what, case in pairs(cases) do
    it(what, function()
      local none, problem = json.encode(case[1], "body")
      assert.is_nil(none)
      assert.equal("invalid_input", problem.code)
      assert.equal(case[2], problem.field)
      assert.equal(case[2] .. ": ", problem.message:sub(1, #case[2] + 2))
      assert.matches(case[3], problem.message)
    end)
  end
end)

describe("decoded JSON", function()
  it("has different empty arrays and objects, and is written again unchanged", function()
    local said = [==[{"a":[],"b":{},"c":[[],{},"[]","{ [ ] }"],"d":"\\\"[]","e":{"f":{"g":[]}},"h":[1.5,2]}]==]
    assert.equal(said, json.text(json.decode(said)))
    assert.equal("[]", json.text(json.decode " [ \n\t] "))
    assert.equal("object", json.mark_of(json.decode '{"a": { }}'.a))
    assert.equal("array", json.mark_of(json.decode '{"a": [ ]}'.a))
  end)

  it("has every whole number of 64 bits exactly, and leaves strings and other numbers alone", function()
    for _, whole in ipairs {
      "9007199254740993", "-9007199254740993", "9223372036854775807", "-9223372036854775808", "[9007199254740993,[],{}]",
      '{"a":[9007199254740993,-1234567890123456789],"b":{"c":1234567890123456789},"d":"1234567890123456789"}',
      '["9007199254740993\\"",0.1234567890123456,{"1234567890123456789":[]}]',
    } do assert.equal(whole, json.text(json.decode(whole))) end
    assert.equal(1e300, json.decode "1e300")
    assert.equal(92233720368547758080.0, json.decode "92233720368547758080")
    assert.equal("integer", math.type(json.decode "9007199254740993"))
  end)

  it("can be written as JSON whatever bytes it contains", function()
    assert.equal('["a\u{FFFD}b\u{FFFD}\u{FFFD}","é"]', json.text { "a\xffb\xe2\x82", "é" })
    assert.has_error(function() json.text { a = { 0 / 0 } } end, "JSON.a[1]: must be a finite number")
  end)
end)
