-- Answers, for each start of a node that holds a session: its name and incarnation with a colon
-- between, and how many it holds. Writes nothing, and doesn't look at sessions whose lease lasts.
local counts = {}
local entries = redis.call('HGETALL', nodes)
for i = 1, #entries, 2 do
    local count, ends = read(entries[i + 1])
    -- A node whose last lease has ended is gone, though nobody has cleaned up after it.
    if ends == 'inf' or (tonumber(ends) or 0) >= now then counts[entries[i]] = count end
end
-- What has ended and is not removed yet doesn't count. Beyond these it does, until it is.
local ended = redis.call(
    'ZRANGEBYSCORE', leases, '-inf', string.format('(%.0f', now), 'LIMIT', 0, 1000)
if #ended > 0 then
    local found = redis.call('HMGET', records, unpack(ended))
    for i, session in ipairs(ended) do
        local node = node_of(session, found[i])
        if node and counts[node] then counts[node] = counts[node] - 1 end
    end
end
local answer = {}
for node, count in pairs(counts) do
    if count > 0 then
        answer[#answer + 1] = node
        answer[#answer + 1] = count
    end
end
return answer
