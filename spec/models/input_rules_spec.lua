-- SPDX-License-Identifier: MIT
-- Invalid input: each case has its own error, which names the field, and sends no submit.
local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local omni = require "omni"

local sandbox, client

setup(function()
  sandbox = assert(omni.sandbox { clips = "builtin" })
  client = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
end)
teardown(function()
  client:close()
  sandbox:close()
end)

local function image(i) return ("https://example.com/%d.png"):format(i) end
local function images(count)
  local urls = {}
  for i = 1, count do urls[i] = image(i) end
  return urls
end
local video <const> = { url = "https://example.com/v.mp4", start = 0, ends = 4 }

-- problem → input, the field in the error, words in the message
local bad = {
  ["an unknown field"] = { { prompt = "a", durration = 4 }, "durration", "duration" },
  ["no prompt"] = { {}, "prompt", "required" },
  ["an empty prompt"] = { { prompt = "" }, "prompt", "1 to 20000 characters, not 0" },
  ["a prompt of 20,001 code points"] = { { prompt = ("é"):rep(20001) }, "prompt", "20001" },
  ["a prompt that isn't UTF-8"] = { { prompt = "ab\xff" }, "prompt", "UTF-8" },
  ["a prompt of surrogates"] = { { prompt = "\xed\xa0\x80" }, "prompt", "UTF-8" },
  ["a prompt that is a number"] = { { prompt = 7 }, "prompt", "string" },
  ["duration 5"] = { { prompt = "a", duration = 5 }, "duration", "4, 6, 8 or 10, not 5" },
  ["a duration that is a string"] = { { prompt = "a", duration = "4" }, "duration", "4, 6, 8 or 10" },
  ["a fractional duration"] = { { prompt = "a", duration = 4.5 }, "duration", "4.5" },
  ["aspect ratio 4:3"] = { { prompt = "a", aspect_ratio = "4:3" }, "aspect_ratio", "16:9 or 9:16, not '4:3'" },
  ["resolution 8k"] = { { prompt = "a", resolution = "8k" }, "resolution", "720p, 1080p or 4k" },
  ["eight images"] = { { prompt = "a", img_urls = images(8) }, "img_urls", "at most 7" },
  ["six images with a video"] = {
    { prompt = "a", img_urls = images(6), video_list = { video } }, "img_urls", "at most 5 images when a video" },
  ["images that are no array"] = { { prompt = "a", img_urls = image(1) }, "img_urls", "array" },
  ["images with a hole"] = { { prompt = "a", img_urls = { image(1), nil, image(3) } }, "img_urls", "array" },
  ["an image that is a number"] = { { prompt = "a", img_urls = { 3 } }, "img_urls[1]", "URL" },
  ["a local path"] = { { prompt = "a", img_urls = { image(1), "keeper.png" } }, "img_urls[2]", "http(s)" },
  ["a file: URL"] = { { prompt = "a", img_urls = { "file:///etc/passwd" } }, "img_urls[1]", "http(s)" },
  ["a data: URI"] = { { prompt = "a", img_urls = { "data:image/png;base64,AAAA" } }, "img_urls[1]", "data:" },
  ["a URL with a password"] = { { prompt = "a", img_urls = { "https://u:p@example.com/a.png" } }, "img_urls[1]", "password" },
  ["two videos"] = { { prompt = "a", video_list = { video, video } }, "video_list", "at most 1" },
  ["a video that is a string"] = { { prompt = "a", video_list = { "v.mp4" } }, "video_list[1]", "table" },
  ["a video without a URL"] = { { prompt = "a", video_list = { { start = 0, ends = 1 } } }, "video_list[1].url", "required" },
  ["a video that starts at its end"] = {
    { prompt = "a", video_list = { { url = video.url, start = 4, ends = 4 } } }, "video_list[1].start", "less than ends" },
  ["a video that starts after its end"] = {
    { prompt = "a", video_list = { { url = video.url, start = 5, ends = 4 } } }, "video_list[1].start", "not 5" },
  ["a part of a video without its end"] = {
    { prompt = "a", video_list = { { url = video.url, start = 0 } } }, "video_list[1].ends", "is required with start" },
  ["a part of a video that is longer than 10 seconds"] = {
    { prompt = "a", video_list = { { url = video.url, start = 2, ends = 12.5 } } }, "video_list[1].ends",
    "at most 10 seconds after start (2), not 12.5" },
  ["a part of a video that begins with it, and is longer than 10 seconds"] = {
    { prompt = "a", video_list = { { url = video.url, ends = 11 } } }, "video_list[1].ends", "at most 10 seconds after start (0), not 11" },
  ["a video that starts before zero"] = {
    { prompt = "a", video_list = { { url = video.url, start = -1, ends = 4 } } }, "video_list[1].start", "0 or more" },
  ["a video with the service's spelling corrected"] = {
    { prompt = "a", video_list = { { url = video.url, start = 0, ["end"] = 4 } } }, "video_list[1].end", "ends" },
}

