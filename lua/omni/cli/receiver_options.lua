-- SPDX-License-Identifier: MIT
-- Defines the options that configure a callback receiver, and opens the receiver that they describe.

local options = require "omni.cli.options"

local receiver_options = {}

---Adds the receiver options to a command.
---@param command table  argparse's
---@param default string  the default in the help text for `--listen`
function receiver_options.define(command, default)
  command:option("--listen", "Receive callbacks at this address (default: " .. default .. ")."):argname("ADDRESS:PORT")
    :convert(function(given)
      local port = given:match("^%d+$") or given:match("^[^:%s]*:(%d+)$") or given:match("^%[[%x:.]+%]:(%d+)$")
      if port and tonumber(port) <= 65535 then return given end
      return nil, ("--listen: expected ADDRESS:PORT or a port, got '%s'"):format(given)
    end)
  command:option("--public-url", "The URL at which the service reaches the receiver (default: the receiver's own address)."):argname("URL")
    :convert(function(given)
      if given:find("^[hH][tT][tT][pP][sS]?://[^/?#%s]") and not given:find("[%c%s]") then return given end
      return nil, ("--public-url: expected an http or https URL, got '%s'"):format(given)
    end)
  options.path(command:option("--tls-certificate", "Use TLS, with the certificate in this file."):argname("FILE"))
  options.path(command:option("--tls-key", "The certificate's private key, in a file that only you can read."):argname("FILE"))
end

---Returns why the given receiver options can't be combined, or nil if they can.
---@param given table
---@return string|nil
function receiver_options.misuse(given)
  if (given.tls_certificate == nil) ~= (given.tls_key == nil) then return "--tls-certificate and --tls-key go together" end
  if given.listen then return nil end
  for _, name in ipairs { "public_url", "tls_certificate" } do
    if given[name] then return ("--%s configures a receiver of callbacks; add --listen"):format((name:gsub("_", "-"))) end
  end
end

---Opens the receiver. The client closes it.
---@param given table
---@param client omni.Client
---@param on_event? fun(event: table)
---@return omni.Receiver|nil, omni.Error|nil
function receiver_options.open(given, client, on_event)
  return require("omni").callbacks {
    client = client, listen = given.listen, public_url = given.public_url, tls_certificate = given.tls_certificate,
    tls_key = given.tls_key, on_event = on_event,
  }
end

return receiver_options
