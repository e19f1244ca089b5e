-- SPDX-License-Identifier: MIT
-- The requests of the program's commands, to the byte, recorded in front of a sandbox.
local env = require "helper.env"
local program = require "helper.program"
local recorder = require "helper.recorder"

-- The shortest bytes that count as an image.
local PNG <const> = "\x89PNG\r\n\x1A\n0123"

-- Looks like a real key: submits cost money.
local KEY <const> = "ak_" .. ("0123456789abcdef"):rep(2)

local JOB <const> = "/api/v1/client/job/"
local GEMINI <const>, KLING <const>, ANY <const> = "GET Models/google/gemini-omni", "GET Models/kling/v3", "GET Models/sandbox/any"
local BALANCE <const> = "GET /api/v1/client/account/balance"
local BOAT <const> = '{"input":{"aspect_ratio":"9:16","duration":8,"prompt":"a boat","resolution":"1080p"},"model":"google/gemini-omni"}'
local CAMERA <const> = '{"input":{"camera_control":{"config":{},"type":"simple"},"cfg_scale":0.35,"duration":5,"metadata":{},"prompt":"a",'
  .. '"tags":[]},"model":"kling/v3"}'
local MARKED <const> = '{"input":{"a":[],"list":[{},[],9007199254740991,0.1,8],"n":null,"o":{}},"model":"sandbox/any"}'

-- The content of input.json.
local inputs <const> = {
  camera = '{"prompt": "a", "tags": [], "metadata": {}, "duration": 5.0, "cfg_scale": 0.35,\n'
    .. ' "camera_control": {"type": "simple", "config": {}}}',
  marked = '{"o": {}, "a": [], "n": null, "list": [{}, [], 9007199254740991, 0.1, 8.0]}',
}

-- Each row: a description, the command, and all requests to the service that it causes; below JOB, where no slash leads elsewhere.
local commands = {
  { "estimate asks for the schema and the price",
    { "estimate", "--prompt", "a boat", "--duration", "8", "--aspect-ratio", "9:16", "--resolution", "1080p" },
    { GEMINI, "POST EstimateTask " .. BOAT } },
  { "estimate asks in the older form where there is no other, and for the balance, which that doesn't tell",
    { "estimate", "--prompt", "a boat", "--duration", "8", "--aspect-ratio", "9:16", "--resolution", "1080p" },
    { GEMINI, "POST EstimateTask " .. BOAT, "POST estimate-credits " .. BOAT, BALANCE }, faults = { "status-404:on=estimate" } },
  { "submit asks for the price first, and creates one task, with the same body",
    { "submit", "--yes", "--prompt", "a boat", "--duration", "8", "--aspect-ratio", "9:16", "--resolution", "1080p" },
    { GEMINI, "POST EstimateTask " .. BOAT, "POST CreateTask " .. BOAT } },
  { "submit sends a callback URL beside the input, and an estimate has none",
    { "submit", "--yes", "--prompt", "a", "--callback-url", "https://films.example/told?t=1&n=a%20b" },
    { GEMINI, 'POST EstimateTask {"input":{"prompt":"a"},"model":"google/gemini-omni"}',
      'POST CreateTask {"callback_url":"https://films.example/told?t=1&n=a%20b","input":{"prompt":"a"},"model":"google/gemini-omni"}' } },
  { "submit sends references under the service's names",
    { "submit", "--yes", "--prompt", "a", "--image", "https://films.example/2.png", "--image", "https://films.example/1.png",
      "--video", "https://films.example/v.mp4", "--start", "0", "--ends", "7" },
    { GEMINI, "POST EstimateTask BODY", "POST CreateTask BODY" },
    body = '{"input":{"img_urls":["https://films.example/2.png","https://films.example/1.png"],"prompt":"a",'
      .. '"video_list":[{"ends":7,"start":0,"url":"https://films.example/v.mp4"}]},"model":"google/gemini-omni"}' },
  { "submit sends a JSON file's input as it is: whole numbers whole, what is empty as the schema says",
    { "submit", "--yes", "--model", "kling/v3", "--input", "input.json" },
    { KLING, "POST EstimateTask " .. CAMERA, "POST CreateTask " .. CAMERA }, input = inputs.camera },
  { "and of a model whose schema tells nothing, as the file says; no digit is lost",
    { "submit", "--yes", "--model", "sandbox/any", "--input", "input.json" },
    { ANY, "POST EstimateTask " .. MARKED, "POST CreateTask " .. MARKED }, input = inputs.marked },
  { "submit --set sends JSON, or text",
    { "submit", "--yes", "--model", "kling/v3", "--prompt", "a", "--set", "cfg_scale=0.35", "--set", "duration=5", "--set", "tags=[]",
      "--set", "metadata={}", "--set", "camera_control.type=simple", "--set", "camera_control.config={}" },
    { KLING, "POST EstimateTask " .. CAMERA, "POST CreateTask " .. CAMERA } },
  { "submit without consent asks for the price and creates nothing",
    { "submit", "--prompt", "a" }, { GEMINI, 'POST EstimateTask {"input":{"prompt":"a"},"model":"google/gemini-omni"}' }, code = 3 },
  { "models asks for the list", { "models" }, { "GET Models" } },
  { "models asks for those of a kind", { "models", "--modality", "video", "--operation", "image-to-video" },
    { "GET Models?modality=video&operation=image-to-video" } },
  { "models leaves the slashes of a name as they are", { "models", "bytedance/seedance" }, { "GET Models/bytedance/seedance" } },
  { "query encodes the id whole", { "query", "a/b+c%d&e#f?g=h" }, { "GET TaskInfo?task_id=a%2Fb%2Bc%25d%26e%23f%3Fg%3Dh" }, code = 1 },
  { "templates asks for pages as long as they may be", { "templates", "--platform", "kling" },
    { "GET kling-templates?page=1&page_size=50", "GET kling-templates?page=2&page_size=50" } },
  { "templates asks for no more than its limit", { "templates", "--platform", "bytedance", "--limit", "5" },
    { "GET bytedance-templates?page=1&page_size=5", "GET bytedance-templates?page=2&page_size=5" } },
  { "templates asks for one by its id", { "templates", "--platform", "bytedance", "--id", "7100000001" },
    { "GET bytedance-templates?page=1&page_size=50&template_id=7100000001" } },
  { "templates asks vidu for one by its name", { "templates", "--platform", "vidu", "--id", "hug_lighthouse" },
    { "GET vidu-templates?page=1&page_size=50&template=hug_lighthouse" } },
}

