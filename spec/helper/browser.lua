-- SPDX-License-Identifier: MIT
-- A headless Chromium, driven by the DevTools protocol over two named pipes: which files a page loads, its console messages and its looks.

local cjson = require "cjson"
local env = require "helper.env"
require "socket" -- ignores SIGPIPE: a browser that has died is an error then, and not our end

local json = cjson.new()
local browser = {}

local programs <const> = "chromium chromium-browser google-chrome-stable google-chrome"

---The browser's program, or nil where there is none.
---@return string|nil
function browser.program()
  for name in programs:gmatch("%S+") do
    local pipe = assert(io.popen("command -v " .. name))
    local path = pipe:read("l")
    pipe:close()
    if path then return path end
  end
end

-- --- the browser

local Browser_methods = {}
local Browser_mt = { __name = "spec.browser", __index = Browser_methods }

-- It ends with its pipe, and at the latest after this time; `timeout` is the leader of the group that all its processes are in.
local command <const> = [[cd %s && mkfifo commands answers && echo $$ && exec timeout -s KILL %d env HOME=%s %s \
  --headless=new --no-sandbox --disable-gpu --disable-breakpad --disable-background-networking --disable-component-update \
  --no-first-run --hide-scrollbars --remote-debugging-pipe --user-data-dir=%s/profile about:blank 3<commands 4>answers 2>errors]]

---Starts one; `close` (also `<close>`, collection) ends it and removes its profile.
---@param seconds? number  after which it is killed whatever happens (120)
function browser.open(seconds)
  local files = env.directory()
  local folder = env.quote(files.path)
  local pipe = assert(io.popen("exec setsid sh -c " .. env.quote(command:format(folder, env.seconds(seconds or 120), folder,
    env.quote(browser.program()), folder))))
  local pid = assert(pipe:read("l"))
  local self = setmetatable({ files = files, pipe = pipe, pid = pid, last = 0, pages = {}, answers = {} }, Browser_mt)
  self.commands = assert(io.open(files:file "commands", "w"))
  self.events = assert(io.open(files:file "answers", "r"))
  self.commands:setvbuf("no")
  return self
end

function Browser_methods:close()
  if not self.pipe then return end
  os.execute("kill -KILL -" .. self.pid .. " 2>/dev/null")
  if self.commands then self.commands:close() end
  if self.events then self.events:close() end
  self.pipe:read("a") -- ends when the last of its processes, which all hold it, is gone
  self.pipe:close()
  self.pipe = nil
  self.files:close()
end
Browser_mt.__close = Browser_methods.close
Browser_mt.__gc = Browser_methods.close

-- Messages are JSON, each ended by a NUL.
local function receive(self)
  local bytes, n = {}, 0
  while true do
    local byte = self.events:read(1)
    if not byte then error("the browser has ended: " .. (env.read(self.files:file "errors") or ""):sub(-500)) end
    if byte == "\0" then return json.decode(table.concat(bytes)) end
    n = n + 1
    bytes[n] = byte
  end
end

-- Handles one message: stores an answer for the caller, and passes an event to its page.
local function step(self)
  local message = receive(self)
  if message.id then
    self.answers[message.id] = message
  else
    local page = self.pages[message.sessionId]
    if page then page:event(message.method, message.params) end
  end
end

local function call(self, session, method, params)
  self.last = self.last + 1
  local id = self.last
  local text = json.encode { id = id, sessionId = session, method = method, params = next(params or {}) and params or nil }
  assert(self.commands:write(text, "\0"))
  while not self.answers[id] do step(self) end
  local answer = self.answers[id]
  self.answers[id] = nil
  if answer.error then error(("%s: %s"):format(method, answer.error.message), 3) end
  return answer.result
end

-- --- a page

local Page_methods = {}
local Page_mt = { __name = "spec.page", __index = Page_methods }

function Page_methods:call(method, params) return call(self.browser, self.session, method, params) end

-- What is kept of events, by their names.
local kept = {
  ["Network.requestWillBeSent"] = function(page, params) table.insert(page.requests, params.request.url) end,
  ["Runtime.consoleAPICalled"] = function(page, params) table.insert(page.console, json.encode(params.args)) end,
  ["Runtime.exceptionThrown"] = function(page, params) table.insert(page.console, params.exceptionDetails.text) end,
  ["Log.entryAdded"] = function(page, params) table.insert(page.console, params.entry.text) end,
  ["Page.javascriptDialogOpening"] = function(page, params)
    table.insert(page.console, "a dialog: " .. params.message)
    page.dialog = true
  end,
  ["Page.loadEventFired"] = function(page) page.loaded = true end,
}

function Page_methods:event(name, params)
  if kept[name] then kept[name](self, params) end
end

---A new, empty page. `requests` are the addresses that it has asked for, `console` what stood in its console.
---@param options? { width?: integer, height?: integer, mobile?: boolean, scheme?: "light"|"dark", media?: "print"|"screen",
---  zone?: string, scripts?: boolean }  zone: a time zone, such as "Asia/Kolkata"; scripts = false: the page runs none
function Browser_methods:page(options)
  options = options or {}
  local target = call(self, nil, "Target.createTarget", { url = "about:blank" }).targetId
  local session = call(self, nil, "Target.attachToTarget", { targetId = target, flatten = true }).sessionId
  local page = setmetatable({ browser = self, session = session, target = target, requests = {}, console = {} }, Page_mt)
  self.pages[session] = page
  for _, domain in ipairs { "Page", "Network", "Runtime", "Log" } do page:call(domain .. ".enable") end
  page:call("Emulation.setDeviceMetricsOverride", { width = options.width or 1280, height = options.height or 900,
    deviceScaleFactor = 1, mobile = options.mobile or false })
  page:call("Emulation.setEmulatedMedia", { media = options.media or "screen", features = {
    { name = "prefers-color-scheme", value = options.scheme or "light" },
  } })
  if options.zone then page:call("Emulation.setTimezoneOverride", { timezoneId = options.zone }) end
  if options.scripts == false then page:call("Emulation.setScriptExecutionDisabled", { value = true }) end
  return page
end

---Opens a file and waits until it is loaded.
---@param path string
function Page_methods:open(path)
  self.loaded = false
  local answer = self:call("Page.navigate", { url = "file://" .. path })
  assert(not answer.errorText, answer.errorText)
  while not self.loaded do step(self.browser) end
end

---The value of a JavaScript expression, a promise's too.
---@param expression string
function Page_methods:evaluate(expression)
  local answer = self:call("Runtime.evaluate", { expression = expression, awaitPromise = true, returnByValue = true, userGesture = true })
  if answer.exceptionDetails then error(json.encode(answer.exceptionDetails), 2) end
  return answer.result.value
end

---Presses and releases a key: "Tab", "Enter", ...
function Page_methods:press(key)
  local codes = { Tab = 9, Enter = 13 }
  for _, kind in ipairs { "rawKeyDown", "keyUp" } do
    self:call("Input.dispatchKeyEvent", { type = kind, key = key, code = key, windowsVirtualKeyCode = codes[key] })
  end
end

---What it looks like, as the bytes of a PNG.
---@param whole? boolean  all of the page, and not only what is in sight
function Page_methods:screenshot(whole)
  local answer = self:call("Page.captureScreenshot", { format = "png", captureBeyondViewport = whole or false })
  return (require "mime".unb64(answer.data))
end

function Page_methods:close()
  if not self.session then return end
  call(self.browser, nil, "Target.closeTarget", { targetId = self.target })
  self.browser.pages[self.session] = nil
  self.session = nil
end
Page_mt.__close = Page_methods.close

return browser
