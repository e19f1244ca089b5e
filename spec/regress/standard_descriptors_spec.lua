-- SPDX-License-Identifier: MIT
-- In a host whose stdin was closed, a client's descriptor 0 was never closed; and other files got the descriptors of stdin, stdout and
-- stderr.

local env = require "helper.env"

describe("in a host whose stdin, stdout and stderr are closed", function()
  it("no file or socket of omni gets one of their numbers, and all of them are closed again", function()
    local directory <close> = env.directory()
    local code = ([[
      local core, listener, ledger = require "omni.core", require "omni.listener", require "omni.ledger_sqlite"
      local function descriptors()
        local pipe = core.poll_set() -- the lowest free number above 2 is how many there are
        local count = pipe:pollfd()
        pipe:close()
        return count
      end
      local told, first = {}, nil
      local function tell(...) told[#told + 1] = table.concat({ ... }, " ") end
      for round = 1, 3 do
        local path = %q .. "/" .. round
        do
          local l <close> = assert(listener.open {})
          local http <close> = core.client { base_url = "http://127.0.0.1:" .. l:port(), api_key = ("k"):rep(32) }
          local rows <close> = ledger.open(path .. ".db")
          io.open(path .. ".txt", "w"):close()
          local digest <close> = assert(core.digest(path .. ".txt"))
          local process <close> = assert(core.process({ "true" }, { stdout = "pipe" }))
          rows:start("o", "open")
          local x = http:download("o", "http://127.0.0.1:" .. l:port() .. "/x", path, 0)
          repeat
            http:step()
            l:step()
            local request = l:next()
            if request then request:answer(200, nil, ("film"):rep(100)) end
          until x:done()
          x:keep(false)
          repeat http:step() until x:done()
          repeat until rows:finished()
          for _, object in ipairs { http, rows, digest, process } do
            if object:pollfd() <= 2 then tell(round, "stands at", object:pollfd()) end
          end
          x:close()
        end
        first = first or descriptors()
        if descriptors() ~= first then tell(round, "descriptors", first, descriptors()) end
      end
      local out = assert(io.open(%q, "w"))
      out:write(table.concat(told, "; "), ".")
      out:close()
    ]]):format(directory.path, directory:file "told")
    os.execute(("%s -e %s 0<&- 1>&- 2>&-"):format(env.lua, env.quote(code)))
    assert.equal(".", env.read(directory:file "told"))
  end)

  it("no file of omni gets one of their numbers, even if the host closes them after it has loaded omni", function()
    if not pcall(require, "luv") then return pending "lua-luv isn't installed" end
    local directory <close> = env.directory()
    env.write(directory:file "text", "text")
    local code = ([[
      local core, close = require "omni.core", require("luv").fs_close
      for fd = 0, 2 do assert(close(fd)) end
      local digest <close> = assert(core.digest(%q))
      local process <close> = assert(core.process({ "true" }, { stdout = "pipe", stderr = "pipe" }))
      local set <close> = core.poll_set()
      local file <const> = assert(core.open(%q))
      local numbers = { digest:pollfd() > 2, process:pollfd() > 2, set:pollfd() > 2 }
      for fd = 0, 2 do numbers[#numbers + 1] = not close(fd) end
      local out = assert(io.open(%q, "w"))
      for i, fine in ipairs(numbers) do out:write(i, " ", tostring(fine), "\n") end
      out:close()
    ]]):format(directory:file "text", directory:file "text", directory:file "told")
    os.execute(("%s -e %s"):format(env.lua, env.quote(code)))
    assert.equal("1 true\n2 true\n3 true\n4 true\n5 true\n6 true\n", env.read(directory:file "told"))
  end)
end)
