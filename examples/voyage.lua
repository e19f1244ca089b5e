-- SPDX-License-Identifier: MIT
-- A small ship's voyage, in scenes that build on one another. If you change one scene, a run remakes only that scene and those that build
-- on it.
--
--   omni plan examples/voyage.lua --sandbox     shows what a run would do and cost
--   omni run examples/voyage.lua --sandbox      runs in the sandbox: no key, no network, no cost

return storyboard {
  title = "The Voyage of the Wren",
  style = "Stop-motion with hand-carved wooden figures, paper waves, warm lantern light, natural sound, no text.",
  budget = 400,

  -- In every scene, the captain looks as she does at the end of the first scene.
  references = { captain = last_frame "captain" },
  defaults = { duration = 6, references = "captain" },

  scene "captain" {
    references = false,
    duration = 4,
    prompt = "A carved wooden captain, round spectacles, a red scarf, stands on a white table and turns slowly until she looks at us.",
  },

  scene "harbour" {
    prompt = "Before dawn the captain unties a little ship called Wren from a pier of matchsticks. The paper water begins to move.",
  },

  -- Starts with the last picture of the previous scene.
  scene "open sea" {
    first_frame = last_frame "harbour",
    prompt = "The pier drops behind. The Wren climbs her first long wave, and the captain takes the wheel with both hands.",
  },

  -- The ship moves in the same way in other weather: four seconds of that clip are the reference video.
  scene "storm" {
    continues = { "open sea", from = 2, to = 6 },
    prompt = "The waves are black now, torn from tarred paper, twice as tall as the mast. Lightning is a crack in the set behind them.",
  },

  scene "calm" {
    first_frame = last_frame "storm",
    prompt = "All at once it is still. The captain takes off her spectacles, wipes them with the scarf, and puts them on again.",
  },

  scene "island" {
    duration = 8,
    prompt = "A green island the size of a tea tray comes out of the mist. On its only tree sits a wren, and sings.",
  },

  cut = {
    "harbour", "open sea", "storm", "calm", "island",
    transition = { "dissolve", seconds = 0.4 },
    output = "voyage.mp4",
  },
}
