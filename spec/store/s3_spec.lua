-- SPDX-License-Identifier: MIT
-- A store in S3: what its requests look like, and what happens when the server or the connection fails.

local answers = require "helper.answers"
local core = require "omni.core"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"
local s3 = require "helper.s3"

local SECRET <const> = "hush/hush+hush"
local BODY <const> = ("0123456789"):rep(10000)
local SHA256 <const> = core.sha256(BODY)

local getenv <const> = os.getenv

-- Sets environment variables until the returned object is closed.
local function with(variables)
  os.getenv = function(name) -- luacheck: ignore 122
    if name:find "^AWS_" or variables[name] then return variables[name] end
    return getenv(name)
  end
  return setmetatable({}, { __close = function() os.getenv = getenv end }) -- luacheck: ignore 122
end

local function error_body(code, message)
  return ('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code><Message>%s</Message><Key>x</Key></Error>'):format(code, message)
end

describe("a store in S3", function()
  local server, directory, events
  setup(function() server = hostile.start() end)
  teardown(function() server:close() end)
  before_each(function() directory, events = env.directory(), {} end)
  after_each(function() directory:close() end)

  -- Calls `body(store, client)` in the loop.
  local function open(body, options, variables)
    local all = { AWS_ACCESS_KEY_ID = "AKID", AWS_SECRET_ACCESS_KEY = SECRET, AWS_ENDPOINT_URL = server.url, AWS_REGION = "eu-test-1" }
    for name, value in pairs(variables or {}) do all[name] = value end
    local set <close> = with(all) -- luacheck: ignore 211
    omni.run(function()
      local given = { store = "s3://clips/films", ledger = false, on_event = function(event) events[#events + 1] = event end }
      for name, value in pairs(options or {}) do given[name] = value end
      local client <close> = assert(answers.client("http://127.0.0.1:1", given))
      body(client.store, client)
    end)
    for _, event in ipairs(events) do
      for _, value in pairs(event) do assert.is_nil(tostring(value):find(SECRET, 1, true)) end
    end
  end

  local head <const> = hostile.send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(#BODY))
  local missing <const> = { hostile.answer("404 Not Found", "") }
  local patient <const> = { retry_for = 120 }

  it("is checked again if what it returns is only a part, as another machine may be writing the same object", function()
    local content <const> = "omni keeps files here; each is named after its SHA-256.\n"
    local part <const>, whole <const> = { hostile.answer("200 OK", "omni keeps") }, { hostile.answer("200 OK", content) }
    server:script { PUT = { { hostile.answer("200 OK", "") } }, GET = { part, whole } }
    open(function(store) assert(store:check()) end)
    server:script { PUT = { { hostile.answer("200 OK", "") } }, GET = { part } }
    open(function(store)
      local fine, problem = store:check()
      assert.same({ nil, "store_failed" }, { fine, problem.code })
      assert.matches("doesn't return what was written", problem.message, 1, true)
    end)
  end)

  it("signs each request, with the digest of what it sends, and names objects by their digests", function()
    server:script { HEAD = { missing }, PUT = { { hostile.answer("200 OK", "") } } }
    local path = env.write(directory:file "clip", BODY)
    open(function(store) assert(store:put(path)) end, nil, { AWS_SESSION_TOKEN = "a+token/=" })
    local put = server:requests "PUT"[1]
    assert.equal(("/clips/films/%s/%s"):format(SHA256:sub(1, 2), SHA256), put.target)
    assert.equal(SHA256, put.headers["x-amz-content-sha256"])
    assert.equal("a+token/=", put.headers["x-amz-security-token"])
    assert.matches("^AWS4%-HMAC%-SHA256 Credential=AKID/%d+/eu%-test%-1/s3/aws4_request, *SignedHeaders=[%l%d;-]*x%-amz%-content%-sha256"
      .. "[%l%d;-]*;x%-amz%-security%-token, *Signature=%x+$", put.headers.authorization)
    for _, request in ipairs(server:seen().requests) do
      for _, value in pairs(request.headers) do assert.is_nil(value:find(SECRET, 1, true)) end
    end
  end)

  it("continues a download that breaks off", function()
    local file = hostile.file { body = BODY, etag = '"v1"', cut = 60000 }
    server:script { HEAD = { { head } }, GET = { { file, hostile.reset() }, { hostile.file { body = BODY, etag = '"v1"' } } } }
    open(function(store)
      assert.equal(#BODY, (assert(store:get(SHA256, #BODY, directory:file "clip", {}))))
    end, patient)
    assert.is_true(env.read(directory:file "clip") == BODY)
    local gets = server:requests "GET"
    assert.equal(2, #gets)
    assert.matches("^bytes=%d+%-$", gets[2].headers.range)
    assert.equal('"v1"', gets[2].headers["if-range"])
    assert.matches("if%-range;", gets[2].headers.authorization)
  end)

  it("never uses a download with other content, whatever the server says of it", function()
    local other = BODY:gsub(".$", "x")
    server:script { HEAD = { { head } }, GET = { { hostile.file { body = other, etag = '"v1"' } } } }
    open(function(store)
      local none, problem = store:get(SHA256, #BODY, directory:file "clip", {})
      assert.is_nil(none)
      assert.equal("store_failed", problem.code)
      assert.matches("wrong content for the file " .. SHA256, problem.message)
      assert.is_false(store:has(SHA256, #BODY)) -- so that the next `put` replaces it
    end)
    assert.same({}, directory:names())
  end)

  it("puts a file again after the server died in the middle, or is busy", function()
    server:script { HEAD = { missing }, PUT = {
      { hostile.discard(1000), hostile.reset(), early = true },
      { hostile.answer("503 Slow Down", error_body("SlowDown", "Please reduce your request rate.")) },
      { hostile.answer("400 Bad Request", error_body("RequestTimeout", "idle")) },
      { hostile.answer("200 OK", "") },
    } }
    local path = env.write(directory:file "clip", BODY)
    open(function(store) assert(store:put(path)) end, patient)
    assert.equal(4, #server:requests "PUT")
    assert.is_true(server:requests "PUT"[4].body == BODY)
  end)

  -- The answer to a request of a multipart upload with this part of a URL.
  local function large(target, method, ...) return { method = method, target = target, turns = { ... } } end
  local begun <const> = { hostile.answer("200 OK", "<Result><UploadId>id/1</UploadId></Result>") }
  local function tagged(tag) return { hostile.answer("200 OK", "", { "ETag: " .. tag }) } end

  local function put_large(last)
    server:script {
      large("uploads=", "POST", begun),
      large("partNumber=2&", "PUT", { hostile.discard(1000), hostile.reset(), early = true }, tagged '"two"'),
      large("partNumber=", "PUT", tagged '"o<ne"'), large("uploadId=id%2F1", "POST", last),
      large("uploadId=id%2F1", "DELETE", { hostile.answer("204 No Content", "") }), { method = "HEAD", target = "/", turns = { missing } },
    }
    local path = env.write(directory:file "clip", BODY)
    local fine, problem
    open(function(store)
      store.backend.single_most, store.backend.part_bytes = 50000, 60000
      fine, problem = store:put(path)
    end, patient)
    return fine, problem
  end

  it("gets a large file in parts, and only a part that failed again", function()
    assert(put_large { hostile.answer("200 OK", "<CompleteMultipartUploadResult/>") })
    local puts, posts = server:requests "PUT", server:requests "POST"
    assert.same({ 60000, 40000 }, { #puts[1].body, #puts[3].body })
    assert.is_true(puts[1].body .. puts[3].body == BODY)
    assert.equal("UNSIGNED-PAYLOAD", puts[1].headers["x-amz-content-sha256"])
    assert.equal('<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"o&lt;ne"</ETag></Part><Part><PartNumber>2</PartNumber>'
      .. '<ETag>"two"</ETag></Part></CompleteMultipartUpload>', posts[#posts].body)
    assert.equal(0, #server:requests "DELETE")
  end)

  it("that can't join the parts of a large file gives an error, and is told to forget the parts", function()
    local fine, problem = put_large { hostile.answer("200 OK", error_body("InvalidPart", "no such part")) }
    assert.is_nil(fine)
    assert.matches("no such part %(InvalidPart%)$", problem.message)
    assert.equal(1, #server:requests "DELETE")
  end)

  for code, row in pairs {
    SignatureDoesNotMatch = { "403 Forbidden", "correct the access key and its secret %(AWS_ACCESS_KEY_ID%)" },
    InvalidAccessKeyId = { "403 Forbidden", "correct the access key" }, AccessDenied = { "403 Forbidden", "s3:PutObject" },
    NoSuchBucket = { "404 Not Found", "create the bucket" }, RequestTimeTooSkewed = { "403 Forbidden", "clock" },
    ExpiredToken = { "400 Bad Request", "get new credentials" },
    AuthorizationHeaderMalformed = { "400 Bad Request", "set AWS_REGION" },
  } do
    it("that answers " .. code .. " gives an error that says what to do, at once", function()
      server:script { PUT = { { hostile.answer(row[1], error_body(code, "Look at \27[31mthis")) } } }
      open(function(store)
        local none, problem = store:check()
        assert.is_nil(none)
        assert.equal("store_failed", problem.code)
        assert.matches("^the store s3://clips/films: Look at .*this %(" .. code .. "%)$", problem.message)
        assert.is_nil(problem.message:find "\27")
        assert.matches(row[2], problem.hint)
      end, patient)
      assert.equal(1, #server:requests "PUT")
    end)
  end

  it("sends no signature to the server that a redirect names", function()
    local other = hostile.start()
    other:script { { target = "/", turns = { { hostile.answer("200 OK", "") } } } }
    local redirect = { hostile.answer("307 Temporary Redirect", error_body("TemporaryRedirect", "elsewhere"),
      { "Location: " .. other.url .. "/clips/x" }) }
    server:script { HEAD = { missing }, PUT = { redirect }, GET = { redirect } }
    local path = env.write(directory:file "clip", BODY)
    open(function(store)
      local _, problem = store:put(path)
      assert.matches("elsewhere %(TemporaryRedirect%)", problem.message)
      assert.matches("set AWS_REGION", problem.hint)
      assert.equal("store_failed", select(2, store.backend:get(SHA256, path .. ".new", { accept = error })).code)
    end)
    assert.equal(0, #other:seen().requests)
    other:close()
  end)

  it("sends nothing anywhere else: its C client refuses every URL outside of the bucket's prefix", function()
    open(function(store)
      local http = store.backend.transport.http
      local elsewhere <const> = { "/other/x", "http://127.0.0.1:1/clips/films/", "https" .. server.url:sub(5) .. "/clips/films/x" }
      for _, url in ipairs(elsewhere) do
        if url:find "^/" then url = server.url .. url end
        for _, arguments in ipairs { { "request", "GET", url }, { "download", url, directory:file "x", 0 },
          { "upload", url, directory:file "x", "a/b" }, { "post", url, "", "a/b" } } do
          local fine, message = pcall(http[arguments[1]], http, "me", table.unpack(arguments, 2))
          assert.is_false(fine)
          assert.matches("this client sends requests to its store only", message)
        end
      end
    end)
  end)

  it("may be in a private network, as its address is the user's", function()
    server:script { HEAD = { { head } } }
    open(function(store) assert.is_true(store:has(SHA256, #BODY)) end, { allow_private_networks = false })
  end)

  it("at a plain http address of another machine gives a warning", function()
    local endpoint <const> = { AWS_ENDPOINT_URL = "http://minio.example:9000" }
    open(function() end, nil, endpoint)
    assert.same({ "warning", "the store's endpoint is plain http: files cross the network unencrypted" },
      { events[1].event, events[1].message })
    events = {}
    open(function() end)
    assert.same({}, events)
  end)

  it("with a client without credentials can't be opened", function()
    local set <close> = with { HOME = directory.path } -- luacheck: ignore 211
    local none, problem = omni.client { api_key = answers.KEY, ledger = false, store = "s3://clips" }
    assert.is_nil(none)
    assert.same({ "store_failed", "the store can't be used: there is no access key for it" }, { problem.code, problem.message })
  end)
end)

describe("a real S3 server", function()
  if not s3.is_there then
    pending "checks signatures: the npm package s3rver isn't installed"
    return
  end

  it("accepts the signature of each request, also of a large file and with a session token, and refuses a wrong secret", function()
    local real <close> = s3.open()
    local directory <close> = env.directory()
    local body = ("x"):rep(3 << 20)
    local path, sha256 = env.write(directory:file "clip", body), core.sha256(body)
    local function open(variables, act)
      local set <close> = with(real:environment(variables)) -- luacheck: ignore 211
      omni.run(function()
        local client <close> = assert(answers.client("http://127.0.0.1:1", { store = "s3://clips/a~b.c_d-e", ledger = false }))
        act(client.store)
      end)
    end
    open({ AWS_SESSION_TOKEN = "a+token/=" }, function(store)
      assert(store:check())
      assert.is_false(store:has(sha256, #body))
      assert(store:put(path))
      assert.is_true(store:has(sha256, #body))
      assert.equal(#body, (assert(store:get(sha256, #body, directory:file "copy", {}))))
      assert.is_true(env.read(directory:file "copy") == body)
    end)
    open({}, function(store)
      local large, digits = directory:file "large", {}
      for i = 1, 700000 do digits[i] = ("%010d"):format(i) end
      body = env.read(env.write(large, table.concat(digits)))
      store.backend.single_most, store.backend.part_bytes = 1 << 20, (5 << 20) + 1
      assert(store:put(large))
      sha256 = core.sha256(body)
      assert.equal(#body, (assert(store:get(sha256, #body, directory:file "large copy", {}))))
      assert.is_true(env.read(directory:file "large copy") == body)
    end)
    open({ AWS_SECRET_ACCESS_KEY = SECRET }, function(store)
      local _, problem = store:check()
      assert.matches("%(SignatureDoesNotMatch%)$", problem.message)
      assert.is_nil(tostring(problem):find(SECRET, 1, true))
      _, problem = store:put(path)
      assert.matches("%(SignatureDoesNotMatch%)$", problem.message)
    end)
    open({ AWS_ACCESS_KEY_ID = "AKIDOTHER" }, function(store)
      assert.matches("%(InvalidAccessKeyId%)$", select(2, store:check()).message)
    end)
  end)
end)
