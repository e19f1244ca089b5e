-- SPDX-License-Identifier: MIT
-- Who uses the slots of the API keys.
local env = require "helper.env"
local omni = require "omni"
local slot_users = require "omni.cli.slot_users"

describe("the users of the slots", function()
  local files, client

  before_each(function()
    files = env.directory()
    client = assert(omni.client { base_url = "http://127.0.0.1:1", api_key = ("k"):rep(20), ledger = files:file "ledger.db" })
  end)
  after_each(function()
    client:close()
    files:close()
  end)

  local function intend(given)
    given.account, given.model, given.input = given.account or client.all_keys[1].account, "m", "{}"
    given.identity = given.scene or given.tag or "none"
    return assert(client:ledger():ask("intend", given))[1].id
  end

  it("are named by board and scene, by tag, or not at all", function()
    assert.is_nil(slot_users(client))
    intend { board = "/films/night.lua", scene = "dusk", base = "b", take = 1 }
    intend { tag = "order 7" }
    intend {}
    intend { account = "another account", tag = "foreign" }
    assert.equal("night.lua: dusk, order 7, another program", slot_users(client))
  end)

  it("are counted from the fourth on, and aren't named once their tasks have ended", function()
    local first = intend { tag = "1" }
    for i = 2, 5 do intend { tag = tostring(i) } end
    assert.equal("1, 2, 3 more", slot_users(client))
    client:ledger():ask("refuse", { id = first, error = "e", message = "m" })
    assert.equal("2, 3, 2 more", slot_users(client))
  end)
end)
