-- ARGV: the node; its lease in ms, or -1 for none; for how long those who are said by nobody stay, ms;
-- then of each group its name, 1, and how many identities the node holds there.
-- Answers the positions of the counts, from 1, of groups that are unknown; and the number of each
-- group that failed, with the reason.
local node, ttl, speak_again = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local score, ends = lease(ttl)
local unknown = {}

local function renew(of, count, _, position)
    local before = tonumber(redis.call('ZSCORE', of.nodes, node))
    local held = redis.call('SCARD', on(of, node))
    local here = redis.call('ZCARD', of.here)
    if not before and tonumber(count[1]) == 0 then return end
    if not before or before <= now then
        unknown[#unknown + 1] = position + 1
    elseif here < held then
        -- Who is here was lost, and nobody knows of whom: every node is to speak again.
        redis.call('DEL', of.nodes)
        unknown[#unknown + 1] = position + 1
    elseif held ~= tonumber(count[1]) then
        set_aside(of, node, now + speak_again)
        unknown[#unknown + 1] = position + 1
    else
        redis.call('ZADD', of.nodes, score, node)
        local left = redis.call('PTTL', on(of, node))
        -- Seldom, since they are kept for longer than it is said.
        if ttl < 0 and left >= 0 or ttl >= 0 and left < ttl + KEEP / 2 then keep(of, node) end
        look_by(of, ends)
    end
end

each_group(4, renew)
settle()
return { unknown, failed }
