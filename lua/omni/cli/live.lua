-- SPDX-License-Identifier: MIT
-- Progress on a terminal: one line a scene, redrawn in place, and a line for the whole.
--
-- Nothing is changed in the terminal that would have to be put back: the cursor stays visible, below the lines.

local text = require "omni.cli.text"

local STATE = 11       -- columns of the longest state, "interrupted"
local in_flight = { submitting = true, pending = true, running = true, fetching = true }

local Live_methods = {}
local Live_mt = { __name = "omni.cli.live", __index = Live_methods }

-- The scenes that fit into `room` lines: those in flight before those that wait, and these before those that are done.
local function choose(scenes, room)
  if #scenes <= room then return scenes end
  local function rank(scene) return in_flight[scene.status] and 1 or scene.status == "waiting" and 2 or 3 end
  local chosen = {}
  for wanted = 1, 3 do
    for _, scene in ipairs(scenes) do
      if #chosen < room and rank(scene) == wanted then chosen[#chosen + 1] = scene end
    end
  end
  table.sort(chosen, function(a, b) return a.index < b.index end)
  return chosen
end

local function scene_line(live, scene, name_width, width)
  local time = scene.began and text.elapsed((scene.ended or live.now()) - scene.began) or ""
  -- Until it is over the task id: who pulls the plug now needs it.
  local last = scene.credits and text.credits(scene.credits) or scene.task_id or ""
  local left = "  " .. text.fit(scene.name, name_width) .. "  "
  local state = text.fit(scene.status, STATE)
  local line = text.cut(("%s%s%7s  %s"):format(left, state, time, last):gsub("%s+$", ""), width)
  local paint_from = #left + 1 -- the colour goes in after the cut, so that no escape sequence is cut
  if #line < paint_from then return line end
  local painted = line:sub(paint_from, #left + #state)
  return line:sub(1, #left) .. live.paint(scene.status, painted) .. line:sub(paint_from + #painted)
end

local function total_line(live, width)
  local counts, other, sum, promised = {}, {}, 0, 0
  for _, scene in ipairs(live.scenes) do
    counts[scene.status] = (counts[scene.status] or 0) + 1
    sum = sum + (scene.credits or 0)
    promised = promised + (scene.credits or scene.estimate or 0)
  end
  for _, status in ipairs { "failed", "refused", "unknown", "interrupted" } do
    if counts[status] then other[#other + 1] = ("%d %s"):format(counts[status], status) end
  end
  local parts = { ("%d of %d fetched"):format(counts.fetched or 0, #live.scenes) }
  if #other > 0 then parts[#parts + 1] = table.concat(other, ", ") end
  local cost = text.credits(sum, live.sandbox)
  if promised > sum then cost = ("%s of about %s"):format(cost, text.credits(promised):match("^%S+")) end
  parts[#parts + 1] = cost
  parts[#parts + 1] = text.elapsed(live.now() - live.began)
  return text.cut("  " .. table.concat(parts, " · "), width)
end

-- How many rows the lines of the last drawing take, should the terminal have become narrower since.
local function rows_taken(live, columns)
  local rows = 0
  for _, width in ipairs(live.drawn) do rows = rows + math.max(1, (width + columns - 1) // columns) end
  return rows
end

-- Replaces the last drawing.
local function draw(live, lines, columns)
  local parts = {}
  local up = rows_taken(live, columns)
  if up > 0 then parts[1] = ("\27[%dA\r\27[J"):format(up) end
  live.drawn = {}
  for index, line in ipairs(lines) do
    parts[#parts + 1] = line .. "\n"
    live.drawn[index] = text.columns((line:gsub("\27%[[%d;]*m", "")))
  end
  live.out:write(table.concat(parts))
  live.out:flush()
end

---Draws the present state.
function Live_methods:tick()
  local columns = math.max(1, self.columns() or 80)
  local width = columns - 1 -- a full line would leave the cursor between two rows
  local room = math.max(1, (self.rows() or 24) - 3)
  local lines = {}
  if self.title and #self.scenes < room then
    lines[1] = self.paint("title", text.cut(self.title, width))
    room = room - 1
  end
  local name_width = 0
  for _, scene in ipairs(self.scenes) do name_width = math.max(name_width, text.columns(scene.name)) end
  -- A task id takes 36 columns; where there is no room for it anyway, the names have it.
  name_width = math.min(name_width, math.max(6, math.min(width - STATE - 24, math.max(12, width - STATE - 49))))
  for _, scene in ipairs(choose(self.scenes, room)) do
    lines[#lines + 1] = scene_line(self, scene, name_width, width)
  end
  lines[#lines + 1] = total_line(self, width)
  draw(self, lines, columns)
end

---@param event table  as `omni.storyboard.run` gives them
function Live_methods:event(event)
  local scene = self.scenes[event.index]
  scene.status, scene.credits, scene.estimate = event.event, event.credits, event.estimate or scene.estimate
  scene.task_id = event.task_id and text.clean(event.task_id)
  scene.began = scene.began or event.event == "submitting" and self.now() or nil
  if not in_flight[event.event] then scene.ended = self.now() end
  self:tick()
end

---Takes the drawing away; the summary comes in its place.
function Live_methods:finish()
  draw(self, {}, math.max(1, self.columns() or 80))
end

---@param options omni.cli.ProgressOptions
local function open(options)
  local live = setmetatable({
    title = options.board.title and text.clean(options.board.title), sandbox = options.sandbox, out = options.out,
    columns = options.columns, rows = options.rows, now = options.now, paint = text.painter(options.colour),
    began = options.now(), scenes = {}, drawn = {},
  }, Live_mt)
  for index, scene in ipairs(options.board.scenes) do
    live.scenes[index] = { index = index, name = text.clean(scene.name), status = "waiting",
      estimate = options.prices and options.prices[scene.name] }
  end
  return live
end

return { open = open }
