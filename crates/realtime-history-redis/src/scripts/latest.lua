-- ARGV: an offset before which entries are wanted, or nothing; how many at most, and how many bytes.
-- Answers nothing where there is no stream; else its epoch, its offset, the offset of the first entry
-- that is given, the offset before which there are more or nothing, and the entries. Writes nothing.
if not epoch then return {} end
local last, count, most_bytes = offset, tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[1] ~= '' then last = math.min(last, tonumber(ARGV[1]) - 1) end
local at, bytes, left = last, 0, oldest()
local function is_there(n)
    return n >= left and is_young(time_of(n))
end
while last - at < count and is_there(at) do
    bytes = bytes + redis.call('HSTRLEN', log, text(at))
    if bytes > most_bytes and at < last then break end
    at = at - 1
end
local before = ''
if is_there(at) then before = text(at + 1) end
local data = read(at + 1, last)
-- A time without its entry: somebody else was here.
if not data then return { epoch, text(offset), text(offset + 1), '', {} } end
return { epoch, text(offset), text(at + 1), before, data }
