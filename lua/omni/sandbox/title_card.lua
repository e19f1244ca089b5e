-- SPDX-License-Identifier: MIT
-- Designs the picture in the sandbox's clips: a title card that shows the prompt. Returns a filter graph for ffmpeg, and the strings that
-- the graph draws.

local core = require "omni.core"
local random = require "omni.sandbox.random"

local rate = 24 -- frames per second
local shorter_sides = { ["480p"] = 480, ["540p"] = 540, ["720p"] = 720, ["1080p"] = 1080, ["4k"] = 2160 }

local fonts = {
  "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",     -- Debian
  "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",   -- Fedora
  "/usr/share/fonts/TTF/DejaVuSans.ttf",                 -- Arch
  "/usr/share/fonts/dejavu/DejaVuSans.ttf",              -- Alpine
  "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
  "/System/Library/Fonts/Supplemental/Arial Unicode.ttf", -- macOS
  "/System/Library/Fonts/Helvetica.ttc",
}

-- The widths of DejaVu Sans characters from space to tilde, rounded up: "a" stands for 1/20 of the font size, "b" for 2/20, and so on
local advances = "gijqmtpfhhjqghggmmmmmmmmmmggqqqktnnnpmlppffnlropmpnmmontnmnhghqjjmmkmmhmmfflftmmmmikhmlqllkmgmq"
local other = 0.72 -- width of a column of non-ASCII text, as a fraction of the font size

-- --- line breaks

local function width(text)
  local sum = 0
  for _, code in utf8.codes(text) do
    if code >= 32 and code < 127 then
      sum = sum + (advances:byte(code - 31) - 96) / 20
    else
      sum = sum + core.columns(utf8.char(code)) * other
    end
  end
  return sum
end

-- Returns the length in bytes of a string's longest prefix that isn't wider than `room`. The prefix contains at least one code point.
local function fitting(text, room)
  local sum, bytes = 0, 0
  for at, code in utf8.codes(text) do
    local character = utf8.char(code)
    sum = sum + width(character)
    if sum > room and at > 1 then break end
    bytes = at + #character - 1
  end
  return bytes
end

-- If a string is wider than `room`, shortens it and adds an ellipsis.
local function shorten(text, room)
  if width(text) <= room then return text end
  return text:sub(1, fitting(text, room - 1)) .. "…"
end

