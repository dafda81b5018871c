-- ARGV: the data; the retention, in messages and in ms; for how many ms the stream is known; the epoch
-- of a new stream; a key or nothing; for how many ms keys are remembered, and how many of them.
-- Answers the epoch, the offset, and 1 where the key was used before.
local data, key = ARGV[1], ARGV[6]
local window, most_keys = tonumber(ARGV[7]), tonumber(ARGV[8])
begin(ARGV[5])
most, age = tonumber(ARGV[2]), tonumber(ARGV[3])

local before
if key ~= '' then
    local used, at = string.match(redis.call('HGET', log, 'k' .. key) or '', '^(%d+) (%d+)$')
    if used and now - tonumber(at) < window then before = used end
end

-- Removes what the retention doesn't leave, so many at a time. The rest is not given meanwhile.
local function trim()
    local left = oldest()
    -- Mostly the oldest is young.
    if not is_young(time_of(left)) then
        local names = {}
        for n = left, math.min(left + 99, offset) do names[#names + 1] = 't' .. text(n) end
        for _, time in ipairs(redis.call('HMGET', log, unpack(names))) do
            if is_young(time) then break end
            left = left + 1
        end
    end
    local gone = {}
    left = math.min(left, first + 1000)
    for n = first, left - 1 do
        gone[#gone + 1] = text(n)
        gone[#gone + 1] = 't' .. text(n)
    end
    if #gone > 0 then redis.call('HDEL', log, unpack(gone)) end
    first = left
end

-- Forgets keys whose time has come, and the oldest of too many.
local function forget()
    for _ = 1, 20 do
        if key_first > key_last then return end
        local place = 'q' .. text(key_first)
        local line = redis.call('HGET', log, place) or ''
        local used, at, old = string.match(line, '^(%d+) (%d+) (.*)$')
        local is_full = key_last - key_first >= most_keys
        if used and now - tonumber(at) < window and not is_full then return end
        local gone = { place }
        -- One that was used again later has another place in line.
        if used and redis.call('HGET', log, 'k' .. old) == used .. ' ' .. at then
            gone[2] = 'k' .. old
        end
        redis.call('HDEL', log, unpack(gone))
        key_first = key_first + 1
    end
end

if before then
    redis.call('HSET', meta, 'most', text(most), 'age', text(age))
else
    offset = offset + 1
    local last = text(offset)
    redis.call('HSET', log, last, data, 't' .. last, text(now))
    if key ~= '' then
        local use = last .. ' ' .. text(now)
        key_last = key_last + 1
        redis.call('HSET', log, 'k' .. key, use, 'q' .. text(key_last), use .. ' ' .. key)
    end
    trim()
    forget()
    redis.call(
        'HSET', meta, 'epoch', epoch, 'offset', last, 'first', text(first), 'most', text(most),
        'age', text(age), 'last', text(now), 'key_first', text(key_first), 'key_last', text(key_last))
end
local ends = age
if key_first <= key_last then ends = math.max(age, window) end
-- A repetition prolongs nothing, but may find that the retention is longer now.
if not before or redis.call('PTTL', log) < ends then redis.call('PEXPIRE', log, text(ends)) end
keep(tonumber(ARGV[4]))
return { epoch, before or text(offset), before and 1 or 0 }
