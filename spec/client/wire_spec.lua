-- SPDX-License-Identifier: MIT
-- The client's requests to the byte: each call of docs/service.md, over a socket, to a sandbox.
local env = require "helper.env"
local omni = require "omni"
local recorder = require "helper.recorder"

local array <const>, object <const>, null <const> = omni.array, omni.object, omni.null

-- The bytes of the smallest thing that is taken for an image.
local PNG <const> = "\x89PNG\r\n\x1A\n0123"

local JOB <const> = "/api/v1/client/job/"
local GEMINI <const>, KLING <const>, ANY <const> = "Models/google/gemini-omni", "Models/kling/v3", "Models/sandbox/any"

-- Each row: a description, the call, and all requests to the service that the call causes, below JOB.
local calls = {
  { "a submit asks for the model's schema, and creates the task",
    function(client) return client:submit { prompt = "a boat", duration = 8, aspect_ratio = "9:16" } end,
    { "GET " .. GEMINI,
      'POST CreateTask {"input":{"aspect_ratio":"9:16","duration":8,"prompt":"a boat"},"model":"google/gemini-omni"}' } },
  { "a callback URL goes beside the input",
    function(client) return client:submit({ prompt = "a" }, { callback_url = "https://films.example/told?token=a%20b&n=1" }) end,
    { "GET " .. GEMINI, 'POST CreateTask {"callback_url":"https://films.example/told?token=a%20b&n=1","input":{"prompt":"a"},'
      .. '"model":"google/gemini-omni"}' } },
  { "references are sent under the service's names, in their order",
    function(client)
      return client:submit { prompt = "a", img_urls = { "https://films.example/2.png", "https://films.example/1.png" },
        video_list = { { url = "https://films.example/v.mp4", start = 0, ends = 7 } } }
    end,
    { "GET " .. GEMINI, 'POST CreateTask {"input":{"img_urls":["https://films.example/2.png","https://films.example/1.png"],"prompt":"a",'
      .. '"video_list":[{"ends":7,"start":0,"url":"https://films.example/v.mp4"}]},"model":"google/gemini-omni"}' } },
  { "whole numbers are written as such, whatever their type in Lua",
    function(client) return client:submit({ prompt = "a", duration = 8.0, cfg_scale = 1.0 }, { model = "kling/v3" }) end,
    { "GET " .. KLING, 'POST CreateTask {"input":{"cfg_scale":1,"duration":8,"prompt":"a"},"model":"kling/v3"}' } },
  { "what is empty is what the model's schema says it is",
    function(client)
      return client:submit({ prompt = "a", tags = {}, metadata = {}, camera_control = { type = "simple", config = {} } },
        { model = "kling/v3" })
    end,
    { "GET " .. KLING, 'POST CreateTask {"input":{"camera_control":{"config":{},"type":"simple"},"metadata":{},"prompt":"a","tags":[]},'
      .. '"model":"kling/v3"}' } },
  { "or what it is marked as, where no schema knows it; null is null",
    function(client)
      return client:submit({ a = array(), o = object(), n = null, deep = { { list = array() } } }, { model = "sandbox/any" })
    end,
    { "GET " .. ANY, 'POST CreateTask {"input":{"a":[],"deep":[{"list":[]}],"n":null,"o":{}},"model":"sandbox/any"}' } },
  { "no digit of a number is lost",
    function(client)
      return client:submit({ list = { 9007199254740993, -1, 0.1, 1 / 3, 123456789.123456, 2.5e-9 } }, { model = "sandbox/any" })
    end,
    { "GET " .. ANY, 'POST CreateTask {"input":{"list":[9007199254740993,-1,0.1,0.3333333333333333,123456789.123456,2.5e-09]},'
      .. '"model":"sandbox/any"}' } },
  { "texts are UTF-8 as they are; only what JSON wants escaped is",
    function(client) return client:submit { prompt = 'Fünf "Möwen" / 鴎\n\\ \1 \u{1F426}' } end,
    { "GET " .. GEMINI,
      'POST CreateTask {"input":{"prompt":"Fünf \\"Möwen\\" / 鴎\\n\\\\ \\u0001 \u{1F426}"},"model":"google/gemini-omni"}' } },
  { "an estimate has a submit's body",
    function(client) return client:estimate({ prompt = "a", mode = "pro", tags = {} }, { model = "kling/v3" }) end,
    { "GET " .. KLING, 'POST EstimateTask {"input":{"mode":"pro","prompt":"a","tags":[]},"model":"kling/v3"}' } },
  { "where the service lacks it, the older form is asked with the same body",
    function(client) return client:estimate { prompt = "a" } end,
    { "GET " .. GEMINI, 'POST EstimateTask {"input":{"prompt":"a"},"model":"google/gemini-omni"}',
      'POST estimate-credits {"input":{"prompt":"a"},"model":"google/gemini-omni"}' },
    faults = { "status-404:on=estimate" } },
  { "the models are asked for at once",
    function(client) return client:models() end, { "GET Models" } },
  { "those of a modality",
    function(client) return client:models { modality = "image" } end, { "GET Models?modality=image" } },
  { "those of an operation",
    function(client) return client:models { operation = "text-to-video" } end, { "GET Models?operation=text-to-video" } },
  { "those of both",
    function(client) return client:models { operation = "text-to-video", modality = "video" } end,
    { "GET Models?modality=video&operation=text-to-video" } },
  { "the slashes in a model's name stay as they are",
    function(client) return client:model "bytedance/seedance" end, { "GET Models/bytedance/seedance" } },
  { "nothing else in a model's name does",
    function(client) return client:model "a b/c?d#e%f&ü" end, { "GET Models/a%20b/c%3Fd%23e%25f%26%C3%BC", "GET Models" },
    code = "not_found" },
  { "a task's id is encoded whole",
    function(client) return client:query "a/b+c%d&e#f?g=h\"~" end, { "GET TaskInfo?task_id=a%2Fb%2Bc%25d%26e%23f%3Fg%3Dh%22~" },
    code = "not_found" },
  { "templates are asked for page by page",
    function(client)
      local count = 0
      for _ in client:templates { platform = "kling", page_size = 25 } do count = count + 1 end
      return count == 57
    end,
    { "GET kling-templates?page=1&page_size=25", "GET kling-templates?page=2&page_size=25", "GET kling-templates?page=3&page_size=25" } },
  { "a page that isn't reached isn't asked for",
    function(client) return client:templates { platform = "bytedance" } () end, { "GET bytedance-templates?page=1&page_size=20" } },
  { "one of kling's templates is asked for by its id",
    function(client) return client:templates { platform = "kling", template_id = "kling-007" } () end,
    { "GET kling-templates?page=1&page_size=20&template_id=kling-007" } },
  { "one of bytedance's, too",
    function(client) return client:templates { platform = "bytedance", template = "7100000001" } () end,
    { "GET bytedance-templates?page=1&page_size=20&template_id=7100000001" } },
  { "one of vidu's by its name",
    function(client) return client:templates { platform = "vidu", template = "hug_lighthouse" } () end,
    { "GET vidu-templates?page=1&page_size=20&template=hug_lighthouse" } },
}

