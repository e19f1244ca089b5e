-- SPDX-License-Identifier: MIT
local core = require "omni.core"
local env = require "helper.env"
local service = require "omni.client.service_address"

describe("core.normalize_url", function()
  local normal = {
    { "http://host.example", "http://host.example/", "gives a URL without a path the root" },
    { " \t\r\nhttps://host.example/a\n", "https://host.example/a", "drops white space around it" },
    { "HTTPS://Host.EXAMPLE/A?B=C", "https://host.example/A?B=C", "lowers scheme and host, and nothing else" },
    { "http://host.example:80/", "http://host.example/", "drops http's port" },
    { "https://host.example:443/", "https://host.example/", "drops https's port" },
    { "https://host.example:80/", "https://host.example:80/", "keeps another port" },
    { "http://host.example./a", "http://host.example/a", "drops the root's dot" },
    { "http://host.example/my clip.mp4?name=a b", "http://host.example/my%20clip.mp4?name=a%20b", "encodes spaces" },
    { "http://host.example/Zürich/日本.mp4", "http://host.example/Z%C3%BCrich/%E6%97%A5%E6%9C%AC.mp4", "encodes letters beyond ASCII" },
    { [[http://host.example/"<[{|\^`}]>"]], "http://host.example/%22%3C%5B%7B%7C%5C%5E%60%7D%5D%3E%22", "encodes what no URL may hold" },
    { "http://host.example/a%20b%2F%e9", "http://host.example/a%20b%2F%e9", "leaves what is encoded" },
    { "http://host.example/100% real%2.mp4%", "http://host.example/100%25%20real%252.mp4%25", "encodes a % that encodes nothing" },
    { "http://host.example/a/./b/../c", "http://host.example/a/c", "resolves dot segments" },
    { "http://host.example/a?b#c#d", "http://host.example/a?b#c%23d", "keeps a fragment, once" },
    { "https://host.example/x?sig=a%2Bb+c/d==&n=(1)*~!'$,;:@", "https://host.example/x?sig=a%2Bb+c/d==&n=(1)*~!'$,;:@",
      "leaves a signature" },
    { "http://bücher.example/", "http://xn--bcher-kva.example/", "writes an international host in ASCII" },
    { "http://BÜCHER.example/", "http://xn--bcher-kva.example/", "whatever its case" },
    { "http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/", "and however it is encoded" },
    { "http://2130706433/", "http://127.0.0.1/", "reads a decimal address" },
    { "http://0x7f.1/", "http://127.0.0.1/", "reads a hexadecimal one" },
    { "http://0177.0.0.1/", "http://127.0.0.1/", "reads an octal one" },
    { "http://127.0.0.1./", "http://127.0.0.1/", "reads one with a dot behind it" },
    { "http://%31%32%37.0.0.1/", "http://127.0.0.1/", "reads a percent-encoded one" },
    { "http://１２７。0。0。1/", "http://127.0.0.1/", "reads one in wide letters" },
    { "http://[0:0:0:0:0:0:0:1]:8080/", "http://[::1]:8080/", "shortens an IPv6 address" },
    { "http://[FE80::0001%25eth0]:8080/", "http://[fe80::1%25eth0]:8080/", "keeps an address's zone" },
    { "http://[2001:DB8::A]/", "http://[2001:db8::a]/", "lowers one" },
  }
  for _, row in ipairs(normal) do
    it(row[3], function()
      assert.equal(row[2], core.normalize_url(row[1]))
      assert.equal(row[2], core.normalize_url(row[2]))
    end)
  end

  local http, host = "must be an http or https URL", "must have a valid host name or IP address"
  local port, user = "must have a port from 1 to 65535", "must not contain a user name or a password"
  local control = "must not contain a control character"
  local refused = {
    { "", http }, { "  ", http }, { "clip.mp4", http }, { "//host.example/", http }, { "http:/host.example/", http }, { "http:///a", http },
    { "http://", http }, { "http://?a", http }, { "ftp://host.example/", http }, { "file:///etc/passwd", http }, {
    "data:image/png;base64,AA==", http },
    { "javascript:alert(1)", http }, { "http://user@host.example/", user }, { "http://user:secret@host.example/", user },
    { "http://@host.example/", user }, { "http://host.example\\@evil.example/", host }, { "http://ho st/", host },
    { 'http://a"b/', host }, { "http://a..b/", host }, { "http://a../", host }, { "http://.a/", host }, { "http://a~b/", host },
    { "http://a%2561/", host },
    { "http://a%00b/", host }, { "http://a%2fb/", host }, { "http://256.1.1.1/", host }, {
    "http://1.2.3.4.5/", host },
    { "http://host.0x7f/", host }, { "http://[::1/", host }, { "http://[::g]/", host }, { "http://:80/", host },
    { "http://host:0/", port }, { "http://host:65536/", port }, { "http://host:a/", port },
    { "http://host.example/a\nb", control }, { "http://host.example/a\0b", control }, { "http://host.example/\0", control },
    { "http://host.example/\127", control },
    { ("http://host.example/%s"):format(("a"):rep(8192)), "must have at most 8192 bytes" },
    { ("http://host.example/%s"):format((" "):rep(4000) .. "a"), "must have at most 8192 bytes" },
    { "http://" .. ("a"):rep(300) .. "/", host },
  }
  for _, row in ipairs(refused) do
    it("refuses " .. core.clean(row[1], 50), function()
      local url, why = core.normalize_url(row[1])
      assert.is_nil(url)
      assert.equal(row[2], why)
    end)
  end

  it("returns a form that it leaves unchanged", function()
    local parts = {
      "a", "b.c", "127.0.0.1", "0x7f", "1", ".", "..", "/", "//", "?", "#", "%", "%41", "%2e", "%00", " ", "é", "。", "１", "[::1]", "[", "]",
      ":", "80", "443", "0", "@", "\\", "x", "localhost", '"', "{", "[fe80::1%25lo]", "xn--", "-", "_", "~", "\t", "日本", "İ", "ß", ";", "&",
    }
    math.randomseed(7)
    local count = 0
    for _ = 1, 20000 do
      local words = { math.random() < 0.5 and "http://" or "HTTPS://" }
      for i = 2, math.random(2, 9) do words[i] = parts[math.random(#parts)] end
      local text = table.concat(words)
      local url, why = core.normalize_url(text)
      assert.equal("string", type(url or why))
      if url then
        count = count + 1
        assert.matches("^https?://[%w%-_.:%%%[%]]+[/?#]", url)
        assert.is_nil(url:find "[^!-~]", text)
        assert.equal(url, core.normalize_url(url), text)
        assert.equal(url, core.resolve_url("http://host.example/a", url))
      end
      core.resolve_url("http://host.example/a", text)
    end
    assert.is_true(count > 1000)
  end)

  it("refuses anything but a string", function()
    for _, value in ipairs { 1, true, {} } do assert.equal("must be a string", select(2, core.normalize_url(value))) end
    assert.equal("must be a string", select(2, core.normalize_url(nil)))
  end)

  it("doesn't depend on the locale", function()
    local code = "os.setlocale(nil); print((require('omni.core').normalize_url 'http://bücher.example/ä'))"
    for _, locale in ipairs { "C", "C.UTF-8" } do
      local told = env.output(("LC_ALL=%s %s -e %s"):format(locale, env.lua, env.quote(code)))
      assert.equal("http://xn--bcher-kva.example/%C3%A4\n", told)
    end
  end)
end)

describe("core.normalize_base_url", function()
  it("removes slashes at the end", function()
    assert.equal("https://host.example", core.normalize_base_url "https://HOST.example:443//")
    assert.equal("https://host.example/gate", core.normalize_base_url "https://host.example/gate/")
  end)

  it("refuses a query and a fragment", function()
    for _, url in ipairs { "https://host.example/?a", "https://host.example/#a" } do
      local normal, why = core.normalize_base_url(url)
      assert.is_nil(normal, url)
      assert.equal("must not contain a query or a fragment", why)
    end
  end)
end)

describe("core.is_loopback", function()
  local yes = { "localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.255.0.9", "::1", "[::1]", "::ffff:127.0.0.1",
    "http://localhost:8080/a", "http://127.0.0.1", "http://[::1]:80", "http://2130706433/" }
  local no = { "localhost.evil.example", "127.evil.example", "127.0.0.1.evil.example", "xlocalhost", "128.0.0.1", "::2", "10.0.0.1",
    "0.0.0.0", "", "http://localhost.evil.example/", "http://127.0.0.1.evil.example", "http://evil.example/localhost",
    "http://evil.example/?127.0.0.1", "://" }
  for _, host in ipairs(yes) do
    it("takes " .. host .. " for this machine", function() assert.is_true(core.is_loopback(host)) end)
  end
  for _, host in ipairs(no) do
    it(("doesn't take '%s' for it"):format(host), function() assert.is_false(core.is_loopback(host)) end)
  end
end)

describe("the service's name", function()
  it("is the same for every spelling of a base URL, and for the service's second host", function()
    for _, url in ipairs {
      "https://api.crun.ai", "https://api.crun.ai/", "HTTPS://API.crun.ai:443", "https://api.crunai.com", "https://API.CRUNAI.COM./",
      " https://api.crun.ai ",
    } do
      assert.equal("https://api.crun.ai", service.name(url))
    end
  end)

  it("differs between services", function()
    for _, url in ipairs {
      "http://api.crun.ai", "https://api.crun.ai:8443", "https://api.crun.ai/gate", "https://api.crunai.com.evil.example",
    } do
      assert.not_equal("https://api.crun.ai", service.name(url))
    end
  end)
end)