describe("a submit is refused before anything is sent, for", function()
  for what, case in pairs(bad) do
    it(what, function()
      local before = sandbox:ledger().submits
      local task, problem = client:submit(case[1])
      assert.is_nil(task)
      assert.equal("invalid_input", problem.code)
      assert.equal(case[2], problem.field)
      assert.truthy(problem.message:find(case[2], 1, true), problem.message)
      assert.truthy(problem.message:find(case[3], 1, true), problem.message)
      assert.is_nil(problem.sent)
      assert.equal(before, sandbox:ledger().submits)
    end)
  end

  it("a callback URL that is not http(s)", function()
    for _, url in ipairs { "ftp://example.com/", "example.com/hook", "file:///x", "https://u:p@example.com/", "" } do
      local _, problem = client:submit({ prompt = "a" }, { callback_url = url })
      assert.equal("invalid_input", problem.code)
      assert.equal("callback_url", problem.field)
    end
  end)

  it("a model without a name, and values that JSON can't represent", function()
    local _, problem = client:submit({ prompt = "a" }, { model = "" })
    assert.equal("model", problem.field)
    local cases = { list = { 1, nil, 3 }, ratio = 0 / 0, call = print, text = "\xff", mixed = { 1, a = 2 } }
    for name, value in pairs(cases) do
      _, problem = client:submit({ [name] = value }, { model = "kling/v3" })
      assert.equal("invalid_input", problem.code)
      assert.truthy(problem.field:find(name, 1, true))
    end
  end)
end)

describe("a valid input", function()
  it("is accepted unchanged: every choice, and every field omitted", function()
    for _, duration in ipairs { 4, 6, 8, 10, 8.0 } do assert(omni.check_input(nil, { prompt = "a", duration = duration })) end
    for _, resolution in ipairs { "720p", "1080p", "4k" } do assert(omni.check_input(nil, { prompt = "a", resolution = resolution })) end
    assert(omni.check_input(nil, { prompt = ("é"):rep(20000), img_urls = images(7) }))
    assert(omni.check_input(nil, { prompt = "a", img_urls = images(5), video_list = { video } }))
    assert.same({ prompt = "a" }, omni.check_input(nil, { prompt = "a", img_urls = {}, video_list = {} }))
  end)

  it("is sent with integers for whole numbers", function()
    local task = assert(client:submit { prompt = "a", duration = 8.0, video_list = { { url = video.url, start = 0.0, ends = 4.0 } } })
    assert.truthy(assert(task:refresh()).answer:find('"duration":8[,}]'))
  end)

  it("is sent with normalised URLs, and every other string unchanged", function()
    local checked = assert(omni.check_input(nil, {
      prompt = "http://A.example/b c", img_urls = { " http://A.example/b c.png", "http://bücher.example" },
      video_list = { { url = "HTTP://A.example:80/é.mp4", start = 0, ends = 4 } },
    }))
    assert.same({
      prompt = "http://A.example/b c", img_urls = { "http://a.example/b%20c.png", "http://xn--bcher-kva.example/" },
      video_list = { { url = "http://a.example/%C3%A9.mp4", start = 0, ends = 4 } },
    }, checked)
  end)

  it("is sent unchanged to an unknown model, with every digit of its numbers", function()
    local server <close> = hostile.start()
    server:script { POST = { { answers.accepted() } }, GET = { { hostile.json(answers.envelope("null", 404, "no such endpoint")) } } }
    local other <close> = assert(answers.client(server.url, { ledger = false }))
    local input = { anything = { 1, 2.0, { deep = true, none = omni.null } }, seed = 9007199254740993, ratio = 0.1 + 0.2, text = "a/b" }
    assert(other:submit(input, { model = "some/model" }))
    assert.equal('{"input":{"anything":[1,2,{"deep":true,"none":null}],"ratio":0.30000000000000004,"seed":9007199254740993,"text":"a/b"},'
      .. '"model":"some/model"}', server:requests("POST")[1].body)
  end)
end)

