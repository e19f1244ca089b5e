-- Makes one clip in the sandbox: no key, no network, no cost. The README shows this program.
--   lua5.4 examples/dawn.lua      (with LUA_PATH and LUA_CPATH set, see the README)   or   build/omni lua examples/dawn.lua
local omni = require "omni"

local sandbox <close> = assert(omni.sandbox { seconds = 2 }) -- a stand-in for the service, in this process
local client = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })

local task = assert(client:submit { prompt = "A lighthouse at dawn, slow aerial orbit, cold mist.", duration = 4 })
print("submitted", task.id) -- keep it: the service has no list of tasks
assert(task:await { on_status = function(t) print(t.status) end })
print("saved", assert(task:save("dawn.mp4")))
