-- SPDX-License-Identifier: MIT
-- The addresses of stores.

local addresses = require "omni.store.address"

describe("a store's address", function()
  it("is the path of a folder, or a bucket with a prefix", function()
    for _, right in ipairs { "/srv/clips", "clips", "a b/c", "s3://clips", "s3://my.clips-1/", "s3://clips/films/2026_~x.y" } do
      assert.is_nil(addresses.problem(right), right)
    end
    assert.same({ "clips", "" }, { addresses.split "s3://clips" })
    assert.same({ "clips", "films/2026/" }, { addresses.split "s3://clips//films/2026//" })
  end)

  it("has no characters that libcurl and a server may sign in different ways, and doesn't leave the bucket", function()
    for _, wrong in ipairs { "s3://Clips", "s3://c", "s3://" .. ("c"):rep(64), "s3://clips/a=b", "s3://clips/a b", "s3://clips/ä",
      "s3://clips/%20", "s3://clips/../other",
      "s3://clips/.", "s3://user:secret@clips/a", "s3://clips?a", "https://clips", "file:///srv", "" } do
      assert.matches("^must ", addresses.problem(wrong), wrong)
    end
  end)
end)
