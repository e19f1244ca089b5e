---@meta omni.options
-- SPDX-License-Identifier: MIT
-- Declares the options, results and events of the public functions for docs/reference.md.

---@class omni.ClientOptions
---@field api_key? string            the API key
---@field keys? omni.KeyOptions[]    several API keys (default: from the environment or a key file, see [keys.md](keys.md))
---@field base_url? string           the service (default `CRUN_BASE_URL`, or `"https://api.crun.ai"`)
---@field ledger? string|false       path or PostgreSQL URL; `false`: no ledger (default `OMNI_LEDGER`, or `$XDG_STATE_HOME/omni/ledger.db`)
---@field store? string|false        folder or `s3://BUCKET/PREFIX` for [shared files](machines.md); `false`: none (default `OMNI_STORE`)
---@field timeout? number            seconds for a whole API call (default 60)
---@field connect_timeout? number    seconds for opening a connection (default 10)
---@field retry_for? number          seconds for which omni retries a call that may be retried; 0: one attempt (default 120)
---@field retry_min? number          seconds before the second attempt (default 1)
---@field retry_max? number          the longest wait between two attempts, in seconds; ten times that during maintenance (default 60)
---@field pause_for? number          seconds to wait while the service responds with 429 or 455 (default: your `retry_for`, or else 1800)
---@field poll_min? number           the shortest wait between two queries of a task, in seconds (default 2; 0.05 with a sandbox key)
---@field poll_max? number           the longest wait between two queries of a task, in seconds (default 30; 0.5 with a sandbox key)
---@field media_wait? number         seconds for which omni queries a successful task without media (default 300; 5 with a sandbox key)
---@field rate? number               requests per second, for each key without its own rate (default: no limit)
---@field max_connections? integer   simultaneous connections for each key (default 64)
---@field max_bytes? integer         maximum size of a response in bytes (default 8388608)
---@field max_download_bytes? integer  maximum size of a downloaded file in bytes (default 17179869184)
---@field proxy? string              URL of a proxy for every request; `""`: none (default: from the environment)
---@field ca_file? string            file with certificates to trust instead of the system's (default: from the environment)
---@field allow_private_networks? boolean  whether files may come from private networks (default `OMNI_ALLOW_PRIVATE_NETWORKS`, or false)
---@field http_version? "auto"|"1.1"|"2-prior-knowledge"  (default "auto")
---@field user_agent? string         the value of the `User-Agent` header (default `omni/VERSION`)
---@field schemas? boolean           whether omni also checks inputs against the service's schemas (default true)
---@field on_event? fun(event: omni.ClientEvent)  called for each request, retry, pause, task event and warning

