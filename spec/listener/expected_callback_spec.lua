-- SPDX-License-Identifier: MIT
-- Callbacks that the listener accepts without Lua, because Lua has registered their tokens.
local core = require "omni.core"
local listening = require "helper.listening"

local TOKEN <const>, TASK <const> = "0123456789abcdef0123456789abcdef", "d6956973-2f17-43d4-8514-af6cc3a2f55d"

local function post(path, body, headers, method)
  return ("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s"):format(method or "POST", path, #body, headers or "", body)
end

local function body_of(id, status, more) return ('{"task_id":"%s","status":"%s"%s}'):format(id, status, more or "") end

describe("an expected callback", function()
  local here = listening.here(after_each)
  local connect, take = here.connect, here.take
  local number

  before_each(function()
    here.open()
    number = here.listener:expect(core.sha256(TOKEN), TASK)
  end)

  -- Sends a request, and checks that the listener answers it without Lua. Returns what `callback` returns.
  local function accepted(request)
    local status, headers, body = connect(request):answer()
    assert.equal(200, status)
    assert.equal("text/plain", headers["content-type"])
    assert.equal("accepted\n", body)
    assert.is_nil(here.listener:next())
    return here.listener:callback()
  end

  -- Sends a request, and checks that Lua gets it.
  local function left_to_lua(request)
    local one = connect(request)
    local taken = take()
    assert.is_nil(here.listener:callback())
    taken:answer(404)
    assert.equal(404, (one:answer()))
    return taken
  end

  it("gets its response without Lua, which then learns of it", function()
    local which, final = accepted(post("/" .. TOKEN, body_of(TASK, "success")))
    assert.equal(number, which)
    assert.is_true(final)
    assert.is_nil(here.listener:callback())
  end)

  it("reports whether the task is over, in any case of letters", function()
    for status, expected in pairs { success = true, FAILED = true, running = false, successful = false, ["failed "] = false } do
      local which, final = accepted(post("/" .. TOKEN, body_of(TASK, status)))
      assert.equal(number, which)
      assert.equal(expected, final, status)
    end
  end)

  it("is found by the last part of its path, however the token is written", function()
    for _, path in ipairs { "/hook/x/" .. TOKEN, "/" .. TOKEN:upper(), "/" .. TOKEN .. "/", "/" .. TOKEN .. "?a=/b" } do
      assert.equal(number, accepted(post(path, body_of(TASK, "running"))), path)
    end
  end)

  it("may be in the envelope of responses, and may say that its body isn't encoded by saying nothing", function()
    assert.equal(number, accepted(post("/" .. TOKEN, '{"code":200,"data":' .. body_of(TASK, "success") .. "}")))
    assert.equal(number, accepted(post("/" .. TOKEN, "\xEF\xBB\xBF" .. body_of(TASK, "success"))))
  end)

  it("is left to Lua if anything is wrong or unusual", function()
    local good = body_of(TASK, "success")
    for name, request in pairs {
      another_token = post("/" .. ("a"):rep(32), good), no_token = post("/", good), short = post("/" .. TOKEN:sub(2), good),
      longer = post("/a" .. TOKEN, good), not_last = post("/" .. TOKEN .. "/x", good), twice = post("/" .. TOKEN .. "//", good),
      query = post("/?" .. TOKEN, good), letters = post("/" .. TOKEN:gsub("f", "g"), good),
      method = post("/" .. TOKEN, good, nil, "PUT"), lower = post("/" .. TOKEN, good, nil, "post"),
      encoded = post("/" .. TOKEN, good, "content-Encoding: gzip\r\n"),
      identity = post("/" .. TOKEN, good, "Content-Encoding: identity\r\n"),
      empty = post("/" .. TOKEN, ""), garbage = post("/" .. TOKEN, good .. "x"), nul = post("/" .. TOKEN, good .. "\0"),
      other = post("/" .. TOKEN, body_of(TASK:gsub("d$", "e"), "success")),
      prefix = post("/" .. TOKEN, body_of(TASK:sub(1, -2), "success")),
      no_status = post("/" .. TOKEN, ('{"task_id":"%s"}'):format(TASK)), empty_status = post("/" .. TOKEN, body_of(TASK, "")),
      number_status = post("/" .. TOKEN, ('{"task_id":"%s","status":200}'):format(TASK)),
      escaped = post("/" .. TOKEN, body_of(TASK:gsub("^d", "\\u0064"), "success")),
      escaped_status = post("/" .. TOKEN, body_of(TASK, "f\\u0061iled")),
      later_id = post("/" .. TOKEN, body_of(TASK, "success", ',"task_id":"x"')), -- the last one counts
      many_values = post("/" .. TOKEN, body_of(TASK, "success", ',"x":[' .. ("1,"):rep(100) .. "1]")),
    } do
      assert.truthy(left_to_lua(request), name)
    end
  end)

  it("is left to Lua once its token is forgotten or names another task", function()
    local request = post("/" .. TOKEN, body_of(TASK, "success"))
    local renewed = here.listener:expect(core.sha256(TOKEN), "other")
    assert.not_equal(number, renewed)
    left_to_lua(request)
    assert.equal(renewed, accepted(post("/" .. TOKEN, body_of("other", "success"))))
    here.listener:forget(core.sha256(TOKEN))
    here.listener:forget(core.sha256(TOKEN))
    left_to_lua(request)
  end)

  it("is listed in the order of arrival, among those of other tokens", function()
    local numbers, expected = {}, {}
    for i = 1, 200 do numbers[i] = here.listener:expect(core.sha256(("%032x"):format(i)), "task " .. i) end
    for i = 200, 1, -3 do
      assert.equal(200, (connect(post(("/%032x"):format(i), body_of("task " .. i, "success"))):answer()))
      expected[#expected + 1] = numbers[i]
    end
    assert.equal(0, here.listener:timeout()) -- as long as Lua hasn't read them
    local got = {}
    for which in here.listener.callback, here.listener do got[#got + 1] = which end
    assert.same(expected, got)
    for i = 1, 200 do here.listener:forget(core.sha256(("%032x"):format(i))) end
    left_to_lua(post(("/%032x"):format(7), body_of("task 7", "success")))
  end)

  it("isn't expected by a closed listener", function()
    here.listener:close()
    assert.has_error(function() here.listener:expect(core.sha256(TOKEN), TASK) end, "this listener is closed")
    here.listener:forget(core.sha256(TOKEN))
    assert.is_nil(here.listener:callback())
  end)

  it("needs a digest", function()
    for _, bad in ipairs { "", TOKEN, ("g"):rep(64) } do
      assert.error_matches(function() here.listener:expect(bad, TASK) end, "a SHA%-256 expected")
      assert.error_matches(function() here.listener:forget(bad) end, "a SHA%-256 expected")
    end
  end)
end)
