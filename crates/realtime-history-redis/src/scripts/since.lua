-- ARGV: an epoch and an offset; how many entries at most, and how many bytes.
-- Answers nothing where there is no stream; else its epoch, its offset, and 1 with all that came
-- after, or 0 where that can't be had. Writes nothing.
if not epoch then return {} end
local lost = { epoch, text(offset), 0 }
local after = tonumber(ARGV[2])
local missing = offset - after
if ARGV[1] ~= epoch or missing < 0 or missing > tonumber(ARGV[3]) then return lost end
if missing == 0 then return { epoch, text(offset), 1, {} } end
-- Those that follow are younger.
if after + 1 < oldest() or not is_young(time_of(after + 1)) then return lost end
local bytes, most_bytes = 0, tonumber(ARGV[4])
for n = after + 1, offset do
    bytes = bytes + redis.call('HSTRLEN', log, text(n))
    if bytes > most_bytes then return lost end
end
local data = read(after + 1, offset)
if not data then return lost end
return { epoch, text(offset), 1, data }
