-- KEYS: the log. ARGV: a number; how many lines at most.
-- Answers the lines after it, each with its own number behind it. Writes nothing.
local found = redis.call(
    'ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for n = 2, #found, 2 do
    found[n] = string.format('%.0f', tonumber(found[n]))
end
return found
