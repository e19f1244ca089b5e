-- SPDX-License-Identifier: MIT
-- Transfers one large file through the public API, for bench/transfer.
--   transfer.lua save BASE_URL PATH           a task's film, without a ledger
--   transfer.lua save BASE_URL PATH LEDGER    the same, with its SHA-256 taken and written down
--   transfer.lua upload BASE_URL PATH
--   transfer.lua put URL PATH                 only the PUT of an upload, with the C client alone

local core = require "omni.core"
local omni = require "omni"

local verb, url, path, ledger = table.unpack(arg)

local function open()
  return assert(omni.client { base_url = url, api_key = "ak_" .. ("0"):rep(32), ledger = ledger or false, retry_for = 0 })
end

local verbs = {}

function verbs.save()
  local task = assert(open():submit { prompt = "a film" })
  assert(assert(task:refresh()):save(path))
end

function verbs.upload() assert(open():upload(path, { content_type = "video/mp4" })) end

function verbs.put()
  local http <close> = core.client { user_agent = "bench" }
  local poll_set <close> = core.poll_set()
  local put = assert(http:upload({}, url, path, "video/mp4"))
  local ready = {}
  poll_set:add(http:pollfd())
  while not put:done() do
    poll_set:wait(http:timeout(), ready)
    http:step()
  end
  assert(put:result())
end

verbs[verb]()