---A client event is a table that omni passes to the client's `on_event` hook. An event never contains an API key, an input or a body. Later
---versions may add events and fields, so ignore events and fields that you don't know. An `on_event` hook can't wait, but it can start a
---fiber that waits, with `omni.spawn`. Errors in an `on_event` hook are reported in the same way as errors in a coroutine that nobody
---joins.
---@class omni.ClientEvent
---@field event "request_begun"|"request_ended"|"retry"|"paused"|"resumed"|"slots_full"|"slots_free"|"key_disabled"|"task"|"download"|"upload"|"ledger_failed"|"ledger_waits"|"ledger_continues"|"warning"
---  The event `request_begun` reports that a request begins. The event `request_ended` reports that a request has ended (a submit's outcome
---  is then in the ledger). The event `retry` reports that omni will retry a failed call. The event `paused` reports that a 429 or 455
---  response pauses a key, or extends the key's pause. The event `resumed` reports that a key's pause is over, but only when a request of
---  that key is waiting to start. The event `slots_full` reports that a submit waits because all of the keys' slots are in use. The event
---  `slots_free` reports that a submit no longer waits for a slot. The event `key_disabled` reports that omni stops using a key. The event
---  `task` reports a task's new state. The events `download` and `upload` report that bytes of a file have been transferred. The event
---  `ledger_failed` reports that the ledger can't be read or written. The event `ledger_waits` reports that the ledger's database can't be
---  reached, and that omni waits until it can record what has happened. The event `ledger_continues` reports that the ledger's database can
---  be reached again, and that everything has been recorded. The event `warning` reports, once, that something is unusual but not an error
---@field request? integer      for requests, downloads and uploads: the number of the request
---@field kind? "submit"|"query"|"call"|"download"|"upload"|"request"  for a request: its kind; "request": to the store
---@field method? string        for a request: the HTTP method
---@field path? string          for a request to the API: the path, without the query
---@field host? string          for a download or upload: the server
---@field file? string          for a download or upload: the local path
---@field attempt? integer      for a request: 1 for the first attempt; for a retry: the number of the next attempt
---@field status? integer       for a request that got a response: the HTTP status
---@field bytes? integer        for an ended request: bytes of the response or the uploaded file; for `download` and `upload`: bytes so far
---@field total? integer        for `download` and `upload`: the size of the file, if known
---@field seconds? number       for a request that has ended: how long it took; for `retry` and `paused`: until the next attempt
---@field error? omni.Error     for a failed request, task or ledger, for a retry, and for a disabled key: the error
---@field reason? string        for `retry`, `paused` and `key_disabled`: an error code
---@field slots? integer        for `slots_full` and `slots_free`: how many tasks the enabled keys can have in flight together
---@field key? string           for requests to the API, pauses, keys and tasks: the API key's fingerprint
---@field task_id? string       for `task` and for a query: the task's id
---@field state? string         for `task`: the task's status
---@field model? string         for `task`: the task's model
---@field credits? number       for `task`: what the task cost, once it is over
---@field message? string       for `warning`

