-- SPDX-License-Identifier: MIT
-- Contains the report's style sheet, and the symbols for a scene's states.

-- The symbols are drawn as lines on a 16 × 16 grid, so they look the same with every font.
local signs = {
  { "check", "M3 8.5 6.5 12 13 4.5" },
  { "again", "M12.9 6.2A5.2 5.2 0 1 0 13.2 8.6M13.2 2.6V6.3H9.5" },
  { "cross", "M4 4 12 12M12 4 4 12" },
  { "bang", "M8 2.5V9.2M8 12.4V13.2" },
  { "bar", "M3.5 8H12.5" },
  { "question", "M5.2 5.6A2.9 2.9 0 1 1 8 9V10M8 12.6V13.3" },
  { "pause", "M5.5 3.5V12.5M10.5 3.5V12.5" },
  { "dots", "M3 8H3.4M7.8 8H8.2M12.6 8H13" },
}

local sheet = [[
:root {
  color-scheme: light dark;
  --paper: #f6f4ef; --card: #fffefb; --ink: #1d1f22; --soft: #5b5f66; --line: #e1ddd3; --accent: #15599a;
  --done: #1b6a3c; --done-ground: #e3f2e7; --bad: #a9221b; --bad-ground: #fbe6e3; --warn: #7a4c00; --warn-ground: #fbedcf;
  --busy: #15599a; --busy-ground: #e2eefa; --idle: #55595f; --idle-ground: #ecebe6;
  --bar: #3d7fbf; --bar-soft: #7d93a8;
  --stage: #131518; --stage-ink: #f5f2ea; --stage-soft: #b3b1aa; --stage-accent: #f0c274;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #17191c; --card: #1f2226; --ink: #e9e6df; --soft: #a6a9ae; --line: #33373d; --accent: #8cc0f2;
    --done: #84d3a0; --done-ground: #1b3325; --bad: #ff9d93; --bad-ground: #43201d; --warn: #f0c274; --warn-ground: #3c2e12;
    --busy: #8cc0f2; --busy-ground: #1b3146; --idle: #b4b7bc; --idle-ground: #2b2f34;
    --bar: #5c9fdd; --bar-soft: #77899b;
    --stage: #0c0d0f;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif;
  background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; overflow-wrap: anywhere; }
.wide { width: 100%; max-width: 74rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
h1, h2, h3, h4, p, ul, ol, dl, dd { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1, h2, h3 { font-family: ui-serif, "Iowan Old Style", "Palatino Linotype", Palatino, "Source Serif 4", Georgia, serif; line-height: 1.2;
  font-weight: 600; text-wrap: balance; }
h2 { font-size: 1.5rem; margin: 3.25rem 0 1rem; }
a { color: var(--accent); text-underline-offset: .18em; text-decoration-thickness: .07em; }
a:hover { text-decoration-thickness: .14em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
#scenes:focus { outline: none; }
code { font: .86em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.hidden { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.soft { color: var(--soft); font-size: .875rem; }
.skip { position: absolute; z-index: 1; top: .5rem; left: .5rem; padding: .5rem 1rem; border-radius: 6px; background: var(--card);
  transform: translateY(-200%); }
.skip:focus { transform: none; }

.stage { background: var(--stage); color: var(--stage-ink); padding: clamp(1.75rem, 5vw, 3.5rem) 0 clamp(1.5rem, 4vw, 2.75rem); }
.stage a { color: var(--stage-accent); }
.stage :focus-visible { outline-color: var(--stage-accent); }
.stage .eyebrow, .stage .path { color: var(--stage-soft); font-size: .875rem; }
.stage .eyebrow strong { color: var(--stage-accent); font-weight: 600; }
.stage h1 { font-size: clamp(1.9rem, 5.5vw, 3.1rem); letter-spacing: -.01em; margin: .35rem 0 1.5rem; }
.stage video { border-radius: 10px; max-height: min(78vh, 40rem); box-shadow: 0 0 0 1px #ffffff1f; }
.stage .path { margin-top: .6rem; }
.nofilm { border: 1px dashed #ffffff4d; border-radius: 10px; padding: 1.1rem 1.25rem; }

video, .media img { display: block; width: 100%; height: auto; background: #000; object-fit: contain; }

.figures { display: flex; flex-wrap: wrap; gap: 1.25rem clamp(1.5rem, 4vw, 3.25rem); padding: 1.75rem 0;
  border-bottom: 1px solid var(--line); }
.figures dt { color: var(--soft); font-size: .8125rem; }
.figures dd { font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.35;
  text-wrap: balance; }
.figures .unit { font-size: .9rem; font-weight: 400; }

.chip { display: inline-flex; align-items: center; gap: .35em; max-width: 100%; padding: .16rem .6rem .16rem .45rem; border-radius: 999px;
  font: 600 .8125rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif; text-decoration: none; }
.icon { flex: none; width: 1em; height: 1em; }
symbol path, .icon, .mark { fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.done { color: var(--done); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.busy { color: var(--busy); } .idle { color: var(--idle); }
.chip.done { background: var(--done-ground); } .chip.bad { background: var(--bad-ground); } .chip.warn { background: var(--warn-ground); }
.chip.busy { background: var(--busy-ground); } .chip.idle { background: var(--idle-ground); }

.problems > li, .trouble { border-left: 4px solid currentColor; border-radius: 4px 8px 8px 4px; padding: .75rem 1rem; }
.problems > li { margin-bottom: .75rem; }
.problems > li > p:first-child a { font-weight: 600; margin-right: .4rem; }
.problems p, .trouble p { color: var(--ink); }
.problems p + p, .trouble p + p { margin-top: .35rem; }
.trouble code, .problems code { color: var(--soft); }
.ways { margin-top: .35rem; color: var(--ink); }
.ways li { list-style: disc; margin-left: 1.1rem; }
.trouble .command, .problems .command { color: var(--ink); user-select: all; -webkit-user-select: all; }
.ways .command { display: block; padding: .2rem .5rem; margin: .1rem 0 .35rem; border-radius: 4px; background: var(--card); }
.problems .bad, .trouble.bad { background: var(--bad-ground); } .problems .warn, .trouble.warn { background: var(--warn-ground); }
.problems .busy, .trouble.busy { background: var(--busy-ground); } .trouble.idle { background: var(--idle-ground); }
.problems .chip { background: var(--card); }

.glance { display: flex; flex-wrap: wrap; gap: .4rem; max-height: 22rem; overflow: auto; padding: 4px; margin: -4px; }
.glance li { max-width: 100%; }
.glance .name { max-width: 18rem; }
.name { display: inline-flex; max-width: 100%; min-width: 0; vertical-align: top; white-space: pre; }
.name > span:first-child { overflow: hidden; text-overflow: ellipsis; min-width: 1.5em; }
.name > span:last-child { flex: none; }
.timeline a { text-decoration: none; }
.timeline a .name, a.chip:hover .name { text-decoration: underline; }

.scroll { overflow: auto; max-height: 36rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
#timeline h3 { font-size: 1rem; font-weight: 600; margin: 0 0 .6rem; color: var(--soft); font-family: inherit; }
#timeline details { margin-top: .6rem; }
#timeline summary h3 { display: inline; margin-right: .75rem; }
#timeline details .scroll { margin: .6rem 0 1rem; }
.sideways { display: none; color: var(--soft); font-size: .8125rem; margin-bottom: .4rem; }
.timeline { border-collapse: separate; border-spacing: 0; width: 100%; min-width: 60rem; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
.timeline th, .timeline td { text-align: left; padding: .3rem .75rem; white-space: nowrap; font-weight: 400;
  border-bottom: 1px solid var(--line); }
.timeline tbody tr:last-child > * { border-bottom: 0; }
.timeline thead th { position: sticky; top: 0; z-index: 2; background: var(--card); color: var(--soft); font-size: .8125rem; }
.timeline tbody th { position: sticky; left: 0; z-index: 1; background: var(--card); max-width: min(13rem, 42vw); overflow: hidden;
  text-overflow: ellipsis; }
.timeline .bars { width: 55%; min-width: 24rem; padding-left: 1.25rem; padding-right: 1.25rem; }
.timeline svg { display: block; width: 100%; overflow: visible; }
.timeline svg svg { width: 14px; }
.axis text { fill: var(--soft); font-size: .75rem; }
.grid line { stroke: var(--line); stroke-width: 1; }
.phase { fill: var(--bar); } .phase.sent { fill: var(--bar-soft); } .phase.ready { fill: var(--done); }
.phase.open { fill: none; stroke: var(--bar); stroke-width: 1.5; stroke-dasharray: 4 3; }
.timeline .mark { stroke: currentColor; paint-order: stroke; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin-top: .6rem; color: var(--soft); font-size: .8125rem; }
.legend li { display: flex; align-items: center; gap: .5rem; }

.scene { display: grid; gap: 1rem clamp(1.25rem, 3vw, 2.25rem); background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: clamp(1rem, 3vw, 1.75rem); margin-bottom: 1.5rem; scroll-margin-top: 1rem;
  content-visibility: auto; contain-intrinsic-size: auto 30rem; }
.scene > * { min-width: 0; }
.scene > header { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .5rem 1rem;
  grid-column: 1 / -1; }
.scene h3 { font-size: 1.35rem; min-width: 0; }
.scene h4 { font-size: .8125rem; color: var(--soft); font-weight: 400; margin: 1.1rem 0 .4rem; }
.scene:target { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.number { color: var(--soft); font-weight: 400; margin-right: .3rem; font-variant-numeric: tabular-nums; }
.media video { border-radius: 8px; max-height: 34rem; }
.media img { border-radius: 8px; }
.media audio { width: 100%; }
.media > * + video, .media > * + img, .media > * + audio { margin-top: 1rem; }
.media .path { margin-top: .4rem; font-size: .8125rem; }
.trouble { margin-bottom: 1.1rem; }
.prompt { white-space: pre-wrap; }
.fold summary, #timeline summary { cursor: pointer; }
.fold .prompt { margin-top: .5rem; }
.references { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; }
.references li { display: flex; align-items: center; gap: .6rem; }
.references img { width: 3.5rem; height: 3.5rem; object-fit: cover; border-radius: 6px; }
.facts { display: grid; grid-template-columns: minmax(5.5rem, auto) minmax(0, 1fr); align-content: start; gap: .2rem 1rem;
  padding-top: 1.1rem; border-top: 1px solid var(--line); font-size: .875rem; font-variant-numeric: tabular-nums; }
.facts dt { color: var(--soft); max-width: 11rem; }
.fields { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; }
.fields .long { flex-basis: 100%; }
.value { white-space: pre-wrap; }
.option { white-space: nowrap; }
.task { user-select: all; -webkit-user-select: all; }
footer p { color: var(--soft); font-size: .8125rem; padding: 2rem 0 2.5rem; }

@media (min-width: 58rem) {
  .scene { grid-template: auto auto 1fr / minmax(0, 1.15fr) minmax(0, 1fr); }
  .media { grid-row: 2 / 4; }
  .bare { grid-template-rows: auto auto; }
  .bare .facts { border: 0; padding: 0; }
}
@media (max-width: 66rem) { .sideways { display: block; } }
@media (max-width: 40rem) {
  .figures { display: grid; grid-template-columns: 1fr 1fr; }
  .glance .name { max-width: 8rem; }
}
@media print {
  :root { color-scheme: light; --stage: #fff; --stage-ink: #000; --stage-soft: #444; --stage-accent: #000; --paper: #fff; }
  .skip, nav, audio, .sideways { display: none; }
  .scene { content-visibility: visible; break-inside: avoid; grid-template: auto auto 1fr / 15rem minmax(0, 1fr); }
  .bare { grid-template-rows: auto auto; grid-template-columns: 1fr 1fr; }
  .media { grid-row: 2 / 4; }
  .scroll, .glance { max-height: none; overflow: visible; border: 0; }
  .timeline { min-width: 0; font-size: .65rem; }
  .timeline th, .timeline td { padding: .2rem .35rem; }
  .timeline .bars { min-width: 17rem; width: 45%; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
]]

return { sheet = sheet, signs = signs }
