-- The head of every script of rosters. KEYS: the last version of a shard, and a name that nothing
-- has. All other keys of the shard are named after the first. Only the server's clock counts.
--
--   groups           sorted set   group ─► when it is to be looked at, ms
--   here:<group>     sorted set   identity ─► the version of the change by which it came
--   nodes:<group>    sorted set   node ─► the end of its lease, ms
--   on:<node>:<group>   set       the identities that this node holds
--   due:<group>      sorted set   identity ─► when something is to be done about it, ms
--   joined:<group>   hash         identity ─► version, end of the claim, and of the grace if it left
--   left:<group>     hash         identity ─► version
--
-- Whoever is in `joined` or `left` came or went, and nobody has confirmed that it was told. Of those
-- who are in neither, `due` is the end of their grace.
--
-- While the slot is on its way, a shard lies on two servers. The one that has the first key answers
-- TRYAGAIN, as the second is never there. The other one is told of one key only, and must not begin
-- a second shard beside the one that comes.
if #KEYS < 2 then return redis.error_reply('TRYAGAIN the shard is on its way to this server') end

-- Below it, numbers are exact; a lease that doesn't end is beyond it.
local MOST = 9007199254740991
-- For how long everything outlasts what is said of it, ms: nobody may ever look at it again.
local KEEP = 86400000
-- How many words go in one command.
local WORDS = 100

local shard = string.sub(KEYS[1], 1, -8)
local groups = shard .. 'groups'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function whole(number) return string.format('%.0f', number) end

-- A version is higher than the last one also where the clock was set back, and where all was lost.
local last = tonumber(redis.call('GET', KEYS[1])) or 0
if not (last > 0 and last < MOST) then last = 0 end
local has_changed = false
local function version()
    last = math.max(clock[1] * 1000000 + clock[2], last + 1)
    has_changed = true
    return last
end

local function keys_of(group)
    return {
        group = group,
        here = shard .. 'here:' .. group,
        nodes = shard .. 'nodes:' .. group,
        due = shard .. 'due:' .. group,
        joined = shard .. 'joined:' .. group,
        left = shard .. 'left:' .. group,
    }
end

local function on(of, node) return shard .. 'on:' .. node .. ':' .. of.group end

-- A command with as many words as there are, an even number at a time.
local function all(command, key, words)
    for first = 1, #words, WORDS do
        redis.call(command, key, unpack(words, first, math.min(first + WORDS - 1, #words)))
    end
end

local function add(words, ...)
    for _, word in ipairs({ ... }) do words[#words + 1] = word end
end

-- A group is looked at by then, if not earlier.
local latest = 0
local function look_by(of, at)
    if at > MOST then return end
    redis.call('ZADD', groups, 'LT', whole(at), of.group)
    latest = math.max(latest, at)
end

-- A node's lease that is this long, as a score and as a time.
local function lease(ttl)
    if ttl < 0 then return '+inf', math.huge end
    return whole(now + ttl), now + ttl
end

-- Lets the keys of a group expire some time after the longest lease.
local function keep(of, node)
    local longest = redis.call('ZREVRANGE', of.nodes, 0, 0, 'WITHSCORES')[2]
    longest = math.max(tonumber(longest) or now, now)
    local keys = { of.here, of.nodes, of.due, of.joined, of.left }
    if node then keys[#keys + 1] = on(of, node) end
    for _, key in ipairs(keys) do
        if longest > MOST then
            redis.call('PERSIST', key)
        else
            redis.call('PEXPIREAT', key, whole(longest + KEEP))
        end
    end
end

-- What a node has said is said by nobody any more, until then. It takes no longer for many.
local function set_aside(of, node, ends)
    redis.call('ZREM', of.nodes, node)
    if redis.call('EXISTS', on(of, node)) == 0 then return end
    local nobody = node .. '~' .. whole(version())
    redis.call('RENAME', on(of, node), on(of, nobody))
    redis.call('PEXPIREAT', on(of, nobody), whole(math.max(ends, now) + KEEP))
    redis.call('ZADD', of.nodes, whole(ends), nobody)
    look_by(of, ends)
end

-- Adds to `found` which of these a node holds.
local function is_on(of, node, who, found)
    for i, held in ipairs(redis.call('SMISMEMBER', on(of, node), unpack(who))) do
        if held == 1 then found[i] = true end
    end
end

-- A coming that isn't confirmed: its version, the end of the claim, and of the grace where it has
-- left since.
local function read(joined)
    local number, claimed, grace = string.match(joined or '', '^(%d+) (%d+) ?(%d*)$')
    return tonumber(number), tonumber(claimed), tonumber(grace)
end

local function written(number, claimed, grace)
    local text = whole(number) .. ' ' .. whole(claimed)
    return grace and text .. ' ' .. whole(grace) or text
end

-- These are held by no node any more, and have gone at that time, if they don't come back. `joined`
-- and `due` are what stands there of them.
local function go(of, who, joined, due, at)
    local set_joined, set_due, first = {}, {}, math.huge
    for i, identity in ipairs(who) do
        local number, claimed, grace = read(joined[i])
        local next = math.max(at, tonumber(due[i]) or 0)
        if number then
            grace = math.max(at, grace or 0)
            next = math.min(claimed, grace)
            add(set_joined, identity, written(number, claimed, grace))
        end
        add(set_due, whole(next), identity)
        first = math.min(first, next)
    end
    all('HSET', of.joined, set_joined)
    all('ZADD', of.due, set_due)
    look_by(of, first)
end

-- Each group by itself: a key of another type is the trouble of one. All keys of a group are read
-- before anything of it is written.
local failed = {}
local function each_group(first, work)
    local i, number, position = first, 0, 0
    while ARGV[i] do
        local of, count, who = keys_of(ARGV[i]), tonumber(ARGV[i + 1]), {}
        for n = 1, count do who[n] = ARGV[i + 1 + n] end
        number = number + 1
        local done, why = pcall(work, of, who, number, position)
        if not done then
            failed[#failed + 1] = number
            failed[#failed + 1] = type(why) == 'table' and why.err or tostring(why)
        end
        i, position = i + 2 + count, position + count
    end
end

-- The end of every script that writes.
local function settle()
    if has_changed then redis.call('SET', KEYS[1], whole(last), 'PX', KEEP) end
    if latest > 0 and redis.call('PTTL', groups) < latest - now + KEEP / 2 then
        redis.call('PEXPIREAT', groups, whole(latest + KEEP))
    end
end