---@class omni.KeyOptions
---@field key string           the API key
---@field in_flight? integer   tasks in flight at the same time (default: no limit)
---@field rate? number         requests per second (default: the client's `rate`)

---@class omni.SubmitOptions
---@field model? string         (default "google/gemini-omni")
---@field callback_url? string  where the service reports the end of the task (default: the client's receiver, or none)
---@field tag? string           your name for the submit, such as "order 17"; stored in the ledger, see `client:find`
---@field idempotency_key? string  your key for what you buy, such as "order-17"; see [errors.md](errors.md#never-twice).
---  If the ledger already contains this idempotency key, the submit sends nothing, even after a restart or from another program
---@field package about? table   for a board's scene: the other values in its ledger row
---@field package stop? omni.Stop  lets a run stop the submit
---@field timeout? number       seconds for the whole call; then the error is "timeout", or "submit_unknown" if it may have been sent

---@class omni.CallOptions
---@field timeout? number       seconds for the whole call (default: no limit beyond `retry_for`)

---@class omni.EstimateOptions
---@field model? string         (default "google/gemini-omni")
---@field timeout? number       seconds for the whole call (default: no limit beyond `retry_for`)

---@class omni.Estimate
---@field credits number        what the submit would cost
---@field balance? number       the account's credits; nil if the client has several keys
---@field affordable? boolean   whether the balance is high enough; nil if the client has several keys

---@class omni.UploadOptions
---@field on_progress? fun(bytes: integer, total: integer)  starts from 0 again when omni retries
---@field content_type? string  the media type (default: detected from the file's first bytes, or else from its extension)
---@field again? boolean        upload even if the same content was uploaded in the last seven days (default false)
---@field timeout? number       seconds for the whole call (default: no limit while bytes move)

---@class omni.Upload
---@field url string            the URL to put into an input, for example into `img_urls`
---@field bytes integer
---@field content_type string
---@field sha256 string
---@field reused boolean        whether an earlier upload was used
---@field age? number           seconds since that earlier upload

---@class omni.AwaitOptions
---@field timeout? number       seconds (default 1800)
---@field on_status? fun(task: omni.Task)  called each time `task.status` changes

---@class omni.SaveOptions
---@field index? integer        the number of the file among the task's results (default 1)
---@field timeout? number       seconds for the whole call; a partial download stays in PATH.part (default: no limit while bytes move)
---@field on_progress? fun(bytes: integer, total: integer|nil)
---@field any? boolean          accept files of any kind, not only images, videos and audio (default false)
---@field aside? boolean        rename a different file with that name to "NAME (older 1)" instead of replacing it (default false)
---@field store? boolean        whether to put the file into the client's store (default true)

---@class omni.FindOptions   Set exactly one of these fields.
---@field tag? string
---@field idempotency_key? string

---@class omni.UnknownSubmit  For a client without a ledger: describes a submit whose response the program didn't receive.
---@field model string
---@field input table
---@field at integer            Unix seconds
---@field task_id? string       the task's id, if the response came after the submit was given up

---@class omni.Balance
---@field key string            the key's fingerprint
---@field balance? number       credits
---@field error? omni.Error     why the balance is unknown

---@class omni.KeyState
---@field key string            the key's fingerprint
---@field limit? integer        the largest number of tasks in flight
---@field in_flight integer     tasks and submits in flight now
---@field paused number         seconds until its requests continue
---@field disabled? string      the code of the error that made omni stop using the key

---@class omni.ModelsOptions
---@field modality? string      such as "video"
---@field operation? string     such as "text-to-video"

---@class omni.TemplatesOptions
---@field platform "kling"|"vidu"|"bytedance"
---@field template_id? string   only this template
---@field template? string      the name of `template_id` on the platform vidu
---@field page_size? integer    templates per request, 1 to 50 (default 20)

---@class omni.CallbacksOptions
---@field client omni.Client    the client whose submits get callback URLs from now on; a client can have one receiver
---@field listen? string|false  "ADDRESS:PORT" or "PORT"; 0: any port; `false`: you call `receiver:handle` (default "127.0.0.1:8787")
---@field public_url? string    the URL under which the service reaches the receiver (default: the address it listens on)
---@field poll? number          seconds between two queries of a task whose callback doesn't arrive (default 60)
---@field tls_certificate? string  PEM file with the receiver's certificate; enables TLS
---@field tls_key? string       PEM file, readable by its owner only
---@field on_event? fun(event: omni.CallbackEvent)  called for each request, and for each confirmed task

---@class omni.CallbackEvent
---@field event string          for a request: `accepted`, `wrong_token`, `wrong_method`, `too_large`, `wrong_encoding`, `not_a_task`,
---  `wrong_task` or `unavailable`. An accepted callback is followed by the event `confirmed`, or by `settled` if the callback named the
---  task of a submit with an unknown outcome
---@field status? integer       the HTTP status that the receiver returned
---@field task_id? string
---@field state? string         the task's status: for a request, as the callback claims; for other events, as a query confirms
---@field body? string          for a callback that could be parsed: its body
---@field scene? string         for `settled`

---@class omni.LoadOptions
---@field trusted? boolean      run the board in this process, without limits (default false)
---@field set? table<string, string>  the variables that `os.getenv` returns in the board
---@field cpu_seconds? number   seconds of processor time for an untrusted board (default 10)
---@field max_memory? integer   bytes of memory for an untrusted board (default 268435456)
---@field client? omni.Client   omni asks this client's service which inputs the models accept (default: omni uses only its own rules)
---@field interrupted? fun(): any  called from time to time; once it returns true, loading ends with the code "cancelled"

---The kind of media that a model makes:
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
---@field prices? boolean       whether to request prices from the service (default true)

---@class omni.CommandLine  The settings that a shell command needs to work on the same board again.
---@field board string      the board's path
---@field sandbox? boolean  use a sandbox (`--sandbox`)
---@field out? string       the output folder (`--out`)
---@field ledger? string    the path of the ledger (`--ledger`)
---@field store? string     the address of the store (`--store`)
---@field base_url? string  the service's base URL (`--base-url`)
---@field only? string[]    scenes (`--only`)
---@field fetches? boolean  `omni fetch` instead of `omni run`

---@class omni.RunOptions
---@field client omni.Client
---@field directory string      the output folder; the run creates it if it doesn't exist
---@field plan? omni.Plan       an agreed plan from `omni.plan_storyboard`; can't be combined with `only`, `redo` and `resubmit`
---@field budget? number        maximum number of credits that this run may spend
---@field yes? boolean          consent to any price (default false: the run submits nothing without a plan, consent or a budget)
---@field jobs? integer         maximum number of scenes in flight at the same time (default: the sum of the keys' limits, or 4)
---@field only? string[]        only these scenes, and those that they build on
---@field redo? string[]        scenes that get a new take
---@field resubmit? string[]    scenes with an unknown outcome that may be submitted again
---@field fail_fast? boolean    submit nothing more once a scene has failed (default false)
---@field on_event? fun(event: omni.RunEvent)
---@field interrupted? fun(): boolean  called from time to time; once it returns true, the run ends as with `run:interrupt`
---@field before_plan? fun(): omni.Error|nil  called once this run has locked the directory, before it plans; an error ends the run
---@field on_plan? fun(plan: omni.Plan, problem: omni.Error|nil): boolean|nil, omni.Error|nil  called with the plan.
---  If omni refuses to carry out the plan, `problem` is the reason. `on_plan` returns true to consent to the plan, false (and an error) to
---  submit nothing, or nil to leave the decision to `budget` and `yes`
---@field on_start? fun(run: omni.Run)  called when the run starts; `run:interrupt()` ends it
---@field command_line? omni.CommandLine  the settings in the commands that the report shows (default: only the board's file name)

---The status of a scene in a run:
---@alias omni.SceneStatus
---| "waiting"      the run hasn't started the scene; after an interruption: the run didn't submit it
---| "submitting"   omni is sending its submit
---| "pending"      its task waits at the service
---| "running"      the service is working on its task
---| "fetching"     omni is downloading its files
---| "fetched"      its files are complete
---| "reused"       its files existed already, or it uses the files of an identical scene
---| "failed"       it has no files; `error` is the reason
---| "refused"      it wasn't submitted, because it can't be made or the budget doesn't allow it
---| "blocked"      it wasn't submitted, since a scene that it builds on has no files
---| "unknown"      the outcome of its submit is unknown
---| "interrupted"  its task continues at the service

---@class omni.RunEvent  A table that omni passes to a run's `on_event` hook. The field `event` determines which other fields the table has.
---@field event omni.SceneStatus|"wait"|"wait_over"|"warning"|"cutting"|"film"|"report"  a scene's new status, or another event.
---  The event `wait` reports that the run waits for something other than its tasks. The event `wait_over` reports that a wait has ended.
---  The event `warning` reports that a clip differs from what its scene asked for. The event `cutting` reports that omni is cutting the
---  film. The events `film` and `report` report that the film or the report is complete.
---@field wait? integer         for `wait` and `wait_over`: the number of the wait
---@field kind? "lock"|"submit"|"callback"|"film"|"report"  for `wait` and `wait_over`: the reason for the wait.
---  The kind `lock` means that another run is using this run's directory. The kind `submit` means that another run is submitting the scene.
---  The kind `callback` means that the outcome of the scene's submit is unknown, and that a callback may name the submit's task. The kind
---  `film` means that omni checks the clips and the film. The kind `report` means that omni makes the report and its pictures
---@field directory? string     for a wait of kind `lock`
---@field scene? string         for a scene's status and for `warning`: the scene's name
---@field index? integer        the scene's place on the board
---@field task_id? string
---@field estimate? number      for a scene's status: credits that the service expects
---@field credits? number       for a scene's status: credits that its task cost in this run, as the service reported them
---@field file? string          the clip, the film or the report
---@field files? string[]       all files of the scene
---@field error? omni.Error     for `failed`, `refused`, `blocked`, `unknown`
---@field message? string       for `warning`
---@field fraction? number      for `cutting`: 0 to 1
---@field seconds? number       for `film`: its length
---@field made? boolean         for `film`: false if it was up to date

---@class omni.RunSummary
---@field title? string         the board's title
---@field scenes omni.SceneSummary[]  all scenes in the board's order, including those that weren't selected
---@field credits number        the cost of this run's tasks, as the service reported it; fetching a clip again costs nothing
---@field estimated number      estimates of this run's submits whose cost the service hasn't reported
---@field spent omni.Spent      what the board has cost so far, this run included
---@field interrupted boolean   the run was stopped before its end
---@field film? omni.FilmSummary  nil if the board has no cut, or if the film failed (`film_error`)
---@field film_error? omni.Error  why there is no film
---@field report? string        path of the report
---@field report_error? omni.Error  why there is no report

---@class omni.SceneSummary
---@field scene string          its name
---@field index integer         its place on the board
---@field action omni.Action    the action in the plan
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

---@class omni.SubmitStoryboardOptions
---@field client omni.Client    with a ledger and a store
---@field budget number         credits that the job may cost, over all workers
---@field set? table<string, string>  the variables that `os.getenv` returns in the board
---@field on_plan? fun(plan: omni.Plan, err: omni.Error|nil): boolean|nil  called with the plan, and with the reason why it may not run.
---  If `on_plan` returns false, omni doesn't submit the job

---@class omni.JobOptions
---@field client omni.Client    with a ledger

---@class omni.FetchJobOptions
---@field client omni.Client    with a ledger and a store
---@field directory string      the folder for the files; created if it doesn't exist
---@field timeout? number       seconds to wait for the end of the job (default: no limit)
---@field on_state? fun(job: table)  called about once a second with the job's `state`, `scenes` and `finished`, until it is over

---@class omni.WorkOptions
---@field client omni.Client    with a ledger and a store
---@field directory string      the folder in which each job gets a folder; workers on the same machine may share it
---@field once? boolean         return once no job is waiting (default false: wait for further jobs)
---@field jobs? integer         maximum number of scenes in flight (default: the sum of the keys' limits, or 4)
---@field on_start? fun(worker: omni.Worker)  called once; `worker:stop()` stops the worker gently
---@field on_event? fun(event: omni.WorkEvent)

---@class omni.WorkEvent  A worker's `on_event` hook also gets the events of a job's run (omni.RunEvent), with the field `job`.
---@field event string          `job`: a job has a new state, or an event of its run. `pause`: the worker pauses after trouble that isn't the
---  job's fault
---@field job? string           for `job` and a run's event: the job's name, such as "job:17"
---@field board? string         for `job`: the name of the board's file
---@field state? string         for `job`: "running", "done", "failed", "waiting" (put back) or "lost" (cancelled, or another worker has it)
---@field seconds? number       for `pause`: how long
---@field error? omni.Error     for `job` and `pause`: the reason

---@class omni.SandboxOptions
---@field seconds? number       the usual duration of a task (default 3)
---@field seed? integer         determines ids, durations, the look of clips, and random faults (default 1, but with new ids each time)
---@field credits? number       the initial balance (default 10000)
---@field in_flight? integer    tasks in flight at the same time (default: no limit)
---@field rate? number          requests per second for each key; further requests get 429 (default: no limit)
---@field key? string           the key that the sandbox requires (default: a sandbox key, made from the seed and the port)
---@field keys? integer|table[]  several accounts: their number, or an array of limits and of `{ key=, in_flight=, credits=, rate= }`
---@field faults? string[]      the faults to inject, such as `"drop-after:on=submit,first=1"` (default: nothing)
---@field host? string          address to listen on (default "127.0.0.1")
---@field port? integer         0: any free port (default 0)
---@field directory? string     folder for clips and uploads (default: a temporary one, removed at the end)
---@field clips? "ffmpeg"|"builtin"  how the sandbox makes clips (default: with ffmpeg, if it is installed)
---@field upload_seconds? number  how long the URL for an upload is valid (default 900)
---@field media_seconds? number  how long a clip can be downloaded after its task's end (default: no limit)

---@class omni.JoinOptions
---@field timeout? number     seconds (default: no limit)

---@class omni.JoinAllOptions: omni.JoinOptions
---@field fail_fast? boolean  raise the first failed fiber's error immediately (default false)

---@class omni.MapOptions
---@field limit? integer      maximum number of calls at the same time (default: no limit)
---@field fail_fast? boolean  when a call fails, cancel the running calls and start no others (default false)

---@class omni.HostOptions
---@field blocking? boolean   false: a call that waits outside of a fiber raises an error while the host's event loop runs (default true)
