-- SPDX-License-Identifier: MIT
-- Draws a run's progress on a terminal: a line for each scene, a line for the cut, and a line for the whole run, all redrawn in place. The
-- cursor stays visible below the progress lines, so that a crash leaves the terminal usable.

local text = require "omni.cli.view.text"

local STATE <const> = 11  -- width of the longest state, "interrupted", in columns
local MOST_WAITS <const> = 3 -- maximum number of lines that show what the run is waiting for
local FEW <const> = 3     -- if there are at most this many reused scenes, each has its own line
local WIDE <const> = 72   -- if the terminal has at least this many columns, times are written in full
local BAR <const> = 20    -- width of the cut's progress bar in columns, if there is room
local SOON <const> = 0.05 -- an event within this many seconds after a redraw is shown only at the next call of `tick`

local in_flight = { submitting = true, pending = true, running = true, fetching = true }
local troubles = { "failed", "refused", "blocked", "unknown", "interrupted" }

local Live_methods = { draws = true }
local Live_mt = { __name = "omni.cli.live", __index = Live_methods }

-- Returns the scenes that fit into `room` lines. Prefers scenes in flight, then waiting scenes, then finished ones.
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

-- Returns how long a scene has taken, such as "1:05", or "1:05 of about 1:30" if the scene is in progress and its typical time is known.
local function time_of(live, scene, width)
  if not scene.began then return "" end
  local taken = text.elapsed((scene.ended or live.now()) - scene.began)
  if not scene.typical or scene.ended then return taken end
  return (width >= WIDE and "%s of about %s" or "%s/~%s"):format(taken, text.elapsed(scene.typical))
end

