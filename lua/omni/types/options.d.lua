---@meta omni.options
-- SPDX-License-Identifier: MIT
-- The options, results and events of the public functions; docs/reference.md shows them.

---@class omni.ClientOptions
---@field api_key? string            the API key
---@field keys? omni.KeyOptions[]    several API keys (default: from the environment or a key file, see [keys.md](keys.md))
---@field base_url? string           the service (default `CRUN_BASE_URL`, or `"https://api.crun.ai"`)
---@field ledger? string|false       path; `false`: none (default `OMNI_LEDGER`, or `$XDG_STATE_HOME/omni/ledger.db`; none in a sandbox)
---@field timeout? number            seconds for a whole API call (default 60)
---@field connect_timeout? number    seconds for a connection (default 10)
---@field retry_for? number          seconds for which omni retries a call that may be retried; 0: one attempt (default 120)
---@field retry_min? number          seconds before the second attempt (default 1)
---@field retry_max? number          the longest wait between two attempts, in seconds; ten times that during maintenance (default 60)
---@field pause_for? number          seconds to wait while the service answers 429 or 455 (default: your `retry_for`, or else 1800)
---@field poll_min? number           the shortest wait between two queries of a task, in seconds (default 2; 0.05 with a sandbox key)
---@field poll_max? number           the longest wait between two queries of a task, in seconds (default 30; 0.5 with a sandbox key)
---@field media_wait? number         seconds for which omni keeps querying a success without media (default 300; 5 with a sandbox key)
---@field rate? number               requests a second, for each key without a rate of its own (default: no limit)
---@field max_connections? integer   connections of each key at the same time (default 64)
---@field max_bytes? integer         bytes of one response (default 8388608)
---@field max_download_bytes? integer  bytes of one downloaded file (default 17179869184)
---@field proxy? string              URL of a proxy for every request; `""`: none (default: from the environment)
---@field ca_file? string            file with certificates to trust instead of the system's (default: from the environment)
---@field allow_private_networks? boolean  whether files may come from private networks (default `OMNI_ALLOW_PRIVATE_NETWORKS`, or false)
---@field http_version? "auto"|"1.1"|"2-prior-knowledge"  (default "auto")
---@field user_agent? string         the header `User-Agent` (default `omni/VERSION`)
---@field schemas? boolean           whether inputs are checked against the service's schema, or only by omni's rules (default true)
---@field on_event? fun(event: omni.ClientEvent)  called for each request, retry, pause, task event and warning.
---  The hook can't wait, but it can `omni.spawn` something that waits. An error in the hook is reported like the error of a coroutine that
---  nobody joins

