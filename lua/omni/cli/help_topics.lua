-- SPDX-License-Identifier: MIT
-- Contains the texts about the program as a whole, for `omni help`, the man page and docs/cli.md. A spec compares docs/cli.md with the help
-- texts. Backticks in a help text mark what a user types.

local topics = {}

topics.summary = "makes films from scripts"

topics.description = {
  "`omni` submits scenes to an asynchronous video generation service, waits for them, downloads the results, and cuts them into one film. "
    .. "Every submit costs money, so omni never sends one twice and loses nothing that you paid for. You can rehearse everything "
    .. "offline: `--sandbox` starts a local stand-in for the service.",
  "A storyboard is a Lua file. `omni init` writes a first one, `omni run FILE --sandbox` rehearses it, `omni plan FILE` shows what it "
    .. "would cost, `omni run FILE` makes the film. The next run pays only for what has changed.",
}

-- The exit codes. `omni help` prints each exit code's `short` description; docs/cli.md and the man page contain its `text`.
topics.exit_codes = {
  { code = 0, short = "success",
    text = "success: every selected scene and the film are complete; `omni sandbox`, `omni listen` "
      .. "or `omni work` was stopped" },
  { code = 1, short = "something failed",
    text = "something failed: a scene, a task, the film, the report, a file, a call or a script; a task took too long; `omni doctor` "
      .. "found a problem; omni can't write to stdout; omni has a bug" },
  { code = 2, short = "misuse",
    text = "misuse: the command line, the board, the input, the key or the base URL is wrong. Nothing was spent" },
  { code = 3, short = "refused before spending",
    text = "refused before spending: there is no consent, the price exceeds the budget or the balance or is unknown, a scene can't "
      .. "be made, an adopted task isn't the scene's, or a folder or the ledger isn't writable. For `omni submit` also: the service "
      .. "refused the submit, or is unreachable. Nothing was spent" },
  { code = 4, short = "a submit's outcome is unknown",
    text = "the outcome of a submit is unknown: the service may have accepted and charged it" },
  { code = 130, short = "interrupted", text = "interrupted by Ctrl-C, SIGTERM or SIGHUP" },
  { code = 141, short = "nobody reads the output",
    text = "the reader of stdout has gone (`omni status | head -1`); omni ends as after an interruption" },
}

topics.key = "The key comes from CRUN_API_KEYS, CRUN_API_KEY, ~/.config/omni/keys or ~/.crun/.env."

topics.environment = {
  { name = "CRUN_API_KEY", text = "the API key" },
  { name = "CRUN_API_KEYS", text = "several keys, separated by commas; `KEY=2` limits a key to two tasks in flight" },
  { name = "CRUN_BASE_URL", text = "the base URL of the service, without `--base-url`" },
  { name = "OMNI_LEDGER", text = "the ledger, without `--ledger`: a file, or `postgresql://HOST/DATABASE`" },
  { name = "OMNI_STORE", text = "the store, without `--store`: a folder, or `s3://BUCKET/PREFIX` (docs/machines.md)" },
  { name = "AWS_ACCESS_KEY_ID",
    text = "the access key for a store in S3, with `AWS_SECRET_ACCESS_KEY`; also `AWS_PROFILE`, `AWS_REGION`, "
      .. "`AWS_ENDPOINT_URL`, ... (docs/machines.md)" },
  { name = "XDG_STATE_HOME", text = "the folder that contains `omni/ledger.db`, the default ledger (`~/.local/state`)" },
  { name = "XDG_CACHE_HOME",
    text = "the folder that contains `omni/probes`, where omni caches what ffprobe reports, and `omni/jobs`, for `omni work` "
      .. "(`~/.cache`)" },
  { name = "XDG_CONFIG_HOME", text = "the folder that contains `omni/keys` (`~/.config`)" },
  { name = "HOME", text = "your home folder, `~` in this list" },
  { name = "https_proxy",
    text = "a proxy for `https://` URLs; also `http_proxy`, `all_proxy`, and `no_proxy` for hosts without a proxy (docs/network.md)" },
  { name = "CURL_CA_BUNDLE",
    text = "a file of certificates to trust instead of the system's; also `SSL_CERT_FILE`, and `SSL_CERT_DIR` for a folder" },
  { name = "OMNI_ALLOW_PRIVATE_NETWORKS",
    text = "`1` allows downloads from private networks when the service isn't in one (docs/network.md)" },
  { name = "NO_COLOR", text = "any value switches colours off" },
  { name = "TERM", text = "`dumb` switches colours and redrawing off" },
  { name = "TMPDIR", text = "the folder for temporary files (`/tmp`)" },
  { name = "PATH", text = "the folders that contain ffmpeg and ffprobe" },
}

topics.files = {
  { name = "~/.config/omni/keys",
    text = "API keys, one a line: `KEY`, or `KEY=N` with a limit of N tasks in flight; `#` starts a comment; mode 600" },
  { name = "~/.crun/.env", text = "a line `CRUN_API_KEY=ak_...`, as the service's own client writes it; mode 600" },
  { name = "~/.local/state/omni/ledger.db",
    text = "the ledger: every submit, its cost and its files; with `-wal`, `-shm` and `-alive` next to it" },
  { name = "BOARD.omni",
    text = "the output of a board: `media`, the film, `report.html`; its folder `sandbox` has the results of rehearsals" },
}

topics.examples = {
  { text = "Write a first board and rehearse it, without a key, without network, at no cost.",
    lines = { "omni init film.lua", "omni run film.lua --sandbox" } },
  { text = "Show what it would cost; then make the film, for at most 200 credits.",
    lines = { "omni plan film.lua", "omni run film.lua --budget 200" } },
  { text = "Make one scene again.", lines = { "omni run film.lua --redo dusk" } },
  { text = "Find out what is wrong with this machine or the key.", lines = { "omni doctor" } },
}

topics.documents = "docs/start.md, docs/cli.md, docs/storyboards.md, docs/callbacks.md, docs/sandbox.md, docs/errors.md"

---Returns the exit codes in one sentence, for `omni help`.
---@return string
function topics.exit_line()
  local parts = {}
  for i, row in ipairs(topics.exit_codes) do parts[i] = ("%d %s"):format(row.code, row.short) end
  return "Exit codes: " .. table.concat(parts, ", ") .. "."
end

return topics
