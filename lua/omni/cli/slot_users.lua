-- SPDX-License-Identifier: MIT
-- Looks up in the ledger who is using the API keys' slots. A command shows the slots' users while it waits for a free slot
-- (view/waits.lua).

local FEW <const> = 3 -- maximum number of slot users to name

-- Returns the name of a slot's user: a board and scene such as "film.lua: dusk", a submit's tag, or "another program".
local function name_of(row)
  local board = row.board and require("omni.file.path").name(row.board)
  return require("omni.cli.view.text").shorten(require("omni.core").clean(board and board .. ": " .. row.scene or row.tag
    or "another program"), 40)
end

---Returns the slots' users in a string such as "film.lua: dusk, film.lua: dawn". Waits for the ledger.
---@param client omni.Client
---@return string|nil
return function(client)
  local users = {}
  for _, ledger in ipairs((client:ledgers())) do
    for _, key in ipairs(client.all_keys) do
      for _, row in ipairs(ledger:ask("in_flight", { account = key.account }) or {}) do
        local submit = ledger:row("row", { id = row.id })
        if submit then users[#users + 1] = name_of(submit) end
      end
    end
  end
  if #users > FEW then users = { users[1], users[2], ("%d more"):format(#users - 2) } end
  return #users > 0 and table.concat(users, ", ") or nil
end
