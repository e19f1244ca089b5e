-- SPDX-License-Identifier: MIT
-- A model of a disk: replays recorded operations (record.c), and writes a state into which a power loss may bring the folder. What was
-- synced is kept. Of everything else, any part may be lost: each page of a file has the content that it had at some moment since the last
-- sync, or sectors of two such contents; a folder has a prefix of the changes to its names. A failed sync keeps a part, and the rest is
-- lost for good, although the program still reads it.

local env = require "helper.env"
local lfs = require "lfs"

local PAGE <const>, SECTOR <const> = 4096, 512
local ZEROS <const> = ("\0"):rep(PAGE)

---@class spec.Disk
---@field random fun(from: integer, to: integer): integer
local Disk_methods = {}
local Disk_mt = { __index = Disk_methods }

-- --- files

local function new_file() return { cache = {}, disk = {}, versions = {}, size = 0, disk_size = 0, sizes = {} } end

local function change(file, page, content)
  file.cache[page] = content
  local versions = file.versions[page]
  if not versions then
    versions = {}
    file.versions[page] = versions
  end
  versions[#versions + 1] = content
end

local function set_size(file, size)
  file.size = size
  file.sizes[#file.sizes + 1] = size
end

local function write(file, at, bytes)
  local done = 0
  while done < #bytes do
    local page, offset = (at + done) // PAGE, (at + done) % PAGE
    local length = math.min(PAGE - offset, #bytes - done)
    local old = file.cache[page] or ZEROS
    change(file, page, old:sub(1, offset) .. bytes:sub(done + 1, done + length) .. old:sub(offset + length + 1))
    done = done + length
  end
  if at + #bytes > file.size then set_size(file, at + #bytes) end
end

local function resize(file, size)
  for page, content in pairs(file.cache) do
    local from = size - page * PAGE
    if from < PAGE then
      local kept = math.max(0, from)
      change(file, page, content:sub(1, kept) .. ZEROS:sub(kept + 1))
    end
  end
  set_size(file, size)
end

local function sync_file(file)
  for page in pairs(file.versions) do file.disk[page] = file.cache[page] end
  file.versions, file.sizes, file.disk_size = {}, {}, file.size
end

-- Returns what a page contains after a power loss.
local function pick(random, old, versions)
  local function any()
    local at = random(0, #versions)
    return at == 0 and old or versions[at]
  end
  local content = any()
  if random(1, 4) > 1 then return content end
  local at = SECTOR * random(1, PAGE // SECTOR - 1)
  return content:sub(1, at) .. any():sub(at + 1)
end

local function lose_part(random, file)
  local pages = {}
  for page in pairs(file.versions) do pages[#pages + 1] = page end
  table.sort(pages)
  local everything = random(1, 3) -- 1: nothing was written, 2: anything, 3: all but the last page
  for i, page in ipairs(pages) do
    local old = file.disk[page] or ZEROS
    if everything == 2 then file.disk[page] = pick(random, old, file.versions[page]) end
    if everything == 3 and i < #pages then file.disk[page] = file.cache[page] end
  end
  local at = random(0, #file.sizes)
  if at > 0 then file.disk_size = file.sizes[at] end
  file.versions, file.sizes = {}, {}
end

-- --- folders

local function new_folder() return { names = {}, disk = {}, pending = {} } end

-- Changes names of a folder: { name = node or false, ... }, all or nothing.
local function rename(folder, changes)
  for name, node in pairs(changes) do folder.names[name] = node or nil end
  folder.pending[#folder.pending + 1] = changes
end

local function sync_folder(folder, count)
  for i = 1, count do
    for name, node in pairs(folder.pending[i]) do folder.disk[name] = node or nil end
  end
  folder.pending = table.move(folder.pending, count + 1, #folder.pending, 1, {})
end

-- --- operations

-- Returns the folder of a path, and the name in it.
local function find(self, path)
  local folder, rest = self.top, path:sub(#self.root + 2)
  while true do
    local name, more = rest:match "^([^/]+)/+(.*)$"
    if not name then return folder, rest end
    folder, rest = folder.names[name], more
    if not (folder and folder.names) then return nil end
  end
end

local apply = {}

function apply.create(self, inode, _, path)
  local folder, name = find(self, path)
  local file = new_file()
  self.nodes[inode] = file
  rename(folder, { [name] = file })
end
function apply.folder(self, inode, _, path)
  local folder, name = find(self, path)
  local made = new_folder()
  self.nodes[inode] = made
  rename(folder, { [name] = made })
end
function apply.write(self, inode, at, bytes)
  local file = self.nodes[inode]
  if file then write(file, at, bytes) end
end
function apply.size(self, inode, size)
  local file = self.nodes[inode]
  if file and file.size ~= size then resize(file, size) end
end
function apply.sync(self, inode, fine)
  local node = self.nodes[inode]
  if not node then return end
  if node.names then
    if fine == 1 then sync_folder(node, #node.pending) end
  elseif fine == 1 then
    sync_file(node)
  else
    lose_part(self.random, node)
  end
end
function apply.rename(self, _, _, from, to)
  local from_folder, from_name = find(self, from)
  local to_folder, to_name = find(self, to)
  local node = from_folder.names[from_name]
  if from_folder == to_folder then return rename(to_folder, { [to_name] = node, [from_name] = false }) end
  rename(to_folder, { [to_name] = node })
  rename(from_folder, { [from_name] = false })
end
function apply.link(self, _, _, from, to)
  local from_folder, from_name = find(self, from)
  local to_folder, to_name = find(self, to)
  rename(to_folder, { [to_name] = from_folder.names[from_name] })
end
function apply.remove(self, _, _, path)
  local folder, name = find(self, path)
  if folder then rename(folder, { [name] = false }) end
end
function apply.mark(self, _, _, text) self.marks[#self.marks + 1] = text end

---Replays the first `count` operations, or those that follow the operations replayed so far.
function Disk_methods:replay(operations, count)
  for i = self.done + 1, count do
    local kind, inode, number, first, second = table.unpack(operations[i], 1, 5)
    apply[kind](self, inode, number, first, second)
  end
  self.done = count
end

-- --- the state after a power loss

local function write_folder(folder, path)
  for name, node in pairs(folder.disk) do
    local inner = path .. "/" .. name
    if node.names then
      assert(lfs.mkdir(inner))
      write_folder(node, inner)
    elseif not name:find "%-shm$" then -- SQLite makes this file again
      local parts = {}
      for page = 0, (node.disk_size + PAGE - 1) // PAGE - 1 do parts[page + 1] = node.disk[page] or ZEROS end
      env.write(inner, table.concat(parts):sub(1, node.disk_size))
    end
  end
end

local function lose(random, folder, seen)
  sync_folder(folder, random(0, #folder.pending))
  for _, node in pairs(folder.disk) do
    if not seen[node] then
      seen[node] = true
      if node.names then lose(random, node, seen) else lose_part(random, node) end
    end
  end
end

---Loses power: replaces what is in the folder with a possible state. The model can't be used afterwards.
function Disk_methods:crash()
  env.remove(self.root)
  assert(lfs.mkdir(self.root))
  lose(self.random, self.top, {})
  write_folder(self.top, self.root)
end

---@param root string        the folder
---@param inode integer      the folder's
---@param random fun(from: integer, to: integer): integer
---@return spec.Disk
local function new(root, inode, random)
  local top = new_folder()
  return setmetatable({ root = root, top = top, nodes = { [inode] = top }, marks = {}, done = 0, random = random }, Disk_mt)
end

return { new = new }
