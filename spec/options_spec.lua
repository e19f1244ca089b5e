-- SPDX-License-Identifier: MIT
local options = require "omni.options"

describe("options", function()
  it("that are misspelt are named with the nearest known one", function()
    local known = { timeout = "seconds", retry_for = "seconds", on_status = "function" }
    for wrong, right in pairs { timout = "timeout", tiemout = "timeout", onstatus = "on_status", retryfor = "retry_for",
      TIMEOUT = "timeout" } do
      local _, problem = pcall(options.check, { [wrong] = 1 }, known, "f")
      assert.truthy(problem:find(("did you mean '%s'"):format(right), 1, true), problem)
    end
  end)

  it("that resemble nothing are answered with all that is known", function()
    local _, problem = pcall(options.check, { zzzzzzzz = 1 }, { b = "any", a = "any" }, "f")
    assert.truthy(problem:find("known are: a, b", 1, true))
  end)

  it("of a wrong type say what is allowed", function()
    for kind, wrong in pairs { seconds = -1, count = 0, integer = 1.5, string = 1, ["function"] = {}, table = "x", boolean = 0 } do
      local fine, problem = pcall(options.check, { option = wrong }, { option = kind }, "f")
      assert.is_false(fine)
      assert.truthy(problem:find("option 'option' must be", 1, true))
    end
  end)

  it("may be left out", function()
    assert.same({}, options.check(nil, {}, "f"))
  end)
end)
