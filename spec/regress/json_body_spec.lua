-- SPDX-License-Identifier: MIT
-- An array with a hole was sent with a null, and a name that isn't UTF-8 was sent unchanged.
local json = require "omni.json"

describe("a body that JSON can't hold", function()
  it("is refused: an array with a hole, a name that isn't UTF-8", function()
    for _, value in ipairs { { 1, 2, nil, 4 }, { ["\xff"] = 1 }, { a = { { ["\xc3"] = 1 } } } } do
      local text, err = json.encode({ value = value }, "body")
      assert.is_nil(text)
      assert.equal("invalid_input", err.code)
      assert.matches("^body%.value", err.field)
    end
    assert.equal('{"a":[1,2,3]}', json.encode({ a = { 1, 2, 3 } }, "body"))
  end)
end)
