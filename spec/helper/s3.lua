-- SPDX-License-Identifier: MIT
-- An S3 server for specs: the npm package s3rver, which checks signatures. `.ci/deps test` installs it in build/npm.

local env = require "helper.env"

local s3 = {}

local package_folder <const> = "build/npm/node_modules/@20minutes/s3rver"

-- The package needs Node 20.
local node <const> = tonumber((env.output "node --version 2>/dev/null || true"):match "^v(%d+)")

---Whether Node and the package are installed.
s3.is_there = node ~= nil and node >= 20 and env.read(package_folder .. "/package.json") ~= nil

s3.access_key, s3.secret_key = "AKIDOMNITEST", "wJalr/secret+key/of+omni/tests"

---@class spec.S3
---@field url string
---@field bucket string
local Server_methods = {}
local Server_mt = { __name = "spec.s3", __index = Server_methods }

---The environment variables with which omni reaches it.
---@param more? table<string, string>
function Server_methods:environment(more)
  local all = {
    AWS_ACCESS_KEY_ID = s3.access_key, AWS_SECRET_ACCESS_KEY = s3.secret_key, AWS_ENDPOINT_URL = self.url, AWS_REGION = "eu-test-1",
    AWS_SESSION_TOKEN = "", AWS_PROFILE = "", AWS_SHARED_CREDENTIALS_FILE = "/dev/null", AWS_CONFIG_FILE = "/dev/null",
  }
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

---The paths of the files that hold the objects of the bucket, sorted.
---@return string[]
function Server_methods:objects()
  return env.lines(("find %s/%s -name '*_object' | LC_ALL=C sort"):format(env.quote(self.folder.path), self.bucket))
end

---Ends the server at once.
function Server_methods:close()
  if self.pipe then self.pipe:close() end
  if self.folder then self.folder:close() end
  self.pipe, self.folder = nil, nil
end

Server_mt.__close = Server_methods.close

---Starts a server with an empty bucket.
---@return spec.S3
function s3.open()
  local folder = env.directory()
  local port_file = folder:file "port"
  env.output("mkfifo " .. env.quote(port_file))
  local root = env.output("pwd"):gsub("\n", "")
  env.output("mkdir " .. env.quote(folder:file "data"))
  local pipe = assert(io.popen(("exec node spec/helper/s3_server.js %s/%s %s clips >%s"):format(env.quote(root), package_folder,
    env.quote(folder:file "data"), env.quote(port_file)), "w"))
  local file = assert(io.open(port_file))
  local port = assert(file:read "l", "the S3 server doesn't start")
  file:close()
  return setmetatable({ folder = folder, pipe = pipe, bucket = "data/clips", url = "http://127.0.0.1:" .. port }, Server_mt)
end

return s3