---The argument of the client's hook `on_event`. An event has no API key, no input and no body. Later versions may add events and
---fields, so ignore what you don't know.
---@class omni.ClientEvent
---@field event "request_begun"|"request_ended"|"retry"|"paused"|"resumed"|"slots_full"|"slots_free"|"key_disabled"|"task"|"download"|"upload"|"ledger_failed"|"warning"
---  The events mean, in this order: a request begins; a request has ended (a submit's outcome is then in the ledger); a failed call will
---  be retried; a 429 or 455 pauses a key; a key's pause is over (reported when the next request waits); a submit waits, since every slot
---  of the keys is in use; it waits no longer; omni stops using a key; a task has a new state; a download or an upload has
---  moved bytes; the ledger can't be read or written; something is unusual, but not an error (reported once)
---@field request? integer      of requests, downloads and uploads: its number
---@field kind? "submit"|"query"|"call"|"download"|"upload"  of a request
---@field method? string        of a request
---@field path? string          of a request to the API, without its query
---@field host? string          of a download or upload: the server
---@field file? string          of a download or upload: the local path
---@field attempt? integer      of a request: 1 for the first attempt; of a retry: the number of the next attempt
---@field status? integer       of a request that got a response: the HTTP status
---@field bytes? integer        of a request that has ended: bytes of the response or an uploaded file; of `download` and `upload`: so far
---@field total? integer        of `download` and `upload`: bytes in all, if known
---@field seconds? number       of a request that has ended: how long it took; of `retry` and `paused`: until the next attempt
---@field error? omni.Error     of a request, a task or a ledger that failed, a retry, a key that was disabled
---@field reason? string        of `retry`, `paused` and `key_disabled`: an error code
---@field slots? integer        of `slots_full` and `slots_free`: how many tasks the enabled keys may have in flight together
---@field key? string           the fingerprint of the API key, of requests to the API, pauses, keys and tasks
---@field task_id? string       of `task`, and of a query
---@field state? string         of `task`: its status
---@field model? string         of `task`
---@field credits? number       of `task`: what it cost, once it is over
---@field message? string       of `warning`

---@class omni.KeyOptions
---@field key string           the API key
---@field in_flight? integer   tasks in flight at the same time (default: no limit)
---@field rate? number         requests a second (default: the client's `rate`)

---@class omni.SubmitOptions
---@field model? string         (default "google/gemini-omni")
---@field callback_url? string  where the service reports the end of the task (default: the client's receiver, or none)
---@field tag? string           your name for it, such as "order 17"; stored in the ledger, see `client:find`
---@field idempotency_key? string  your key for what you buy, such as "order-17"; see [errors.md](errors.md#never-twice).
---  A submit with a key that is already in the ledger sends nothing, even after a restart or from another program
---@field package about? table   of a board's scene: what else its ledger row holds
---@field package stop? omni.Stop  lets a run stop the submit
---@field timeout? number       seconds for the whole call; then the error is "timeout", or "submit_unknown" if it may have been sent

---@class omni.CallOptions
---@field timeout? number       seconds for the whole call (default: no limit beyond `retry_for`)

---@class omni.EstimateOptions
---@field model? string         (default "google/gemini-omni")
---@field on_retry? fun(err: omni.Error, seconds: number)  called before each retry of this call
---@field timeout? number       seconds for the whole call (default: no limit beyond `retry_for`)

---@class omni.Estimate
---@field credits number        what the submit would cost
---@field balance? number       credits of the account; absent with several keys
---@field affordable? boolean   whether the balance suffices; absent with several keys

---@class omni.UploadOptions
---@field on_progress? fun(bytes: integer, total: integer)  starts from 0 again when omni retries
---@field content_type? string  the media type (default: by the file's first bytes, else by its extension)
---@field again? boolean        upload even if the same content was uploaded in the last seven days (default false)
---@field timeout? number       seconds for the whole call (default: no limit while bytes move)

---@class omni.Upload
---@field url string            for an input, such as `img_urls`
---@field bytes integer
---@field content_type string
---@field sha256 string
---@field reused boolean        whether an earlier upload was used
---@field age? number           seconds since that earlier upload

---@class omni.AwaitOptions
---@field timeout? number       seconds (default 1800)
---@field on_status? fun(task: omni.Task)  called at each change of `task.status`

---@class omni.SaveOptions
---@field index? integer        which file of the result (default 1)
---@field timeout? number       seconds for the whole call; a partial download stays in PATH.part (default: no limit while bytes move)
---@field on_progress? fun(bytes: integer, total: integer|nil)
---@field any? boolean          accept files of any kind, not only pictures, films and sound (default false)
---@field aside? boolean        rename a different file with that name to "NAME (older 1)" instead of replacing it (default false)

---@class omni.FindOptions   exactly one of them
---@field tag? string
---@field idempotency_key? string

---@class omni.UnknownSubmit  A submit without a ledger whose response nobody received.
---@field model string
---@field input table
---@field at integer            Unix seconds
---@field task_id? string       the task, if the response came after the submit was given up

---@class omni.Balance
---@field key string            the key's fingerprint
---@field balance? number       credits
---@field error? omni.Error     why the balance isn't known

---@class omni.KeyState
---@field key string            the key's fingerprint
---@field limit? integer        the largest number of tasks in flight
---@field in_flight integer     tasks and submits in flight now
---@field paused number         seconds until its requests continue
---@field disabled? string      the error code because of which omni stopped using the key

---@class omni.ModelsOptions
---@field modality? string      such as "video"
---@field operation? string     such as "text-to-video"

---@class omni.TemplatesOptions
---@field platform "kling"|"vidu"|"bytedance"
---@field template_id? string   only this template
---@field template? string      the same, as vidu calls it
---@field page_size? integer    templates in one request, 1 to 50 (default 20)

---@class omni.CallbacksOptions
---@field client omni.Client    its submits get a callback URL from now on; one receiver for each client
---@field listen? string|false  "ADDRESS:PORT" or "PORT"; 0: any port; `false`: you call `receiver:handle` (default "127.0.0.1:8787")
---@field public_url? string    the URL under which the service reaches the receiver (default: the address it listens on)
---@field poll? number          seconds between two queries of a task whose callback doesn't come (default 60)
---@field tls_certificate? string  PEM file, for a server that speaks TLS itself
---@field tls_key? string       PEM file, readable by its owner only
---@field on_event? fun(event: omni.CallbackEvent)  called for each request, and for each confirmed task

---@class omni.CallbackEvent
---@field event string          for a request: `accepted`, `wrong_token`, `wrong_method`, `too_large`, `wrong_encoding`, `not_a_task`,
---  `wrong_task` or `unavailable`. After an accepted callback: `confirmed`, or `settled` if the callback named the task of a submit with an
---  unknown outcome
---@field status? integer       the HTTP status that the receiver returned
---@field task_id? string
---@field state? string         the task's status: of a request as the callback claims, of the others as a query reports
---@field body? string          of a callback that could be parsed
---@field scene? string         of `settled`

---@class omni.LoadOptions
---@field trusted? boolean      run the board in this process, without limits (default false)
---@field set? table<string, string>  what `os.getenv` returns in the board
---@field cpu_seconds? number   processor time for an untrusted board (default 10)
---@field max_memory? integer   bytes for an untrusted board (default 268435456)
---@field client? omni.Client   omni asks this client's service what the models accept (default: omni's own rules)
---@field interrupted? fun(): any  called now and then; once it returns true, loading ends with the code "cancelled"

---What a model makes, which is one of these:
---@alias omni.Modality
---| "video"  a film
---| "image"  a picture
---| "audio"  sound

---@class omni.PlanOptions
---@field client omni.Client
---@field directory string      the output folder
---@field only? string[]        only these scenes, and those that they build on
---@field redo? string[]        scenes that get a new take
---@field resubmit? string[]    scenes with an unknown outcome that may be submitted again
---@field prices? boolean       whether to ask the service for prices (default true)
---@field on_retry? fun(err: omni.Error, seconds: number)  called before omni asks for a price again

---@class omni.CommandLine  What a shell command needs to work on a board again.
---@field board string      the board's path
---@field sandbox? boolean  with a sandbox of its own (`--sandbox`)
---@field out? string       the output folder (`--out`)
---@field ledger? string    its path (`--ledger`)
---@field base_url? string  of the service (`--base-url`)
---@field only? string[]    scenes (`--only`)
---@field fetches? boolean  `omni fetch` instead of `omni run`

---@class omni.RunOptions
---@field client omni.Client
---@field directory string      the output folder; the run creates it if it doesn't exist
---@field plan? omni.Plan       a plan of `omni.plan_storyboard` that somebody agreed to; excludes `only`, `redo` and `resubmit`
---@field budget? number        credits that this run may spend
---@field yes? boolean          consent to any price (default false: without a plan, consent or a budget the run submits nothing)
---@field jobs? integer         scenes in flight at the same time (default: the sum of the keys' limits, or 4)
---@field only? string[]        only these scenes, and those that they build on
---@field redo? string[]        scenes that get a new take
---@field resubmit? string[]    scenes with an unknown outcome that may be submitted again
---@field fail_fast? boolean    submit nothing more once a scene has failed (default false)
---@field on_event? fun(event: omni.RunEvent)
---@field interrupted? fun(): boolean  called now and then; once it returns true, the run ends as with `run:interrupt`
---@field before_plan? fun(): omni.Error|nil  called when the directory belongs to this run, before it plans; an error ends the run
---@field on_retry? fun(err: omni.Error, seconds: number)  called before omni asks for a price again
---@field on_plan? fun(plan: omni.Plan, problem: omni.Error|nil): boolean|nil, omni.Error|nil  called with the plan.
---  If omni refuses to carry out the plan, `problem` is the reason. Return true to consent, false (and an error) to submit nothing, or nil
---  to let `budget` and `yes` decide
---@field on_start? fun(run: omni.Run)  called when the run starts; `run:interrupt()` ends it
---@field command_line? omni.CommandLine  for the commands that the report shows (default: the board's file name)

---The status of a scene in a run:
---@alias omni.SceneStatus
---| "waiting"      nothing has happened to it; after an interruption: nothing was submitted
---| "submitting"   its submit is being sent
---| "pending"      its task waits at the service
---| "running"      the service works on it
---| "fetching"     its files are being downloaded
---| "fetched"      its files are there
---| "reused"       its files were there, or are those of an equal scene
---| "failed"       it has no files; `error` says why
---| "refused"      it wasn't submitted: it can't be, or the budget doesn't allow it
---| "blocked"      it wasn't submitted, since a scene that it builds on has no files
---| "unknown"      the outcome of its submit is unknown
---| "interrupted"  its task goes on at the service

---@class omni.RunEvent  The argument of a run's hook `on_event`. Its fields besides `event` depend on the event.
---@field event omni.SceneStatus|"wait"|"wait_over"|"warning"|"cutting"|"film"|"report"  a scene's new status, or another event.
---  The other events are: `wait`: the run waits for something other than its tasks; `wait_over`: it waits no longer; `warning`: a clip
---  differs from what its scene asked for; `cutting`: the film is being cut; `film` and `report`: that file is ready
---@field wait? integer         of `wait` and `wait_over`: its number
---@field kind? "lock"|"submit"|"callback"  of `wait` and `wait_over`.
---  `lock`: another run uses the directory; `submit`: another run is submitting the scene; `callback`: the outcome of the scene's submit is
---  unknown, and a callback may name its task
---@field directory? string     of a wait of kind `lock`
---@field scene? string         of a scene's status and of `warning`: its name
---@field index? integer        the scene's place on the board
---@field task_id? string
---@field estimate? number      of a scene's status: credits that the service expects
---@field credits? number       of a scene's status: credits that its task cost in this run, as the service reported them
---@field file? string          the clip, the film or the report
---@field files? string[]       all files of the scene
---@field error? omni.Error     of `failed`, `refused`, `blocked`, `unknown`
---@field message? string       of `warning`
---@field fraction? number      of `cutting`: 0 to 1
---@field seconds? number       of `film`: its length
---@field made? boolean         of `film`: false if it was up to date

---@class omni.RunSummary
---@field title? string         the board's title
---@field scenes omni.SceneSummary[]  in the board's order, also those that weren't selected
---@field credits number        cost of this run's tasks, as the service reported it; a clip that is fetched again costs nothing
---@field estimated number      estimates of this run's submits whose cost the service hasn't reported
---@field spent omni.Spent      what the board has cost so far, this run included
---@field interrupted boolean   the run was stopped before its end
---@field film? omni.FilmSummary  nil: the board has no cut, or see `film_error`
---@field film_error? omni.Error  why there is no film
---@field report? string        path of the report
---@field report_error? omni.Error  why there is no report

---@class omni.SceneSummary
---@field scene string          its name
---@field index integer         its place on the board
---@field action omni.Action    what the plan said
---@field status omni.SceneStatus
---@field task_id? string
---@field estimate? number      credits that the service expected
---@field credits? number       credits that its task cost in this run, as the service reported them
---@field file? string          path of the first of `files`
---@field files? string[]       paths of its files
---@field warnings? string[]    differences between the clip and what the scene asked for
---@field error? omni.Error     why it has no files

---@class omni.FilmSummary
---@field path string
---@field seconds number        its length
---@field made boolean          false: it was up to date

---@class omni.AdoptOptions
---@field client omni.Client
---@field directory string      the output folder
---@field scene string          its name
---@field task_id string

---@class omni.SandboxOptions
---@field seconds? number       about how long a task takes (default 3)
---@field seed? integer         decides ids, durations, the look of clips, and chances (default 1, but with new ids each time)
---@field credits? number       the balance at the start (default 10000)
---@field in_flight? integer    tasks in flight at the same time (default: no limit)
---@field rate? number          requests a second; more get 429 (default: no limit)
---@field key? string           the key that the sandbox requires (default: a sandbox key, made from the seed and the port)
---@field keys? integer|table[]  several accounts: how many, or an array of limits and of `{ key=, in_flight=, credits=, rate= }`
---@field faults? string[]      what goes wrong, such as `"drop-after:on=submit,first=1"` (default: nothing)
---@field host? string          address to listen on (default "127.0.0.1")
---@field port? integer         0: any free port (default 0)
---@field directory? string     folder for clips and uploads (default: a temporary one, removed at the end)
---@field clips? "ffmpeg"|"builtin"  how clips are made (default: with ffmpeg, if it is installed)
---@field upload_seconds? number  how long the URL for an upload is valid (default 900)
---@field media_seconds? number  how long a clip can be downloaded after its task's end (default: without end)

---@class omni.JoinOptions
---@field timeout? number     seconds (default: no limit)

---@class omni.JoinAllOptions: omni.JoinOptions
---@field fail_fast? boolean  raise the error of the first failed fiber at once (default false)

---@class omni.MapOptions
---@field limit? integer      calls at the same time (default: no limit)
---@field fail_fast? boolean  after the first call that fails, cancel the running ones and start no other (default false)

---@class omni.HostOptions
---@field blocking? boolean   false: a call that waits outside of a fiber raises an error while the host's loop runs (default true)
