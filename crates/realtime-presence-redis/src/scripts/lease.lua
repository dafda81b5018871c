-- The head of every script. A sorted set has the end of each session's lease in ms, a hash its
-- record. Only the server's clock counts.
-- A server that is about to get the keys' slot wants only one of them to be named.
local leases = KEYS[1]
local records = KEYS[2] or (string.gsub(leases, ':leases$', ':sessions'))
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- A key of another type is an error before anything is written.
redis.call('ZCARD', leases)
redis.call('HLEN', records)

local function score(ttl)
    if ttl < 0 then return '+inf' end
    return string.format('%.0f', now + ttl)
end

-- Removes sessions whose lease has ended, a bounded number at a time.
local function prune()
    local ended = redis.call(
        'ZRANGEBYSCORE', leases, '-inf', string.format('(%.0f', now), 'LIMIT', 0, 100)
    if #ended > 0 then
        redis.call('ZREM', leases, unpack(ended))
        redis.call('HDEL', records, unpack(ended))
    end
end

-- Lets both keys expire with the longest lease, so that a key that exists means somebody online.
local function settle()
    local last = redis.call('ZREVRANGE', leases, 0, 0, 'WITHSCORES')
    if #last == 0 then
        redis.call('DEL', records)
        return
    end
    local ends = tonumber(last[2])
    if ends > 9007199254740991 then
        redis.call('PERSIST', leases)
        redis.call('PERSIST', records)
    else
        ends = string.format('%.0f', ends)
        redis.call('PEXPIREAT', leases, ends)
        redis.call('PEXPIREAT', records, ends)
    end
end