describe("misuse raises where it happens", function()
  it("with an unknown option, naming the nearest one", function()
    local fine, problem = pcall(function() client:submit({ prompt = "a" }, { modell = "x" }) end)
    assert.is_false(fine)
    assert.truthy(problem:find("input_rules_spec.lua", 1, true))
    assert.truthy(problem:find("did you mean 'model'", 1, true))
  end)

  it("with an option of the wrong type", function()
    for _, options in ipairs { { timeout = "soon" }, { timeout = -1 }, { max_connections = 0 }, { max_connections = 1.5 },
      { on_event = 1 } } do
      options.base_url, options.api_key = sandbox.url, sandbox.key
      assert.has_error(function() omni.client(options) end)
    end
    assert.has_error(function() client:task("x"):await { timeout = "1" } end)
    assert.has_error(function() client:task("x"):await(1) end)
  end)
end)

describe("the key", function()
  local function run(environment, script)
    return env.output(("env -u CRUN_API_KEY %s %s -e %s 2>&1"):format(environment, env.lua, env.quote(script)))
  end
  local say <const> = [[local c, e = require("omni").client{ base_url = "http://127.0.0.1:1" } print(c and "fine" or e.code, e or "")]]
  local key <const> = "ak_" .. ("k"):rep(32)

  it("comes from CRUN_API_KEY", function()
    assert.truthy(run("HOME=/nonexistent CRUN_API_KEY=" .. key, say):find("^fine"))
  end)

  it("comes from ~/.crun/.env, in any of its forms, if nobody else may read it", function()
    local home <close> = env.directory()
    os.execute("mkdir " .. env.quote(home:file ".crun"))
    for _, line in ipairs { "CRUN_API_KEY=" .. key, "export CRUN_API_KEY=" .. key, ('CRUN_API_KEY="%s"'):format(key),
      ("CRUN_API_KEY='%s'\r"):format(key) } do
      env.write(home:file ".crun/.env", "# mine\nOTHER=1\n" .. line .. "\n")
      os.execute("chmod 600 " .. env.quote(home:file ".crun/.env"))
      assert.truthy(run("HOME=" .. env.quote(home.path), say):find("^fine"), line)
    end
    os.execute("chmod 644 " .. env.quote(home:file ".crun/.env"))
    local said = run("HOME=" .. env.quote(home.path), say)
    assert.truthy(said:find("^no_key"))
    assert.truthy(said:find("chmod 600", 1, true))
  end)

  it("that is missing is an error with a hint", function()
    local said = run("HOME=/nonexistent", say)
    assert.truthy(said:find("^no_key"))
    assert.truthy(said:find("CRUN_API_KEY", 1, true))
  end)

  it("that is invalid is refused without being printed", function()
    for _, wrong in ipairs { "ak_secret\nHost: evil", "ak_ secret", "ak_secret\0", "", ("secret"):rep(100), "ak_sécret" } do
      local none, problem = omni.client { api_key = wrong, base_url = "http://127.0.0.1:1" }
      assert.is_nil(none)
      assert.equal("no_key", problem.code)
      assert.is_nil(tostring(problem):find("secret", 1, true))
    end
  end)

  it("of an unusual form is used, with a warning that doesn't print it", function()
    local warnings = {}
    assert(omni.client { api_key = "another-kind-of-key", base_url = "http://127.0.0.1:1",
      on_event = answers.on_warning(function(text) warnings[#warnings + 1] = text end) })
    assert.equal(1, #warnings)
    assert.is_nil(warnings[1]:find("another-kind-of-key", 1, true))
  end)
end)

describe("the base URL", function()
  it("must be a plain http(s) URL", function()
    for _, wrong in ipairs { "http://user:password@127.0.0.1/", "https://user@127.0.0.1", "ftp://127.0.0.1", "127.0.0.1:80",
      "http://127.0.0.1/?a=b", "http://127.0.0.1/#a", "http://a b/", "http://", "http://127.0.0.1\r\nx: y", "" .. ("x"):rep(10) } do
      local none, problem = omni.client { api_key = sandbox.key, base_url = wrong }
      assert.is_nil(none)
      assert.equal("invalid_input", problem.code)
      assert.equal("base_url", problem.field)
      assert.is_nil(problem.message:find("password@", 1, true))
    end
  end)

  it("may have a path of its own, and a slash at its end", function()
    local behind = assert(omni.client { api_key = sandbox.key, base_url = sandbox.url .. "/" })
    assert.is_number(behind:balance())
    behind:close()
    behind = assert(omni.client { api_key = sandbox.key, base_url = sandbox.url .. "/elsewhere", retry_for = 0 })
    local _, problem = behind:query("x")
    assert.equal("not_found", problem.code)
    behind:close()
  end)
end)
