---@meta omni.core
-- SPDX-License-Identifier: MIT
-- Types of csrc/core/client.c, csrc/core/client_methods.c, csrc/core/task.c, csrc/core/poll_set.c and csrc/core/digest.c; the rest of
-- omni.core is in system.d.lua and process.d.lua.

---@class omni.core
---@field json table   our own instance of lua-cjson: encode, decode, null
---@field codes table<integer, { name: string, meaning: string, hint?: string, retry: boolean, refused: boolean }>  csrc/core/api_codes.h
---@field pages { keys: string, billing: string }  where the service makes and resets keys, and sells credits
local core = {}

---What an exchange that failed is told by.
---@class omni.Failure
---@field code string
---@field message string
---@field status? integer
---@field sent? "no"|"maybe"|"answered"  of a submit
---@field retry boolean                   whether it may be tried again
---@field retry_after? number             seconds
---@field balance? number                 credits that the account has, of a refusal for lack of them
---@field redirect? string                of a download or an upload: where it leads, as the server said it
---@field offset? integer                 of a download: bytes that PATH.part holds
---@field stamp? string                   of a download: what PATH.part keeps as long as nobody else writes to it
---@field exists? boolean                 of a download: there is a file at PATH, which must not be replaced
---@field validator? string               of a download: ETag or Last-Modified
---@field total? integer                  of a download: bytes of the whole file

---@class omni.Exchange
local Exchange = {}
---@return boolean
function Exchange:done() end
---@param into? table  for a query: the table to fill
---@return any value   submit: the task id; query: the table; call: the answer's data; download, upload: bytes; post: { status, text }
---@return omni.Failure|nil
function Exchange:result(into) end
---@return integer bytes, integer|nil total, string|nil validator
function Exchange:progress() end
---Of a download that is whole: what it begins with. It has no name yet.
---@param most integer  bytes, 1 to 65536
---@return string|nil head
---@return string|nil encoding  the answer's Content-Encoding; without `head`: why it can't be read
---@return string|nil part      PATH.part
function Exchange:head(most) end
---Gives the file of a whole download its name, once it is on disk; the exchange isn't done until then, and its result says how it went.
---@param replace boolean  whether a file at PATH is replaced
function Exchange:keep(replace) end
---Of a download that is whole: nothing of it stays when the exchange is closed.
function Exchange:discard() end
---@return string|nil stamp  of PATH.part: see Http:download
function Exchange:stamp() end
---How often libcurl was about to send a request with a body; more than once: it was stopped.
---@return integer
function Exchange:sends() end
---Takes it back if it runs. Idempotent; also `<close>`.
function Exchange:close() end

---@class omni.Http : omni.Pollable
local Http = {}
---Sent at most once.
---@param owner any  what `finished` returns when it is done
---@param body string
---@return omni.Exchange
function Http:submit(owner, body) end
---@param owner any
---@param task_id string
---@return omni.Exchange
function Http:query(owner, task_id) end
---@param owner any
---@param method "GET"|"POST"|"PUT"|"DELETE"|"PATCH"
---@param path string
---@param body? string  sent at most once
---@return omni.Exchange
function Http:call(owner, method, path, body) end
---@param owner any
---@param url string
---@param path string        PATH.part is written; PATH is, by Exchange:keep
---@param offset integer     bytes of PATH.part that are good
---@param stamp? string      of PATH.part then; when it has another one by now, the download begins anew
---@param validator? string
---@param total? integer
---@return omni.Exchange|nil
---@return omni.Failure|nil  "io": the file can't be written
function Http:download(owner, url, path, offset, stamp, validator, total) end
---PUTs a file to a URL, without the key. A redirect isn't followed here (failure.redirect).
---@param owner any
---@param url string
---@param path string          a regular file; its size now is how much is sent
---@param content_type string
---@return omni.Exchange|nil
---@return omni.Failure|nil    "io": the file can't be read
function Http:upload(owner, url, path, content_type) end
---POSTs to anybody, without the key, at most once. A redirect isn't followed, an answer of any status is a result: its `status`,
---and as `text` the first KiB of what was said, as it came.
---@param owner any
---@param url string
---@param body string
---@param content_type string
---@return omni.Exchange
function Http:post(owner, url, body, content_type) end
---Files may also come from the networks where another client reached the service, and go there.
---@param other omni.Http
function Http:trust(other) end
---What is in force for a URL, and where it comes from. `proxy` is without user and password; `proxy_used`: whether it is asked for
---  this URL.
---@param url? string  the service's base URL by default
---@return { proxy?: string, proxy_from?: string, proxy_used?: boolean, no_proxy_from?: string, ca_file?: string, ca_file_from?: string,
---  ca_dir?: string, ca_dir_from?: string, allow_private_networks: boolean }
function Http:network(url) end
---@return any owner  of the next exchange that is done, each once; nil: none
function Http:finished() end
---@return integer
function Http:running() end
---@return boolean
function Http:busy() end
---@return any[]
function Http:owners() end
function Http:close() end

