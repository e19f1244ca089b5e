-- SPDX-License-Identifier: MIT
-- Generates random numbers from a seed. Each purpose has its own stream, so drawing numbers from one stream doesn't affect the other
-- streams.

local function mix(z)
  z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
  z = (z ~ (z >> 27)) * 0x94d049bb133111eb
  return z ~ (z >> 31)
end

---Returns a 64-bit hash of a string (FNV-1a with an additional mixing step). Not suitable for secrets.
---@param text string
---@param seed? integer
---@return integer
local function hash(text, seed)
  local h = 0xcbf29ce484222325 ~ mix(seed or 0)
  for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
  return mix(h)
end

---Returns a stream of 64-bit integers that don't repeat (splitmix64).
---@param seed integer
---@param purpose string
---@return fun(): integer
local function stream(seed, purpose)
  local state = hash(purpose, seed)
  return function()
    state = state + 0x9e3779b97f4a7c15
    return mix(state)
  end
end

---Returns the next number from a stream as a fraction `f`, with 0 <= f < 1.
---@param next_integer fun(): integer
---@return number
local function fraction(next_integer)
  return (next_integer() >> 11) * 2.0 ^ -53
end

---Returns a version 4 UUID made from the next two numbers of a stream.
---@param next_integer fun(): integer
---@return string
local function uuid(next_integer)
  local a, b = next_integer(), next_integer()
  return ("%08x-%04x-4%03x-%04x-%012x"):format(
    a >> 32, a >> 16 & 0xffff, a & 0xfff, b >> 48 & 0x3fff | 0x8000, b & 0xffffffffffff)
end

return { hash = hash, stream = stream, fraction = fraction, uuid = uuid }