-- Calls body(client, recorder, box, files). The client has a ledger of its own, as a user's has.
local function with(given, body)
  given.seconds, given.clips = given.seconds or 0, "builtin"
  recorder.open(given, function(rec, box)
    local files <close> = env.directory()
    local client <close> = assert(omni.client { base_url = rec.url, api_key = box.key, ledger = files:file "ledger.db" })
    body(client, rec, box, files)
  end)
end

local function in_full(lines)
  local full = {}
  for i, line in ipairs(lines) do full[i] = line:gsub(" ", " " .. JOB, 1) end
  return full
end

-- The name of the place that a PUT went to, which the sandbox made up.
local function place_of(put)
  return assert(put.target:match "^/upload/([%x-]+%.%l+)%?signature=%x+$", put.target)
end

describe("the client's requests:", function()
  for _, row in ipairs(calls) do
    local what, call, expected = table.unpack(row)
    it(what, function()
      with({ faults = row.faults }, function(client, rec)
        local value, problem = call(client)
        if row.code then assert.equal(row.code, problem.code) else assert(value, problem) end
        assert.same(in_full(expected), rec:said())
      end)
    end)
  end

  it("the balance needs one", function()
    with({ credits = 12.5 }, function(client, rec)
      assert.equal(12.5, client:balance())
      assert.same({ "GET /api/v1/client/account/balance" }, rec:said())
    end)
  end)

  it("a model's schema is requested once; a submit then is one request", function()
    with({}, function(client, rec)
      for _ = 1, 3 do assert(client:submit { prompt = "a" }) end
      assert(client:estimate { prompt = "a" })
      local submit = 'POST CreateTask {"input":{"prompt":"a"},"model":"google/gemini-omni"}'
      assert.same(in_full { "GET " .. GEMINI, submit, submit, submit, (submit:gsub("CreateTask", "EstimateTask")) }, rec:said())
    end)
  end)

  it("a submitted task is queried by the id that the service returned", function()
    with({}, function(client, rec, box)
      local task = assert(client:submit { prompt = "a" })
      rec:take()
      assert.equal(task.id, assert(client:query(task.id)).id)
      assert.same(in_full { "GET TaskInfo?task_id=" .. box:ledger().tasks[1].task_id }, rec:said())
    end)
  end)

  it("a call carries the key once, a body its type and length, and no request has needless headers", function()
    with({}, function(client, rec, box, files)
      env.write(files:file "a.png", PNG)
      assert(client:submit { prompt = "a", img_urls = { omni.file(files:file "a.png") } })
      assert(client:estimate { prompt = "a" })
      assert(client:balance())
      local names = {
        GET = { "accept", "accept-encoding", "host", "user-agent", "x-api-key" },
        POST = { "accept", "accept-encoding", "content-length", "content-type", "host", "user-agent", "x-api-key" },
        PUT = { "accept", "content-length", "content-type", "host", "user-agent" },
      }
      local types, seen = { POST = "application/json", PUT = "image/png" }, {}
      for _, request in ipairs(rec:take()) do
        seen[#seen + 1] = request.method
        assert.same(names[request.method], request.names)
        assert.equal(request.method ~= "PUT" and box.key or nil, request.headers["x-api-key"])
        assert.equal(types[request.method], request.headers["content-type"])
        assert.equal(types[request.method] and tostring(#request.body) or nil, request.headers["content-length"])
        assert.equal(rec.url:match "//(.*)$", request.headers.host)
      end
      assert.same({ "GET", "GET", "PUT", "POST", "POST", "GET" }, seen)
    end)
  end)

  it("an upload asks for a URL by type and ending, and PUTs the bytes there", function()
    with({}, function(client, rec, _, files)
      local sent = assert(client:upload(env.write(files:file "a b.PNG", PNG)))
      local asking, put, more = table.unpack(rec:take())
      assert.equal("GET /api/v1/client/files/upload-url?content_type=image/png&ext=.png", asking.method .. " " .. asking.target)
      assert.same({ "PUT", PNG }, { put.method, put.body })
      assert.equal(rec.url .. "/files/" .. place_of(put), sent.url)
      assert.is_nil(more)
    end)
  end)

  it("a type with parameters is encoded in the query, and unchanged in the header", function()
    with({}, function(client, rec, _, files)
      assert(client:upload(env.write(files:file "a.svg", "<svg/>"), { content_type = "image/svg+xml" }))
      local asking, put = table.unpack(rec:take())
      assert.equal("/api/v1/client/files/upload-url?content_type=image/svg%2Bxml&ext=.svg", asking.target)
      assert.equal("image/svg+xml", put.headers["content-type"])
    end)
  end)

  it("a file in an input is uploaded first and replaced by its URL; the same content isn't uploaded again", function()
    with({}, function(client, rec, _, files)
      local path, twin = env.write(files:file "a.png", PNG), env.write(files:file "twin.png", PNG)
      assert(client:submit { prompt = "a", img_urls = { omni.file(path), "https://films.example/1.png", omni.file(twin) } })
      local schema, asking, put, submit, more = table.unpack(rec:take())
      assert.same({ "GET", "GET", "PUT", "POST" }, { schema.method, asking.method, put.method, submit.method })
      assert.is_nil(more)
      local url = rec.url .. "/files/" .. place_of(put)
      assert.equal(('{"input":{"img_urls":["%s","https://films.example/1.png","%s"],"prompt":"a"},"model":"google/gemini-omni"}'):format(
        url, url), submit.body)
      assert(client:submit({ prompt = "b", image_url = omni.file(twin) }, { model = "kling/v3" }))
      assert.same(in_full { "GET " .. KLING,
        ('POST CreateTask {"input":{"image_url":"%s","prompt":"b"},"model":"kling/v3"}'):format(url) }, rec:said())
    end)
  end)

  it("an estimate uploads nothing", function()
    with({}, function(client, rec, _, files)
      assert(client:estimate { prompt = "a", img_urls = { omni.file(env.write(files:file "a.png", PNG)) } })
      local schema, estimate, more = table.unpack(rec:said())
      assert.equal("GET " .. JOB .. GEMINI, schema)
      assert.matches('^POST /api/v1/client/job/EstimateTask {"input":{"img_urls":%["https://[^"]+"%],"prompt":"a"},"model":', estimate)
      assert.is_nil(more)
    end)
  end)

  it("an input that can't be sent causes at most a request for the schema", function()
    with({}, function(client, rec)
      assert.is_nil((client:submit { prompt = "a", duration = 7 }))
      assert.is_nil((client:submit({ prompt = "a" }, { callback_url = "ftp://films.example" })))
      assert.is_nil((client:query "two words"))
      assert.is_nil((client:model "../account/balance"))
      assert.same(in_full { "GET " .. GEMINI }, rec:said())
    end)
  end)
end)
