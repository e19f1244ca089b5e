-- SPDX-License-Identifier: MIT
-- busted's plain output, with a last line that a script can read: "N passed, N failed" (", N skipped").

local busted = require "busted"
local plain = require "busted.outputHandlers.plainTerminal"

return function(options)
  local handler = plain(options)
  busted.subscribe({ "suite", "end" }, function()
    local skipped = handler.pendingsCount
    print(("\n%d passed, %d failed%s"):format(
      handler.successesCount, handler.failuresCount + handler.errorsCount, skipped > 0 and (", %d skipped"):format(skipped) or ""))
    return nil, true
  end)
  return handler
end
