-- SPDX-License-Identifier: MIT
-- One night of a lighthouse keeper, in six scenes.
--
--   omni run examples/lighthouse.lua --sandbox        in the sandbox: no key, no network, no cost
--   omni run examples/lighthouse.lua --budget 500     with the real service, for at most 500 credits
--
-- omni writes the film to examples/lighthouse.omni; a sandbox run writes it to the folder "sandbox" inside that folder.

return storyboard {
  title = "The Keeper's Night",

  -- Added to every prompt, so that the six scenes look like one film.
  style = "Shot on 35mm film with fine grain and soft halation, muted sea greens and lamp amber, natural sound only, "
    .. "no music, no text on screen. The keeper is a woman of about seventy with cropped white hair and a navy wool coat.",

  defaults = { aspect_ratio = "16:9", resolution = "720p", duration = 6 },

  scene "dusk" {
    duration = 8,
    prompt = "A lone white lighthouse on a black basalt headland at dusk, seen from a small boat that rises and falls on a "
      .. "long swell. The camera drifts slowly closer while the last orange light leaves the tower. A single window on the "
      .. "ground floor goes from dark to warm yellow. Quiet, patient, a little lonely.",
  },

  scene "the stairs" {
    prompt = "The keeper climbs a narrow spiral staircase inside the tower, one hand on the cold iron rail, an oil can in "
      .. "the other. The camera looks straight down from above, so that the steps turn around her like the inside of a "
      .. "shell. Her lantern throws a slow wheel of shadows over the whitewashed wall.",
  },

  scene "the lamp" {
    duration = 4,
    prompt = "Extreme close-up of a match touching the wick behind the ribs of a great glass lens. The flame takes, and the "
      .. "whole frame fills with rings of amber light that begin to turn. For one moment the keeper's face hangs upside "
      .. "down in the glass, small and calm.",
  },

  scene "storm" {
    duration = 8,
    prompt = "Night, and a gale. Seen from the gallery of the lighthouse, waves as tall as houses break white against the "
      .. "rocks below, and the beam sweeps over them, strong and steady. Far out, a fishing boat with one green light climbs "
      .. "a crest, vanishes, and comes up again nearer. The handheld camera fights the wind; rain streaks across the lens.",
  },

  scene "the horn" {
    prompt = "Medium shot of the keeper at the railing in streaming rain, leaning with her whole weight on the lever of an "
      .. "old brass foghorn. Each time the beam passes behind her she is a black silhouette with a silver edge. In the last "
      .. "second she stops and listens; out of the dark a boat's horn answers, and she almost smiles.",
  },

  scene "morning" {
    duration = 8,
    prompt = "Early morning after the storm, pale gold light, gulls, a sea like hammered tin. The keeper sits on the doorstep "
      .. "with a mug that steams in the cold. The camera cranes up past her, past the tower, until in the bay below we see the "
      .. "fishing boat at anchor, a small figure on its deck raising one arm. High above, the lamp goes out.",
  },
}
