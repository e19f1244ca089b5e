-- SPDX-License-Identifier: MIT
-- A model's schema as rows: { field, type, "yes" or "", default, { allowed, description } }.
local json = require "omni.json"
local rows_of = require("omni.cli.view.model_fields").rows_of

local function rows(text, required)
  return rows_of(assert(json.decode(text)), required)
end

describe("the fields of a schema", function()
  it("are listed with type, default, allowed values and meaning; required ones come first, in their order", function()
    assert.same({
      { "prompt", "string", "yes", "", { "1 to 2500 characters", "What is seen." } },
      { "image", "URL", "yes", "", { "" } },
      { "cfg", "number", "", "0.5", { "from 0 to 1; a multiple of 0.1" } },
      { "duration", "integer", "", "5", { "5 or 10", "Seconds" } },
      { "mode", "string", "", "", { "pro" } },
      { "negative", "string or null", "", "", { "at most 500 characters" } },
      { "seed", "integer", "", "", { "more than 0" } },
      { "tag", "string", "", "", { "matches ^[a-z]+$" } },
      { "tags", "array of string", "", "[]", { "at most 3 items; each a or b" } },
    }, rows [[{"type":"object","required":["prompt","image"],"properties":{
      "prompt":{"type":"string","minLength":1,"maxLength":2500,"description":"What is seen."},
      "image":{"type":"string","format":"uri"},
      "duration":{"type":"integer","enum":[5,10],"default":5,"title":"Seconds"},
      "cfg":{"type":"number","minimum":0,"maximum":1,"multipleOf":0.1,"default":0.5},
      "mode":{"type":"string","const":"pro"},
      "negative":{"type":["string","null"],"maxLength":500},
      "seed":{"type":"integer","exclusiveMinimum":0},
      "tag":{"type":"string","pattern":"^[a-z]+$"},
      "tags":{"type":"array","maxItems":3,"default":[],"items":{"type":"string","enum":["a","b"]}}}}]])
  end)

  it("also count as required if the service says so beside the schema", function()
    local found = rows([[{"properties":{"a":{"type":"string"},"b":{"type":"string"}}}]], { "b", "unknown" })
    assert.same({ "b", "yes", "a", "" }, { found[1][1], found[1][3], found[2][1], found[2][3] })
    assert.equal(2, #found)
  end)

  it("within other fields are listed below them: those of objects, and those of array items", function()
    local names = {}
    for i, row in ipairs(rows [[{"properties":{
      "camera":{"type":"object","required":["kind"],"properties":{"zoom":{"type":"number"},"kind":{"type":"string"}}},
      "video_list":{"type":"array","items":{"$ref":"#/$defs/video"}}},
      "$defs":{"video":{"type":"object","properties":{"url":{"type":"string","format":"uri"},"start":{"type":"number"}}}}}]]) do
      names[i] = ("%s %s%s"):format(row[1], row[2], row[3] == "yes" and " !" or "")
    end
    assert.same({ "camera object", "camera.kind string !", "camera.zoom number", "video_list array of object", "video_list[].start number",
      "video_list[].url URL" }, names)
  end)

  it("are found through references and parts; those of alternatives aren't required", function()
    local found = {}
    for _, row in ipairs(rows [[{"allOf":[{"$ref":"#/definitions/base"}],"anyOf":[
        {"required":["image"],"properties":{"image":{"type":"string"}}},{"required":["video"],"properties":{"video":{"type":"string"}}}],
      "if":{"properties":{"mode":{"const":"x"}}},"then":{"properties":{"extra":{"type":"boolean"}}},
      "definitions":{"base":{"required":["prompt"],
        "properties":{"prompt":{"anyOf":[{"type":"string","maxLength":9},{"type":"null"}]}}}}}]]) do
      found[#found + 1] = ("%s|%s|%s|%s"):format(row[1], row[2], row[3], row[5][1])
    end
    assert.same({ "prompt|string or null|yes|at most 9 characters", "extra|boolean||", "image|string||", "video|string||" }, found)
  end)

  it("of a hostile schema are few and short, and are found soon", function()
    local circle = rows [[{"properties":{"a":{"$ref":"#"},"b":{"items":{"$ref":"#/properties/b"}}}}]]
    assert.is_true(#circle > 0 and #circle <= 300)
    local parts = {}
    for i = 1, 5000 do parts[i] = ('"f%d":{"type":"string","description":"%s"}'):format(i, ("x"):rep(100)) end
    assert.equal(300, #rows('{"properties":{' .. table.concat(parts, ",") .. "}}"))
    local deep = ('{"properties":{"a":'):rep(40) .. "{}" .. ("}}"):rep(40)
    assert.equal(6, #rows(deep))
    local branching = '{"$defs":{"n":{"anyOf":[' .. ('{"$ref":"#/$defs/n"},'):rep(50)
      .. '{"properties":{"a":{"$ref":"#/$defs/n"}}}]}},"$ref":"#/$defs/n"}'
    assert.is_true(#rows(branching) <= 300)
    for _, odd in ipairs { "[]", "true", '{"properties":[1,2]}', '{"properties":{"a":true,"b":7,"c":null}}', '{"required":7,"enum":{}}',
      '{"properties":{"a":{"type":7,"enum":{},"minimum":"x","items":7,"default":{"a":[1]}}}}', '{"$ref":"http://x/y"}' } do
      assert.is_table(rows(odd))
    end
    assert.same({}, rows_of(nil))
    local long = rows(('{"properties":{"a":{"enum":[%s1]}}}'):format(("1,"):rep(1000)))
    assert.is_true(#long[1][5][1] < 400)
  end)
end)
