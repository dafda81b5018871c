-- ARGV: the node; the grace in ms; then of each group its name, how many identities follow, and
-- these.
-- Answers nothing, and the number of each group that failed, with the reason.
local node, grace = ARGV[1], tonumber(ARGV[2])

local function leave(of, who)
    local own, held, elsewhere = { node }, {}, {}
    local nodes = redis.call('ZRANGE', of.nodes, 0, -1, 'WITHSCORES')
    for n = 1, #nodes, 2 do
        local name = nodes[n]
        if string.sub(name, 1, #node + 1) == node .. '~' then
            add(own, name)
        elseif name ~= node and tonumber(nodes[n + 1]) > now then
            is_on(of, name, who, elsewhere)
        end
    end
    for _, name in ipairs(own) do is_on(of, name, who, held) end
    local here = redis.call('ZMSCORE', of.here, unpack(who))
    local due = redis.call('ZMSCORE', of.due, unpack(who))
    local joined = redis.call('HMGET', of.joined, unpack(who))
    redis.call('HLEN', of.left)

    for _, name in ipairs(own) do
        all('SREM', on(of, name), who)
        if redis.call('EXISTS', on(of, name)) == 0 then redis.call('ZREM', of.nodes, name) end
    end
    local gone, of_joined, of_due = {}, {}, {}
    for i, identity in ipairs(who) do
        -- One that says so again gets no longer grace by that.
        local _, _, leaves = read(joined[i])
        local is_leaving = leaves or due[i] and not joined[i]
        if here[i] and not elsewhere[i] and (held[i] or not is_leaving) then
            gone[#gone + 1] = identity
            of_joined[#gone], of_due[#gone] = joined[i], due[i]
        end
    end
    if #gone > 0 then go(of, gone, of_joined, of_due, now + grace) end
    keep(of, node)
end

each_group(3, leave)
settle()
return { {}, failed }
