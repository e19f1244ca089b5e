---@meta omni.core
-- SPDX-License-Identifier: MIT
-- Declares the functions and types implemented in csrc/core/system.c, csrc/core/text.c and csrc/core/number.c.

---@class omni.core
local core = {}

---Works like `string.format`, but uses a decimal point in every locale, and converts the value of `%s` with `tostring`. Use `core.format`
---for all text that contains numbers.
---@param format string
---@param ... any
---@return string
function core.format(format, ...) end

---Returns the time of a monotonic clock, in seconds. Only the difference between two returned times is meaningful.
---@return number
function core.now() end

---Returns the terminal's width in columns, or nil if the descriptor isn't a terminal.
---@param fd 0|1|2
---@return integer|nil
function core.terminal(fd) end

---Returns how many terminal columns a UTF-8 string takes up. An invalid byte takes up one column; a control character takes up none.
---@param text string
---@return integer
function core.columns(text) end

---Returns the text as valid UTF-8 without control characters and bidi overrides: line breaks and tabs become spaces, and everything else
---that is unsafe becomes "?".
---@param text string
---@param max_bytes? integer  a longer text is cut between code points, and ends with "…"
---@return string
function core.clean(text, max_bytes) end

---@class omni.core.Stat
---@field kind "file"|"directory"|"other"
---@field mode integer  permission bits
---@field size integer  bytes
---@field mtime number  seconds since 1970
---@field stamp string  changes when the file is changed or replaced, except within one tick of the file system's clock

---Returns a file's status. Follows links.
---@param path string
---@return omni.core.Stat|nil
---@return string|nil message
function core.stat(path) end

---Creates one directory. Also succeeds if the directory already exists.
---@param path string
---@param mode? integer  permissions of the new directory before the umask applies (default 0777)
---@return true|nil
---@return string|nil message
function core.make_directory(path, mode) end

---Returns the absolute path of an existing file, with all symbolic links resolved.
---@param path string
---@return string|nil path
---@return string|nil message
function core.real_path(path) end

---Creates a hard link to a file. Never replaces a file.
---@param from string
---@param to string
---@return true|nil
---@return string|nil message
function core.link(from, to) end

---Creates a directory in TMPDIR or /tmp that only this user can access.
---@param prefix string  the start of its name, without a slash
---@return string|nil path
---@return string|nil message
function core.make_temporary_directory(prefix) end

---Renames a file within a file system. Never replaces a file.
---@param from string
---@param to string
---@return true|nil
---@return string|nil message
---@return integer|nil errno  17 (EEXIST): `to` exists
function core.rename_new(from, to) end

---Opens a regular file like io.open, but never waits, and returns an error for a FIFO, a device, a socket or a directory.
---@param path string
---@param mode? "r"|"x"  "r" (default): read; "x": create and write a new file; fails if the path exists, even as a link
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

---Releases the lock. A `<close>` variable and the garbage collector also release the lock.
function Lock:close() end

---Creates a file if it is missing, and locks it against all other programs. The file stays. On a file system without locks, `lock` always
---succeeds.
---@param path string
---@return omni.core.Lock|nil
---@return string|nil message
---@return integer|nil errno  11 (EWOULDBLOCK): another program holds the lock
function core.lock(path) end
