-- SPDX-License-Identifier: MIT
-- Runs every example, and those of the README, as a reader would.
local env = require "helper.env"
local json = require("omni.core").json

local root = env.output("pwd"):gsub("\n", "")
local paths = ('LUA_PATH="%s/lua/?.lua;%s/lua/?/init.lua;;" LUA_CPATH="%s"'):format(root, root,
  (os.getenv("LUA_CPATH") or "build/lib/?.so;;"):gsub("^build", root .. "/build"))
local omni = env.quote(os.getenv("OMNI") or root .. "/build/omni")

local function run_in(directory, command)
  return env.output(("cd %s && env -u CRUN_API_KEY HOME=/nonexistent %s 2>&1"):format(env.quote(directory.path), command))
end

describe("the README", function()
  local readme = env.read("README.md")

  local blocks = {}
  for block in readme:gmatch("```lua\n(.-)```") do blocks[#blocks + 1] = block end

  it("shows a board of at most ten lines and a program, and no other code that a test would have to run", function()
    assert.equal(2, #blocks)
    local _, lines = blocks[1]:gsub("%S[^\n]*\n", "")
    assert.is_true(lines <= 10)
  end)

  it("shows the program examples/dawn.lua", function()
    assert.truthy(env.read("examples/dawn.lua"):find(blocks[2], 1, true))
  end)

  it("shows a board that runs in the sandbox", function()
    local directory <close> = env.directory()
    env.write(directory:file "board.lua", blocks[1])
    local said = run_in(directory, omni .. " run board.lua --sandbox --seconds 0.1")
    assert.truthy(said:find("3 of 3 scenes done", 1, true), said)
  end)

  it("shows a picture of the report, in a small file", function()
    local picture = env.read(readme:match("!%[[^]]+%]%((.-)%)"))
    assert.equal("\137PNG", picture:sub(1, 4))
    assert.is_true(#picture < 200 * 1024)
  end)

  it("names only files that exist", function()
    for path in readme:gmatch("%]%(([^)#]+)[^)]*%)") do assert.truthy(env.read(path), path) end
    for path in readme:gmatch("examples/[%w_]+%.lua") do assert.truthy(env.read(path), path) end
  end)

  it("names only targets of the Makefile", function()
    local makefile = env.read("Makefile")
    for target in readme:gmatch("make ([%l]+)") do
      assert.truthy(makefile:find("\n" .. target .. ":", 1, true), target)
    end
  end)
end)

describe("the example", function()
  it("dawn.lua runs in plain Lua", function()
    local directory <close> = env.directory()
    local said = run_in(directory, ("%s %s %s"):format(paths, env.lua, env.quote(root .. "/examples/dawn.lua")))
    assert.truthy(said:find("success", 1, true), said)
  end)

  for _, name in ipairs { "in_cqueues", "in_luv" } do
    it(name .. ".lua runs in plain Lua: the program goes on meanwhile, and gets results and errors as values", function()
      local directory <close> = env.directory()
      local said = run_in(directory, ("%s %s %s"):format(paths, env.lua, env.quote(root .. "/examples/" .. name .. ".lua")))
      assert.truthy(said:find "^refused: invalid_input\nsuccess\nticks meanwhile:\t[1-9]%d*\n$", said)
    end)
  end

  it("callbacks.lua runs in plain Lua, and its task's callback is confirmed", function()
    local directory <close> = env.directory()
    local said = run_in(directory, ("%s timeout 60 %s %s"):format(paths, env.lua, env.quote(root .. "/examples/callbacks.lua")))
    assert.truthy(said:find("^success\t[%x-]+\t1 callback confirmed\n$"), said)
  end)

  for _, name in ipairs { "callbacks_cqueues", "callbacks_luv" } do
    local script <const> = env.quote(root .. "/examples/" .. name .. ".lua")

    it(name .. ".lua runs in plain Lua: its callback is confirmed, and the service gets an answer", function()
      local directory <close> = env.directory()
      local said = run_in(directory, ("%s timeout 60 %s %s"):format(paths, env.lua, script))
      assert.truthy(said:find("^listening at [^\n]+\nsuccess\t1 callback confirmed\tthe service got 200\n$"), said)
    end)

    it(name .. ".lua answers every request, seen from outside", function()
      local directory <close> = env.directory()
      local said = run_in(directory, ([[
        mkfifo out
        %s timeout 120 %s %s 100 > out & server=$!
        exec 3< out
        read -r _ _ url <&3
        ask() { curl -s -m 30 -o body -w '%%{http_code} %%{size_download}\n' "$@"; }
        ask "$url/no-such-token"
        ask -d '{"task_id": "x", "status": "success"}' "$url/no-such-token"
        ask "${url%%/hook}/elsewhere"
        ask -X BREW "$url/x" -H 'Content-Length: -1'
        for i in 1 2 3 4 5 6 7 8; do curl -s -m 30 -o /dev/null -w '%%{http_code} ' "$url/$i" & clients="$clients $!"; done
        wait $clients
        kill $server]]):format(paths, env.lua, script))
      local lines = {}
      for line in said:gmatch "[^\n]+" do lines[#lines + 1] = line end
      assert.matches("^404 %d+$", lines[1])
      assert.matches("^404 %d+$", lines[2])
      assert.equal("404 9", lines[3])
      assert.equal("400 0", lines[4])
      assert.equal(("404 "):rep(8), lines[5])
    end)
  end

  local compile <const> = "cc -std=c11 -Wall -Wextra -Werror -D_GNU_SOURCE -g %s/examples/embed.c -o embed"
    .. " $(pkg-config --cflags --libs lua5.4) -lm"

  it("embed.c is a C program with omni inside, whose own loop goes on", function()
    if env.is_slow then return pending "the modules that are built for this run need their wrapper" end
    local directory <close> = env.directory()
    assert.equal("success\nticks meanwhile: some\n", run_in(directory, compile:format(env.quote(root)) .. " && " .. paths .. " ./embed"))
  end)

  it("embed.c leaks nothing and misuses no memory", function()
    if env.is_slow then return pending "valgrind runs no program that runs under it, or with sanitizers" end
    if env.output "command -v valgrind" == "" then return pending "valgrind isn't installed" end
    local directory <close> = env.directory()
    local said = run_in(directory, ("%s && %s valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite"
      .. " --errors-for-leak-kinds=definite --child-silent-after-fork=yes --suppressions=%s/spec/helper/valgrind.supp ./embed; echo $?")
      :format(compile:format(env.quote(root)), paths, env.quote(root)))
    assert.equal("success\nticks meanwhile: some\n0\n", (said:gsub("%-%-%d+%-%-[^\n]*\n", "")))
  end)

  it("metrics.lua counts a client's events in the text format of Prometheus", function()
    local directory <close> = env.directory()
    local said = run_in(directory, ("%s %s %s"):format(paths, env.lua, env.quote(root .. "/examples/metrics.lua")))
    local kinds = {}
    for line in said:gmatch "[^\n]+" do
      local name, kind = line:match "^# TYPE ([%l_]+) ([%l]+)$"
      if name then kinds[name] = kind end
      local sample = line:match "^([%l_]+) %d[%d.e+-]*$" or line:match '^([%l_]+){[%l_]+="[^"]*"[^}]*} %d[%d.e+-]*$'
      assert.is_true(line:find "^# HELP " ~= nil or name ~= nil or kinds[sample] ~= nil, line)
    end
    for _, line in ipairs {
      'omni_requests_total{error="rate_limited",kind="submit",status="429"} 1',
      'omni_requests_total{error="none",kind="submit",status="200"} 1',
      'omni_retries_total{reason="rate_limited"} 1',
      'omni_tasks_total{model="google/gemini-omni",state="success"} 1',
      'omni_task_credits_total{model="google/gemini-omni"} 40',
    } do assert.truthy(said:find(line, 1, true), said) end
  end)

  it("json_log.lua writes a client's events as lines of JSON", function()
    local directory <close> = env.directory()
    local said = run_in(directory, ("%s %s %s"):format(paths, env.lua, env.quote(root .. "/examples/json_log.lua")))
    local count = {}
    for line in said:gmatch "[^\n]+" do
      local event = json.decode(line)
      count[event.event] = (count[event.event] or 0) + 1
      assert.matches("^%d+%-%d%d%-%d%dT[%d:]+Z$", event.time)
      if event.event == "retry" then assert.equal("server_error", event.error.code) end
    end
    assert.equal(count.request_begun, count.request_ended)
    assert.is_true(count.retry == 1 and count.task >= 2 and count.download >= 1)
  end)

  it("dawn.lua runs in the program, and its clip is a film of four seconds", function()
    local directory <close> = env.directory()
    local said = run_in(directory, ("%s lua %s"):format(omni, env.quote(root .. "/examples/dawn.lua")))
    assert.truthy(said:find("saved", 1, true), said)
    local ask <const> = "ffprobe -v error -show_entries format=duration -of csv=p=0 "
    local length = tonumber(env.output(ask .. env.quote(directory:file "dawn.mp4")))
    assert.is_true(math.abs(length - 4) < 0.05)
  end)
end)

describe("the example board", function()
  -- name → the number of scenes that can be submitted at once, and of scenes that wait for others
  for name, expected in pairs { lighthouse = { 6, 0 }, seasons = { 5, 0 }, voyage = { 1, 5 } } do
    it(name .. ".lua can be planned, within its budget", function()
      local directory <close> = env.directory()
      local said = run_in(directory, ("%s plan %s --sandbox --out out --json"):format(omni,
        env.quote(root .. "/examples/" .. name .. ".lua")))
      local plan = json.decode(said)
      local counts = { submit = 0, wait = 0 }
      for _, planned in ipairs(plan.scenes) do counts[planned.action] = counts[planned.action] + 1 end
      assert.same(expected, { counts.submit, counts.wait })
      assert.is_true(plan.complete)
      assert.is_true(plan.credits <= (plan.board_budget or plan.balance))
    end)
  end
end)
