-- SPDX-License-Identifier: MIT
-- A script for wrk, which runs it in its own Lua: POSTs a callback of 1 KB for each line of the file in TARGETS. Prints the number of
-- responses a second, and the number of callbacks that failed.

-- luacheck: globals init request done

local heads, lengths, tails, last, at = {}, {}, {}, 0, 0
local body = '{"task_id":"%s","provider":"Google","model_version":"gemini-omni","status":"success","param":{"model":"google/gemini-omni",'
  .. '"callback_url":"https://film.example.com/hook","input":{"prompt":"%s","duration":8,"aspect_ratio":"16:9"}},"create_at":1768900378,'
  .. '"complete_at":1768900441,"duration_s":63,"credits":40,"result":{"code":200,"message":"success","media_urls":'
  .. '["https://media.example.com/2026/11/23/d6956973-2f17-43d4-8514-af6cc3a2f55d.mp4"]},"source":"api"}'

-- Formats as much as possible beforehand: only the parts that all callbacks share are joined for each request.
function init()
  for line in io.lines(os.getenv("TARGETS")) do
    local path, id = line:match("^(%S+) (%S+)$")
    local prompt = ("A lighthouse keeper climbs the stairs at dusk. "):rep(30):sub(1, 1024 - #body:format(id, ""))
    local before, after = body:format(id, prompt):match("^(.-" .. id:gsub("%p", "%%%0") .. ")(.*)$")
    last = last + 1
    tails[#id] = tails[#id] or after
    heads[last] = ("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"):format(path)
      .. "Content-Length: 1024\r\n\r\n" .. before
    lengths[last] = #id
  end
end

function request()
  at = at % last + 1
  return heads[at] .. tails[lengths[at]]
end

function done(summary, _, _)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  if bad > 0 then io.stderr:write(bad .. " callbacks went wrong\n") end
  print(string.format("%.0f %d", summary.requests / summary.duration * 1e6, bad))
end