-- Calls body(run, recorder, box, files); run(...) runs omni in a new folder, with --json.
local function with(given, body)
  given.seconds, given.clips, given.key = given.seconds or 0, "builtin", KEY
  recorder.open(given, function(rec, box)
    local files <close> = env.directory()
    local environment = { CRUN_BASE_URL = rec.url, CRUN_API_KEY = KEY, XDG_STATE_HOME = files:file "state" }
    body(function(...)
      local words = { ... }
      words[#words + 1] = "--json"
      return program.run_in_loop(words, { environment = environment, directory = files.path })
    end, rec, box, files)
  end)
end

local function in_full(lines, body)
  local full = {}
  for i, line in ipairs(lines) do full[i] = line:gsub(" (%a)", " " .. JOB .. "%1", 1):gsub("BODY$", function() return body end) end
  return full
end

describe("the program's requests:", function()
  for _, row in ipairs(commands) do
    local what, words, expected = table.unpack(row)
    it(what, function()
      with({ faults = row.faults }, function(run, rec, box, files)
        if row.input then env.write(files:file "input.json", row.input) end
        local result = run(table.unpack(words))
        assert.equal(row.code or 0, result.code, result.err .. result.out)
        assert.same(in_full(expected, row.body), rec:said())
        local created = 0
        for _, line in ipairs(expected) do created = created + (line:find "CreateTask" and 1 or 0) end
        assert.equal(created, box:ledger().submits)
      end)
    end)
  end

  it("credits sends one request for each key", function()
    with({}, function(run, rec)
      assert.equal(0, run("credits").code)
      assert.same({ BALANCE }, rec:said())
    end)
  end)

  it("query sends one request for a task", function()
    with({}, function(run, rec)
      local submitted = program.events_of(run("submit", "--yes", "--prompt", "a"))
      rec:take()
      local id = submitted[#submitted].task_id
      assert.equal(0, run("query", id).code)
      assert.same(in_full { "GET TaskInfo?task_id=" .. id }, rec:said())
    end)
  end)

  it("upload asks for a URL, and PUTs the bytes there with type and length, without the key", function()
    with({}, function(run, rec, _, files)
      env.write(files:file "keeper.png", PNG)
      local event = program.events_of(run("upload", "keeper.png"))[1]
      local asking, put, more = table.unpack(rec:take())
      assert.equal("GET /api/v1/client/files/upload-url?content_type=image/png&ext=.png", asking.method .. " " .. asking.target)
      assert.equal(KEY, asking.headers["x-api-key"])
      assert.same({ "PUT", PNG, "image/png", tostring(#PNG) },
        { put.method, put.body, put.headers["content-type"], put.headers["content-length"] })
      assert.same({ "accept", "content-length", "content-type", "host", "user-agent" }, put.names)
      assert.equal(event.url, rec.url .. put.target:gsub("^/upload/(.*)%?signature=%x+$", "/files/%1"))
      assert.is_nil(more)
    end)
  end)

  it("a body has its type and length, and the request has no needless headers", function()
    with({}, function(run, rec)
      assert.equal(0, run("submit", "--yes", "--prompt", "a").code)
      local names = { "accept", "accept-encoding", "content-length", "content-type", "host", "user-agent", "x-api-key" }
      local _, estimate, submit = table.unpack(rec:take())
      for _, request in ipairs { estimate, submit } do
        assert.same(names, request.names)
        assert.same({ KEY, "application/json", tostring(#request.body) },
          { request.headers["x-api-key"], request.headers["content-type"], request.headers["content-length"] })
      end
    end)
  end)

  it("submit uploads a file after consent, and another omni that submits the same content uploads nothing", function()
    with({}, function(run, rec, _, files)
      env.write(files:file "keeper.png", PNG)
      env.write(files:file "twin.png", PNG)
      assert.equal(0, run("submit", "--yes", "--prompt", "a", "--image", "keeper.png", "--image", "twin.png").code)
      local methods, requests = {}, rec:take()
      for i, request in ipairs(requests) do methods[i] = request.method end
      assert.same({ "GET", "POST", "GET", "PUT", "POST" }, methods)
      assert.equal(JOB .. "EstimateTask", requests[2].target)
      local url = rec.url .. requests[4].target:gsub("^/upload/(.*)%?signature=%x+$", "/files/%1")
      assert.equal(('{"input":{"img_urls":["%s","%s"],"prompt":"a"},"model":"google/gemini-omni"}'):format(url, url), requests[5].body)

      env.write(files:file "input.json", '{"prompt": "b", "image_url": {"$file": "twin.png"}}')
      assert.equal(0, run("submit", "--yes", "--model", "kling/v3", "--input", "input.json").code)
      local said = rec:said()
      assert.same({ "GET " .. JOB .. "Models/kling/v3",
        ('POST %sCreateTask {"input":{"image_url":"%s","prompt":"b"},"model":"kling/v3"}'):format(JOB, url) }, { said[1], said[3] })
      assert.equal(3, #said)
    end)
  end)
end)
