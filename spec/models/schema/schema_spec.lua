-- SPDX-License-Identifier: MIT
-- Inputs against JSON Schemas: each keyword, ignored keywords, the copy, and hostile schemas.
local json = require "omni.json"
local placeholder = require "omni.client.placeholder"
local schema = require "omni.models.schema"

local null <const> = json.null

-- Returns the schema of an input whose field `a` has this schema.
local function field(of_a) return { type = "object", properties = { a = of_a } } end

local function fits(node, input, opts)
  local copy, problem, why = schema.check(node, input, opts)
  assert.is_nil(problem and problem.message)
  assert.is_nil(why)
  return copy
end

local function misfit(node, input, opts)
  local copy, problem = schema.check(node, input, opts)
  assert.is_nil(copy)
  assert.equal("invalid_input", problem.code)
  assert.equal(problem.field .. ": ", problem.message:sub(1, #problem.field + 2))
  return problem
end

-- keyword → schema of `a`, matching values, { wrong value, message after "a: " }
local keywords = {
  ["type"] = { { type = "string" }, { "", "x" },
    { { 5, "must be a string, not 5" }, { true, "must be a string, not true" }, { {}, "must be a string, not a table" },
      { null, "must be a string, not null" } } },
  ["type integer"] = { { type = "integer" }, { 0, -3, 8.0 },
    { { 8.5, "must be a whole number, not 8.5" }, { "8", "must be a whole number, not '8'" } } },
  ["type number"] = { { type = "number" }, { 0, 0.5 }, { { "0.5", "must be a number, not '0.5'" } } },
  ["type boolean"] = { { type = "boolean" }, { true, false },
    { { "true", "must be true or false, not 'true'" }, { 1, "must be true or false, not 1" } } },
  ["type null"] = { { type = "null" }, { null }, { { 0, "must be null, not 0" } } },
  ["type array"] = { { type = "array" }, { {}, { 1 } },
    { { "x", "must be an array, not 'x'" }, { { b = 1 }, "must be an array, not a table" } } },
  ["type object"] = { { type = "object", required = { "z" }, properties = { b = {}, z = {} } }, { { z = 1 } },
    { { "x", "must be a table { z, b }, not 'x'" }, { { 1 }, "must be a table { z, b }, not an array" } } },
  ["several types"] = { { type = { "integer", "string", "null" } }, { 1, "1", null },
    { { 1.5, "must be a whole number, a string or null, not 1.5" } } },
  ["a type that nobody knows"] = { { type = { "file", "string" } }, { 5, "x", {} }, {} },
  ["nullable"] = { { type = "string", nullable = true, enum = { "x" } }, { "x", null }, { { "y", "must be x, not 'y'" } } },
  ["enum"] = { { type = "string", enum = { "std", "pro" } }, { "std" },
    { { "PRO", "must be std or pro, not 'PRO'" }, { 1, "must be std or pro, not 1" } } },
  ["enum of all kinds"] = { { enum = { 4, 2.5, true, null, { 1, { b = 2 } } } }, { 4.0, 2.5, true, null, { 1, { b = 2 } } },
    { { "4", 'must be 4, 2.5, true, null or [1,{"b":2}], not \'4\'' }, { { 1, { b = 3 } }, "must be 4, 2.5" }, { { 1, {} }, "must be" } } },
  ["const"] = { { const = "x" }, { "x" }, { { "y", "must be x, not 'y'" } } },
  ["minLength"] = { { minLength = 2 }, { "éé", 1 }, { { "é", "must have at least 2 characters, not 1" } } },
  ["maxLength"] = { { maxLength = 1 }, { "é" }, { { "ab", "must have at most 1 character, not 2" } } },
  ["both lengths"] = { { minLength = 1, maxLength = 3 }, { "abc" }, { { "", "must have 1 to 3 characters, not 0" } } },
  ["one length"] = { { minLength = 3, maxLength = 3 }, { "abc" }, { { "ab", "must have exactly 3 characters, not 2" } } },
  ["format uri"] = { { type = "string", format = "uri" }, { "https://h.org/a.png" },
    { { "a.png", "must be a public http(s) URL, not 'a.png'" }, { 5, "must be a URL (http or https), not 5" },
      { "data:image/png;base64,AA", "must be a public http(s) URL; the service takes no data: URIs" } } },
  ["format url"] = { { format = "url" }, { "http://h.org/" }, { { "file:///etc/passwd", "must be a public http(s) URL" } } },
  ["another format"] = { { format = "date-time" }, { "yesterday" }, {} },
  ["minimum"] = { { minimum = 0 }, { 0, "x" }, { { -1, "must be 0 or more, not -1" } } },
  ["maximum"] = { { maximum = 1.5 }, { 1.5 }, { { 2, "must be 1.5 or less, not 2" } } },
  ["a range"] = { { minimum = 0, maximum = 1 }, { 0, 1 }, { { 1.01, "must be from 0 to 1, not 1.01" } } },
  ["exclusive limits"] = { { exclusiveMinimum = -10, exclusiveMaximum = 10 }, { -9 },
    { { 10, "must be more than -10 and less than 10, not 10" } } },
  ["an exclusive minimum"] = { { minimum = 0, exclusiveMinimum = 0 }, { 1 }, { { 0, "must be more than 0, not 0" } } },
  ["an exclusive maximum beside a looser one"] = { { maximum = 9, exclusiveMaximum = 5 }, { 4 }, { { 5, "must be less than 5, not 5" } } },
  ["multipleOf"] = { { multipleOf = 0.1 }, { 0.3, 1.1, 0 }, { { 0.25, "must be a multiple of 0.1, not 0.25" } } },
  ["minItems"] = { { type = "array", minItems = 1 }, { { 1 } }, { { {}, "takes at least 1 item, not 0" } } },
  ["maxItems"] = { { type = "array", maxItems = 2 }, { {}, { 1, 2 } }, { { { 1, 2, 3 }, "takes at most 2 items, not 3" } } },
  ["a number of items"] = { { minItems = 1, maxItems = 2 }, { { 1 } }, { { { 1, 2, 3 }, "takes 1 to 2 items, not 3" } } },
  ["minProperties"] = { { minProperties = 2 }, { { b = 1, c = 2 } }, { { { b = 1 }, "takes at least 2 fields, not 1" } } },
  ["maxProperties"] = { { maxProperties = 1 }, { { b = 1 } }, { { { b = 1, c = 2 }, "takes at most 1 field, not 2" } } },
  ["allOf"] = { { allOf = { { minimum = 1 }, { maximum = 2 } } }, { 1 }, { { 3, "must be 2 or less, not 3" } } },
  ["anyOf of kinds"] = { { anyOf = { { type = "string" }, { type = "null" } } }, { "x", null },
    { { 5, "must be a string or null, not 5" } } },
  ["anyOf of a kind and null"] = { { anyOf = { { type = "integer", minimum = 1 }, { type = "null" } } }, { 1, null },
    { { 0, "must be 1 or more, not 0" }, { "x", "must be a whole number or null, not 'x'" } } },
  ["oneOf of choices"] = { { oneOf = { { const = "a", title = "A" }, { const = "b" } } }, { "a", "b" },
    { { "c", "must be a or b, not 'c'" } } },
  ["oneOf of which several fit"] = { { oneOf = { { minimum = 1 }, { minimum = 2 } } }, { 1 },
    { { 3, "matches several alternatives that exclude each other" } } },
  ["false"] = { false, {}, { { 1, "must not be given" } } },
  ["true"] = { true, { 1, "x", {} }, {} },
}

describe("the keyword", function()
  for what, row in pairs(keywords) do
    it(what .. " is checked", function()
      for _, value in ipairs(row[2]) do fits(field(row[1]), { a = value }) end
      for _, case in ipairs(row[3]) do
        local problem = misfit(field(row[1]), { a = case[1] })
        assert.equal("a", problem.field)
        assert.equal(case[2], problem.message:sub(4, 3 + #case[2]))
      end
    end)
  end

  it("that the check doesn't support allows every value; the service may refuse it", function()
    for name, value in pairs { pattern = "^[a-z]+$", ["not"] = { const = "A" }, ["if"] = true, ["then"] = false, propertyNames = false,
      dependencies = { b = { "c" } }, dependentRequired = { b = { "c" } }, dependentSchemas = { b = false }, contains = { const = 1 } } do
      for _, a in ipairs { "A", { b = 1 }, { 2 } } do fits(field { [name] = value }, { a = a }) end
    end
  end)
end)

describe("in arrays", function()
  local function of_list(node) return field(node) end

  it("each item is checked, and named by its number", function()
    local item = { type = "object", required = { "url" }, properties = { url = { type = "string" } } }
    local node = of_list { type = "array", items = item }
    fits(node, { a = { { url = "x" }, { url = "y" } } })
    assert.equal("a[2].url: must be a string, not 5", misfit(node, { a = { { url = "x" }, { url = 5 } } }).message)
    assert.equal("a[1].url: is required", misfit(node, { a = { {} } }).message)
    assert.equal("a: must be an array of { url }, not 'x'", misfit(node, { a = "x" }).message)
  end)

  it("each position may have its own schema, in the new form and in the old one", function()
    for _, node in ipairs { of_list { prefixItems = { { type = "string" }, { type = "integer" } }, items = false },
      of_list { items = { { type = "string" }, { type = "integer" } }, additionalItems = false } } do
      fits(node, { a = { "x", 1 } })
      assert.equal("a[2]: must be a whole number, not 'y'", misfit(node, { a = { "x", "y" } }).message)
      assert.equal("a: takes at most 2 items, not 3", misfit(node, { a = { "x", 1, 2 } }).message)
    end
    local node = of_list { prefixItems = { true }, items = { type = "string" } }
    assert.equal("a[3]", misfit(node, { a = { 1, "x", 2 } }).field)
  end)

  it("items may have to differ; tables are compared by their content", function()
    local node = of_list { uniqueItems = true }
    fits(node, { a = { 1, "1", { 1 }, { b = 1 }, { b = 2 }, true } })
    assert.equal("a[3]: is the same as a[1]; no item may be repeated", misfit(node, { a = { "x", "y", "x" } }).message)
    assert.equal("a[2]", misfit(node, { a = { { b = 1, c = { 2 } }, { c = { 2.0 }, b = 1 } } }).field)
    assert.equal("a[2]", misfit(node, { a = { placeholder.file "x", placeholder.file "x" } }, { placeholders = true }).field)
    fits(node, { a = { placeholder.file "x", placeholder.file "y" } }, { placeholders = true })
  end)
end)

describe("of an object's fields", function()
  local closed = { additionalProperties = false, required = { "prompt" }, properties = { prompt = {}, cfg_scale = {}, mode = {} } }

  it("an unknown one is refused if no others are allowed, with the most similar name", function()
    assert.equal("mdoe: unknown field; did you mean 'mode'?", misfit(closed, { prompt = 1, mdoe = 1 }).message)
    assert.equal("zzzzzzzz: unknown field; known are: cfg_scale, mode, prompt", misfit(closed, { prompt = 1, zzzzzzzz = 1 }).message)
    assert.equal("a.b: unknown field; none are known here", misfit(field { additionalProperties = false }, { a = { b = 1 } }).message)
  end)

  it("an unknown one must match the schema of other fields", function()
    local node = { properties = { a = {} }, additionalProperties = { type = "integer" } }
    fits(node, { a = "x", other = 1 })
    assert.equal("other: must be a whole number, not 'x'", misfit(node, { other = "x" }).message)
  end)

  it("an unknown one is accepted if the schema doesn't forbid it, unless it is a misspelling", function()
    local open = { properties = { cfg_scale = {}, mode = {}, speed = {}, negative_prompt = {}, fps = {} } }
    for _, name in ipairs { "seeds", "style", "prompt", "model_version", "fp", "scale", ("m"):rep(100) } do fits(open, { [name] = 1 }) end
    for slip, meant in pairs { cfgScale = "cfg_scale", ["cfg-scale"] = "cfg_scale", CFG_SCALE = "cfg_scale", moed = "mode", modes = "mode",
      negativ_prompt = "negative_prompt", negtive_promt = "negative_prompt", sped = "speed" } do
      local problem = misfit(open, { [slip] = 1 })
      assert.equal(("%s: unknown field; did you mean '%s'?"):format(slip, meant), problem.message)
      assert.matches("schemas = false", problem.hint)
    end
    fits(open, { sped = 2, speed = 3 }) -- what is given isn't meant
  end)

  it("the names in every part of a schema are known", function()
    local node = {
      ["$ref"] = "#/$defs/base", allOf = { { properties = { modes = {} } } }, anyOf = { { properties = { modem = {} } }, {} },
      ["if"] = { properties = { moder = {} } }, ["then"] = { properties = { modet = {} } }, ["else"] = { properties = { modey = {} } },
      dependentSchemas = { x = { properties = { modex = {} } } }, properties = { mode = {} },
      ["$defs"] = { base = { properties = { mods = {} } } },
    }
    for _, name in ipairs { "modes", "modem", "moder", "modet", "modey", "modex", "mods" } do fits(node, { [name] = 1 }) end
    assert.equal("modez", misfit(node, { modez = 1 }).field)
  end)

  it("every name is accepted beside patternProperties, which aren't checked", function()
    local node = { properties = { a = { type = "integer" } }, patternProperties = { ["^x_"] = {} }, additionalProperties = false }
    fits(node, { a = 1, x_a = 1, b = "x" })
    assert.equal("a: must be a whole number, not 'q'", misfit(node, { a = "q" }).message)
  end)

  it("a missing one is reported after all wrong ones", function()
    assert.equal("prompt: is required", misfit(closed, {}).message)
    assert.equal("prompt", misfit(closed, { mode = 1 }).field)
    assert.equal("mod", misfit(closed, { mod = 1 }).field)
    fits(closed, { prompt = null })
  end)

  it("the same one of several wrong ones is always reported", function()
    for _ = 1, 20 do
      assert.equal("zz", misfit(closed, { zz = 1, mode = 2 }).field)
      local text = { type = "string" }
      local node = { required = { "z", "y" }, properties = { a = text, y = text, z = text } }
      assert.equal("z", misfit(node, { a = 1, y = 2, z = 3 }).field)
      assert.equal("a", misfit(node, { a = 1, b = 1, c = 1 }).field)
    end
  end)
end)

describe("of several alternatives", function()
  local media = { oneOf = { { required = { "image_url" } }, { required = { "video_url" } } } }
  local shapes = field { oneOf = {
    { type = "object", required = { "kind", "r" }, properties = { kind = { const = "circle" }, r = { type = "number" } } },
    { type = "object", required = { "kind", "w" }, properties = { kind = { const = "square" }, w = { type = "number" } } },
  } }

  it("that require one field each, the message names all of these fields", function()
    fits(media, { image_url = "x" })
    assert.equal("image_url: is required when there is no video_url", misfit(media, { other = 1 }).message)
    assert.equal("video_url: can't be given together with image_url", misfit(media, { image_url = "x", video_url = "y" }).message)
    local three = { oneOf = { { required = { "a", "b" } }, { required = { "c" } } } }
    assert.equal("c: can't be given together with a and b", misfit(three, { a = 1, b = 1, c = 1 }).message)
  end)

  it("the message is about the one that was meant", function()
    fits(shapes, { a = { kind = "square", w = 1 } })
    assert.equal("a.w: is required", misfit(shapes, { a = { kind = "square", r = 1 } }).message)
    assert.equal("a.r: must be a number, not 'x'", misfit(shapes, { a = { kind = "circle", r = "x" } }).message)
    assert.equal("a.kind: must be circle or square, not 'tri'", misfit(shapes, { a = { kind = "tri" } }).message)
    assert.equal("a.kind: is required", misfit(shapes, { a = {} }).message)
    assert.equal("a: must be a table { kind, r } or a table { kind, w }, not 5", misfit(shapes, { a = 5 }).message)
  end)
end)

describe("references", function()
  it("lead to any place of the schema, escaped or not", function()
    local node = { properties = { a = { ["$ref"] = "#/$defs/a~1b%20c" }, b = { ["$ref"] = "#/definitions/list/1" } },
      ["$defs"] = { ["a/b c"] = { type = "string" } }, definitions = { list = { true, { type = "integer" } } } }
    assert.equal("a: must be a string, not 5", misfit(node, { a = 5 }).message)
    assert.equal("b: must be a whole number, not 'x'", misfit(node, { b = "x" }).message)
  end)

  it("may be recursive, for nested values", function()
    local node = { ["$ref"] = "#/$defs/shot", ["$defs"] = { shot = {
      type = "object", required = { "x" }, properties = { x = { type = "string" }, next = { ["$ref"] = "#/$defs/shot" } } } } }
    fits(node, { x = "1", next = { x = "2", next = { x = "3" } } })
    assert.equal("next.next.x: must be a string, not 3", misfit(node, { x = "1", next = { x = "2", next = { x = 3 } } }).message)
  end)

  it("to a missing part or another document are ignored", function()
    for _, reference in ipairs { "#/$defs/none", "#none", "other.json", "https://h.org/schema", "", "#/$defs/a/b/c", 5 } do
      fits(field { ["$ref"] = reference }, { a = 1 })
    end
  end)
end)

describe("the copy", function()
  local node = {
    properties = {
      count = { type = "integer" }, list = { type = "array" }, map = { type = "object" }, open = {},
      either = { type = { "array", "object" } },
      deep = { type = "array", items = { type = "array" } }, union = { anyOf = { { type = "array", minItems = 1 }, { type = "object" } } },
    },
  }

  it("has integers for whole numbers, and empty tables marked by the schema", function()
    local given = { count = 8.0, list = {}, map = {}, open = {}, either = {}, deep = { {}, { {} } }, union = {} }
    local copy = fits(node, given)
    assert.equal("integer", math.type(copy.count))
    assert.equal('{"count":8,"deep":[[],[{}]],"either":{},"list":[],"map":{},"open":{},"union":{}}', json.encode(copy, "input"))
    assert.equal("float", math.type(given.count))
    assert.is_nil(getmetatable(given.list))
  end)

  it("keeps the mark of a marked table", function()
    assert.equal("[]", json.encode(fits(node, { open = json.array {} }).open, "open"))
    assert.equal("[]", json.encode(fits(node, { either = json.array {} }).either, "either"))
    assert.equal("map: must be a table, not an array", misfit(node, { map = json.array {} }).message)
    assert.equal("list", misfit(node, { list = json.object {} }).field)
  end)

  it("keeps the marks when its placeholders are replaced", function()
    local listed = { properties = { list = { type = "array" }, img = { type = "string" } } }
    local copy = fits(listed, { list = {}, img = placeholder.file "a.png" }, { placeholders = true })
    assert.equal('{"img":"u","list":[]}', json.encode(placeholder.map(copy, function() return "u" end), "input"))
  end)

  it("shares no table with the input", function()
    local given = { open = { { x = 1 } } }
    local copy = fits(node, given)
    copy.open[1].x = 2
    assert.equal(1, given.open[1].x)
  end)
end)

describe("placeholders", function()
  local node = { properties = {
    image = { type = "string", format = "uri" }, plain = { type = "string" }, list = { type = "array", items = { type = "string" } },
    mode = { type = "string", enum = { "a" } }, day = { type = "string", format = "date" }, count = { type = "integer" }, free = {},
  } }
  local file <const> = placeholder.file "a.png"

  it("can replace a URL", function()
    local copy = fits(node, { image = file, plain = file, list = { file, "x" }, free = file }, { placeholders = true })
    assert.is_true(placeholder.is(copy.image) and placeholder.is(copy.plain) and placeholder.is(copy.list[1]) and placeholder.is(copy.free))
  end)

  it("can replace nothing else", function()
    for name, wanted in pairs { mode = "must be a, not a file", day = "must be a string, not a file",
      count = "must be a whole number, not a file", list = "must be an array of strings, not a file" } do
      assert.equal(name .. ": " .. wanted, misfit(node, { [name] = file }, { placeholders = true }).message)
    end
    assert.equal("input: must be a table of fields, not a file", misfit(node, file, { placeholders = true }).message)
  end)

  it("aren't ready to send", function()
    local problem = misfit(node, { list = { "x", file } })
    assert.equal('list[2]: has no URL yet (file "a.png")', problem.message)
    assert.equal("client:upload(path) returns a URL", problem.hint)
  end)
end)

describe("the input itself", function()
  it("is an object, even when it is empty", function()
    assert.equal("input: must be an array, not a table", misfit({ type = "array" }, {}).message)
    fits({ minItems = 1 }, {})
  end)
end)

describe("a value that can't be sent is refused by every schema:", function()
  local endless = {}
  endless.a = endless
  local cases = {
    ["no table"] = { "x", "input", "must be a table of fields, not 'x'" },
    ["an array"] = { { "x" }, "input", "must be a table of fields, not an array" },
    ["a hole"] = { { a = { 1, nil, 3 } }, "a", "without holes" },
    ["names and numbers"] = { { a = { 1, b = 1 } }, "a", "must be an array" },
    ["NaN"] = { { a = { 0 / 0 } }, "a[1]", "finite" },
    ["a string that isn't UTF-8"] = { { a = "ab\xff" }, "a", "wrong byte at position 3" },
    ["a function"] = { { a = print }, "a", "it is a function" },
    ["a table in itself"] = { endless, nil, "nested too deeply" },
  }
  for what, case in pairs(cases) do
    it(what, function()
      for _, node in ipairs { true, {}, field {} } do
        local problem = misfit(node, case[1])
        assert.equal(case[2] or problem.field, problem.field)
        assert.truthy(problem.message:find(case[3], 1, true), problem.message)
      end
    end)
  end
end)

describe("a schema that makes no sense", function()
  local odd <const> = {
    null, true, false, -1, 1.5, 1 / 0, "x", "^(", "#", {}, { 1 }, { "x" }, { { "x" } }, { x = 1 }, { a = { "a" } }, { a = false },
  }
  local names <const> = {
    "type", "enum", "const", "nullable", "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "properties",
    "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties", "$ref", "$defs", "allOf",
    "anyOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies", "nonsense",
  }
  local inputs <const> = { {}, { a = "x" }, { a = 5, b = { 1, 2 } }, { a = { a = {}, x = { "x" } } } }

  it("never breaks a check", function()
    for _, name in ipairs(names) do
      for _, value in ipairs(odd) do
        for _, node in ipairs { { [name] = value }, field { [name] = value }, { anyOf = { { [name] = value }, { minProperties = 9 } } } } do
          for _, input in ipairs(inputs) do
            local copy, problem = schema.check(node, input)
            assert.truthy(copy or problem.code == "invalid_input" and problem.field, name)
          end
        end
      end
    end
    for _, node in ipairs { null, 5, "x" } do fits(node, { a = 1 }) end
  end)

  it("allows every value if its keyword is unknown or has an invalid value", function()
    for name, value in pairs { minimum = "5", maxLength = "1", enum = {}, required = "a", items = 5, pattern = 5, ["$ref"] = 7, anyOf = {},
      multipleOf = 0, type = "text", discriminator = { propertyName = "a" }, contains = false, description = 5 } do
      fits(field { [name] = value }, { a = "xx" })
      fits(field { [name] = value }, { a = 7 })
      fits(field { [name] = value }, { a = { 1 } })
    end
  end)
end)

describe("a hostile schema", function()
  local function unfollowed(node, input)
    local copy, problem, why = schema.check(node, input)
    assert.is_nil(problem)
    assert.equal("the schema is too deep, too large, or refers to itself without end", why)
    assert.same(input, copy)
  end

  it("with endless references isn't evaluated, and the input is accepted", function()
    unfollowed({ ["$ref"] = "#" }, { a = 1 })
    local defs = { a = { ["$ref"] = "#/$defs/b" }, b = { allOf = { { ["$ref"] = "#/$defs/a" } } } }
    unfollowed({ ["$ref"] = "#/$defs/a", ["$defs"] = defs }, { a = 1 })
  end)

  it("that grows exponentially isn't evaluated", function()
    for _, keyword in ipairs { "allOf", "anyOf", "oneOf" } do
      local defs = { d0 = keyword == "allOf" and true or false }
      for i = 1, 60 do
        local before = { ["$ref"] = "#/$defs/d" .. i - 1 }
        defs["d" .. i] = { [keyword] = { before, before } }
      end
      unfollowed({ ["$ref"] = "#/$defs/d60", ["$defs"] = defs }, { a = 1 })
    end
  end)

  it("that is too deep isn't evaluated", function()
    local node = { type = "object" }
    for _ = 1, 5000 do node = { allOf = { node } } end
    unfollowed(node, { a = 1 })
  end)

  it("that is too wide isn't evaluated to its end", function()
    local wide = {}
    for i = 1, 510000 do wide[i] = i end
    unfollowed(field { enum = wide }, { a = "x" })
    unfollowed({ properties = { a = { uniqueItems = true, items = { enum = wide } } } }, { a = { -1 } })
  end)

  it("can't send control characters to the terminal, nor fill it", function()
    local long = "\27[2J" .. ("x"):rep(10000)
    local nodes = {
      field { enum = { long, long .. "y" } }, field { type = "object", properties = { [long] = {} } },
      { required = { long } },
      field { const = { [long] = long } }, { additionalProperties = false, properties = { [long] = {}, ["\27]0;x\7"] = {} } },
      field { oneOf = { { required = { long } }, { required = { long .. "y" } } } },
    }
    for _, node in ipairs(nodes) do
      local problem = misfit(node, { a = "x" })
      assert.is_nil(tostring(problem):find("\27", 1, true))
      assert.is_true(#problem.message < 400 and #problem.field < 100, problem.message)
    end
  end)

  it("can't make the search for similar names slow", function()
    local properties = {}
    for i = 1, 20000 do properties[("n"):rep(60) .. i] = {} end
    local closed = { properties = properties, additionalProperties = false }
    assert.matches("unknown field; %d+ others are known", misfit(closed, { prompt = 1 }).message)
    fits({ properties = properties }, { prompt = 1 })
  end)
end)

describe("a choice out of many", function()
  it("is compared with the first five hundred only", function()
    local styles = {}
    for i = 1, 600 do styles[i] = "style " .. i end
    styles[499], styles[599] = "charcoal", "watercolour"
    assert.matches("did you mean 'charcoal'%?$", misfit(field { enum = styles }, { a = "charcol" }).message)
    assert.matches("not 'watercolor'$", misfit(field { enum = styles }, { a = "watercolor" }).message)
  end)

  it("is described by the first ones, their number, and the most similar one", function()
    local styles = {}
    for i = 1, 40 do styles[i] = "style_" .. i end
    styles[33] = "watercolour"
    local problem = misfit(field { enum = styles }, { a = "watercolor" })
    assert.matches(
      "^a: must be one of style_1, style_2, .*, style_12, %.%.%. %(40 in all%), not 'watercolor'; did you mean 'watercolour'%?$",
      problem.message)
  end)
end)
