-- SPDX-License-Identifier: MIT
-- Defines the transitions between clips: their names and their lengths.

-- The names of the transitions that ffmpeg's xfade filter offers in version 5.1 and later.
local listed = [[
  fade fadeblack fadewhite fadegrays fadefast fadeslow dissolve distance pixelize hblur radial zoomin squeezeh squeezev
  wipeleft wiperight wipeup wipedown wipetl wipetr wipebl wipebr slideleft slideright slideup slidedown
  smoothleft smoothright smoothup smoothdown circlecrop circleopen circleclose rectcrop vertopen vertclose horzopen horzclose
  diagtl diagtr diagbl diagbr hlslice hrslice vuslice vdslice
]]

local names = {}
for name in listed:gmatch "%l+" do names[name] = true end

---Returns the length of each transition in frames. A transition takes up at most half of the shorter of its two clips, so that transitions
---never overlap.
---@param counts integer[]  frames of each clip
---@param wanted integer    frames of a transition
---@return integer[] frames  of the transition between clip i and i + 1
local function lengths(counts, wanted)
  local frames = {}
  for i = 1, #counts - 1 do frames[i] = math.min(wanted, counts[i] // 2, counts[i + 1] // 2) end
  return frames
end

return { lengths = lengths, names = names }
