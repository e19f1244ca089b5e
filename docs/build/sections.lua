-- SPDX-License-Identifier: MIT
-- The sections of docs/reference.md: which functions, methods and classes stand in each, in this order.
return {
  introduction = [[
After reading this page, you will be able to call every function of `require "omni"`. `make reference` generates this page from the
annotations in `lua/omni/`. A test checks that the page is up to date, and runs every example. The examples assume that you have run the
following lines:

```lua
local omni = require "omni"
local sandbox <close> = assert(omni.sandbox { seconds = 0.1 })
local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
```

Conventions:

* If a call fails at run time, it returns `nil` and an [error](#fields-of-an-error). If you misuse a function (for example, with a wrong
  type or an unknown option), the function raises an error at your line.
* Times are in seconds, sizes are in bytes, and prices are in credits.
* A function that waits lets other coroutines run. Outside `omni.run`, a function that waits blocks until it is done.
* You can keep any object that has a `close` method in a `<close>` variable.]],

  { title = "Client", text = "A client submits tasks with one or more API keys.",
    { fn = "client" },
    { methods = "omni.Client", as = "client", names = { "submit", "task", "query", "call", "estimate", "balance", "balances", "keys",
      "upload", "models", "model", "templates", "find", "unfinished", "unknown_submits", "close" } },
    { class = "omni.Client", title = "a client" },
    { class = "omni.ClientEvent", title = "a client event" },
    { class = "omni.Estimate", title = "an estimate" }, { class = "omni.Upload", title = "an upload" },
    { class = "omni.Balance", title = "a balance" }, { class = "omni.KeyState", title = "a key's state" },
    { class = "omni.LedgerEntry", title = "a ledger entry" }, { class = "omni.UnknownSubmit", title = "an unknown submit" } },

  { title = "Tasks", text = "A task is one generation job at the service. `client:submit`, `client:task` and `client:query` return a task.",
    { methods = "omni.Task", as = "task" }, { class = "omni.Task", title = "a task" } },

  { title = "Errors", text = "A failed call returns `nil` and an error. [errors.md](errors.md) lists all codes.",
    { fn = "is_error" }, { class = "omni.Error", title = "an error" } },

  { title = "Coroutines", text = [[
omni's own coroutines are called *fibers*. While a fiber waits, other fibers run. [internals/loop.md](internals/loop.md) describes scopes,
and where errors go.]],
    { fn = "run" }, { fn = "spawn" }, { fn = "background" }, { fn = "scope" }, { fn = "on_error" }, { fn = "sleep" }, { fn = "join" },
    { fn = "map" }, { fn = "timeout" }, { methods = "omni.Fiber", as = "fiber", names = { "join", "cancel", "done" } },
    { values = { loop = [[
omni's event loop, as a pollable for other event loops. `omni.loop:pollfd()` returns a descriptor that becomes readable when
`omni.loop:step()` has work to do. `omni.loop:timeout()` returns the number of seconds after which you must call `step` even if the
descriptor isn't readable, or nil. `omni.loop:step()` runs everything that is ready to run, and never waits. `omni.loop:empty()` returns
whether every fiber has ended. [hosts.md](hosts.md) explains how to use these functions, and the modules
`omni.cqueues` and `omni.luv`.]] }, order = { "loop" } } },

  { title = "Boards",
    text = "These functions load, plan and run storyboards from a program. [storyboards.md](storyboards.md) describes the board language.",
    { fn = "load_storyboard" }, { fn = "plan_storyboard" }, { fn = "run_storyboard" }, { fn = "adopt_task" },
    { class = "omni.Storyboard", title = "a board" }, { class = "omni.Plan", title = "a plan" },
    { class = "omni.PlanScene", title = "a planned scene" }, { alias = "omni.Action", title = "Actions of a plan" },
    { class = "omni.RunEvent", title = "a run's event" }, { alias = "omni.SceneStatus", title = "Statuses of a scene" },
    { class = "omni.RunSummary", title = "a run's summary" }, { class = "omni.SceneSummary", title = "a scene's summary" },
    { class = "omni.FilmSummary", title = "a film's summary" } },

  { title = "Jobs", text = [[
A job is a board that any machine can run. The job's files are in the store, and its state is in the ledger.
[machines.md](machines.md#jobs) explains how to use jobs.]],
    { fn = "submit_storyboard" }, { fn = "work" }, { fn = "jobs" }, { fn = "fetch_job" }, { fn = "cancel_job" },
    { class = "omni.Job", title = "a job" }, { alias = "omni.JobState", title = "States of a job" },
    { methods = "omni.Worker", as = "worker" }, { class = "omni.WorkEvent", title = "a worker's event" } },

  { title = "The board language", text = [[
The functions of the board language are global variables on a board, and are also available in the library: `omni.storyboard`,
`omni.scene`, `omni.windows`, `omni.file`, `omni.url`, `omni.last_frame` and `omni.clip`. If a board is invalid, these functions raise an
error with the code `invalid_board`, whose `problems` field lists all mistakes.]],
    { words = { "storyboard", "scene", "windows", "file", "url", "last_frame", "clip" } },
    { class = "omni.SceneFields", title = "a scene" }, { class = "omni.CutFields", title = "a cut" } },

  { title = "Callbacks", text = [[
A receiver accepts the service's callbacks and confirms each with a query. [callbacks.md](callbacks.md) explains how to use a receiver.]],
    { fn = "callbacks" }, { methods = "omni.Receiver", as = "receiver", names = { "handle", "close" } },
    { class = "omni.Receiver", title = "a receiver" },
    { class = "omni.CallbackEvent", title = "a callback event" }, { fn = "parse_callback" } },

  { title = "The sandbox", text = "A sandbox imitates the service on your machine ([sandbox.md](sandbox.md)).",
    { fn = "sandbox" }, { methods = "omni.Sandbox", as = "sandbox" }, { class = "omni.Sandbox", title = "a sandbox" } },

  { title = "Servers and programs", text = "These functions run an HTTP server and start programs; omni itself uses them, too.",
    { fn = "serve" }, { methods = "omni.Server", as = "server" }, { class = "omni.Server", title = "a server" },
    { methods = "omni.Request", as = "request" }, { fn = "process" }, { class = "omni.process.Result", title = "a process result" } },

  { title = "Values", text = "These functions check inputs and represent JSON values.",
    { fn = "check_input" }, { fn = "array" }, { fn = "object" },
    { values = { null = "Represents JSON's `null` in inputs and in `task.raw`.",
      version = "Contains omni's version, such as `\"0.1.0\"`." },
      order = { "null", "version" } } },
}
