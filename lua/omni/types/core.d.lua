---@meta omni.core
-- SPDX-License-Identifier: MIT
-- Declares the types implemented in csrc/core: the HTTP client, tasks, URLs, digests and the poll set. The files system.d.lua and
-- process.d.lua declare the other types of omni.core.

---@class omni.core
---@field json table   omni's own instance of lua-cjson: encode, decode, null
---@field codes table<integer, { name: string, meaning: string, hint?: string, retry: boolean, refused: boolean }>  csrc/core/api_codes.h
---@field pages { keys: string, billing: string }  the service's pages for keys and for credits
local core = {}

---An object implemented in C that the event loop can drive (lua/omni/loop/pollable.lua).
---@class omni.Source
local Source = {}
---Returns a descriptor that is readable when `step` has work to do.
---@return integer
function Source:pollfd() end
---Returns the number of seconds until `step` must be called even if the descriptor isn't readable, or nil if there is no limit.
---@return number|nil
function Source:timeout() end
---Does all work that is possible without blocking.
function Source:step() end

---The reason why an exchange failed.
---@class omni.Failure
---@field code string
---@field message string
---@field status? integer                 the HTTP status, or the service's code
---@field sent? "no"|"maybe"|"answered"   for a submit: whether the request was sent
---@field retry boolean                   whether a retry may succeed
---@field retry_after? number             seconds
---@field balance? number                 the account's credits, if the service refused the request for lack of credits
---@field redirect? string                for a download or an upload: the response's Location
---@field offset? integer                 for a download: how many bytes PATH.part contains
---@field stamp? string                   for a download: the stamp of PATH.part, which changes when another program writes to it
---@field exists? boolean                 for a download: a file exists at PATH and must not be replaced
---@field validator? string               for a download: ETag or Last-Modified
---@field total? integer                  for a download: the size of the whole file

---@class omni.Exchange
local Exchange = {}
---Returns whether the exchange has finished.
---@return boolean
function Exchange:done() end
---Returns the result of a finished exchange: the task id for a submit, the task table for a query, the response's `data` for a call, the
---file size for a download or an upload, and { status, text } for a POST.
---@param into? table  for a query: the table to fill
---@return any value
---@return omni.Failure|nil
function Exchange:result(into) end
---Returns how many bytes of the file have been received or sent.
---@return integer bytes, integer|nil total, string|nil validator
function Exchange:progress() end
---Returns the beginning of a complete download that doesn't have its final name yet.
---@param most integer  bytes, 1 to 65536
---@return string|nil head
---@return string|nil encoding  the response's Content-Encoding; without `head`: why the file can't be read
---@return string|nil part      PATH.part
function Exchange:head(most) end
---In a separate thread, syncs a complete download to disk and gives it its final name. When the thread ends, the exchange finishes a second
---time, and its result shows whether the file now has its final name.
---@param replace boolean  whether to replace a file at PATH
function Exchange:keep(replace) end
---Empties a complete download, so that no file remains when the exchange is closed.
function Exchange:discard() end
---Returns the stamp of PATH.part, which changes when another program writes to PATH.part.
---@return string|nil stamp
function Exchange:stamp() end
---Returns how many times libcurl was about to send a request with a body. The client stops every attempt to send a submit request again.
---@return integer
function Exchange:sends() end
---Returns the value of one header in a finished exchange's response.
---@param name string
---@return string|nil
function Exchange:header(name) end
---Aborts the exchange if it is still running, and frees it. Idempotent. A `<close>` variable also closes an exchange.
function Exchange:close() end

