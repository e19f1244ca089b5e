-- SPDX-License-Identifier: MIT
-- The service is at a public address, and a web server with secrets at private ones (docs/network.md): in a network namespace that has both
-- kinds of addresses. spec/http/network_spec.lua has the spellings of addresses, with the service on this machine.
local env = require "helper.env"

local hosts <const> = "127.0.0.1 localhost\\n10.0.0.1 media.example\\n11.0.0.1 service.example\\n"
local network <const> = "ip link set lo up && ip addr add 11.0.0.1/32 dev lo && ip addr add 10.0.0.1/32 dev lo && "
  .. "mount -t tmpfs none /mnt && printf '" .. hosts .. "' >/mnt/hosts && mount --bind /mnt/hosts /etc/hosts"

local function run(command) return "unshare -rnm sh -c " .. env.quote(network .. " && " .. command) end

describe("a service at a public address", function()
  local outcomes = {} -- "way host" → "outcome requests files"

  setup(function()
    if not os.execute(run "true" .. " 2>/dev/null") then return end
    for line in env.output(run("exec " .. env.lua .. " spec/helper/two_networks.lua") .. " 2>&1"):gmatch "[^\n]+" do
      local way, host, rest = line:match "^([^\t]+)\t([^\t]+)\t(.*)$"
      outcomes[assert(way, line) .. " " .. host] = rest:gsub("\t", " ")
    end
  end)

  local function promise(text, body)
    it(text, function()
      if not next(outcomes) then return pending "no network namespace is to be had here" end
      body()
    end)
  end

  local ways <const> = { "media", "media moved", "place", "place moved" }

  promise("never leads a download or an upload to a private address, by any spelling, name or redirect", function()
    for _, host in ipairs { "127.0.0.1", "10.0.0.1", "localhost", "media.example" } do
      for _, way in ipairs(ways) do
        assert.equal("url_refused 0 0", outcomes[way .. " " .. host], way .. " " .. host)
      end
    end
    for _, way in ipairs(ways) do assert.equal("url_refused 0 0", outcomes["named " .. way .. " 10.0.0.1"], way) end
  end)

  promise("leads to public addresses, and to private ones when the user allows that", function()
    for _, way in ipairs(ways) do
      assert.equal("done 1 0", outcomes[way .. " 11.0.0.1"], way)
      assert.equal("done 1 0", outcomes["allowed " .. way .. " 10.0.0.1"], way)
      assert.equal("done 1 0", outcomes["allowed " .. way .. " media.example"], way)
    end
  end)

  promise("gets nothing out of a private network through a board's clips, and no second submit", function()
    assert.equal("url_refused 0 0", outcomes["board submits 1"])
    assert.equal("url_refused 0 0", outcomes["board moved submits 1"])
  end)
end)
