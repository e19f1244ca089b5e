-- SPDX-License-Identifier: MIT
-- One tree through the seasons of a year. A board is a Lua program, so a loop can create its scenes.
--
--   omni run examples/seasons.lua --sandbox

local seasons = {
  { name = "spring", light = "cool morning light after rain", tree = "in full white blossom, petals drifting down",
    life = "a fox cub sniffs at the fallen petals and sneezes" },
  { name = "summer", light = "heavy noon light, the air shimmering", tree = "dark green and loud with bees",
    life = "a girl sleeps in its shade with a book over her face" },
  { name = "autumn", light = "low amber evening light, long shadows", tree = "copper and gold, half of its leaves gone",
    life = "the same girl, taller now, reaches for the last apple" },
  { name = "winter", light = "blue hour, snow that glows by itself", tree = "bare and black, each branch outlined in snow",
    life = "the fox, grown up, crosses the field and looks back once" },
}

local shots = {}
for number, season in ipairs(seasons) do
  shots[number] = scene(("%d %s"):format(number, season.name)) {
    prompt = ("An old apple tree on a gentle hill, %s, in %s. The camera stands still, always at the same place and height, "
      .. "with the tree exactly in the middle of the frame. Halfway through, %s."):format(season.tree, season.light, season.life),
  }
end

return storyboard {
  title = "One Tree",
  style = "Locked-off wide shot, painterly natural light, quiet ambient sound, no music, no text.",
  defaults = { duration = 4, aspect_ratio = "16:9" },
  shots,
  scene "5 the year" {
    duration = 8,
    prompt = "The same apple tree on the same hill, its four seasons melting into one another in a slow time-lapse: blossom, "
      .. "green, copper, snow, and at last one new bud in close-up. The light travels once around the tree. Tender, unhurried.",
  },
}
