-- SPDX-License-Identifier: MIT
-- The sections of docs/reference.md: which functions, methods and classes stand in each, in this order.
return {
  introduction = [[
After reading this page you can call every function of `require "omni"`. It is written out of the annotations in
`lua/omni/`; a test fails when it is stale, and runs every example. The examples assume these lines:

```lua
local omni = require "omni"
local sandbox <close> = assert(omni.sandbox { seconds = 0.1 })
local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key })
```

Conventions:

* A failure at run time returns `nil` and an [error](#fields-of-an-error). A misuse (a wrong type, an unknown option)
  raises an error at your line.
* Times are seconds, sizes are bytes, prices are credits.
* A function that waits lets other coroutines run. Outside of `omni.run` it blocks until it is done.
* You can use `<close>` variables for objects that have a `close` method.]],

  { title = "Client", text = "A client submits tasks with one or several API keys.",
    { fn = "client" },
    { methods = "omni.Client", as = "client", names = { "submit", "task", "query", "call", "estimate", "balance", "balances", "keys",
      "upload", "models", "model", "templates", "find", "unfinished", "unknown_submits", "close" } },
    { class = "omni.Client", title = "a client" },
    { class = "omni.ClientEvent", title = "a client event" },
    { class = "omni.Estimate", title = "an estimate" }, { class = "omni.Upload", title = "an upload" },
    { class = "omni.Balance", title = "a balance" }, { class = "omni.KeyState", title = "a key's state" },
    { class = "omni.LedgerEntry", title = "a ledger entry" }, { class = "omni.UnknownSubmit", title = "an unknown submit" } },

  { title = "Tasks", text = "A task is one generation job at the service. `client:submit`, `client:task` and `client:query` return one.",
    { methods = "omni.Task", as = "task" }, { class = "omni.Task", title = "a task" } },

  { title = "Errors", text = "What a failed function returns beside `nil`. [errors.md](errors.md) lists all codes.",
    { fn = "is_error" }, { class = "omni.Error", title = "an error" } },

  { title = "Coroutines", text = [[
omni's own coroutines, called *fibers*: a fiber that waits lets the others run. [internals/loop.md](internals/loop.md) describes scopes, and
where errors go.]],
    { fn = "run" }, { fn = "spawn" }, { fn = "background" }, { fn = "scope" }, { fn = "on_error" }, { fn = "sleep" }, { fn = "join" },
    { fn = "map" }, { fn = "timeout" }, { methods = "omni.Fiber", as = "fiber", names = { "join", "cancel", "done" } },
    { values = { loop = [[
The loop itself, as a pollable for other event loops: `omni.loop:pollfd()` returns a descriptor that is readable when
`omni.loop:step()` has work, `omni.loop:timeout()` the seconds until `step` must be called anyway, or nil.
`omni.loop:step()` does the work that is ready and never waits; `omni.loop:empty()` returns whether every fiber has ended. See
[hosts.md](hosts.md), also for the modules `omni.cqueues` and `omni.luv`.]] }, order = { "loop" } } },

  { title = "Boards",
    text = "Loading, planning and running storyboards from a program. [storyboards.md](storyboards.md) describes the language.",
    { fn = "load_storyboard" }, { fn = "plan_storyboard" }, { fn = "run_storyboard" }, { fn = "adopt_task" },
    { class = "omni.Storyboard", title = "a board" }, { class = "omni.Plan", title = "a plan" },
    { class = "omni.PlanScene", title = "a planned scene" }, { alias = "omni.Action", title = "Actions of a plan" },
    { class = "omni.RunEvent", title = "a run's event" }, { alias = "omni.SceneStatus", title = "Statuses of a scene" },
    { class = "omni.RunSummary", title = "a run's summary" }, { class = "omni.SceneSummary", title = "a scene's summary" },
    { class = "omni.FilmSummary", title = "a film's summary" } },

  { title = "The board language", text = [[
These words are globals of a board file, and functions of `omni`: `omni.storyboard`, `omni.scene`, `omni.windows`,
`omni.file`, `omni.url`, `omni.last_frame`, `omni.clip`. A wrong board raises an error with the code `invalid_board`,
whose `problems` lists everything that is wrong.]],
    { words = { "storyboard", "scene", "windows", "file", "url", "last_frame", "clip" } },
    { class = "omni.SceneFields", title = "a scene" }, { class = "omni.CutFields", title = "a cut" } },

  { title = "Callbacks", text = "A receiver takes the service's callbacks and confirms each by a query. See [callbacks.md](callbacks.md).",
    { fn = "callbacks" }, { methods = "omni.Receiver", as = "receiver", names = { "handle", "close" } },
    { class = "omni.Receiver", title = "a receiver" },
    { class = "omni.CallbackEvent", title = "a callback event" }, { fn = "parse_callback" } },

  { title = "The sandbox", text = "A local stand-in for the service. See [sandbox.md](sandbox.md).",
    { fn = "sandbox" }, { methods = "omni.Sandbox", as = "sandbox" }, { class = "omni.Sandbox", title = "a sandbox" } },

  { title = "Servers and programs", text = "The HTTP server and the process runner that omni itself uses.",
    { fn = "serve" }, { methods = "omni.Server", as = "server" }, { class = "omni.Server", title = "a server" },
    { methods = "omni.Request", as = "request" }, { fn = "process" }, { class = "omni.process.Result", title = "a process result" } },

  { title = "Values", text = "What remains.",
    { fn = "check_input" }, { fn = "array" }, { fn = "object" },
    { values = { null = "JSON's `null`, in inputs and in `task.raw`.", version = "omni's version, such as `\"0.1.0\"`." },
      order = { "null", "version" } } },
}
