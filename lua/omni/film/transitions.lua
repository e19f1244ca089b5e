-- SPDX-License-Identifier: MIT
-- The names of the transitions: those of the xfade filter in ffmpeg 5.1 and later.

local names = [[
  fade fadeblack fadewhite fadegrays fadefast fadeslow dissolve distance pixelize hblur radial zoomin squeezeh squeezev
  wipeleft wiperight wipeup wipedown wipetl wipetr wipebl wipebr slideleft slideright slideup slidedown
  smoothleft smoothright smoothup smoothdown circlecrop circleopen circleclose rectcrop vertopen vertclose horzopen horzclose
  diagtl diagtr diagbl diagbr hlslice hrslice vuslice vdslice
]]

local transitions = {}
for name in names:gmatch "%l+" do transitions[name] = true end

return transitions
