---@meta omni.ledger_postgresql
-- SPDX-License-Identifier: MIT

local ledger = {}

---Returns a handle for a ledger in a PostgreSQL database. The first verb connects to the database, and creates the schema `omni` if it is
---missing. If the database can't be used, each verb fails. The handle holds an advisory lock, which shows other programs that the ledger is
---open.
---@param address string  in libpq's form: postgresql://...
---@return omni.LedgerHandle
function ledger.open(address) end

return ledger
