-- The head of every script. A sorted set has the end of each session's lease in ms, a hash its
-- record, and another hash for each start of a node how many of these records are its own and when
-- the last of its leases ends. Only the server's clock counts.
-- A server that is about to get the keys' slot wants only one of them to be named.
local leases = KEYS[1]
local records = KEYS[2] or (string.gsub(leases, ':leases$', ':sessions'))
local nodes = KEYS[3] or (string.gsub(leases, ':leases$', ':nodes'))
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- A key of another type is an error before anything is written. Each script reads records first.
local card = redis.call('ZCARD', leases)
redis.call('HLEN', nodes)

local function score(ttl)
    if ttl < 0 then return '+inf' end
    return string.format('%.0f', now + ttl)
end

-- The start of a node that a record names, as the field of its count; nil where the record isn't
-- one of this session.
local function node_of(session, record)
    if not record then return nil end
    if not string.find(record, '"session_id":"' .. session .. '"', 1, true) then return nil end
    local id = string.match(record, '"node_id":"([%w._-]+)"')
    local incarnation = string.match(record, '"incarnation":"(%x+)"')
    if not (id and incarnation) then return nil end
    return id .. ':' .. incarnation
end

-- A count and the end of the last lease, which is "inf" where there is none.
local function read(count)
    local number, ends = string.match(count or '', '^(%d+) (%S+)$')
    return tonumber(number) or 0, ends or '0'
end

-- The changes of this call: how many records more or fewer, how many leases were seen to be there,
-- and until when they last.
local changes = {}
local function change(node)
    changes[node] = changes[node] or { more = 0, seen = 0, ends = nil }
    return changes[node]
end

local function leaves(session, record)
    local node = node_of(session, record)
    if node then change(node).more = change(node).more - 1 end
end

local function later(a, b)
    if a == 'inf' or b == 'inf' then return 'inf' end
    return (tonumber(a) or 0) > (tonumber(b) or 0) and a or b
end

-- Removes sessions, and their records. The last of them takes all keys along, one by one and the
-- leases at the end: where the slot is about to move, a server doesn't touch a key that is gone, and
-- refuses a call where only some of its keys are gone. So nothing is touched afterwards.
local is_empty = false
local function remove(sessions)
    local there, seen = 0, {}
    local found = redis.call('HMGET', records, unpack(sessions))
    for i, session in ipairs(sessions) do
        if not seen[session] then
            seen[session] = true
            leaves(session, found[i])
            if redis.call('ZSCORE', leases, session) then there = there + 1 end
        end
    end
    if redis.call('ZCARD', leases) == there then
        is_empty = true
        redis.call('DEL', nodes)
        redis.call('DEL', records)
        redis.call('DEL', leases)
        return
    end
    redis.call('ZREM', leases, unpack(sessions))
    redis.call('HDEL', records, unpack(sessions))
end

-- Removes sessions whose lease has ended, a bounded number at a time.
local function prune()
    if is_empty then return end
    local ended = redis.call(
        'ZRANGEBYSCORE', leases, '-inf', string.format('(%.0f', now), 'LIMIT', 0, 100)
    if #ended > 0 then remove(ended) end
end

-- Lets all keys expire with the longest lease, so that a key that exists means somebody online.
local function expire(ends)
    if ends > 9007199254740991 then
        redis.call('PERSIST', leases)
        redis.call('PERSIST', records)
        redis.call('PERSIST', nodes)
    else
        ends = string.format('%.0f', ends)
        redis.call('PEXPIREAT', leases, ends)
        redis.call('PEXPIREAT', records, ends)
        redis.call('PEXPIREAT', nodes, ends)
    end
end

-- Writes the counts.
local function count()
    for node, by in pairs(changes) do
        local number, ends = read(redis.call('HGET', nodes, node))
        -- What was lost of the counts is found again as leases are renewed.
        number = math.max(number + by.more, by.seen)
        if by.ends then ends = later(ends, by.ends) end
        if number > 0 then
            redis.call('HSET', nodes, node, string.format('%d %s', number, ends))
        else
            redis.call('HDEL', nodes, node)
        end
    end
end

-- The end of every script that writes.
local function settle()
    prune()
    if is_empty then return end
    local last = redis.call('ZREVRANGE', leases, 0, 0, 'WITHSCORES')
    if #last == 0 then
        redis.call('DEL', nodes)
        redis.call('DEL', records)
        return
    end
    count()
    expire(tonumber(last[2]))
end

-- The same where the leases of so many different sessions were written, all to this length. Mostly
-- there are no others, so that there is nothing to be looked for.
local function settle_leases(ttl, written)
    if written < card then return settle() end
    count()
    expire(ttl < 0 and math.huge or now + ttl)
end

-- The end of leases of this length, as it is kept with the counts.
local function until_when(ttl)
    return ttl < 0 and 'inf' or score(ttl)
end
