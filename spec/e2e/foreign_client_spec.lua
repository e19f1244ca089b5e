-- SPDX-License-Identifier: MIT
-- The sandbox follows docs/service.md: a client that knows nothing else works with it (foreign_client.sh).
local env = require "helper.env"
local loop = require "omni.loop"
local process = require "omni.process"
local program = require "helper.program"

describe("a foreign client made of curl and jq", function()
  local service, files
  before_each(function()
    service, files = program.service(), env.directory()
    env.write(files:file "keeper.png", "\x89PNG\r\n\x1A\n a picture of the keeper")
  end)
  after_each(function()
    service.stop()
    files:close()
  end)

  it("gets everything that docs/service.md promises, and shows its key on no command line", function()
    -- A program named curl that records its arguments and starts curl.
    local curl = env.output "command -v curl":gsub("\n$", "")
    env.write(files:file "curl", ('#!/bin/sh\nprintf "%%s\\n" "$*" >>%s\nexec %s "$@"\n'):format(env.quote(files:file "noted"), curl))
    env.output("chmod +x " .. env.quote(files:file "curl"))
    local result = loop.run(function()
      return assert(process.run({ "sh", "spec/e2e/foreign_client.sh", files.path }, { stdout = "pipe", environment = {
        CRUN_BASE_URL = service.url, CRUN_API_KEY = service.key, PATH = files.path .. ":" .. os.getenv "PATH",
      } }))
    end)
    assert.equal(0, result.exit, result.stderr)
    assert.equal(table.concat({
      'models ["google/gemini-omni","kling/v3","vidu/q2","bytedance/seedance","google/nano-banana","sandbox/any"]',
      'images [1,"google/nano-banana"]', 'schema ["object",["prompt"]]', "defaults [[],{}]", "templates 3 57", "estimate [60,true]",
      "older [60,true]", 'first ["success",60,6,"video"]', 'second ["success",14,"q2"]', 'third [8,"image",2]', "spent 82",
      "codes 401 404 404 422 422", "",
    }, "\n"), result.stdout)
    for name, bytes in pairs { ["first.mp4"] = "ftyp", ["second.mp4"] = "ftyp", ["third.png"] = "\r\n\x1A\n" } do
      assert.equal(bytes, env.read(files:file(name)):sub(5, 8))
    end
    local noted = env.read(files:file "noted")
    assert.matches("CreateTask", noted)
    assert.is_nil(noted:find(service.key, 1, true))
    assert.same({ 3, 82 }, { service.submits(), math.tointeger(service.ledger().charged) })
  end)
end)