---@class omni.Http : omni.Source
local Http = {}
---Submits a task. Sends the submit request at most once.
---@param owner any  `finished` returns it when the exchange is done
---@param body string
---@return omni.Exchange
function Http:submit(owner, body) end
---Queries a task.
---@param owner any
---@param task_id string
---@return omni.Exchange
function Http:query(owner, task_id) end
---Sends a request to any service endpoint other than those for submits and queries. Never sends a request more than once, unless it is a
---GET request.
---@param owner any
---@param method "GET"|"POST"|"PUT"|"DELETE"|"PATCH"
---@param path string
---@param body? string
---@return omni.Exchange
function Http:call(owner, method, path, body) end
---Downloads a file to PATH.part (PATH is the parameter `path`), without sending the API key. `Exchange:keep` renames PATH.part to PATH.
---@param owner any
---@param url string
---@param path string        PATH
---@param offset integer     how many bytes of PATH.part an earlier attempt has received
---@param stamp? string      the stamp of PATH.part at that time; if it has changed, the download starts from zero
---@param validator? string  ETag or Last-Modified at that time
---@param total? integer     the file's size at that time
---@return omni.Exchange|nil
---@return omni.Failure|nil  "io": the file can't be written; "url_refused"
function Http:download(owner, url, path, offset, stamp, validator, total) end
---Uploads a file with a PUT request, without sending the API key. Doesn't follow a redirect, but returns the redirect's target in
---`failure.redirect`.
---@param owner any
---@param url string
---@param path string          a regular file; omni sends its current size
---@param content_type string
---@param sha256? string       the bytes' digest, or "UNSIGNED-PAYLOAD"; a client that signs its requests needs it
---@param first? integer       the offset of the first byte to send (default 0)
---@param length? integer      how many bytes to send (default: up to the end)
---@return omni.Exchange|nil
---@return omni.Failure|nil    "io": the file can't be read; "url_refused"
function Http:upload(owner, url, path, content_type, sha256, first, length) end
---Sends a request to any server, without the API key. The server may receive the request twice, because libcurl can repeat it. Doesn't
---follow a redirect. A response with any status is a result: { status, text, length, etag }.
---@param owner any
---@param method "HEAD"|"GET"|"POST"|"PUT"|"DELETE"
---@param url string
---@param body? string
---@param sha256? string  the body's digest, which a client that signs its requests needs
---@return omni.Exchange|nil
---@return omni.Failure|nil  "url_refused"
function Http:request(owner, method, url, body, sha256) end
---Sends a POST request to any server, without the API key, at most once. Doesn't follow a redirect. A response with any status counts as a
---result, which contains the `status` and the unchanged first KiB of the body as `text`.
---@param owner any
---@param url string
---@param body string
---@param content_type string
---@return omni.Exchange
function Http:post(owner, url, body, content_type) end
---Allows downloads from and uploads to the networks in which another client has reached the service.
---@param other omni.Http
function Http:trust(other) end
---Returns the network settings for a URL, and the source of each setting. `proxy` is the proxy's URL without the user and the password;
---`proxy_used` is true if requests to this URL use the proxy.
---@param url? string  by default the service's base URL
---@return { proxy?: string, proxy_from?: string, proxy_used?: boolean, no_proxy_from?: string, ca_file?: string, ca_file_from?: string,
---  ca_dir?: string, ca_dir_from?: string, allow_private_networks: boolean }
function Http:network(url) end
---Returns the owner of the next finished exchange, or nil if there is none. Returns each exchange's owner only once. Can be used as an
---iterator: `for owner in http.finished, http do`. If the body of a `for` loop over `finished` raises an error, the next `for` loop over
---`finished` starts with the same exchange.
---@param before? any  the `for` loop's variable
---@return any owner
function Http:finished(before) end
---Returns how many exchanges are using a connection.
---@return integer
function Http:running() end
---Returns whether any exchange is running, or has finished but hasn't been returned by `finished` yet.
---@return boolean
function Http:busy() end
---Returns the owners of all exchanges that `finished` hasn't returned yet.
---@return any[]
function Http:owners() end
---Closes all exchanges and connections. Closing again does nothing. A `<close>` variable and the garbage collector also close the client.
function Http:close() end

---Opens an HTTP client. Raises an error for an invalid option; the error doesn't contain the option's value. A client without `base_url`
---and `api_key` has no account, so it can't submit, query or call the service.
---@param options table
---@return omni.Http
function core.client(options) end

---@class omni.PollSet
local PollSet = {}
---Adds a descriptor to the set, so that `wait` also returns when this descriptor is readable.
---@param fd integer
function PollSet:add(fd) end
---@param fd integer
function PollSet:remove(fd) end
---Waits until a descriptor is readable.
---@param timeout number|nil  seconds; nil: no limit
---@param ready table<integer, true>  receives the ready descriptors
---@return integer count  also 0 after a signal
function PollSet:wait(timeout, ready) end
---Returns a descriptor that is readable when any descriptor in the set is readable.
---@return integer
function PollSet:pollfd() end
function PollSet:close() end

---Returns a new, empty poll set.
---@return omni.PollSet
function core.poll_set() end

