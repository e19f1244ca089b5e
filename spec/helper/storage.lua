-- SPDX-License-Identifier: MIT
-- A hostile server that is both the service that returns presigned URLs and the storage to which files are PUT.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local socket = require "socket"

local LARGE <const> = 16 * 1024 * 1024 -- bytes; more than the sockets of both sides hold

local storage = {}

storage.PNG = "\x89PNG\r\n\x1A\n" .. ("a picture "):rep(10000)

storage.done = { hostile.answer("200 OK", "") }

function storage.refusal(status) return { hostile.answer(status, "<Error>no</Error>") } end

---The service's answer that names the place number n of a server.
function storage.place(server, n)
  return { hostile.json(answers.envelope(('{"presigned_url":"%s/put/%d?signature=s3cret","file_url":"%s/files/%d.png"}'):format(
    server.url, n, server.url, n))) }
end

---Names places 1, 2, 3, ..., and treats what is PUT there as the turns say; the last one stays.
---@param elsewhere? table  another server that has the places
function storage.script(server, turns, elsewhere)
  local places = {}
  for n = 1, 9 do places[n] = storage.place(elsewhere or server, n) end
  server:script { { target = "/upload-url?", turns = places }, { method = "PUT", turns = turns } }
  if elsewhere then elsewhere:script { PUT = turns } end
end

---A client (answers.client) that doesn't know what other tests have uploaded.
function storage.client(url, options)
  options = options or {}
  options.ledger = false
  return answers.client(url, options)
end

---What the service was asked for places with.
function storage.asked(server)
  local list = {}
  for _, request in ipairs(server:requests "GET") do list[#list + 1] = request.target:match "/upload%-url%?(.*)$" end
  return list
end

---A request of nobody's, which "until_requests" counts.
function storage.release(server)
  local peer = assert(socket.connect("127.0.0.1", server.port))
  assert(peer:send "GET /release HTTP/1.1\r\nHost: x\r\n\r\n")
  peer:close()
end

---Makes `path` a picture, of `size` bytes: by default larger than what lies in sockets between client and server.
function storage.large(path, size)
  env.write(path, storage.PNG)
  env.output(("truncate -s %d %s"):format(size or LARGE, env.quote(path)))
  return path
end

---The error of an upload that failed with this code; it shows neither the key nor a place's signature.
function storage.assert_failed(code, uploaded, err)
  assert(uploaded == nil, "it was uploaded")
  assert(err.code == code, ("%s: %s"):format(err.code, err.message))
  assert(not answers.text_of(err):find("s3cret", 1, true), "the signature is in an error")
  return err
end

---How many descriptors of this process are open on `path`.
function storage.descriptors(path)
  return select(2, env.output("ls -l /proc/self/fd /proc/$PPID/fd 2>/dev/null; true"):gsub(path:gsub("%p", "%%%0"), ""))
end

return storage
