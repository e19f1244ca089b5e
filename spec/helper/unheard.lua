-- SPDX-License-Identifier: MIT
-- An error in a fiber that nobody joins fails the test in which it happens.
local busted = require "busted"

local found, loop = pcall(require, "omni.loop")
if not found then return end -- the spec of the runner runs specs where nothing was built

local unheard
loop.on_error(function(problem) unheard = unheard or problem end)

busted.subscribe({ "test", "end" }, function(element, parent)
  local problem = unheard
  unheard = nil
  if problem then
    busted.publish({ "error", element.descriptor }, element, parent, "an error that nobody waits for: " .. tostring(problem), {})
  end
  return nil, true
end)
