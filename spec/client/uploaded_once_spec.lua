-- SPDX-License-Identifier: MIT
-- The same content is uploaded once, as long as the service has it. Also tests omni.file in an input.

local answers = require "helper.answers"
local asked = require "helper.ledger"
local env = require "helper.env"
local omni = require "omni"

local KEY <const> = "ak_" .. ("u"):rep(32)
local PNG <const> = "\137PNG\r\n\26\n" .. ("a lighthouse "):rep(100)

describe("a file's content", function()
  local folder, sandbox, ledger, path

  before_each(function()
    folder = env.directory()
    ledger, path = folder:file "ledger.db", env.write(folder:file "keeper.png", PNG)
    sandbox = assert(omni.sandbox { key = KEY, seconds = 0.05, clips = "builtin" })
  end)
  after_each(function()
    sandbox:close()
    folder:close()
  end)

  local function client_of(more)
    local options = { base_url = sandbox.url, api_key = KEY, ledger = ledger, retry_for = 0 }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(omni.client(options))
  end

  -- Where the files are that the submits named.
  local function named()
    local urls = {}
    for i, task in ipairs(sandbox:ledger().tasks) do urls[i] = task.input.img_urls[1] end
    return urls
  end

  it("is uploaded once: under another name, by another client with the same ledger, in one program without a ledger", function()
    local client <close> = client_of()
    local first = assert(client:upload(path))
    assert.is_false(first.reused)
    local copy = env.write(folder:file "copy of keeper.png", PNG)
    local second = assert(client:upload(copy))
    assert.same({ first.url, true }, { second.url, second.reused })
    assert(assert(client:ledger()):ask "version") -- an upload is written down without waiting: this comes after it
    local other <close> = client_of()
    assert.same({ first.url, true }, { assert(other:upload(path)).url, other:upload(path).reused })
    local none <close> = client_of { ledger = false }
    local fresh = assert(none:upload(path))
    assert.is_false(fresh.reused)
    assert.equal(fresh.url, assert(none:upload(path)).url)
  end)

  it("is uploaded again on request, after its time, and when it has changed", function()
    local client <close> = client_of()
    local first = assert(client:upload(path))
    local again = assert(client:upload(path, { again = true }))
    assert.is_false(again.reused)
    assert.not_equal(first.url, again.url)
    env.write(path, PNG .. "at night")
    assert.is_false(assert(client:upload(path)).reused)
    client:close()
    asked.sqlite3(ledger, "UPDATE upload SET at = at - 7 * 86400 - 1")
    local later <close> = client_of()
    assert.is_false(assert(later:upload(path)).reused)
  end)

  it("is uploaded once by many fibers at the same time", function()
    local client <close> = client_of()
    local urls, reused = {}, 0
    omni.run(function()
      for _ = 1, 20 do
        omni.spawn(function()
          local sent = assert(client:upload(path))
          urls[sent.url] = true
          reused = reused + (sent.reused and 1 or 0)
        end)
      end
    end)
    assert.is_string(next(urls))
    assert.is_nil(next(urls, (next(urls))))
    assert.equal(19, reused)
  end)

  it("may be in an input as omni.file, is uploaded before the submit, and isn't needed for an estimate", function()
    local client <close> = client_of()
    local input = { prompt = "x", img_urls = { omni.file(path) } }
    assert.is_number(assert(client:estimate(input)).credits)
    assert.is_nil(next(sandbox.service.uploads.by_name)) -- no place was asked for
    assert(client:submit(input))
    assert(client:submit(input))
    local urls = named()
    assert.matches("^" .. sandbox.url:gsub("%p", "%%%0") .. "/files/", urls[1])
    assert.equal(urls[1], urls[2])
    assert.is_false(client:upload(path, { again = true }).reused)
    assert.equal("omni.placeholder", getmetatable(input.img_urls[1]).__name) -- the caller's own table is left alone
  end)

  it("that doesn't exist gives an error with the field, and nothing is submitted; a frame isn't allowed here", function()
    local client <close> = client_of()
    local none, problem = client:submit { prompt = "x", img_urls = { omni.file(folder:file "missing.png") } }
    assert.is_nil(none)
    assert.same({ "io", "img_urls[1]" }, { problem.code, problem.field })
    none, problem = client:submit { prompt = "x", img_urls = { omni.last_frame "dusk" } }
    assert.is_nil(none)
    assert.same({ "invalid_input", "img_urls[1]" }, { problem.code, problem.field })
    assert.equal(0, sandbox:ledger().submits)
  end)

  it("that the service has lost is uploaded again, and its refused submit sent again: it is charged once", function()
    local client <close> = client_of()
    assert(client:upload(path))
    client:close()
    asked.sqlite3(ledger, ("UPDATE upload SET url = '%s/files/gone.png'"):format(sandbox.url))
    asked.sqlite3(ledger, "UPDATE upload SET at = at - 100")
    local said = {}
    local later <close> = client_of { on_event = answers.on_warning(function(text) said[#said + 1] = text end) }
    assert(later:submit { prompt = "x", img_urls = { omni.file(path) } })
    assert.equal(1, #said)
    assert.matches("refused a submit with files that were uploaded earlier %(.*img_urls.*nothing was charged", said[1])
    assert.equal(1, sandbox:ledger().submits)
    assert.is_nil(named()[1]:find("gone", 1, true))
    assert.equal("refused|accepted",
      asked.sqlite3(ledger, "SELECT group_concat(state, '|') FROM (SELECT state FROM submit ORDER BY id)"):match "%S+")
  end)

  it("that was just uploaded isn't uploaded again if the service refuses the submit for another reason", function()
    local client <close> = client_of()
    local url = assert(client:upload(path)).url
    client.schemas = false
    local _, problem = client:submit({ prompt = "x", img_urls = { omni.file(path) }, nonsense = 5 }, { model = "kling/v3" })
    assert.equal("invalid_request", problem.code)
    assert.equal("1", asked.sqlite3(ledger, "SELECT count(*) FROM submit"))
    assert.equal(url, assert(client:upload(path)).url)
  end)
end)
