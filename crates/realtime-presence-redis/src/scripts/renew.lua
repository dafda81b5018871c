-- ARGV: the lease in ms, or -1 for none; then sessions.
-- Answers the positions, from 1, of those that are not there any more, or can't be read.
local ttl = tonumber(ARGV[1])
local unknown = {}
local sessions = {}
for i = 2, #ARGV do sessions[i - 1] = ARGV[i] end
local found = redis.call('HMGET', records, unpack(sessions))
local written, seen = 0, {}
for i, session in ipairs(sessions) do
    local ends = redis.call('ZSCORE', leases, session)
    local node = node_of(session, found[i])
    if ends and tonumber(ends) >= now and node then
        redis.call('ZADD', leases, 'XX', score(ttl), session)
        local of = change(node)
        if not seen[session] then
            seen[session] = true
            written = written + 1
            of.seen = of.seen + 1
        end
        of.ends = until_when(ttl)
    else
        unknown[#unknown + 1] = i
    end
end
settle_leases(ttl, written)
return unknown
