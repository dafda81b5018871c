-- ARGV: the epoch of a new stream; for how many ms the stream is known.
-- Answers the epoch and the offset.
if not epoch then
    begin(ARGV[1])
    redis.call('HSET', meta, 'epoch', epoch, 'offset', text(offset))
end
keep(tonumber(ARGV[2]))
return { epoch, text(offset) }
