-- SPDX-License-Identifier: MIT
-- Completes a run: cuts the film from the scenes' clips if a clip or a setting has changed, and writes the report.

local core = require "omni.core"
local err = require "omni.error"
local files = require "omni.storyboard.run.scene_files"
local film = require "omni.film"
local json = require "omni.json"
local report_data = require "omni.storyboard.run.report_data"
local thumbnails = require "omni.storyboard.run.thumbnails"
local waits = require "omni.storyboard.run.wait"

local identity_shape = json.shape {
  "recipe", "clips", "transition", "seconds", "audio", "volume", "clips_volume", "size?", "fps?",
}

-- --- the film

-- Returns a clip that shows a scene's image. Makes the clip unless an earlier run has already made it.
local function still_of(run, record, seconds)
  local sha256, problem = run.ledger:digest(record.file)
  if not sha256 then return nil, problem end
  local path = core.format("%s.%.14gs.mp4", record.file:gsub("%.%w+$", ""), seconds)
  local identity, known = core.format("still %s %.14g", sha256, seconds), run.ledger:row("film", { path = path })
  if known and known.identity == identity and core.stat(path) and run.ledger:digest(path) == known.sha256 then return path end
  return film.still(record.file, path, seconds, files.placer(run, identity))
end

-- Returns the clips for the cut, in order. If clips are missing, returns nil and an error that names their scenes.
local function clips_of(run)
  local clips, missing, seconds = {}, {}, run.plan.board.cut.seconds or {}
  for index, name in ipairs(run.plan.board.cut.scenes) do
    local record = run.by_name[name]
    clips[index] = { name = name, path = record.file }
    if not record.file then missing[#missing + 1] = '"' .. name .. '"' end
  end
  if #missing == 0 then
    for index, clip in ipairs(clips) do
      if seconds[index] then
        local path, problem = still_of(run, run.by_name[clip.name], seconds[index])
        if not path then return nil, problem end
        clip.path = path
      end
    end
    return clips
  end
  if #missing > 3 then missing = { missing[1], missing[2], ("%d more"):format(#missing - 2) } end
  return nil, err.new { code = "film_incomplete", message = "the film wasn't cut: missing scenes: " .. table.concat(missing, ", ") }
end

-- Returns the identity of a film: a digest of its clips, their order, and the settings of the cut.
local function identity_of(run, clips)
  local cut, digests = run.plan.board.cut, {}
  for index, clip in ipairs(clips) do
    local sha256, problem = run.ledger:digest(clip.path)
    if not sha256 then return nil, problem end
    digests[index] = sha256
  end
  local transition, audio, audio_digest = cut.transition or {}, cut.audio or {}, nil
  if cut.audio then
    local problem
    audio_digest, problem = run.ledger:digest(audio.path)
    if not audio_digest then return nil, problem end
  end
  return core.sha256(json.text(identity_shape {
    recipe = film.recipe, clips = digests, transition = transition.name, seconds = transition.seconds,
    audio = audio_digest, volume = audio.volume, clips_volume = audio.clips,
    size = cut.size, fps = cut.fps,
  }))
end

local function send_event(run, event)
  if run.on_event then run.on_event(event) end
end

-- Returns the film from an earlier run if that film has the given identity.
local function existing_film(run, path, identity)
  local known = run.ledger:row("film", { path = path })
  if not known or known.identity ~= identity or not core.stat(path) then return nil end
  if run.ledger:digest(path) ~= known.sha256 then return nil end
  local probed = film.probe(path)
  return probed and { path = path, seconds = probed.seconds, made = false }
end

-- Tries to cut the film. If a clip can't be decoded, the error's `damaged` field contains the clip's path.
local function try_cut(run)
  local path, cut = run.directory.path .. "/" .. run.plan.board.cut.output, run.plan.board.cut
  local clips, problem, identity
  do
    local wait <close> = waits.begin(run.on_event, "film", {}) -- luacheck: ignore 211
    clips, problem = clips_of(run)
    if not clips then return nil, problem end
    identity, problem = identity_of(run, clips)
    if not identity then return nil, problem end
    local there = existing_film(run, path, identity)
    if there then return there end
  end
  send_event(run, { event = "cutting", file = path, fraction = 0 })
  local made
  made, problem = film.cut {
    clips = clips, transition = cut.transition, audio = cut.audio, size = cut.size, fps = cut.fps, output = path,
    place = files.placer(run, identity),
    on_progress = function(fraction) send_event(run, { event = "cutting", file = path, fraction = fraction }) end,
  }
  if not made then return nil, problem end
  return { path = path, seconds = made.seconds, made = true }
end

-- Cuts the film. If a clip can't be decoded, fetches it again (only once for each clip) and repeats the cut.
local function cut_film(run)
  local fetched_again = {}
  while true do
    local made, problem = try_cut(run)
    local damaged = not made and problem.damaged
    local record
    for _, candidate in ipairs(run.records) do
      if damaged and candidate.file == damaged then record = candidate end
    end
    if not record or fetched_again[record] or not run:fetch_again(record) then return made, problem end
    fetched_again[record] = true
  end
end

---Cuts the film, writes the report, and adds both to the summary.
---@param run omni.Run
---@param summary omni.RunSummary
local function finish(run, summary)
  run.thumbnails:join() -- they probe the clips
  if run.plan.board.cut then summary.film, summary.film_error = cut_film(run) end
  if summary.film then
    send_event(run, { event = "film", file = summary.film.path, seconds = summary.film.seconds, made = summary.film.made })
  end
  local wait <close> = waits.begin(run.on_event, "report", {})
  run.film_poster = summary.film and thumbnails.of_film(run, summary.film.path)
  for index, record in ipairs(run.records) do summary.scenes[index].warnings = record.warnings end
  local path = run.directory.path .. "/report.html"
  local written, problem = require("omni.report").write(path, report_data.data(run, summary), files.placer(run, "report"))
  summary.report, summary.report_error = written and path, problem
  wait:close()
  if written then send_event(run, { event = "report", file = path }) end
end

return { finish = finish }
