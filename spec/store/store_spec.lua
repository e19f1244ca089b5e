-- SPDX-License-Identifier: MIT
-- Machines that share a ledger share the files that one of them has fetched, through a store: a folder, or a bucket of an S3 server.

local answers = require "helper.answers"
local core = require "omni.core"
local env = require "helper.env"
local fickle = require "helper.fickle"
local omni = require "omni"
local s3 = require "helper.s3"
local studio = require "helper.studio"

-- A store for specs. `address` is its address, `objects()` lists the files that contain its objects, `close` ends it.
local kinds <const> = {
  { name = "a folder", open = function()
    local folder = env.directory()
    return {
      address = folder.path, environment = {},
      objects = function() return env.lines(("find %s -type f | LC_ALL=C sort"):format(env.quote(folder.path))) end,
      close = function() folder:close() end,
    }
  end },
  { name = "a bucket", missing = not s3.is_there and "the npm package s3rver isn't installed" or nil, open = function()
    local server = s3.open()
    return {
      address = "s3://clips/films/2026", environment = server:environment(),
      objects = function() return server:objects() end, close = function() server:close() end,
    }
  end },
}

local getenv <const> = os.getenv

for _, kind in ipairs(kinds) do
  describe("a store in " .. kind.name, function()
    if kind.missing then
      pending("shares files: " .. kind.missing)
      return
    end
    local store
    before_each(function()
      store = kind.open()
      os.getenv = function(name) -- luacheck: ignore 122
        if store.environment[name] then return store.environment[name] end
        return getenv(name)
      end
    end)
    after_each(function()
      os.getenv = getenv -- luacheck: ignore 122
      store.close()
    end)

    -- The objects without the one with which omni checks the store.
    local function objects()
      local list = {}
      for _, path in ipairs(store.objects()) do
        if not env.read(path):find "^omni keeps files here" then list[#list + 1] = path end
      end
      return list
    end

    -- Opens a service, and a board with two scenes. The body's second argument plans and runs the board on the machine with a name.
    local function with_service(body)
      local replaced <close> = studio.without_ffmpeg() -- luacheck: ignore 211
      fickle.open({}, function(service)
        local queries, warnings = 0, {}
        service.on_query = function() queries = queries + 1 end
        local board, here = fickle.board({}, "dusk", "dawn"), nil
        -- Returns the output folder of a machine, and hides the folder of the machine before, since machines don't see each other's files.
        local function folder_of(name)
          if here and here ~= name then os.rename(service.directory .. here, service.directory .. here .. ".hidden") end
          if here ~= name then os.rename(service.directory .. name .. ".hidden", service.directory .. name) end
          here = name
          return service.directory .. name
        end
        -- the S3 server may respond with 500 if both scenes put the same object at the same time
        local client_options = { store = store.address, retry_for = 1,
          on_event = answers.on_warning(function(text) warnings[#warnings + 1] = text end) }
        body(service, {
          queries = function() return queries end, warnings = warnings, options = client_options,
          plan = function(name) return service:plan(board, { directory = folder_of(name) }, client_options) end,
          run = function(name, more)
            return service:run(board, { directory = folder_of(name) }, more or client_options)
          end,
        })
      end)
    end

    it("gives a second machine the clips: it pays nothing, and asks the service for nothing", function()
      with_service(function(service, room)
        local first = assert(room.run "-one")
        assert.same({ "fetched", "fetched" }, studio.statuses(first))
        assert.equal(1, #objects()) -- the service makes both scenes of the same bytes
        local asked = room.queries()
        service.media = 404
        local second = assert(room.run "-two")
        assert.same({ "fetched", "fetched" }, studio.statuses(second))
        assert.equal(0, second.credits + second.estimated)
        assert.same({ 2, asked, {} }, { #service.submits, room.queries(), room.warnings })
        assert.not_equal(first.scenes[1].file, second.scenes[1].file)
        local clip = env.read(second.scenes[1].file)
        assert.same({ "reuse", "reuse" }, studio.statuses(room.plan "-one"))
        assert.equal(clip, env.read(first.scenes[1].file))
        assert.same({ "reuse", "reuse" }, studio.statuses(room.plan "-two"))
      end)
    end)

    it("gives the clips of a scene whose media has expired at the service", function()
      with_service(function(service, room)
        assert(room.run "-one")
        service:sql "UPDATE submit SET state = 'gone'"
        service.media = 404
        assert.same({ "fetch", "fetch" }, studio.statuses(room.plan "-two"))
        assert.matches("is missing; the store has it", room.plan("-two").scenes[1].why)
        assert.same({ "fetched", "fetched" }, studio.statuses(assert(room.run "-two")))
        assert.equal(2, #service.submits)
      end)
    end)

    it("without the object, the service is asked, and the object is put there again", function()
      with_service(function(service, room)
        assert(room.run "-one")
        os.remove(objects()[1])
        assert.same({ "fetched", "fetched" }, studio.statuses(assert(room.run "-two")))
        assert.same({ 2, 1, {} }, { #service.submits, #objects(), room.warnings })
        os.remove(objects()[1])
        assert.same({ "reused", "reused" }, studio.statuses(assert(room.run "-one")))
        assert.equal(1, #objects())
        service:sql "UPDATE submit SET state = 'gone'"
        os.remove(objects()[1])
        assert.same({ "expired", "expired" }, studio.statuses(room.plan "-three"))
      end)
    end)

    for name, spoil in pairs {
      ["was cut short"] = function(bytes) return bytes:sub(1, 100) end,
      ["has other bytes"] = function(bytes) return bytes:sub(1, -2) .. "x" end,
    } do
      it("never uses an object that " .. name .. ", and replaces it by the right one", function()
        with_service(function(service, room)
          local first = assert(room.run "-one")
          local right = env.read(first.scenes[1].file)
          env.write(objects()[1], (spoil(right)))
          local second = assert(room.run "-two")
          assert.same({ "fetched", "fetched" }, studio.statuses(second))
          assert.equal(right, env.read(second.scenes[1].file))
          assert.equal(2, #service.submits)
          assert.equal(right, env.read(objects()[1]))
          if #spoil(right) == #right then assert.matches("wrong content for the file %x+; omni doesn't use it", room.warnings[1]) end
        end)
      end)
    end

    it("with a wrong object, and without the clip at the service, gives an error and costs nothing", function()
      with_service(function(service, room)
        local first = assert(room.run "-one")
        env.write(objects()[1], (env.read(first.scenes[1].file):gsub(".$", "x")))
        service.media = 404
        local second = assert(room.run "-two")
        assert.same({ "failed", "failed" }, studio.statuses(second))
        assert.equal(2, #service.submits)
        assert.same({}, env.lines(("find %s-two -name '*.mp4'"):format(env.quote(service.directory))))
      end)
    end)

    it("serves two machines that run one board at the same time: each scene is paid for once", function()
      with_service(function(service, room)
        local board, fibers, summaries = fickle.board({}, "dusk", "noon", "dawn"), {}, {}
        -- The test's S3 server sometimes responds with 500 if two clients put the same object at the same time.
        room.options.retry_for, room.options.retry_min = 60, 0.01
        for i = 1, 2 do
          fibers[i] = omni.spawn(function()
            summaries[i] = assert(service:run(board, { directory = service.directory .. i }, room.options))
          end)
        end
        omni.join(table.unpack(fibers))
        assert.equal(3, #service.submits)
        for i = 1, 2 do
          for _, scene in ipairs(summaries[i].scenes) do assert.is_string(env.read(scene.file)) end
        end
        assert.same({ 1, {} }, { #objects(), room.warnings })
      end)
    end)

    it("gets the files that an application saves, and gives them back", function()
      with_service(function(service, room)
        local client <close> = service:client(room.options)
        local task = assert(assert(client:submit { prompt = "a" }):result())
        local path = service.directory .. "-clip.mp4"
        assert(task:save(path, { store = false }))
        assert.equal(0, #objects())
        assert(task:save(path))
        assert.equal(1, #objects())
        service.media = 404
        local other <close> = service:client(room.options)
        local again = assert(other:task(task.id):result())
        assert.equal(service.directory .. "-copy.mp4", assert(again:save(service.directory .. "-copy.mp4")))
        assert.equal(core.sha256(env.read(path)), core.sha256(env.read(service.directory .. "-copy.mp4")))
        local none <close> = service:client { store = false }
        local _, problem = assert(none:task(task.id):result()):save(service.directory .. "-none.mp4")
        assert.equal("media_gone", problem.code)
      end)
    end)

    it("keeps a person's own file that has a clip's name", function()
      with_service(function(service, room)
        local first = assert(room.run "-one")
        local clip, name = env.read(first.scenes[1].file), first.scenes[1].file:match "[^/]*$"
        env.output(("mkdir -p %s-two/media"):format(env.quote(service.directory)))
        env.write(service.directory .. "-two/media/" .. name, "my own")
        local second = assert(room.run "-two")
        assert.equal(clip, env.read(second.scenes[1].file))
        assert.equal("my own", env.read(("%s-two/media/%s"):format(service.directory, (name:gsub("%.mp4$", " (older 1).mp4")))))
      end)
    end)

    it("that ends during a run is only a warning: the clips are paid for, and are here", function()
      with_service(function(service, room)
        service.on_accept = function() store.close() end
        assert.same({ "fetched", "fetched" }, studio.statuses(assert(room.run "-one")))
        assert.matches("some files are not in the store, and the next run puts them there: the store ", room.warnings[1])
      end)
    end)

    it("that can't be used refuses a run before anything is paid", function()
      store.close()
      with_service(function(service, room)
        local summary, problem = room.run "-one"
        assert.is_nil(summary)
        assert.equal("store_failed", problem.code)
        assert.matches("^nothing was submitted: the store ", problem.message)
        assert.equal(0, #service.submits)
      end)
    end)
  end)
end

describe("the uploads of references", function()
  it("are known to all machines with the same ledger", function()
    fickle.open({}, function(service)
      local files = 0
      service.on_other = function(request)
        if request:path():find "/upload%-url$" then
          files = files + 1
          local url = ("%s/put/%d"):format(service.url, files)
          return 200, { ["Content-Type"] = "application/json" },
            core.json.encode { code = 200, message = "success", data = { presigned_url = url, file_url = url } }
        end
        return 200, {}, ""
      end
      local picture = env.write(service.directory .. ".png", "\137PNG\r\n\26\n" .. ("lighthouse "):rep(40))
      local one <close> = service:client()
      local first = assert(one:upload(picture))
      assert(one:ledger():ask "version") -- omni records an upload without waiting; this verb comes after it
      local copy = env.write(service.directory .. "-copy.png", env.read(picture))
      local two <close> = service:client()
      local second = assert(two:upload(copy))
      assert.same({ first.url, true, 1 }, { second.url, second.reused, files })
    end)
  end)
end)

describe("a client's option 'store'", function()
  it("must be the path of a folder or an address of S3", function()
    for _, wrong in ipairs { "", "s3://", "s3://X/y", "s3://clips/a b", "s3://clips/../x", "https://host/clips", 5 } do
      assert.has_error(function() omni.client { api_key = answers.KEY, store = wrong } end)
    end
  end)

  it("comes from OMNI_STORE, but not in a sandbox", function()
    os.getenv = function(name) return name == "OMNI_STORE" and "/tmp/clips" or getenv(name) end -- luacheck: ignore 122
    local real <close> = assert(omni.client { api_key = answers.KEY, ledger = false })
    local sandbox <close> = assert(omni.client { api_key = require("omni.client.credentials").sandbox_key(1) })
    os.getenv = getenv -- luacheck: ignore 122
    assert.equal("/tmp/clips", real.store.address)
    assert.is_nil(sandbox.store)
  end)
end)
