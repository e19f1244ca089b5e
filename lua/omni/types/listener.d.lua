---@meta omni.listener
-- SPDX-License-Identifier: MIT

---@class omni.ListenerOptions
---@field host? string        a numeric IPv4 or IPv6 address, or "localhost"; "0.0.0.0" and "::" mean all addresses (default "127.0.0.1")
---@field port? integer       0: any free port (default 0)
---@field tls_certificate? string  path of a PEM certificate, followed by its chain; enables TLS 1.2 and newer (default: no TLS)
---@field tls_key? string     path of the certificate's PEM key, without a password; refused if other users can read the file (use mode 600)
---@field max_body? integer   maximum size of a request's body in bytes (default 1048576). A larger body gets 413, a chunked body gets 411
---@field max_bodies? integer maximum size of all bodies without a response, in bytes (default 64 times max_body); others get 503
---@field body_directory? string  an existing folder for bodies of more than 65536 bytes (default: bodies stay in memory)
---@field max_header? integer maximum size of a request's first line and headers in bytes (default 16384); a larger request gets 431
---@field max_connections? integer              further connections wait (default 1000; at most half of the process's descriptors)
---@field max_connections_per_address? integer  the listener closes further ones; an IPv6 /64 network counts as one address (default 64)
---@field idle_timeout? number    seconds without a byte, rounded up, before a connection without a waiting request is closed (default 15)
---@field header_timeout? number  seconds for a request's first line and headers; later requests get `idle_timeout` in addition (default 15)
---@field body_timeout? number    seconds for the whole body, from the end of the headers (default 60)
---@field answer_timeout? number  seconds in which the client must receive the whole response (default 600)

---A small HTTP server. Call the listener's `step` when its descriptor is readable or its timeout has passed. After each `step`, call `next`
---until it returns nil.
---@class omni.Listener: omni.Source
local Listener = {}

---@return integer port
function Listener:port() end

---@return string address  in the system's spelling
function Listener:host() end

---Receives and sends as many bytes as possible without waiting.
---@return boolean waiting  whether `next` has a request
function Listener:step() end

---Returns the oldest complete request that `next` hasn't returned yet. Returns nil if no request is waiting or the listener is closed.
---@return omni.Request|nil
function Listener:next() end

---Registers a task's token. Once a token is registered, the listener responds with 200 to a POST request whose path ends with the token and
---whose body names the task, and `next` doesn't return such a request. Replaces any earlier registration of the token.
---@param digest string   the SHA-256 of the token (32 hexadecimal digits in lower case), as hexadecimal digits
---@param task_id string
---@return integer number  for `callback`
function Listener:expect(digest, task_id) end

---Ends a token's registration. Does nothing if the token isn't registered.
---@param digest string
function Listener:forget(digest) end

---Returns the oldest callback with a registered token that `callback` hasn't returned yet, or nothing.
---@return integer|nil number  what `expect` returned; the token may have been forgotten since
---@return boolean final       the callback's status is "success" or "failed"
function Listener:callback() end

---Reads the certificate and the key again, and uses them for new connections. Raises an error if the listener has no certificate.
---@return true|nil
---@return string|nil message  why the new certificate or key can't be used; the listener keeps the old ones
function Listener:reload() end

---Stops listening, drops the requests that have no response yet, and sends the responses that it can send without waiting. Closing
---again does nothing. A `<close>` variable and the garbage collector also close the listener.
function Listener:close() end

---A response body, which is either a string or a range of bytes from a file (by default, from `offset` to the end of the file).
---@alias omni.RequestBody string|{ file: string, offset?: integer, length?: integer }

---Faults to inject.
---@class omni.RequestFault
---@field cut? integer    close the connection after this many bytes of the body, although Content-Length is the length of the whole body
---@field reset? boolean  end the connection with a TCP reset (RST), after the response or at `cut`; the client may then miss the last bytes

---A complete request. A request's methods also work after the response has been sent, and after the connection or the listener has been
---closed. If a request is closed or garbage-collected without a response, its connection is closed.
---@class omni.Request
local Request = {}

---Returns the request's method, as the client sent it.
---@return string
function Request:method() end

---Returns the request's path without the query, as the client sent it (percent-encoded).
---@return string
function Request:path() end

---Returns the query (the text after the first "?"), as the client sent it.
---@return string|nil
function Request:query() end

---Returns a table of the request's headers, indexed by the headers' names in lower case. The values of a repeated header are joined
---with ", ".
---@return table<string, string>
function Request:headers() end

---Returns the body. If the body is in a file, `body` reads the file, and raises an error if the file can't be read.
---@return string body  the bytes of the body, or "" if the request has no body
function Request:body() end

---Returns the size of the request's body in bytes.
---@return integer
function Request:size() end

---Returns the path of the file that holds the request's body, if the body is large and the option `body_directory` is set. You can move the
---file; otherwise, the listener removes the file together with the request.
---@return string|nil path
function Request:body_file() end

---Returns the client's address, without the port.
---@return string
function Request:address() end

---Sends the response to the request. The listener sets Content-Length, and sends no body in response to a HEAD request. `answer` raises an
---error if the status is outside the range 200 to 999, if a header is malformed or contains a control character, or if the headers exceed
---8192 bytes.
---@param status integer
---@param headers? table<string, string|number>
---@param body? omni.RequestBody
---@param fault? omni.RequestFault
---@return boolean|nil accepted  false if the request already has a response or the client has disconnected; nil if the file can't be sent
---@return string|nil message    why the file can't be sent
function Request:answer(status, headers, body, fault) end

---Closes the connection without sending a response.
---@param fault? { reset?: boolean }  whether to reset the connection instead of closing it
---@return boolean dropped  false if the request already has a response or was already dropped
function Request:drop(fault) end

local listener = {}

---Opens a listener.
---@param options? omni.ListenerOptions
---@return omni.Listener|nil
---@return string|nil message  why the listener can't be opened
function listener.open(options) end

return listener
