-- SPDX-License-Identifier: MIT
-- A task that succeeded had the error "0" in the ledger.
local asked = require "helper.ledger"
local env = require "helper.env"
local omni = require "omni"

describe("a task that succeeded", function()
  it("has no error in the ledger", function()
    local directory <close> = env.directory()
    local path = directory:file "l.db"
    local sandbox <close> = assert(omni.sandbox { seconds = 600, clips = "builtin" })
    local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = path })
    local task = assert(client:submit({ prompt = "x", duration = 4 }, { tag = "t" }))
    sandbox:advance(600)
    assert(task:result())
    client:close()
    assert.equal("success|null|null", asked.sqlite3(path, "SELECT state, typeof(error), typeof(message) FROM submit"):match "%S+")
  end)
end)
