-- The head of every script that looks at a stream. One hash has what is known of it; another has its
-- entries, their times in ms, and the keys by which repetitions are known. Only the server's clock
-- counts.
--
--   meta   epoch, offset of the last entry; first: of the oldest; most, age: the retention; last: the
--          time of the last entry; key_first, key_last: which keys are in line
--   log    7 ─► data, t7 ─► time, kKEY ─► offset and time, q3 ─► offset, time and key: the line of keys
--
-- A server that is about to get the keys' slot wants only one of them to be named.
local meta = KEYS[1]
local log = KEYS[2] or (string.gsub(meta, ':meta$', ':log'))
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- A key of another type, or one that is on its way, is an error before anything is written.
local known = redis.call(
    'HMGET', meta, 'epoch', 'offset', 'first', 'most', 'age', 'last', 'key_first', 'key_last')
local size = redis.call('HLEN', log)

local function text(number)
    return string.format('%.0f', number)
end

local function number(field, otherwise)
    if not field or not string.find(field, '^%d+$') then return otherwise end
    return tonumber(field)
end

local epoch = known[1]
local offset = number(known[2], nil)
-- What can't be read is no stream, and is replaced by another one.
if epoch and not string.find(epoch, '^[%w._-]+$') then epoch = nil end
if not offset then epoch = nil end
local first, most, age, key_first, key_last
if epoch then
    first = number(known[3], offset + 1)
    most = number(known[4], 0)
    age = number(known[5], 0)
    -- Times in a stream never go back, though the clock may.
    now = math.max(now, number(known[6], 0))
    key_first = number(known[7], 1)
    key_last = number(known[8], 0)
    if size == 0 then
        first = offset + 1
        key_first = key_last + 1
    end
end

-- The oldest offset that the retention leaves by its number.
local function oldest()
    return math.max(first, offset - most + 1)
end

local function is_young(time)
    local time = number(time, nil)
    return time ~= nil and now - time < age
end

local function time_of(number)
    return redis.call('HGET', log, 't' .. text(number))
end

-- The data of these entries, or nil where one of them is not there.
local function read(from, to)
    local data = {}
    -- In pieces, since a call takes only so many arguments.
    for start = from, to, 1000 do
        local names = {}
        for n = start, math.min(start + 999, to) do names[#names + 1] = text(n) end
        for _, found in ipairs(redis.call('HMGET', log, unpack(names))) do
            if not found then return nil end
            data[#data + 1] = found
        end
    end
    return data
end

-- Begins a stream where there is none.
local function begin(new)
    if epoch then return end
    -- What is left of another one.
    if size > 0 then redis.call('DEL', log) end
    if redis.call('EXISTS', meta) == 1 then redis.call('DEL', meta) end
    epoch, offset, first, most, age, key_first, key_last = new, 0, 1, 0, 0, 1, 0
end

-- Keeps what is known of it for so many ms, and never for less than before.
local function keep(time)
    if redis.call('PTTL', meta) < time then redis.call('PEXPIRE', meta, text(time)) end
end
