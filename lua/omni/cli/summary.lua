-- SPDX-License-Identifier: MIT
-- What is said at the end of a run: what each scene cost, where its file is, and what to do about those that have none.

local text = require "omni.cli.text"

-- The exit codes, each for what it says (docs/cli.md).
local exit_codes = { done = 0, failed = 1, misuse = 2, refused = 3, unknown = 4, interrupted = 130 }

local function count(summary, status)
  local n = 0
  for _, scene in ipairs(summary.scenes) do
    if scene.status == status then n = n + 1 end
  end
  return n
end

---The exit code of a run: what needs a person most comes first.
---@param summary omni.RunSummary
---@return integer
local function exit_code(summary)
  if summary.interrupted then return exit_codes.interrupted end
  for _, status in ipairs { "unknown", "failed", "refused" } do
    if count(summary, status) > 0 then return exit_codes[status] end
  end
  return exit_codes.done
end

local GOES_ON = "What was interrupted goes on at the service, and is charged. To fetch it, in Lua:\n"
  .. '  omni.client{}:task("%s"):await():save("%d.mp4")\n'

-- What stands behind a scene's name: the first line, and lines below it.
local function lines_of(scene, sandbox)
  local cost = scene.credits and text.credits(scene.credits, sandbox)
  if scene.status == "fetched" then
    local lines = {}
    for index, file in ipairs(scene.files) do lines[index] = text.clean(file) end
    lines[1] = ("%s  %s"):format(cost or "cost unknown", lines[1])
    return lines
  elseif scene.status == "interrupted" then
    return { "interrupted  task " .. text.clean(scene.task_id) }
  elseif scene.status == "waiting" then
    return { "not submitted" }
  end
  local lines = { ("%s  %s"):format(scene.status, text.problem(scene.error)) }
  if cost then lines[1] = ("%s, %s"):format(lines[1], cost) end
  if scene.error.hint then lines[#lines + 1] = text.clean(scene.error.hint) end
  if scene.status == "unknown" and scene.estimate then
    lines[#lines + 1] = ("about %s may have been charged; it will not be submitted again by itself")
      :format(text.credits(scene.estimate, sandbox))
  end
  return lines
end

---Writes the summary as text.
---@param out file*
---@param summary omni.RunSummary
---@param options { sandbox?: boolean, colour?: boolean, columns?: integer }  columns: of the terminal, if it is one
local function write(out, summary, options)
  local paint = text.painter(options.colour)
  local name_width = 0
  for _, scene in ipairs(summary.scenes) do name_width = math.max(name_width, text.columns(text.clean(scene.scene))) end
  name_width = math.min(name_width, 32)

  local title = summary.title and text.clean(summary.title) .. ": " or ""
  local more = 0 -- what is, or may be, charged without having been reported
  for _, scene in ipairs(summary.scenes) do
    local charged = scene.task_id or scene.status == "unknown"
    if charged and not scene.credits then more = more + (scene.estimate or 0) end
  end
  out:write(("%s%d of %d scenes done, %s%s\n"):format(paint("title", title), count(summary, "fetched"), #summary.scenes,
    text.credits(summary.credits, options.sandbox), more > 0 and (", about %.14g more not yet reported"):format(more) or ""))
  for _, scene in ipairs(summary.scenes) do
    local lines = lines_of(scene, options.sandbox)
    local name = text.fit(text.clean(scene.scene), name_width)
    local indent = (" "):rep(name_width + 4)
    if options.columns and text.columns(lines[1]) + #indent > options.columns then
      local first, rest = lines[1]:match("^(.-)  (.*)$") -- a path or a reason gets a line of its own
      if first then
        lines[1] = first
        table.insert(lines, 2, rest)
        indent = "    "
      end
    end
    out:write(("  %s  %s\n"):format(paint(scene.status, name), lines[1]))
    for index = 2, #lines do out:write(indent, lines[index], "\n") end
  end
  for _, scene in ipairs(summary.scenes) do
    if scene.status == "interrupted" and not options.sandbox then -- said once, about the first of them
      out:write(GOES_ON:format(text.clean(scene.task_id), scene.index))
      break
    end
  end
  out:flush()
end

return { exit_code = exit_code, exit_codes = exit_codes, write = write }
