-- Removes both keys of a stream, whatever lies there. The log comes first: while the slot is on its
-- way, a server doesn't touch a key that is gone.
local meta = KEYS[1]
local log = KEYS[2] or (string.gsub(meta, ':meta$', ':log'))
redis.call('DEL', log)
redis.call('DEL', meta)
return 0
