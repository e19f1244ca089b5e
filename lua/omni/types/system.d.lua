---@meta omni.core
-- SPDX-License-Identifier: MIT
-- Types of csrc/core/system.c.

---@class omni.core
local core = {}

---`string.format` with a decimal point, whatever the locale is; `%s` is `tostring`. Texts that hold a number go through it.
---@param format string
---@param ... any
---@return string
function core.format(format, ...) end

---Seconds on a clock that never jumps; only differences mean something.
---@return number
function core.now() end

---How many columns the terminal has, or nil when it is none.
---@param fd 0|1|2
---@return integer|nil
function core.terminal(fd) end

---How many columns of a terminal a UTF-8 text takes. A byte that isn't UTF-8 counts 1, a control character 0.
---@param text string
---@return integer
function core.columns(text) end

---Valid UTF-8 without control characters and bidi overrides: line breaks and tabs become a space, all else "?".
---@param text string
---@param max_bytes? integer  cut between code points, with "…" as the end, when there is more
---@return string
function core.clean(text, max_bytes) end

---@class omni.core.Stat
---@field kind "file"|"directory"|"other"
---@field mode integer  permission bits
---@field size integer  bytes
---@field mtime number  seconds since 1970
---@field stamp string  another one when the file was changed or replaced; but a change within a tick of the file system's clock (a few
---  milliseconds, on some systems 2 seconds) after the last one may leave it as it was

---Follows links.
---@param path string
---@return omni.core.Stat|nil
---@return string|nil message
function core.stat(path) end

---Makes one level; a directory that exists is fine.
---@param path string
---@param mode? integer  permissions of a new one (0777), less the process's umask
---@return true|nil
---@return string|nil message
function core.make_directory(path, mode) end

---The absolute path of a file that is there, without links in it.
---@param path string
---@return string|nil path
---@return string|nil message
function core.real_path(path) end

---Gives a file a second name (a hard link); never replaces what is there.
---@param from string
---@param to string
---@return true|nil
---@return string|nil message
function core.link(from, to) end

---A new directory, for us only, in TMPDIR or /tmp.
---@param prefix string  what its name begins with; no slash
---@return string|nil path
---@return string|nil message
function core.make_temporary_directory(prefix) end

---Gives a file another name in the same file system; never replaces what is there.
---@param from string
---@param to string
---@return true|nil
---@return string|nil message
---@return integer|nil errno  17 (EEXIST) when there is something
function core.rename_new(from, to) end

---Opens a regular file, as io.open does, but without ever waiting: a FIFO, a device, a socket or a folder is an error.
---@param path string
---@param mode? "r"|"x"  "r" (default): read; "x": write a new file, where nothing is yet, not even a link
---@return file*|nil
---@return string|nil message
---@return integer|nil errno
function core.open(path, mode) end

---Removes a file or an empty directory.
---@param path string
---@return true|nil
---@return string|nil message
function core.remove(path) end

---@class omni.core.Lock
local Lock = {}

---Lets go of the lock; also `<close>` and collection.
function Lock:close() end

---Locks a file, which is made when it isn't there and stays: for whoever else asks, in any program, it is taken. On a file system that
---knows no locks it always succeeds.
---@param path string
---@return omni.core.Lock|nil
---@return string|nil message
---@return integer|nil errno  11 (EWOULDBLOCK) when it is taken
function core.lock(path) end