-- Breaks a string into lines that are at most `room` wide, measured in font sizes. If a word is longer than a line, breaks the word, too.
local function wrap(text, room, max_lines)
  local lines, line, length = {}, "", 0
  local function flush()
    lines[#lines + 1], line, length = line, "", 0
  end
  for word in text:gmatch "[^ ]+" do
    if #lines > max_lines then break end
    local long = width(word)
    if length > 0 and length + 0.35 + long > room then flush() end
    while long > room and #lines <= max_lines do
      local bytes = fitting(word, room)
      lines[#lines + 1], word = word:sub(1, bytes), word:sub(bytes + 1)
      long = width(word)
    end
    line = length > 0 and line .. " " .. word or word
    length = length > 0 and length + 0.35 + long or long
  end
  if length > 0 then flush() end
  return lines
end

-- Returns the prompt's lines, and the largest font size in pixels at which the lines fit into the box. If the prompt doesn't fit even at
-- the smallest font size, truncates the prompt.
local function fit(text, box_width, box_height, unit)
  local lines, size
  for _, points in ipairs { 62, 54, 47, 41, 36, 32, 28 } do
    size = math.floor(points * unit)
    local max_lines = math.max(1, math.floor(box_height / (size * 1.42)))
    lines = wrap(text, box_width / size, max_lines)
    if #lines <= max_lines then return table.concat(lines, "\n"), size end
    lines = table.move(lines, 1, max_lines, 1, {})
  end
  lines[#lines] = shorten(lines[#lines] .. " …", box_width / size)
  return table.concat(lines, "\n"), size
end

-- --- colours and light

-- Converts hue, saturation and lightness (0 to 1) to ffmpeg's notation for colours.
local function colour(hue, saturation, lightness)
  local function channel(n)
    local k = (n + hue * 12) % 12
    local part = lightness - saturation * math.min(lightness, 1 - lightness) * math.max(-1, math.min(k - 3, 9 - k, 1))
    return math.floor(255 * part + 0.5)
  end
  return ("0x%02x%02x%02x"):format(channel(0), channel(8), channel(4))
end

local glow_hues = { -0.16, -0.11, -0.07, 0.07, 0.11, 0.16 } -- offsets from the background's hue; opposite hues would mix to grey

-- Returns the filter for a slowly turning gradient between two points, each of which has its own colour. The gradient is drawn small and
-- scaled up later, since a gradient has no sharp edges that scaling would blur. The points must lie inside the picture, since ffmpeg
-- replaces any other point with a random one.
local function gradient(name, seconds, small, colours, points, more)
  return core.format("gradients=s=%dx%d:r=%d:d=%.6f:n=2:c0=%s:c1=%s:x0=%d:y0=%d:x1=%d:y1=%d:%s,format=gbrp[%s];",
    small.w, small.h, rate, seconds, colours[1], colours[2], points[1], points[2], points[3], points[4], more, name)
end

-- Returns the filters for a dark background with a moving light, and an accent colour similar to the light's colour.
local function background(draw, seconds, w, h)
  local small = w > h and { w = 256, h = 144 } or { w = 144, h = 256 }
  local function between(least, most) return math.floor(least + (most - least) * draw()) end
  local hue = draw()
  local glow_hue = hue + glow_hues[between(1, #glow_hues + 1)]
  local ground = gradient("ground", seconds, small, { colour(hue, 0.6, 0.06), colour(hue + 0.04, 0.5, 0.25) },
    { between(0, small.w // 3), 0, between(2 * small.w // 3, small.w), small.h - 1 }, "speed=0.006")
  local glow = gradient("glow", seconds, small, { colour(glow_hue, 0.62, 0.36), "black" },
    { between(small.w // 2, small.w), between(0, small.h), between(0, small.w // 4), between(0, small.h) },
    "speed=0.012:type=radial")
  local lit = "[ground][glow]blend=all_mode=screen,vignette=PI/5,format=yuv420p"
  return ("%s%s%s,scale=%d:%d:flags=bicubic"):format(ground, glow, lit, w, h), colour(glow_hue, 0.75, 0.72)
end

-- --- the graph

-- Escapes a value twice: once for the filter's option, and once for the filter graph.
local function quote(value)
  return (value:gsub("[\\':]", "\\%0"):gsub("[\\'%[%],;]", "\\%0"))
end

local function counted(count, one)
  return count == 1 and "1 " .. one or ("%d %ss"):format(count, one)
end

-- Returns a line of text with facts about the clip. The line contains as many facts as fit, the most important ones first.
local function facts(spec, seconds, w, h, room)
  local images = type(spec.images) == "table" and #spec.images or spec.images or 0
  local parts = { ("%d × %d"):format(w, h) }
  if not spec.image then table.insert(parts, 1, core.format("%g s", seconds)) end
  if images > 0 then parts[#parts + 1] = counted(images, "image") end
  if spec.video then parts[#parts + 1] = "video" end
  parts[#parts + 1] = ("seed %d"):format(spec.seed or 0)
  local text = parts[1]
  for i = 2, #parts do
    local longer = text .. "  ·  " .. parts[i]
    if width(longer) > room then break end
    text = longer
  end
  return text
end

-- Returns the filters that draw strings on the picture, and these strings, which the filters read from files in `directory`.
local function writing(spec, directory, font, accent, seconds, w, h)
  local unit = math.min(w, h) / 720
  local side, top, small = math.floor((w > h and 84 or 64) * unit), math.floor(78 * unit), math.floor(24 * unit)
  local room, grey, shadow = (w - 2 * side) / small, "white@0.75", math.max(1, math.floor(2 * unit))
  local filters, texts = {}, {}
  local function write(source, size, tint, x, y, more)
    filters[#filters + 1] = (",drawtext=fontfile=%s:%s:fontsize=%d:fontcolor=%s:x=%s:y=%s%s"):format(
      quote(font), source, size, tint, x, y, more or "")
  end
  local function write_text(name, text, ...)
    if not text:find "[^ ]" then return end
    texts[name] = text
    write(("textfile=%s:expansion=none"):format(quote(directory .. "/" .. name)), ...)
  end

  local prompt, points = fit(core.clean(spec.prompt, 4000), w - 2 * side, h - math.floor(310 * unit), unit)
  write_text("prompt", prompt, points, "white", side, "(h-th)/2",
    (":line_spacing=%d:shadowx=%d:shadowy=%d:shadowcolor=black@0.45"):format(points * 0.36 // 1, shadow, shadow))
  local label = shorten(core.clean(spec.label or "omni sandbox", 400), room - 8.5)
  write_text("label", label, small, accent, side, ("%d-ascent"):format(top))
  write_text("facts", facts(spec, seconds, w, h, room), small, grey, side, ("h-%d-ascent"):format(top))
  if spec.image then return table.concat(filters), texts end
  write(("timecode=%s:r=%d"):format(quote "00:00:00:00", rate), small, grey, ("w-tw-%d"):format(side),
    ("%d-ascent"):format(top))
  return table.concat(filters), texts
end

-- Returns the filters for a quiet tone: two sine waves, a fifth apart.
local function tone(pitch, seconds)
  return core.format("aevalsrc=exprs=0.03*sin(2*PI*%.2f*t)|0.03*sin(2*PI*%.2f*t):s=48000:c=stereo:d=%.6f",
    pitch, pitch * 1.5, seconds) .. core.format(",afade=d=0.2,afade=t=out:d=0.2:st=%.6f", math.max(0, seconds - 0.2))
end

-- Returns a picture's width and height in pixels. Both are even.
local function size_of(spec)
  local across, down = (spec.aspect_ratio or "16:9"):match "^(%d+):(%d+)$"
  local ratio, short = across / down, shorter_sides[spec.resolution or "720p"]
  local long = math.floor(short * math.max(ratio, 1 / ratio) / 2 + 0.5) * 2
  if ratio < 1 then return short, long end
  return long, short
end

---@class omni.sandbox.Slate
---@field graph string               for -filter_complex; its outputs are [v] and, for a clip, [a]
---@field frames integer
---@field seconds number             the exact duration of the frames
---@field texts table<string, string>  file name → text; empty without a font

---Returns the filter graph that draws a clip or an image, and the strings on it. The caller must write the returned strings to files in
---`directory` before ffmpeg runs.
---@param spec omni.sandbox.ClipSpec
---@param directory string
---@param can { font: string|nil, gradients: boolean }
---@return omni.sandbox.Slate
local function compose(spec, directory, can)
  local w, h = size_of(spec)
  local frames = spec.image and 1 or math.max(1, math.floor(spec.seconds * rate + 0.5))
  local seconds = frames / rate
  local next_number = random.stream(spec.seed or 0, spec.prompt .. (spec.index or ""))
  local function draw() return random.fraction(next_number) end

  local ground, accent = background(draw, seconds, w, h)
  if not can.gradients then
    ground = core.format("color=c=%s:s=%dx%d:r=%d:d=%.6f", colour(draw(), 0.5, 0.2), w, h, rate, seconds)
  end
  local bar = core.format("color=c=%s:s=%dx%d:r=%d:d=%.6f", accent, w, math.min(w, h) // 180 * 2, rate, seconds)
  local moving = quote(("-w+w*(n+1)/%d"):format(frames)) -- the progress bar grows from the left edge to the right edge
  local filters, texts = "", {}
  if can.font then filters, texts = writing(spec, directory, can.font, accent, seconds, w, h) end
  local graph = ("%s[back];%s[bar];[back][bar]overlay=x=%s:y=H-h%s[v]"):format(ground, bar, moving, filters)
  if not spec.image then graph = ("%s;%s[a]"):format(graph, tone(82.4 * 2 ^ (math.floor(12 * draw()) / 12), seconds)) end
  return { graph = graph, frames = frames, seconds = seconds, texts = texts }
end

---Returns the path of an installed font, or nil.
---@return string|nil
local function font()
  for _, path in ipairs(fonts) do
    if core.stat(path) then return path end
  end
end

return { compose = compose, font = font }
