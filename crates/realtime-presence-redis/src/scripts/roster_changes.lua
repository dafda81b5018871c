-- ARGV: how long a claim lasts, ms; how many changes are wanted at most.
-- Answers whether there is more to be done by now; the changes, each as group, identity, 1 for a
-- coming and 0 for a going, and version; and how many groups can't be read.
--
-- Where nothing is due it is one look at `groups`.
local claim, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
-- How many groups are looked at.
local GROUPS = 100
-- How many identities of a group are. It is looked at again by the next call.
local most = math.min(limit, WORDS)
-- When a group that can't be read is looked at again, ms.
local LATER = 60000

local changes, count, more, unreadable = {}, 0, 0, 0

-- Those whom this node held, which was silent for too long, a bounded number at a time.
local function release(of, node, live)
    local who = redis.call('SPOP', on(of, node), most)
    if redis.call('EXISTS', on(of, node)) == 0 then redis.call('ZREM', of.nodes, node) end
    if #who == 0 then return end
    local elsewhere = {}
    for _, name in ipairs(live) do is_on(of, name, who, elsewhere) end
    local here = redis.call('ZMSCORE', of.here, unpack(who))
    local due = redis.call('ZMSCORE', of.due, unpack(who))
    local joined = redis.call('HMGET', of.joined, unpack(who))
    local gone, of_joined, of_due = {}, {}, {}
    for i, identity in ipairs(who) do
        -- Who left another node has a grace.
        local _, _, leaves = read(joined[i])
        local is_leaving = leaves or due[i] and not joined[i]
        if here[i] and not elsewhere[i] and not is_leaving then
            gone[#gone + 1] = identity
            of_joined[#gone], of_due[#gone] = joined[i], due[i]
        end
    end
    if #gone > 0 then go(of, gone, of_joined, of_due, now) end
end

local function hand_out(of, identity, came, number)
    add(changes, of.group, identity, came, number)
    count = count + 1
end

-- What is due of these.
local function tell(of, who, live)
    local elsewhere = {}
    for _, name in ipairs(live) do is_on(of, name, who, elsewhere) end
    local here = redis.call('ZMSCORE', of.here, unpack(who))
    local joined = redis.call('HMGET', of.joined, unpack(who))
    local left = redis.call('HMGET', of.left, unpack(who))
    local end_here, end_joined, end_left, end_due = {}, {}, {}, {}
    local set_joined, set_left, set_due = {}, {}, {}
    for i, identity in ipairs(who) do
        local number, claimed, grace = read(joined[i])
        local gone = tonumber(string.match(left[i] or '', '^%d+$'))
        -- Nobody hears that they have gone while somebody else may be telling that they came.
        local is_told = not number or claimed <= now
        if here[i] and not elsewhere[i] and (grace or 0) <= now and is_told then
            number = version()
            add(end_here, identity)
            add(end_joined, identity)
            add(set_left, identity, whole(number))
            add(set_due, whole(now + claim), identity)
            hand_out(of, identity, 0, number)
        elseif here[i] and number then
            if elsewhere[i] then grace = nil end
            if claimed <= now then
                claimed = now + claim
                hand_out(of, identity, 1, number)
            end
            add(set_joined, identity, written(number, claimed, grace))
            local first = claimed
            if grace and grace > now then first = math.min(claimed, grace) end
            add(set_due, whole(first), identity)
        elseif gone and not here[i] then
            add(set_due, whole(now + claim), identity)
            hand_out(of, identity, 0, gone)
        else
            add(end_due, identity)
            add(end_joined, identity)
            add(end_left, identity)
        end
    end
    all('ZREM', of.here, end_here)
    all('HDEL', of.joined, end_joined)
    all('HDEL', of.left, end_left)
    all('ZREM', of.due, end_due)
    all('HSET', of.joined, set_joined)
    all('HSET', of.left, set_left)
    all('ZADD', of.due, set_due)
end

local function look(of)
    for _, key in ipairs({ of.here, of.due }) do redis.call('ZCARD', key) end
    for _, key in ipairs({ of.joined, of.left }) do redis.call('HLEN', key) end
    local nodes = redis.call('ZRANGE', of.nodes, 0, -1, 'WITHSCORES')
    local live, ended = {}, nil
    for n = 1, #nodes, 2 do
        if tonumber(nodes[n + 1]) > now then add(live, nodes[n]) else ended = ended or nodes[n] end
    end
    if ended then release(of, ended, live) end
    most = math.min(limit - count, WORDS)
    local who = redis.call('ZRANGEBYSCORE', of.due, '-inf', whole(now), 'LIMIT', 0, most)
    if #who > 0 then tell(of, who, live) end
    if ended or #who > 0 then keep(of) end

    local first = math.huge
    for _, key in ipairs({ of.due, of.nodes }) do
        local score = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2]
        first = math.min(first, tonumber(score) or math.huge)
    end
    if first > MOST then
        redis.call('ZREM', groups, of.group)
        return
    end
    redis.call('ZADD', groups, whole(first), of.group)
    latest = math.max(latest, first)
    if first <= now then more = 1 end
end

local due = redis.call('ZRANGEBYSCORE', groups, '-inf', whole(now), 'LIMIT', 0, GROUPS)
if #due == 0 then return { 0, {}, 0 } end
if #due == GROUPS then more = 1 end
for _, group in ipairs(due) do
    if count >= limit then
        more = 1
        break
    end
    most = math.min(limit - count, WORDS)
    if not pcall(look, keys_of(group)) then
        redis.call('ZADD', groups, whole(now + LATER), group)
        unreadable = unreadable + 1
    end
end
settle()
return { more, changes, unreadable }
