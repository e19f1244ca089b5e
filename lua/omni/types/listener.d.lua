---@meta omni.listener
-- SPDX-License-Identifier: MIT

---@class omni.ListenerOptions
---@field host? string        a numeric IPv4 or IPv6 address, or "localhost"; "0.0.0.0" and "::" are all of them (default "127.0.0.1")
---@field port? integer       0: any free one (default 0)
---@field tls_certificate? string  path of a certificate in PEM, its chain behind it: TLS, 1.2 and newer (default: none)
---@field tls_key? string     path of its key in PEM, without a password; refused when the group's or other users may read it (mode 600)
---@field max_body? integer   bytes of a request's body; more is answered 413, and a body in chunks 411 (default 1048576)
---@field max_bodies? integer bytes of the bodies of all requests that aren't answered yet. For more, those that are unfinished and
---  began first are given up and answered 503, else the one that wants more (default 64 times max_body)
---@field body_directory? string  a folder for bodies of more than 65536 bytes, each in a file of its own (`body_file`); it may be on
---  the disk of one's choice, but must be there, else such a body is answered 507 (default: all bodies are kept in memory)
---@field max_header? integer bytes of a request's first line and headers; more is answered 431 (default 16384)
---@field max_connections? integer              more wait until one ends (default 1000; never more than half of the descriptors that
---  the process may have)
---@field max_connections_per_address? integer  more are closed at once; a /64 network of IPv6 is one address (default 64)
---@field idle_timeout? number    seconds, rounded up, without a byte in or out after which a connection is closed; none while it waits
---  for its answer (default 15)
---@field header_timeout? number  seconds for a request's first line and headers, all of them, from the connection's beginning; on a
---  connection that was answered already `idle_timeout` comes on top (default 15)
---@field body_timeout? number    seconds for the whole of a body, from the end of its headers (default 60)
---@field answer_timeout? number  seconds in which the other side has to take the whole of an answer (default 600)

---A small HTTP server. Pollable: whoever drives it calls `step` when the descriptor is readable or the time-out is due, and
---then takes requests by `next` until there is none.
---@class omni.Listener
local Listener = {}

---@return integer port
function Listener:port() end

---@return string address  as the system writes it
function Listener:host() end

---@return integer descriptor
function Listener:pollfd() end

---@return "r"
function Listener:events() end

---@return number|nil seconds  until `step` is due anyway: 0 at once, nil never
function Listener:timeout() end

---Takes in and sends what is possible without waiting.
---@return boolean waiting  whether requests wait for `next`
function Listener:step() end

---The oldest complete request that was not taken yet; nil when there is none, and after `close`.
---@return omni.Request|nil
function Listener:next() end

---Reads the files of certificate and key anew, for the connections that begin from now on. Raises without a certificate.
---@return true|nil
---@return string|nil message  why they can't be used; it goes on with what it has
function Listener:reload() end

---Stops listening. Requests that are unanswered are dropped; answers that were given are sent as far as that doesn't block.
---May be called again. Also at the end of a `<close>` variable, and at collection.
function Listener:close() end

---The body of an answer: a string, or a part of a file (by default the rest of it).
---@alias omni.RequestBody string|{ file: string, offset?: integer, length?: integer }

---Things that can be made to go wrong.
---@class omni.RequestFault
---@field cut? integer    bytes of the body after which the connection is closed, although its whole length was declared
---@field reset? boolean  the connection ends by RST, after the answer or where it is cut; a peer may then miss the last bytes

---A complete request. It stays readable after its answer, and after its connection and its listener are gone.
---Collected or closed unanswered, it is dropped.
---@class omni.Request
local Request = {}

---Returns the request's method, as sent.
---@return string
function Request:method() end

---Returns the path, as sent (percent-encoded), without the query.
---@return string
function Request:path() end

---Returns the query, as sent: everything after the first "?".
---@return string|nil
function Request:query() end

---Returns the headers by name, in lower case; repeated ones are joined by ", ".
---@return table<string, string>
function Request:headers() end

---Returns the body, "" without one. Raises if the body is in a file that can't be read.
---@return string
function Request:body() end

---Returns the size of the body, in bytes.
---@return integer
function Request:size() end

---Returns the path of the file that holds a large body, if the server has a `body_directory`. You may move the file away; otherwise
---it is removed with the request.
---@return string|nil
function Request:body_file() end

---Returns the client's address, without the port.
---@return string
function Request:address() end

---Answers the request. Content-Length is set by the listener; a HEAD request gets no body.
---Misuse raises: a status outside of 200 to 999, a malformed header, a header with a control character, more than 8192 bytes of headers.
---@param status integer
---@param headers? table<string, string|number>
---@param body? omni.RequestBody
---@param fault? omni.RequestFault
---@return boolean|nil accepted  false when it was answered or dropped already or its peer is known to be gone; nil when the file can't
---  be sent: it is unanswered still
---@return string|nil message    why the file can't be sent
function Request:answer(status, headers, body, fault) end

---Closes the connection without an answer.
---@param fault? { reset?: boolean }
---@return boolean dropped  false when it was answered or dropped already
function Request:drop(fault) end

local listener = {}

---Opens a listener.
---@param options? omni.ListenerOptions
---@return omni.Listener|nil
---@return string|nil message  why it can't listen
function listener.open(options) end

return listener
