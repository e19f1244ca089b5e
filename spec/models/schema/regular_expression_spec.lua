-- SPDX-License-Identifier: MIT
-- Patterns of schemas: what they match, what isn't understood, and that none of them takes for ever.
local pattern = require "omni.models.schema.regular_expression"

local function matches(expression, text)
  return assert(pattern.compile(expression), expression):is_in(text, function() end)
end

-- expression → texts in which it is found, texts in which it isn't
local expressions = {
  { "^[a-z]+$", { "abc" }, { "", "abC", "a b" } },
  { "b", { "abc" }, { "ac" } },
  { "", { "", "a" }, {} },
  { "^$", { "" }, { "a" } },
  { "a|bc|", { "", "xx" }, {} },
  { "^(a|b)*c$", { "c", "ababc" }, { "abac d", "d" } },
  { "^(?:ab){2}$", { "abab" }, { "ab", "ababab" } },
  { "^(?<year>\\d{4})$", { "2024" }, { "24" } },
  { "^\\d{2,4}$", { "12", "1234" }, { "1", "12345" } },
  { "^\\d{2,}$", { "12", "123456" }, { "1" } },
  { "^a{0}b$", { "b" }, { "ab" } },
  { "^a+?b*?$", { "a", "aab" }, { "b" } },
  { "^.{1,3}$", { "é→x" }, { "", "abcd", "a\nb" } },
  { "^[\\s\\S]*$", { "", "a\nb" }, {} },
  { "^[^a-c]+$", { "xyz" }, { "xay" } },
  { "^[\\w.-]+@[\\w-]+\\.\\w+$", { "a.b-c@d-e.fg" }, { "a@b", "é@b.c" } },
  { "^[\\]\\\\^-]+$", { "]\\^-" }, { "a" } },
  { "^[^\\d\\s]$", { "a" }, { "1", " ", "" } },
  { "^[\\D]$", { "x" }, { "5" } },
  { "[]", {}, { "", "a" } },
  { "^[^]$", { "\n" }, { "" } },
  { "^\\u00e9\\x41\\u{2192}\\t$", { "éA→\t" }, { "eA→\t" } },
  { "\\bfoo\\b", { "foo", "a foo b" }, { "afoo", "foob" } },
  { "^\\Bx|\\B\\.", { "..." }, { "x", "a.b" } },
  { "x\\/y", { "x/y" }, { "xy" } },
  { "a{,3}{", { "a{,3}{" }, { "aaa" } },
  { "^(a*)*$", { "", "aaa" }, { "b" } },
  { "^16:9$|^9:16$", { "16:9", "9:16" }, { "16:90" } },
}

local beyond = {
  "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", "(?i)a", "(a)\\1", "\\k<a>", "\\p{L}", "\\cA", "\\uD83D\\uDE00", -- not understood
  "[", "[a", "[z-a]", "[a-\\d]", "(", ")", "a)", "*", "a**", "^*", "a{3,2}", "\\", "\\u12", "(?<1>a)", "\xff", -- not expressions
  ("a"):rep(1001), ("("):rep(51) .. (")"):rep(51), "(a{1000}){1000}", "a{99999999999}", "((((){99}){99}){99}){99}", -- too large
}

describe("a pattern", function()
  for _, row in ipairs(expressions) do
    it(row[1] .. " is found where it is, and nowhere else", function()
      for _, text in ipairs(row[2]) do assert.is_true(matches(row[1], text), text) end
      for _, text in ipairs(row[3]) do assert.is_false(matches(row[1], text), text) end
    end)
  end

  it("that isn't understood, no expression at all, or too large, is told apart", function()
    for _, expression in ipairs(beyond) do assert.is_nil(pattern.compile(expression), expression) end
  end)

  it("never takes more than so many steps a character, however its repetitions stand in each other", function()
    for _, expression in ipairs { "^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*)*(.*)*x", "^(([a-z]+)+\\s?)*$", "(a?){30}a{30}b" } do
      local text, steps = ("a"):rep(2000) .. "!", 0
      assert.is_false(assert(pattern.compile(expression)):is_in(text, function(count) steps = steps + count end))
      assert.is_true(steps < 300 * #text, expression .. " took " .. steps)
    end
  end)

  it("is given up by whoever counts its steps", function()
    local left = 1000
    local fine, problem = pcall(function()
      assert(pattern.compile "^.*$"):is_in(("a"):rep(10000), function(count)
        left = left - count
        if left < 0 then error("enough", 0) end
      end)
    end)
    assert.is_false(fine)
    assert.equal("enough", problem)
  end)
end)
