-- ARGV: the lease in ms, or -1 for none; then a session and its record, by turns.
local ttl = tonumber(ARGV[1])
local written, seen = 0, {}
for i = 2, #ARGV, 2 do
    local session, record = ARGV[i], ARGV[i + 1]
    local before = node_of(session, redis.call('HGET', records, session))
    redis.call('HSET', records, session, record)
    local is_new = redis.call('ZADD', leases, score(ttl), session) == 1
    if is_new then card = card + 1 end
    if not seen[session] then written = written + 1 end
    seen[session] = true
    local node = node_of(session, record)
    if node then
        local of = change(node)
        of.ends = until_when(ttl)
        if before then change(before).more = change(before).more - 1 end
        -- One whose record had become unreadable is counted still.
        if before or is_new then of.more = of.more + 1 else of.seen = of.seen + 1 end
    end
end
settle_leases(ttl, written)
return 0
