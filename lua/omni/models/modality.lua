-- SPDX-License-Identifier: MIT
-- Lists the models that make images or audio, according to the service's catalogue. Models that aren't listed here make videos. If the
-- catalogue is available at run time, init.lua uses the catalogue instead of this list.

local lists <const> = {
  image = [[
  bytedance/seedream-4 bytedance/seedream-4-5 bytedance/seedream-5 bytedance/seedream-5-pro flux-1-1-pro flux-1-1-pro-ultra
  flux-2-flex flux-2-max flux-2-pro flux-kontext-max flux-kontext-pro google/image-4 google/nano-banana google/nano-banana-2
  google/nano-banana-2-lite google/nano-banana-2-v2 google/nano-banana-pro google/nano-banana-pro-v2 google/nano-banana-v2
  grok-imagine-image-2.0 grok-imagine/i2i grok-imagine/t2i image-background-remove image-upscale image-watermark-remove
  openai/gpt-image-1 openai/gpt-image-1-5 openai/gpt-image-2 openai/gpt-image-2-premium openai/gpt-image-2-stable qwen-image
  qwen-image-2.0 qwen-image-2.0-pro qwen-image-3.0 qwen-image-3.0-pro qwen-image-edit qwen-image-edit-2.0 qwen-image-edit-2.0-pro
  qwen-image-edit-max qwen-image-edit-plus qwen-image-max qwen-image-plus wan/2-6-image wan/2-7-image wan/2-7-image-pro z-image
  ]],
  audio = [[
  qwen3-tts/speech-synthesis qwen3-tts/voice-cloning qwen3-tts/voice-design suno/music-cover suno/music-extend
  suno/music-extend-upload suno/music-generate suno/sounds-generate suno/vocal-separatio
  ]],
}

local by_name = {}
for modality, names in pairs(lists) do
  for name in names:gmatch "%S+" do by_name[name] = modality end
end

---Returns the kind of media that a model makes.
---@param model string
---@return omni.Modality
local function of(model) return by_name[model] or "video" end

return { of = of }
