-- SPDX-License-Identifier: MIT
-- Converts a video's or an image's colours before encoding: HDR and wide gamuts become BT.709, and transparent areas become black.

local hdr = { smpte2084 = true, ["arib-std-b67"] = true } -- PQ and HLG
local wide = { bt2020 = true, smpte431 = true, smpte432 = true } -- `smpte432` is Display P3
local matrices = { bt709 = true, bt470bg = true, smpte170m = true, bt2020nc = true, bt2020c = true, ictcp = true }
local transfers = { bt709 = true, smpte170m = true, ["iec61966-2-1"] = true, ["bt2020-10"] = true, ["bt2020-12"] = true,
  smpte2084 = true, ["arib-std-b67"] = true }
local transparent = { "^yuva", "^gbrap", "^rgba", "^bgra", "^argb", "^abgr", "^ya%d", "^pal8" }

local WHITE <const> = 203 -- luminance of HDR reference white in cd/m² (ITU-R BT.2408); after conversion, slightly darker than SDR white

local colour = {}

-- Splits the `color` field of a probed video into range, matrix, transfer and primaries.
local function names(video)
  return video.color:match "^([^/]*)/([^/]*)/([^/]*)/([^/]*)$"
end

local function has_alpha(video)
  for _, pattern in ipairs(transparent) do
    if video.pix_fmt:find(pattern) then return true end
  end
  return false
end

---Returns whether a video stream is HDR (PQ or HLG).
---@param video omni.film.Video
---@return boolean
function colour.is_hdr(video)
  local _, _, transfer = names(video)
  return hdr[transfer] == true
end

-- Returns the colour matrix that ffmpeg's scale filter must assume. If an HD video stream specifies no matrix, returns "bt709", as players
-- assume; otherwise, returns "auto".
local function named_matrix(video)
  local _, matrix = names(video)
  return (matrix == "" or matrix == "unknown") and math.min(video.width, video.height) >= 720 and "bt709" or "auto"
end

-- Returns a filter that specifies a video stream's colour properties for zscale, which doesn't convert unspecified colours.
local function named(video)
  local range, matrix, transfer, primaries = names(video)
  return ("setparams=range=%s:colorspace=%s:color_trc=%s:color_primaries=%s"):format(range == "pc" and "pc" or "tv",
    not video.pix_fmt:find "^yuv" and "gbr" or matrices[matrix] and matrix or "bt2020nc", transfers[transfer] and transfer or "bt709",
    wide[primaries] and primaries or "bt2020")
end

---Returns filters that convert a video stream to opaque BT.709 RGB, each followed by a comma. Returns "" (no filters) for most clips, since
---ffmpeg's scale filter can convert these clips on its own.
---@param video omni.film.Video
---@return string
function colour.to_sdr(video)
  local _, _, _, primaries = names(video)
  if colour.is_hdr(video) then
    return ("%s,zscale=t=linear:npl=%d,format=gbrpf32le,zscale=p=bt709,tonemap=mobius:param=0.5,zscale=t=bt709:r=full,format=gbrp10le,")
      :format(named(video), WHITE)
  end
  if wide[primaries] then return named(video) .. ",zscale=p=bt709:t=bt709:r=full,format=gbrp10le," end
  if has_alpha(video) then return ("scale=in_color_matrix=%s,format=gbrap,premultiply=inplace=1,"):format(named_matrix(video)) end
  return ""
end

---Returns the matrix that the scale filter must assume when it follows the filters from `to_sdr`.
---@param video omni.film.Video
---@return "bt709"|"auto"
function colour.matrix(video) return colour.to_sdr(video) == "" and named_matrix(video) or "auto" end

return colour
