-- KEYS: the log. ARGV: a line that isn't true any more, or nothing; a line; when it ends, in ms.
-- Puts the line at the end of the log, under a number that is more than any before: microseconds of the
-- server's clock, so that it is so after the server was emptied, too.
local log, line, ends = KEYS[1], ARGV[2], tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local number = clock[1] * 1000000 + clock[2]

local last = redis.pcall('ZREVRANGE', log, 0, 0, 'WITHSCORES')
local is_ours = not last.err
if last.err and not string.find(last.err, 'WRONGTYPE') then return last end
if is_ours and last[2] then
    number = math.max(number, tonumber(last[2]) + 1)
    -- Beyond this numbers are not exact. No clock gets there.
    is_ours = number < 2 ^ 53
end
if not is_ours then
    redis.call('DEL', log)
    last = {}
    number = clock[1] * 1000000 + clock[2]
end

-- What has ended, of some that are drawn by lot, and what nobody can read. Never the last, after which
-- the next one is numbered.
local gone = {}
if ARGV[1] ~= '' and ARGV[1] ~= line then gone[1] = ARGV[1] end
for _, other in ipairs(redis.call('ZRANDMEMBER', log, 16)) do
    local ended = string.match(other, '^%d+ (%d+) ')
    if other ~= last[1] and (not ended or tonumber(ended) <= now) then gone[#gone + 1] = other end
end
if #gone > 0 then redis.call('ZREM', log, unpack(gone)) end
redis.call('ZADD', log, string.format('%.0f', number), line)
if redis.call('PTTL', log) < ends - now then
    redis.call('PEXPIREAT', log, string.format('%.0f', ends))
end
return 0
