-- SPDX-License-Identifier: MIT
-- A client that was closed by on_progress made the download raise the internal error "the exchange is closed".
local env = require "helper.env"
local omni = require "omni"

describe("a client that is closed within on_progress", function()
  it("ends the download with the error 'closed'", function()
    local folder <close> = env.directory()
    local sandbox <close> = assert(omni.sandbox { seconds = 0.05, clips = "builtin" })
    local client = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, poll_min = 0.01 })
    local task = assert(client:submit { prompt = "a" })
    assert(task:await())
    local _, err = task:save(folder:file "a.mp4", { on_progress = function() client:close() end })
    assert.equal("closed", err.code)
  end)
end)
