-- ARGV: the lease in ms, or -1 for none; then sessions.
-- Answers the positions, from 1, of those that are not there any more.
local ttl = tonumber(ARGV[1])
local unknown = {}
for i = 2, #ARGV do
    local ends = redis.call('ZSCORE', leases, ARGV[i])
    if ends and tonumber(ends) >= now and redis.call('HEXISTS', records, ARGV[i]) == 1 then
        redis.call('ZADD', leases, 'XX', score(ttl), ARGV[i])
    else
        unknown[#unknown + 1] = i - 1
    end
end
prune()
settle()
return unknown
