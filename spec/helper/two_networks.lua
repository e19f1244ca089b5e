-- SPDX-License-Identifier: MIT
-- A program for a network namespace (private_network_spec.lua): the service is at a public address, and a web server with secrets at
-- private ones, where the program can reach it. For each way in which the service may lead there, it prints a line: the way, the host,
-- the outcome, the requests that the secret server got, and the files that the service got.

local answers = require "helper.answers"
local env = require "helper.env"
local fickle = require "helper.fickle"
local omni = require "omni"
local storage = require "helper.storage"

local SERVICE <const> = "11.0.0.1"
local HOSTS <const> = { SERVICE, "127.0.0.1", "10.0.0.1", "localhost", "media.example" }

-- The first bytes are those of a film, so that nothing but the address rule keeps it from being fetched.
local SECRET <const> = "\0\0\0\20ftypisom\0\0\2\0isom\0\0\0\8moov\0\0\0\0 secret"

local folder <close> = env.directory()
local picture = env.write(folder:file "a.png", storage.PNG)

fickle.open({ host = SERVICE }, function(service)
  local requests, files = 0, 0
  local secret <close> = assert(omni.serve({ host = "0.0.0.0" }, function()
    requests = requests + 1
    return 200, { ["Content-Type"] = "video/mp4" }, SECRET
  end))

  local media, place, moved -- where the service leads to
  function service.on_query(data) data.result.media_urls = { media } end
  function service.on_other(request)
    if request:path() == "/moved" then return request:method() == "PUT" and 307 or 302, { Location = moved }, "" end
    if request:method() == "PUT" then
      files = files + 1
      return 200
    end
    return 200, { ["Content-Type"] = "application/json" },
      answers.envelope(('{"presigned_url":"%s","file_url":"https://files.example/a.png"}'):format(place))
  end

  -- Tries one way, with the options of a client.
  local function report(way, host, options, try)
    options.ledger, options.proxy = false, ""
    requests, files = 0, 0
    local client <close> = service:client(options)
    local done, problem = try(client)
    print(way, host, done and "done" or problem.code, requests, files)
  end

  local function fetch(client)
    local task = assert(client:submit { prompt = "a lighthouse" })
    return assert(task:await()):save(folder:file "clip.mp4")
  end

  local function upload(client) return client:upload(picture) end

  local function try_all(prefix, host, options)
    local target = ("http://%s:%d/credentials"):format(host, secret.port)
    local moving = service.url .. "/moved"
    moved = target
    media, place = target, target
    report(prefix .. "media", host, options, fetch)
    report(prefix .. "place", host, options, upload)
    media, place = moving, moving
    report(prefix .. "media moved", host, options, fetch)
    report(prefix .. "place moved", host, options, upload)
  end

  for _, host in ipairs(HOSTS) do try_all("", host, {}) end
  try_all("named ", "10.0.0.1", { base_url = service.url:gsub("11%.0%.0%.1", "service.example") })
  for _, host in ipairs { "10.0.0.1", "media.example" } do try_all("allowed ", host, { allow_private_networks = true }) end

  -- A board whose second scene builds on the clip of the first: when the service keeps no URL of that clip, omni uploads its copy.
  local board = omni.storyboard {
    cut = false, omni.scene "one" { prompt = "one" }, omni.scene "two" { prompt = "two", continues = "one" },
  }
  requests, files = 0, 0
  local before = #service.submits
  moved = ("http://10.0.0.1:%d/credentials"):format(secret.port)
  for way, url in pairs { board = moved, ["board moved"] = service.url .. "/moved" } do
    media = url
    local scene = assert(service:run(board, nil, { proxy = "" })).scenes[1]
    print(way, "submits " .. #service.submits - before, scene.error and scene.error.code or scene.status, requests, files)
  end
end)
