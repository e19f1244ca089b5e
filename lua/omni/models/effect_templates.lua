-- SPDX-License-Identifier: MIT
-- Lists a platform's effect templates. The iterator requests each page from the service only when the program needs it.

local err = require "omni.error"
local json = require "omni.json"
local loop = require "omni.loop"
local options = require "omni.options"
local percent = require "omni.http.percent_encoding"

local PATH <const> = "/api/v1/client/job/%s-templates" -- docs/service.md, "Other endpoints"
local MAX_PAGES <const> = 1000
local MAX_PAGE_SIZE <const>, DEFAULT_PAGE_SIZE <const> = 50, 20

-- For each platform, the name of the query parameter that selects one template.
local platforms <const> = { bytedance = "template_id", kling = "template_id", vidu = "template" }
local known_options <const> = { platform = "string", template_id = "string", template = "string", page_size = "count" }

-- --- reading a page. The service doesn't document which field has the list.

local LIST_FIELDS <const> = { "templates", "list", "items", "records", "data" }

local function is_list(value)
  return type(value) == "table" and (#value > 0 or next(value) == nil)
end

-- Returns the list of templates on a page. Returns nil if no field can be the list, or if it isn't clear which field is the list.
local function list_of(data)
  if is_list(data) then return data end
  if type(data) ~= "table" then return nil end
  for _, name in ipairs(LIST_FIELDS) do
    if is_list(data[name]) then return data[name] end
  end
  local only
  for _, value in pairs(data) do
    if is_list(value) then
      if only then return nil end
      only = value
    end
  end
  return only
end

local function total_of(data)
  local total = type(data.total) == "number" and math.tointeger(data.total)
  return total and total >= 0 and total or nil
end

-- --- the iterator

-- Requests the next page from the service. Returns false if there are no more templates.
local function load_page(self)
  if self.over or self.page >= MAX_PAGES then return false end
  loop.in_fiber "client:templates"
  self.values.page = self.page + 1
  local data, problem = self.client:call("GET", self.path .. percent.query(self.names, self.values))
  if problem then error(problem, 0) end
  local list = list_of(data)
  if not list then error(err.new { code = "bad_answer", message = "the response contains no page of templates" }, 0) end
  self.page = self.values.page
  local text = json.write(list, { empty = "array", repair = true })
  if #list == 0 or text and text == self.text then return false end
  self.list, self.at, self.text, self.count = list, 0, text, self.count + #list
  local total = total_of(data)
  if total then
    self.over = self.count >= total
  else
    self.over = #list < self.values.page_size
  end
  return true
end

local function next_template(self)
  repeat
    while self.at < #self.list do
      self.at = self.at + 1
      local template = self.list[self.at]
      if type(template) == "table" or type(template) == "string" then return template end
    end
  until not load_page(self)
  self.over, self.list = true, {}
  return nil
end

local function wrong(message)
  error("client:templates: " .. message, 3)
end

---Iterates over a platform's effect templates, in the service's order: `for template in client:templates { platform = "kling" } do`.
---Requests each page when your `for` loop needs it, and retries failed requests. If all retries fail, **the iterator raises the error
---value** (omni.Error), as io.lines does. The iteration ends once it has returned as many templates as the service says there are. If the
---service doesn't report the number of templates, the iteration ends after a page that isn't full. The iteration also ends at an empty
---page, at a page that is identical to the previous page, and after 1000 pages.
---@param client omni.Client
---@param opts { platform: "kling"|"vidu"|"bytedance", template_id?: string, template?: string, page_size?: integer }  page_size: 1 to 50
---@return fun(): table|nil  the next template, as the service describes it
local function each(client, opts)
  opts = options.check(opts, known_options, "client:templates")
  local named = platforms[opts.platform]
  if not named then
    wrong(("option 'platform' must be bytedance, kling or vidu, not %s"):format(
      opts.platform and ("'%s'; %s"):format(opts.platform, options.unknown(opts.platform, platforms)) or "nil"))
  end
  if opts.template_id and opts.template then wrong "options 'template_id' and 'template' mean the same; use one of them" end
  local size = opts.page_size or DEFAULT_PAGE_SIZE
  if size > MAX_PAGE_SIZE then wrong(("option 'page_size' must be from 1 to %d, not %d"):format(MAX_PAGE_SIZE, size)) end
  local state = {
    client = client, path = PATH:format(opts.platform), names = { "page", "page_size", named }, page = 0, count = 0, list = {}, at = 0,
    values = { page_size = size, [named] = opts.template_id or opts.template },
  }
  return function() return next_template(state) end
end

return { each = each }