---Opens the HTTP client. Raises for an option that can't be used, without showing its value. With neither `base_url` nor `api_key`
---it has no account: no submit, query or call.
---@param options table
---@return omni.Http
function core.client(options) end

---@class omni.Readiness
local Readiness = {}
---@param fd integer
function Readiness:add(fd) end
---@param fd integer
function Readiness:remove(fd) end
---@param timeout number|nil  seconds; nil: without end
---@param ready table<integer, true>  filled with the descriptors that are ready
---@return integer count  0 also when a signal came
function Readiness:wait(timeout, ready) end
---@return integer
function Readiness:pollfd() end
function Readiness:close() end

---@return omni.Readiness
function core.poll_set() end

---@param http_status integer
---@param body string
---@return any data
---@return omni.Failure|nil
function core.parse_answer(http_status, body) end

---A callback's payload, bare or in the envelope: a hint, as anybody can send it; confirm it with a query.
---@param body string
---@return omni.Task|nil task  its fields, without methods
---@return omni.Failure|nil
function core.parse_callback(body) end

---@param text string
---@return any value
---@return string|nil message  why it isn't JSON
function core.decode(text) end

---@param value any
---@return boolean
function core.is_task_id(value) end

---Returns an http or https URL in its normal form, as curl and browsers would send it: no white space around it, scheme and host in
---lower case, an international host in its ASCII form, an IP address in its usual spelling, no default port, no dot segments; spaces,
---quotes, brackets and letters beyond ASCII percent-encoded. Idempotent. A user, a password or a control character is refused.
---@param text any
---@return string|nil url
---@return string|nil why  what it must be: "must be an http or https URL". It never repeats the text
function core.normalize_url(text) end

---The same for what an answer's Location says, which may be relative to the URL that was asked.
---@param base string
---@param location string
---@return string|nil url
---@return string|nil why
function core.resolve_url(base, location) end

---The same for a base URL: no query, no fragment, no slash at its end.
---@param text any
---@return string|nil url
---@return string|nil why
function core.normalize_base_url(text) end

---Whether a host, or a URL's host, is this machine: "localhost", 127.0.0.0/8, ::1. Whole names and addresses only.
---@param host_or_url string
---@return boolean
function core.is_loopback(host_or_url) end

---Which libraries are behind omni.core.
---@return { curl: string, tls?: string }  "7.88.1", "OpenSSL/3.0.15"
function core.libraries() end

---How an exchange went that is done, each if it is known: `address` that was spoken to (a proxy's, where there is one), `date`, what the
---answer's header of that name says (Unix seconds), and the seconds from the beginning until the name was looked up, there was a
---  connection,
---TLS was agreed upon, and all was over.
---@param exchange omni.Exchange
---@return { address?: string, date?: integer, lookup?: number, connect?: number, tls?: number, total?: number }
function core.trace(exchange) end

---The SHA-256 of a text.
---@param text string
---@return string  64 hexadecimal digits, in lower case
function core.sha256(text) end

---Random bytes of the system's, as hexadecimal digits.
---@param bytes integer  1 to 64
---@return string
function core.token(bytes) end

---Whether two texts are equal; it takes as long whatever they differ in.
---@param a string
---@param b string
---@return boolean
function core.same(a, b) end

---A file whose SHA-256 is found in a thread of its own: a pollable. lua/omni/file/digest.lua waits for one.
---@class omni.DigestJob: omni.Pollable
local DigestJob = {}
---A descriptor that is readable once it is done.
---@return integer
function DigestJob:pollfd() end
---@return "r"
function DigestJob:events() end
---@return nil
function DigestJob:timeout() end
---@return boolean done
function DigestJob:step() end
---nil, without a message, while it is read.
---@return omni.Digest|nil
---@return string|nil message  why there is none: it can't be read, or it changed meanwhile
function DigestJob:result() end
---Stops it where it is. May be called again; also `<close>` and collection.
function DigestJob:close() end

---@param path string  a regular file; links are followed
---@return omni.DigestJob|nil
---@return string|nil message  why it can't be read
function core.digest(path) end

return core
