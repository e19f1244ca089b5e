-- SPDX-License-Identifier: MIT
-- What is true of the program as a whole, in one place: for `omni help`, the man page, and docs/cli.md, which a spec holds against it.
-- In the texts, `words` between backticks are what is typed.

local facts = {}

facts.summary = "makes films from scripts"

facts.description = {
  "`omni` submits scenes to an asynchronous video-generation service, waits for them, fetches the results, and cuts them into one film. "
    .. "Every submit costs money, so nothing is ever sent twice, nothing that was paid for is lost, and all of it can be rehearsed "
    .. "offline: `--sandbox` runs a stand-in for the service.",
  "A storyboard is a Lua file. `omni init` writes a first one, `omni run FILE --sandbox` rehearses it, `omni plan FILE` says what it "
    .. "would cost, `omni run FILE` makes the film. Run again, it pays for what changed only.",
}

-- `short` is for `omni help`; `text` is for docs/cli.md and the man page.
facts.exit_codes = {
  { code = 0, short = "all done",
    text = "all is done: every scene that was wanted is there, and the film (for `omni sandbox` and `omni listen`: it was told to end)" },
  { code = 1, short = "something failed",
    text = "some scene or task failed, or isn't over in time; the film, the report or a file could not be made; a call failed; "
      .. "`omni doctor` found a problem; a script failed; stdout can't be written; omni itself failed" },
  { code = 2, short = "misuse",
    text = "misuse: the command line, the board, the input, the key or the base URL can't be used; nothing was sent that costs" },
  { code = 3, short = "refused before spending",
    text = "refused before spending: no consent, over the budget, a price or a balance that doesn't fit, a scene that can't be made, "
      .. "a task that isn't the scene's, files or a ledger that can't be written; of `omni submit` also: the service refused it, or "
      .. "can't be reached. Nothing was paid" },
  { code = 4, short = "a submit's outcome is unknown", text = "a submit's outcome is unknown: it may have been accepted and charged" },
  { code = 130, short = "interrupted", text = "interrupted by Ctrl-C (also SIGTERM, SIGHUP)" },
  { code = 141, short = "nobody reads its output",
    text = "nobody reads stdout any more (`omni status | head -1`); what runs ends as if it were interrupted" },
}

facts.key = "The key comes from CRUN_API_KEYS, CRUN_API_KEY, ~/.config/omni/keys or ~/.crun/.env."

facts.environment = {
  { name = "CRUN_API_KEY", text = "the API key" },
  { name = "CRUN_API_KEYS", text = "several, with commas between; `KEY=2` has two tasks in flight at most" },
  { name = "CRUN_BASE_URL", text = "the service's base URL, where `--base-url` isn't given" },
  { name = "OMNI_LEDGER", text = "the ledger's file, where `--ledger` isn't given" },
  { name = "XDG_STATE_HOME", text = "where the ledger is otherwise (`~/.local/state`)" },
  { name = "XDG_CONFIG_HOME", text = "where the file of keys is (`~/.config`)" },
  { name = "HOME", text = "your folder, `~` in this list" },
  { name = "https_proxy",
    text = "a proxy for `https://` URLs; also `http_proxy`, `all_proxy`, and `no_proxy` for hosts without one (docs/network.md)" },
  { name = "CURL_CA_BUNDLE",
    text = "a file of certificates to trust instead of the system's; also `SSL_CERT_FILE`, and `SSL_CERT_DIR` for a folder" },
  { name = "OMNI_ALLOW_PRIVATE_NETWORKS",
    text = "`1`: files may come from private networks though the service isn't there (docs/network.md)" },
  { name = "NO_COLOR", text = "any value: no colours" },
  { name = "TERM", text = "`dumb`: nothing is redrawn on the terminal, and no colours" },
  { name = "TMPDIR", text = "where temporary files go (`/tmp`)" },
  { name = "PATH", text = "where ffmpeg and ffprobe are looked for" },
}

facts.files = {
  { name = "~/.config/omni/keys",
    text = "API keys, a line each: `KEY` or `KEY=N` (N tasks in flight at most), `#` for comments; mode 600" },
  { name = "~/.crun/.env", text = "a line `CRUN_API_KEY=ak_...`, as the service's own client keeps it; mode 600" },
  { name = "~/.local/state/omni/ledger.db",
    text = "the ledger: every submit, what it cost, where its files are; with `-wal`, `-shm` and `-alive` beside it" },
  { name = "BOARD.omni", text = "a board's output: `media`, the film, `report.html`; in its folder `sandbox` what a rehearsal made" },
}

facts.examples = {
  { text = "Write a first board, and rehearse it: no key, no network, no cost.",
    lines = { "omni init film.lua", "omni run film.lua --sandbox" } },
  { text = "Say what it would cost; then make the film, for at most 200 credits.",
    lines = { "omni plan film.lua", "omni run film.lua --budget 200" } },
  { text = "Shoot one scene again.", lines = { "omni run film.lua --redo dusk" } },
  { text = "Find out what is wrong with this machine, or with the key.", lines = { "omni doctor" } },
}

facts.documents = "docs/start.md, docs/cli.md, docs/storyboards.md, docs/callbacks.md, docs/sandbox.md, docs/errors.md"

---The exit codes in one sentence, for `omni help`.
---@return string
function facts.exit_line()
  local parts = {}
  for i, row in ipairs(facts.exit_codes) do parts[i] = ("%d %s"):format(row.code, row.short) end
  return "Exit codes: " .. table.concat(parts, ", ") .. "."
end

return facts
