-- ARGV: the lease in ms, or -1 for none; then a session and its record, by turns.
-- Answers the end of the leases in ms, or -1 for none.
local ttl = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
    redis.call('HSET', records, ARGV[i], ARGV[i + 1])
    redis.call('ZADD', leases, score(ttl), ARGV[i])
end
prune()
settle()
return ttl < 0 and -1 or now + ttl