---The ages (seconds since the submit) at which omni queries a task of one kind.
---@class omni.PollSchedule
---@field [integer] number  the age in seconds at each quarter of an interval between queries
---@field least number
---@field most number

---Computes the poll schedule for one kind of task.
---@param seconds number[]  durations of such tasks, in any order; may be empty
---@param least number      seconds: the shortest gap between queries; below 2, tasks are assumed to be as short as in a sandbox
---@param most number       seconds: the longest gap; if it is less than `least`, it also replaces `least`
---@return omni.PollSchedule
function core.poll_schedule(seconds, least, most) end

---Decodes a callback's body, which contains a task object, either bare or in the service's envelope. Anybody can send a callback, so
---confirm its content with a query.
---@param body string
---@return omni.Task|nil task  the fields of a task, without methods
---@return omni.Failure|nil
function core.parse_callback(body) end

---Reads the task id and the status from a callback's body, and nothing else.
---@param body string
---@return string|nil task_id
---@return string|omni.Failure status  in lower case
function core.callback_head(body) end

---Decodes JSON.
---@param text string
---@return any value
---@return string|nil message  why the text isn't JSON
function core.decode(text) end

---Returns whether a value is a task id: 1 to 256 printable ASCII characters without spaces.
---@param value any
---@return boolean
function core.is_task_id(value) end

---Returns an http or https URL in its normal form, as curl and browsers send it. Removes surrounding white space, the default port and dot
---segments. Writes the scheme and host in lower case, an international host in ASCII, and an IP address in its usual form. Percent-encodes
---spaces, quotes, brackets and non-ASCII letters. Idempotent. Refuses a URL with a user name, a password or a control character.
---@param text any
---@return string|nil url
---@return string|nil why  for example "must be an http or https URL"; never repeats the text
function core.normalize_url(text) end

---Normalises a response's `Location` header, which may be relative to the request's URL.
---@param base string
---@param location string
---@return string|nil url
---@return string|nil why
function core.resolve_url(base, location) end

---Normalises a base URL. Removes trailing slashes, and refuses a base URL with a query or a fragment.
---@param text any
---@return string|nil url
---@return string|nil why
function core.normalize_base_url(text) end

---Returns whether a host, or a URL's host, is this machine: "localhost", 127.0.0.0/8 or ::1. Compares whole names and addresses, so
---localhost.example.com counts as another machine.
---@param host_or_url string
---@return boolean
function core.is_loopback(host_or_url) end

---Returns the versions of libcurl and its TLS library.
---@return { curl: string, tls?: string }  "7.88.1", "OpenSSL/3.0.15"
function core.libraries() end

---Returns a trace of a finished exchange. A trace contains only the fields whose values are known. `address` is the address of the server
---or the proxy, `date` is the Date header in Unix seconds, `status` is the HTTP status, and `received` and `sent` are the sizes of the
---response's body and the request's body in bytes. `lookup`, `connect`, `tls` and `total` are the numbers of seconds from the start of the
---exchange to the end of the name lookup, the connection setup, the TLS handshake and the response.
---@param exchange omni.Exchange
---@return { address?: string, date?: integer, status?: integer, received?: integer, sent?: integer, lookup?: number, connect?: number,
---  tls?: number, total?: number }
function core.trace(exchange) end

---Returns a string's SHA-256 digest.
---@param text string
---@return string  64 hexadecimal digits, in lower case
function core.sha256(text) end

---Returns random bytes from the system, as hexadecimal digits.
---@param bytes integer  1 to 64
---@return string
function core.token(bytes) end

---A thread that computes a file's SHA-256 digest. The module omni.file.digest waits for this thread.
---@class omni.DigestJob: omni.Source
local DigestJob = {}
---@return boolean done
function DigestJob:step() end
---Returns nil, without a message, until the job is done.
---@return omni.Digest|nil
---@return string|nil message  why the file can't be read, or that the file has changed in the meantime
function DigestJob:result() end
---Stops the job. Closing again does nothing. A `<close>` variable and the garbage collector also close the job.
function DigestJob:close() end

---Starts computing a file's SHA-256 digest.
---@param path string  a regular file, or a link to one
---@param sync? boolean  also wait until the file's bytes are on disk
---@return omni.DigestJob|nil
---@return string|nil message  why the file can't be read
function core.digest(path, sync) end

return core
