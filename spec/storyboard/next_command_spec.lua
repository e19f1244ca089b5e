-- SPDX-License-Identifier: MIT
local advice = require "omni.storyboard.next_command"

describe("the command that continues with tasks", function()
  it("names the tasks, the folder, the ledger and the service, quoted for a shell", function()
    assert.equal("omni wait t-1", advice.tasks("wait", { "t-1" }, {}))
    assert.equal("omni wait t-1 t-2 --ledger own.db", advice.tasks("wait", { "t-1", "t-2" }, { ledger = "own.db" }))
    assert.equal("omni fetch 't;rm' --out 'my clips' --base-url 'http://127.0.0.1:1/a?b'",
      advice.tasks("fetch", { "t;rm" }, { out = "my clips", base_url = "http://127.0.0.1:1/a?b" }))
    assert.equal("omni fetch t --out=-x", advice.tasks("fetch", { "t" }, { out = "-x" }))
  end)

  it("quotes a task id that looks like an option", function()
    assert.equal("omni wait --ledger own.db -- t -x", advice.tasks("wait", { "t", "-x" }, { ledger = "own.db" }))
  end)
end)