local function scene_line(live, scene, layout, width)
  local left = "  " .. text.fit(scene.name, layout.name) .. "  "
  local state = text.fit(scene.status, STATE)
  local time = time_of(live, scene, width)
  -- If there is room, shows the task id until the task ends. If the program is killed before the task ends, a person can find the task only
  -- by its id.
  local room = width - text.columns(left) - STATE - layout.time - 2
  local id = scene.task_id and #scene.task_id <= room and scene.task_id
  local cost = scene.credits and text.credits(scene.credits, live.sandbox)
  if cost and text.columns(cost) > room then cost = cost:match "^%S+" end -- drops the word "credits", which the run's line contains
  local last = cost or id or ""
  local line = ("%s%s%s%s  %s"):format(left, state, (" "):rep(layout.time - #time), time, last):gsub("%s+$", "")
  line = text.cut(line, width)
  local paint_from = #left + 1 -- the state is coloured only after the line has been truncated, so that no escape sequence is cut
  if #line < paint_from then return line end
  local painted = line:sub(paint_from, #left + #state)
  return line:sub(1, #left) .. live.paint(scene.status, painted) .. line:sub(paint_from + #painted)
end

local function cut_line(live, width)
  local fraction = math.min(1, math.max(0, live.cut.fraction))
  local bar = math.min(BAR, width - 34)
  local done = math.floor(fraction * bar + 0.5)
  local drawn = bar >= 5 and ("[%s%s] "):format(("#"):rep(done), (" "):rep(bar - done)) or ""
  local line = ("  film  cutting  %s%3d%%  %s"):format(drawn, math.floor(fraction * 100 + 0.5), text.elapsed(live.now() - live.cut.began))
  return text.cut(line, width)
end

-- Returns the line for the whole run; in a narrow terminal, returns several lines.
local function total_lines(live, width)
  local counts, sum, promised = {}, 0, 0
  for _, scene in ipairs(live.scenes) do
    counts[scene.status] = (counts[scene.status] or 0) + 1
    sum = sum + (scene.credits or 0)
    promised = promised + (scene.credits or scene.estimate or 0)
  end
  local parts = { ("%d of %d done"):format((counts.fetched or 0) + (counts.reused or 0), #live.scenes) }
  for _, status in ipairs(troubles) do
    if counts[status] then parts[#parts + 1] = ("%d %s"):format(counts[status], status) end
  end
  local cost = text.credits(sum, live.sandbox)
  if promised > sum then cost = ("%s of about %s"):format(cost, text.credits(promised):match("^%S+")) end
  parts[#parts + 1] = cost
  parts[#parts + 1] = text.elapsed(live.now() - live.began)
  local lines = text.wrap(table.concat(parts, " · "), math.max(2, width - 2))
  for index, line in ipairs(lines) do lines[index] = text.cut("  " .. line, width) end
  return lines
end

-- Returns how many terminal rows the last drawing takes up. If the terminal has become narrower, it has wrapped the drawn lines.
local function rows_taken(live, columns)
  local rows = 0
  for _, width in ipairs(live.drawn) do rows = rows + math.max(1, (width + columns - 1) // columns) end
  return rows
end

-- Replaces the last drawing with the given lines.
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

-- Returns the scenes that get their own lines, and the number of reused scenes that share one line.
local function fold(scenes)
  local others, reused = {}, 0
  for _, scene in ipairs(scenes) do
    if scene.status == "reused" then reused = reused + 1 else others[#others + 1] = scene end
  end
  if reused <= FEW then return scenes, 0 end
  return others, reused
end

-- Returns the widths of the name and time columns.
local function layout_of(live, scenes, width)
  local name, typical = 0, false
  for _, scene in ipairs(scenes) do
    name = math.max(name, text.columns(scene.name))
    typical = typical or scene.typical ~= nil
  end
  local time = not typical and 8 or width >= WIDE and 19 or 12
  -- A task id takes up 36 of these 42 columns, and spaces take up the rest. If the scenes' names need the space of the task ids, the ids
  -- are left out.
  local room = width - STATE - time - 42
  if room < name then room = width - STATE - time - (width < WIDE and 12 or live.sandbox and 24 or 17) end
  return { name = math.min(name, math.max(6, room)), time = time }
end

local function draw_all(self)
  self.dirty, self.drawn_at = false, self.now()
  local columns = math.max(1, self.columns() or 80)
  local width = columns - 1 -- a line as wide as the terminal would leave the cursor between two rows
  local room = math.max(1, (self.rows() or 24) - 3)
  local scenes, reused = fold(self.scenes)
  local lines, totals = {}, total_lines(self, width)
  room = math.max(1, room - #totals + 1)
  local waits = self.waits and self.waits:lines(math.max(1, width - 2), math.min(MOST_WAITS, room - 1)) or {}
  room = math.max(1, room - #waits)
  if self.cut then room = math.max(1, room - 1) end
  if reused > 0 then room = math.max(1, room - 1) end
  if self.title and #scenes < room then
    lines[1] = self.paint("title", text.cut(self.title, width))
    room = room - 1
  end
  local layout = layout_of(self, scenes, width)
  for _, scene in ipairs(choose(scenes, room)) do lines[#lines + 1] = scene_line(self, scene, layout, width) end
  if reused > 0 then lines[#lines + 1] = self.paint("reused", text.cut(("  %d reused"):format(reused), width)) end
  if self.cut then lines[#lines + 1] = cut_line(self, width) end
  for _, wait in ipairs(waits) do lines[#lines + 1] = self.paint("waits", text.cut("  " .. wait, width)) end
  table.move(totals, 1, #totals, #lines + 1, lines)
  -- Draws only the last lines, which matter most. A drawing that is taller than the terminal would leave a copy of itself in the scrollback
  -- at each redraw.
  local extra = #lines - math.max(1, (self.rows() or 24) - 1)
  if extra > 0 then lines = table.move(lines, extra + 1, #lines, 1, {}) end
  draw(self, lines, columns)
end

---Redraws the progress if there has been an event or a second has passed. The caller must call `tick` several times a second.
function Live_methods:tick()
  if self.dirty or self.now() - self.drawn_at >= 1 then draw_all(self) end
end

-- Shows the beginning and the end of a wait at the next tick.
function Live_methods:wait() self.dirty = true end
Live_methods.wait_over = Live_methods.wait

---@param event table  as the `on_event` of omni.run_storyboard gets them
function Live_methods:event(event)
  if event.event == "cutting" then
    self.cut = { began = self.cut and self.cut.began or self.now(), fraction = event.fraction }
  elseif event.event == "warning" then
    return -- the summary shows warnings
  elseif event.scene then
    local scene = self.by_name[event.scene]
    scene.status, scene.credits, scene.estimate = event.event, event.credits, event.estimate or scene.estimate
    scene.task_id = event.task_id and text.clean(event.task_id)
    scene.began = scene.began or in_flight[event.event] and self.now() - scene.age or nil
    if not in_flight[event.event] then scene.ended = self.now() end
  else
    self.cut = nil -- the film is finished; the report comes next
  end
  self.dirty = true
  if self.now() - self.drawn_at >= SOON then draw_all(self) end
end

---Erases the drawing, since the summary replaces it.
function Live_methods:close()
  draw(self, {}, math.max(1, self.columns() or 80))
end

-- Returns a scene's initial state. For a scene in flight, the state contains its submit's age and estimated price.
local function scene_of(entry, options)
  local row = entry.action == "resume" and entry.row or {}
  return {
    index = entry.index, name = text.clean(entry.scene), action = entry.action, status = entry.action == "reuse" and "reused" or "waiting",
    estimate = entry.credits or row.estimate, typical = options.typical and (options.typical[entry.scene] or {}).seconds,
    age = row.intended_at and math.max(0, os.time() - row.intended_at) or 0,
  }
end

---@param options omni.cli.ProgressOptions
local function open(options)
  local title = options.plan.board.title
  local live = setmetatable({
    title = title and text.clean(title), sandbox = options.sandbox, out = options.out, columns = options.columns, rows = options.rows,
    now = options.now, paint = text.painter(options.colour), began = options.now(), scenes = {}, by_name = {}, drawn = {},
    waits = options.waits, dirty = true, drawn_at = -math.huge,
  }, Live_mt)
  for _, entry in ipairs(options.plan.scenes) do
    local scene = scene_of(entry, options)
    live.by_name[entry.scene] = scene
    if entry.selected or entry.action == "reuse" then live.scenes[#live.scenes + 1] = scene end -- the run doesn't touch other scenes
  end
  return live
end

return { open = open }
