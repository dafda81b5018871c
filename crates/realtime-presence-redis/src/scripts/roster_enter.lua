-- ARGV: how long a claim lasts, ms; the node; its lease in ms, or -1 for none; then of each group its
-- name, how many identities follow, and these.
-- Answers the position among all identities, from 1, and the version, of those that were not there;
-- and the number of each group that failed, with the reason.
local claim, node, ttl = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local score, ends = lease(ttl)
local came = {}

local function enter(of, who, _, position)
    local before = tonumber(redis.call('ZSCORE', of.nodes, node))
    redis.call('SCARD', on(of, node))
    local here = redis.call('ZMSCORE', of.here, unpack(who))
    local due = redis.call('ZMSCORE', of.due, unpack(who))
    local joined = redis.call('HMGET', of.joined, unpack(who))
    local left = redis.call('HMGET', of.left, unpack(who))

    -- What it said before has ended, though nobody has looked yet.
    if before and before <= now then set_aside(of, node, before) end
    local set_here, set_joined, set_due, end_due, end_left = {}, {}, {}, {}, {}
    local first = ends
    for i, identity in ipairs(who) do
        local number, claimed, grace = read(joined[i])
        local is_new = not here[i]
        if is_new then
            number, claimed = version(), now + claim
            add(set_here, whole(number), identity)
            add(came, position + i, number)
        end
        if left[i] then add(end_left, identity) end
        -- Whoever was about to leave isn't any more.
        if is_new or number and grace then
            add(set_joined, identity, written(number, claimed))
            add(set_due, whole(claimed), identity)
            first = math.min(first, claimed)
        elseif due[i] and not number then
            add(end_due, identity)
        end
    end
    redis.call('ZADD', of.nodes, score, node)
    all('SADD', on(of, node), who)
    all('ZADD', of.here, set_here)
    all('HSET', of.joined, set_joined)
    all('ZADD', of.due, set_due)
    all('ZREM', of.due, end_due)
    all('HDEL', of.left, end_left)
    keep(of, node)
    look_by(of, first)
end

each_group(4, enter)
settle()
return { came, failed }
