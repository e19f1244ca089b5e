-- SPDX-License-Identifier: MIT
-- Text as other programs write it: with a byte order mark, in UTF-16, with line breaks of all systems.
local text_encoding = require "omni.text_encoding"

-- Returns 16-bit units as text, with a byte order mark.
local function utf16(format, ...)
  local units = { 0xFEFF, ... }
  return format:rep(#units):pack(table.unpack(units))
end

describe("text from outside", function()
  it("is UTF-8 without a byte order mark, whatever it was", function()
    assert.equal("plain", text_encoding.unmarked "plain")
    assert.equal("ä", text_encoding.unmarked "\xEF\xBB\xBFä")
    for _, format in ipairs { "<I2", ">I2" } do
      assert.equal("aä€", text_encoding.unmarked(utf16(format, 0x61, 0xE4, 0x20AC)))
      assert.equal("😀!", text_encoding.unmarked(utf16(format, 0xD83D, 0xDE00, 0x21)))
    end
  end)

  it("has U+FFFD for each unpaired surrogate, and ends before a half unit", function()
    assert.equal("a\u{FFFD}b", text_encoding.unmarked(utf16("<I2", 0x61, 0xD83D, 0x62)))
    assert.equal("\u{FFFD}b", text_encoding.unmarked(utf16("<I2", 0xDE00, 0x62)))
    assert.equal("a\u{FFFD}", text_encoding.unmarked(utf16("<I2", 0x61, 0xD83D)))
    assert.equal("a", text_encoding.unmarked(utf16("<I2", 0x61) .. "b"))
  end)

  it("is read by lines, without empty ones, or as one value without white space around it", function()
    local lines = {}
    for line in text_encoding.lines "\xEF\xBB\xBFone\r\n\r\ntwo\rthree\n" do lines[#lines + 1] = line end
    assert.same({ "one", "two", "three" }, lines)
    assert.equal("a b", text_encoding.value " \t a b\r\n")
  end)
end)
