-- SPDX-License-Identifier: MIT
-- The examples of docs/reference.md, by the function that they show. A test runs each, in an empty folder.
return {
  ["omni.client"] = [[
local other <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, timeout = 30, retry_for = 60 })
assert(other:balance())
]],
}
