-- KEYS: a revocation. ARGV: before when tokens were issued; for how many ms it counts.
-- Answers what was known before, or nothing, and what is known now: the later time and the later end of
-- both, by the server's clock in ms. Whatever else lies there is replaced.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local issued, ends = ARGV[1], now + tonumber(ARGV[2])

local before = redis.pcall('GET', KEYS[1])
if type(before) == 'table' then
    if not string.find(before.err, 'WRONGTYPE') then return before end
    before = nil
end
-- Times have a fixed number of digits, so that they are in order as texts.
local time, old = string.match(before or '', '^(%d+) (%d+)$')
if time and #time == #issued then
    if time > issued then issued = time end
    ends = math.max(ends, tonumber(old))
else
    before = nil
end
local known = issued .. ' ' .. string.format('%.0f', ends)
redis.call('SET', KEYS[1], known, 'PXAT', string.format('%.0f', ends))
return { before or '', known }
